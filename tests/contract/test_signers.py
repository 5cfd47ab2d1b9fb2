"""What every signer promises, whatever it is: `signers/<name>.py` with a SIGNER."""

from __future__ import annotations

import base64
import importlib
import pkgutil
import stat
import subprocess
from pathlib import Path

import pytest

from entrenar_research import signers
from entrenar_research.errors import MissingToolError, ResearchError, UsageError
from entrenar_research.signers.port import Signer

NAMES = sorted(module.name for module in pkgutil.iter_modules(signers.__path__) if module.name != "port")


@pytest.fixture(params=NAMES)
def signer(request: pytest.FixtureRequest) -> Signer:
    found: Signer = importlib.import_module(f"entrenar_research.signers.{request.param}").SIGNER
    assert found.name == request.param
    return found


def test_there_are_signers() -> None:
    assert "ed25519" in NAMES


def test_a_new_key_is_private_and_read_back(signer: Signer, tmp_path: Path) -> None:
    private = tmp_path / "new" / "keys" / "id"
    made = signer.generate(private, comment="ada@example.org", passphrase=False)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE(private.parent.stat().st_mode) == 0o700
    assert signer.read(private) == made
    assert made.comment == "ada@example.org"
    assert made.line == private.with_name("id.pub").read_text().strip()
    shown = subprocess.run(["ssh-keygen", "-l", "-f", private], capture_output=True, text=True, check=True).stdout
    assert made.fingerprint == shown.split()[1]
    assert made.fingerprint.startswith("SHA256:")


def test_two_keys_are_two_keys(signer: Signer, tmp_path: Path) -> None:
    one, two = (signer.generate(tmp_path / name, comment="x", passphrase=False) for name in "ab")
    assert one.fingerprint != two.fingerprint


def test_a_key_is_never_overwritten(signer: Signer, tmp_path: Path) -> None:
    signer.generate(tmp_path / "id", comment="x", passphrase=False)
    before = (tmp_path / "id").read_bytes()
    with pytest.raises(UsageError, match="there is a key already"):
        signer.generate(tmp_path / "id", comment="x", passphrase=False)
    assert (tmp_path / "id").read_bytes() == before


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o622])
def test_a_key_that_others_can_use_is_refused(signer: Signer, tmp_path: Path, mode: int) -> None:
    signer.generate(tmp_path / "id", comment="x", passphrase=False)
    (tmp_path / "id").chmod(mode)
    with pytest.raises(ResearchError, match=f"mode {mode:04o} lets others read the private key; expected 0600"):
        signer.read(tmp_path / "id")


def test_the_public_half_is_that_of_the_private_one_whatever_lies_beside_it(signer: Signer, tmp_path: Path) -> None:
    made = signer.generate(tmp_path / "id", comment="x", passphrase=False)
    (tmp_path / "id.pub").write_text("ssh-ed25519 AAAA somebody@else\n")
    assert signer.read(tmp_path / "id").fingerprint == made.fingerprint
    (tmp_path / "id.pub").unlink()
    assert signer.read(tmp_path / "id").fingerprint == made.fingerprint


def test_a_key_with_a_passphrase_is_read_by_the_public_half_beside_it(signer: Signer, tmp_path: Path) -> None:
    made = signer.generate(tmp_path / "id", comment="x", passphrase=False)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", tmp_path / "id"], check=True, capture_output=True)
    assert signer.read(tmp_path / "id").fingerprint == made.fingerprint
    (tmp_path / "id.pub").unlink()
    with pytest.raises(ResearchError, match="passphrase"):
        signer.read(tmp_path / "id")


@pytest.mark.parametrize("content", ["", "no key\n", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_what_is_no_key_is_refused(signer: Signer, tmp_path: Path, content: str) -> None:
    (tmp_path / "id").write_text(content)
    (tmp_path / "id").chmod(0o600)
    with pytest.raises(ResearchError):
        signer.read(tmp_path / "id")


def test_no_key_is_a_usage_error_with_the_next_step(signer: Signer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no key") as caught:
        signer.read(tmp_path / "id")
    assert "keys new" in (caught.value.hint or "")


def test_without_its_program_it_says_so(signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="is not installed or not on PATH"):
        signer.generate(tmp_path / "id", comment="x", passphrase=False)


def never(question: str) -> str:
    raise AssertionError(question)


@pytest.fixture
def made(signer: Signer, tmp_path: Path) -> tuple[Path, str]:
    """A key: its file, and the line of its public half."""
    return tmp_path / "id", signer.generate(tmp_path / "id", comment="x", passphrase=False).line


def test_what_was_signed_is_verified(signer: Signer, made: tuple[Path, str]) -> None:
    private, public = made
    for message in (b"", b"a", b"\0" * 1000, bytes(range(256)) * 300):
        signature = signer.sign(private, message, ask=never)
        assert signer.verify(public, message, signature) is True
        assert signer.verify(public.rsplit(" ", 1)[0], message, signature) is True
        assert signer.verify(public, message + b"\n", signature) is False


def test_every_flipped_bit_of_a_signature_is_refused(signer: Signer, made: tuple[Path, str]) -> None:
    private, public = made
    signature = signer.sign(private, b"message", ask=never)
    for place in range(len(signature)):
        for bit in range(8):
            changed = bytearray(signature)
            changed[place] ^= 1 << bit
            assert signer.verify(public, b"message", bytes(changed)) is False
    for wrong in (b"", signature[:-1], signature + b"\0", bytes(64)):
        assert signer.verify(public, b"message", wrong) is False


def test_the_signature_of_another_key_is_refused(signer: Signer, made: tuple[Path, str], tmp_path: Path) -> None:
    other = signer.generate(tmp_path / "other", comment="x", passphrase=False)
    assert signer.verify(other.line, b"m", signer.sign(made[0], b"m", ask=never)) is False


@pytest.mark.parametrize("line", ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa AAAAB3NzaC1yc2E=", "ssh-ed25519 !"])
def test_a_line_that_is_no_key_verifies_nothing(signer: Signer, line: str) -> None:
    with pytest.raises(UsageError):
        signer.verify(line, b"m", b"s" * 64)


def test_the_passphrase_is_asked_for_once_and_has_to_be_right(signer: Signer, made: tuple[Path, str]) -> None:
    private, public = made
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", private], check=True, capture_output=True)
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return "secret"

    assert signer.verify(public, b"m", signer.sign(private, b"m", ask=ask)) is True
    assert asked == [f"Passphrase of {private}"]
    with pytest.raises(ResearchError, match="the passphrase is wrong, or the key is damaged") as caught:
        signer.sign(private, b"m", ask=lambda question: "Secret")
    assert "ecret" not in str(caught.value).replace("passphrase", "")


def test_a_public_half_of_another_key_beside_it_is_noticed(
    signer: Signer, made: tuple[Path, str], tmp_path: Path
) -> None:
    private, _ = made
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", private], check=True, capture_output=True)
    other = signer.generate(tmp_path / "other", comment="x", passphrase=False)
    (tmp_path / "id.pub").write_text(other.line + "\n")
    with pytest.raises(ResearchError, match="the public half beside it is that of another key"):
        signer.sign(private, b"m", ask=lambda question: "secret")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_key_that_others_can_use_signs_nothing(signer: Signer, made: tuple[Path, str], mode: int) -> None:
    made[0].chmod(mode)
    with pytest.raises(ResearchError, match="lets others read the private key"):
        signer.sign(made[0], b"m", ask=never)


def test_a_key_of_another_kind_signs_nothing(signer: Signer, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", tmp_path / "id"], check=True)
    with pytest.raises(UsageError, match="found one of the kind ecdsa"):
        signer.sign(tmp_path / "id", b"m", ask=never)


def packed(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def security_key(private: Path) -> None:
    """What `ssh-keygen -t ed25519-sk` writes, without a security key: OpenSSH's PROTOCOL.key and PROTOCOL.u2f."""
    kind, point, application = b"sk-ssh-ed25519@openssh.com", bytes(range(32)), b"ssh:"
    public = packed(kind, point, application)
    inside = b"\1\2\3\4" * 2 + public + b"\1" + packed(b"handle", b"", b"comment")
    inside += bytes(range(1, 1 + -len(inside) % 8))
    data = b"openssh-key-v1\0" + packed(b"none", b"none", b"") + b"\0\0\0\1" + packed(public, inside)
    text = base64.encodebytes(data).decode()
    private.write_text(f"-----BEGIN OPENSSH PRIVATE KEY-----\n{text}-----END OPENSSH PRIVATE KEY-----\n")
    private.chmod(0o600)


def test_a_security_key_is_refused_with_words(signer: Signer, tmp_path: Path) -> None:
    security_key(tmp_path / "id")
    public = signer.read(tmp_path / "id")
    assert public.line.startswith("sk-ssh-ed25519@openssh.com ")
    with pytest.raises(UsageError, match=r"lives in a security key \(FIDO\)") as caught:
        signer.sign(tmp_path / "id", b"m", ask=never)
    assert "--key" in (caught.value.hint or "")
    with pytest.raises(UsageError, match=r"lives in a security key \(FIDO\)"):
        signer.verify(public.line, b"m", b"s" * 64)


def test_a_public_key_is_read_from_a_file(signer: Signer, made: tuple[Path, str], tmp_path: Path) -> None:
    private, line = made
    found = signer.public(private.with_name("id.pub"))
    assert (found.line, found.fingerprint, found.comment) == (line, signer.read(private).fingerprint, "x")
    with pytest.raises(UsageError, match="expected a public key, found a private one"):
        signer.public(private)
    for text in ("", "x\n", "ssh-ed25519 AAAA\n", f"{line}\n{line}\n", "ssh-rsa AAAA\n"):
        (tmp_path / "other.pub").write_text(text)
        with pytest.raises(UsageError, match="expected one line with an Ed25519 key"):
            signer.public(tmp_path / "other.pub")
    with pytest.raises(UsageError, match="no such file"):
        signer.public(tmp_path / "none.pub")
