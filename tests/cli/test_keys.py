"""`keys`: one key, readable by its owner alone, outside of repositories, accepted for a period."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

from entrenar_research.actions import keys
from tests.cli.conftest import Door, Terminal, tree
from tests.conftest import World

FINGERPRINT = r"SHA256:[A-Za-z0-9+/]{43}"
ADA = "[user]\nname = Ada Lovelace\nemail = ada@example.org\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home of somebody whom Git knows and who has no key."""
    place = tmp_path / "fresh home"
    place.mkdir()
    (place / ".gitconfig").write_text(ADA)
    return place


@pytest.fixture
def at_home(home: Path) -> dict[str, str]:
    return {"HOME": str(home)}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def entries(study: Path) -> list[str]:
    return (study / "keys/allowed_signers").read_text().splitlines()


def test_a_new_key(door: Door, world: World, tiny: Path, home: Path, at_home: dict[str, str]) -> None:
    said = door("keys", "new", cwd=tiny, env=at_home)
    key = home / ".config/entrenar-research/keys/id_ed25519"
    assert said.status == 0
    assert re.match(rf"made {re.escape(str(key))}  {FINGERPRINT}\nlisted in keys/allowed_signers, from ", said.out)
    assert (mode(key), mode(key.parent)) == (0o600, 0o700)
    public = world.run("ssh-keygen", "-y", "-f", key, cwd=home).stdout.split()
    assert public[0] == "ssh-ed25519"
    assert re.fullmatch(
        rf'ada@example\.org namespaces="{",".join(keys.NAMESPACES)}",valid-after="\d{{8}}Z",valid-before="\d{{8}}Z" '
        + re.escape(" ".join(public[:2])),
        entries(tiny)[-1],
    )
    before = tree(tiny)
    again = door("keys", "new", cwd=tiny)
    assert again.out.startswith(f"there is {key}  ")
    assert again.out.splitlines()[1].startswith("already listed in keys/allowed_signers, from ")
    assert tree(tiny) == before
    assert door("seal", "experiment", "line", "-m", "Again", cwd=tiny).status == 0


def test_outside_of_a_study_it_is_only_made(door: Door, home: Path, at_home: dict[str, str]) -> None:
    said = door("keys", "new", cwd=home, env=at_home)
    assert said.out.count("\n") == 1
    shown = door("keys", "show", cwd=home)
    assert shown.out.splitlines()[0].endswith("id_ed25519  (made by entrenar-research)")
    assert json.loads(door("keys", "show", "--format", "json", cwd=home).out)["listed"] is False


def test_no_key_is_made_if_nobody_can_be_listed(door: Door, tiny: Path, home: Path, at_home: dict[str, str]) -> None:
    (home / ".gitconfig").unlink()
    said = door("keys", "new", cwd=tiny, env=at_home)
    assert said.status == 2
    assert said.complaint == (
        "the key has to be listed under an e-mail address, and Git knows none",
        "git config --global user.email you@example.org",
    )
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("period", "message"),
    [
        ("0d", "validity '0d': expected a number and y, m or d, for example 2y or 6m"),
        ("2", "validity '2': expected a number and y, m or d, for example 2y or 6m"),
        ("", "validity '': expected a number and y, m or d, for example 2y or 6m"),
        ("999999y", "validity '999999y' ends after the year 9999: expected a shorter one"),
        ("9" * 30 + "d", f"validity '{'9' * 30}d': expected a number and y, m or d, for example 2y or 6m"),
    ],
)
def test_a_period_that_is_none(
    period: str, message: str, door: Door, tiny: Path, home: Path, at_home: dict[str, str]
) -> None:
    said = door("keys", "new", "--valid-for", period, cwd=tiny, env=at_home)
    assert (said.status, said.complaint[0]) == (2, message)
    assert not (home / ".config").exists()


def test_a_period_that_is_over(door: Door, tiny: Path) -> None:
    listed = tiny / "keys/allowed_signers"
    now = re.sub(
        r'valid-after="\d{4}(\d{4}Z)",valid-before="\d{4}', r'valid-after="2019\1",valid-before="2021', entries(tiny)[0]
    )
    listed.write_text(now)  # without a line end
    shown = door("keys", "show", cwd=tiny).out.splitlines()[-1]
    assert re.fullmatch(
        r"the study does not accept it now, only from 2019-\d\d-\d\d to 2021-\d\d-\d\d; `keys new` renews it", shown
    )
    assert json.loads(door("keys", "show", "--format", "json", cwd=tiny).out)["listed"] is False
    assert door("keys", "new", "--valid-for", "30d", cwd=tiny).out.splitlines()[1].startswith("listed in keys/")
    assert len(entries(tiny)) == 2
    assert entries(tiny)[0] == now
    assert door("keys", "show", cwd=tiny).out.splitlines()[-1].startswith("the study accepts it, from 2019-")


@pytest.mark.parametrize("disguise", ["# {}", "ada@example.org {}x"])
def test_a_line_that_does_not_list_the_key(disguise: str, door: Door, tiny: Path) -> None:
    line = entries(tiny)[0]
    text = disguise.format(line if disguise.startswith("#") else line.split(" ", 2)[2])
    (tiny / "keys/allowed_signers").write_text(f"{text}\n")
    assert door("keys", "show", cwd=tiny).out.splitlines()[-1].startswith("the study does not list it")


@pytest.mark.parametrize("place", ["keys/mine", "mine", "../link/mine", "experiments/../keys/mine"])
def test_never_in_the_study(place: str, door: Door, tiny: Path) -> None:
    (tiny.parent / "link").symlink_to(tiny / "keys")
    before = tree(tiny)
    for words in (("keys", "new", "--key", place), ("seal", "experiment", "line", "-m", "x", "--key", place)):
        said = door(*words, cwd=tiny)
        assert said.status == 2
        assert said.complaint == (f"{place} lies inside the study", "private keys never belong into a repository")
    assert tree(tiny) == before


def test_never_in_another_repository(door: Door, world: World, tiny: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    world.run("git", "init", "-q", other, cwd=tmp_path)
    said = door("keys", "new", "--key", str(other / "sub/key"), cwd=tiny)
    assert said.status == 2
    assert said.complaint[0] == f"{other}/sub/key lies inside the Git repository {other}"
    assert not (other / "sub").exists()
    (other / ".gitignore").write_text("/secret/\n")
    assert door("keys", "new", "--key", str(other / "secret/key"), cwd=other).status == 0


def test_a_key_that_others_can_read(door: Door, tiny: Path, home: Path, at_home: dict[str, str]) -> None:
    door("keys", "new", cwd=tiny, env=at_home)
    key = home / ".config/entrenar-research/keys/id_ed25519"
    key.chmod(0o640)
    for words in ("keys show", "keys new", "seal experiment line -m x"):
        said = door(*words.split(), cwd=tiny)
        assert said.status == 1
        assert said.complaint == (
            f"{key}: mode 0640 lets others read the private key; expected 0600",
            f"chmod 600 {key}, or make a new key if others may have read it",
        )


def test_what_is_no_key(door: Door, world: World, tiny: Path, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("not a key\n")
    text.chmod(0o600)
    world.run("ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", tmp_path / "ecdsa", cwd=tmp_path)
    cases = {
        str(tmp_path): f"{tmp_path}: expected the file of a private key, found a directory",
        str(tmp_path / "none"): f"{tmp_path}/none: there is no key",
        str(text): f"{text}: expected a private key in OpenSSH format, found something else",
        str(tmp_path / "ecdsa"): (
            f"{tmp_path}/ecdsa: expected an Ed25519 key, found one of the kind ecdsa-sha2-nistp256"
        ),
    }
    for place, message in cases.items():
        said = door("keys", "show", "--key", place, cwd=tiny)
        assert (said.status, said.complaint[0]) == (2, message)


def test_a_passphrase_is_asked_for_on_a_terminal_only(
    door: Door, terminal: Terminal, world: World, home: Path, at_home: dict[str, str]
) -> None:
    said = door("keys", "new", "--passphrase", cwd=home, env=at_home)
    assert said.status == 2
    assert said.complaint[0] == "--passphrase needs a terminal to ask on, and there is none"
    assert not (home / ".config").exists()
    answers = [("(empty for no passphrase): ", "correct horse\n"), ("same passphrase again: ", "correct horse\n")]
    words = ("entrenar-research", "keys", "new", "--passphrase")
    made = terminal(*words, cwd=home, env=at_home, answers=answers)
    assert made.status == 0, made.out
    assert "correct horse" not in made.out
    key = home / ".config/entrenar-research/keys/id_ed25519"
    assert mode(key) == 0o600
    world.run("ssh-keygen", "-y", "-P", "", "-f", key, cwd=home, status=255)
    world.run("ssh-keygen", "-y", "-P", "correct horse", "-f", key, cwd=home)
    assert door("keys", "show", cwd=home).status == 0
    key.with_suffix(".pub").unlink()
    said = door("keys", "show", cwd=home)
    assert said.status == 1
    assert said.complaint == (
        f"{key}: the key has a passphrase, and the public half {key}.pub is not beside it",
        f"ssh-keygen -y -f {key} > {key}.pub",
    )


@pytest.mark.parametrize(
    ("config", "message", "hint"),
    [
        ("[user]\nsigningkey = ABCD1234\n", "Git is configured to sign with OpenPGP; seals are signed with SSH keys",
         "give --key FILE"),
        ("[gpg]\nformat = ssh\n[user]\nsigningkey = ~/none.pub\n",
         "user.signingkey of the Git configuration names ~/none.pub: there is no private key file there", "correct it"),
        ("[gpg]\nformat = ssh\n[user]\nsigningkey = ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJHC\n",
         "user.signingkey of the Git configuration is a public key (ssh-ed25519 AAAAC3NzaC1lZDI1NTE5...), not a file",
         "give --key FILE"),
    ],
)  # fmt: skip
def test_keys_of_the_git_configuration(
    config: str, message: str, hint: str, door: Door, tiny: Path, home: Path, at_home: dict[str, str]
) -> None:
    (home / ".gitconfig").write_text(ADA + config)
    for words in ("keys show", "seal experiment line -m x"):
        said = door(*words.split(), cwd=tiny, env=at_home)
        assert said.status == 2
        assert said.complaint[0].startswith(message)
        assert said.complaint[1].startswith(hint)


def test_a_key_that_the_study_does_not_know_cannot_seal(
    door: Door, world: World, tiny: Path, home: Path, at_home: dict[str, str]
) -> None:
    door("keys", "new", cwd=home, env=at_home)
    before = world.run("git", "for-each-ref", cwd=tiny).stdout
    said = door("seal", "experiment", "line", "-m", "x", cwd=tiny)
    assert said.status == 1
    assert said.complaint[0].startswith("the study would not accept this signature: ")
    assert "`entrenar-research keys new`" in said.complaint[1]
    assert world.run("git", "for-each-ref", "refs/tags", cwd=tiny).stdout in before


@pytest.fixture
def grace(world: World, tmp_path: Path) -> Path:
    """The public key of somebody else."""
    world.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "grace", cwd=tmp_path)
    return tmp_path / "grace.pub"


def test_the_key_of_somebody_else_is_listed_for_what_is_said(door: Door, tiny: Path, grace: Path) -> None:
    said = door("keys", "allow", str(grace), "--as", "grace@example.org", cwd=tiny)
    assert said.status == 0
    assert re.match(rf"listed {FINGERPRINT} of grace@example\.org for attestations in keys/allowed_signers\n", said.out)
    material = " ".join(grace.read_text().split()[:2])
    assert re.fullmatch(
        r'grace@example\.org namespaces="attestation@entrenar-research",valid-after="\d{8}Z",valid-before="\d{8}Z" '
        + re.escape(material),
        entries(tiny)[-1],
    )
    before = entries(tiny)
    assert door("keys", "allow", str(grace), "--as", "grace@example.org", cwd=tiny).out.startswith("already listed ")
    assert entries(tiny) == before
    words = ("--for", "attestations", "--for", "proofs", "--valid-for", "30d")
    assert door("keys", "allow", str(grace), "--as", "grace@example.org", *words, cwd=tiny).status == 0
    assert 'namespaces="proof@entrenar-research",' in entries(tiny)[-1]
    assert len(entries(tiny)) == len(before) + 1


@pytest.mark.parametrize("who", ["a b", "a,b", "*", "", "#a", 'a"b'])
def test_a_name_that_the_list_cannot_hold(who: str, door: Door, tiny: Path, grace: Path) -> None:
    before = entries(tiny)
    said = door("keys", "allow", str(grace), "--as", who, cwd=tiny)
    assert said.status == 2
    assert said.complaint[0] == f"name {who!r}: expected an e-mail address, without blanks, commas, quotes or wildcards"
    assert entries(tiny) == before


def test_a_private_key_is_not_listed(door: Door, tiny: Path, grace: Path) -> None:
    private = grace.with_suffix("")
    said = door("keys", "allow", str(private), "--as", "grace@example.org", cwd=tiny)
    assert (said.status, said.complaint) == (
        2,
        (f"{private}: expected a public key, found a private one", f"{private}.pub lies beside it"),
    )


def test_proofs_are_signed_with_a_passphrase_on_a_terminal_only(
    door: Door, terminal: Terminal, world: World, tiny: Path, tmp_path: Path
) -> None:
    key = tmp_path / "locked"
    world.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "correct horse", "-C", "x", "-f", key, cwd=tmp_path)
    door("keys", "allow", f"{key}.pub", "--as", "ada@example.org", "--for", "proofs", cwd=tiny)
    said = door("prove", "line", "--key", str(key), cwd=tiny)
    assert said.status == 2
    assert said.complaint[0] == f"Passphrase of {key}: there is no terminal to ask on"
    words = ("entrenar-research", "prove", "line", "--key", key)
    wrong = terminal(*words, cwd=tiny, answers=[(f"Passphrase of {key}: ", "wrong\n")])
    assert wrong.status == 1
    assert f"{key}: the passphrase is wrong, or the key is damaged; nothing is signed" in wrong.out
    assert not list(tiny.glob("runs/*/proof*"))
    right = terminal(*words, cwd=tiny, answers=[(f"Passphrase of {key}: ", "correct horse\n")])
    assert right.status == 0, right.out
    assert "correct horse" not in right.out
    assert len(list(tiny.glob("runs/*/proof*"))) == 1


@pytest.mark.parametrize("command", ["prove", "attest"])
def test_a_key_that_others_can_read_signs_nothing(command: str, door: Door, tiny: Path, world: World) -> None:
    key = tiny.parent / "open"
    world.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key, cwd=tiny)
    key.chmod(0o644)
    said = door(command, "line", "--key", str(key), cwd=tiny)
    assert (said.status, said.complaint[0]) == (1, f"{key}: mode 0644 lets others read the private key; expected 0600")
    assert not [*tiny.glob("runs/*/proof*"), *tiny.glob("runs/*/attestations")]
