"""The tool itself, built by real Nix: in several stores, signed by several people, and started without a network."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from entrenar_research import __version__, workspace
from entrenar_research.core.nix import closure_lock
from entrenar_research.core.proofs import envelopes
from entrenar_research.core.proofs.envelopes import Envelope
from entrenar_research.models.building import BUILD
from entrenar_research.store import closure_file
from entrenar_research.tools.nix import Nix
from tests import hermetic, own_builds
from tests.conftest import World, make_world
from tests.integration import airgaps

pytestmark = [pytest.mark.nix, pytest.mark.slow]
Told = dict[str, Any]
PEOPLE = ("ada", "grace", "alan")
THREE = "keys = 3\nhermetic = true\n"


class Built(msgspec.Struct, frozen=True):
    """Three people, each with a key, a store and a checkout, and what each of them signed."""

    checkouts: dict[str, Path]
    keys: dict[str, Path]
    stores: dict[str, Path]
    signed: dict[str, bytes]
    world: World

    def run(self, who: str, *words: str | Path, status: int = 0, cwd: Path | None = None) -> Any:
        """A command of one of them, on their store: its answer, or what it said where it did not end well."""
        place = cwd or self.checkouts[who]
        environment = {"ENTRENAR_NIX_STORE": str(self.stores[who])}
        done = self.world.tool(*words, cwd=place, status=status, env=environment)
        return json.loads(done.stdout) if "json" in words else done.stdout + done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """All three at once; the wheels that only running takes are left out, so that it does not take minutes."""
    closure = own_builds.lean(own_builds.fetched())
    base = tmp_path_factory.mktemp("builders")
    world = make_world(base / "home")
    world.environment["XDG_CACHE_HOME"] = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    original = own_builds.checkout(base / "original", closure)
    keys, running = {}, {}
    for who in PEOPLE:
        checkout = base / who / "entrenar-research"
        shutil.copytree(original, checkout)
        keys[who] = base / f"key-{who}"
        world.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", who, "-f", keys[who], cwd=base)
        running[who] = subprocess.Popen(
            ["sh", "-ec", 'entrenar-research env seed --self --from cache && exec entrenar-research "$@"', "sh",
             "attest", "--self", "--key", str(keys[who]), "--notes", f"By {who}", "-o", str(base / f"{who}.jsonl")],
            cwd=checkout, env={**world.environment, "ENTRENAR_NIX_STORE": str(base / who / "store")},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    for process in running.values():
        said, _ = process.communicate(timeout=900)
        assert process.returncode == 0, said
    for who, key in keys.items():
        world.tool("keys", "allow", f"{key}.pub", "--as", f"{who}@example.org", cwd=base / "ada" / "entrenar-research")
    yield Built(
        checkouts={who: base / who / "entrenar-research" for who in PEOPLE},
        keys=keys,
        stores={who: base / who / "store" for who in PEOPLE},
        signed={who: (base / f"{who}.jsonl").read_bytes() for who in PEOPLE},
        world=world,
    )
    for who in PEOPLE:
        hermetic.remove(base / who)


@pytest.fixture
def shared(built: Built, tmp_path: Path) -> Path:
    """A copy of Ada's checkout that lists all three keys and has all three attestations."""
    place = copied(built, tmp_path)
    take_in(built, place, *built.signed.values())
    return place


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "three.toml"
    path.write_text(THREE)
    return path


def copied(built: Built, tmp_path: Path) -> Path:
    """Ada's checkout, which lists all three keys; its files are shared until one is replaced."""
    place = tmp_path / "entrenar-research"
    shutil.copytree(built.checkouts["ada"], place, copy_function=os.link)
    return place


def take_in(built: Built, place: Path, *lines: bytes, status: int = 0) -> Any:
    sent = place.parent / "sent.jsonl"
    sent.write_bytes(b"".join(lines))
    words: tuple[str | Path, ...] = ("attest", "--self", "--import", sent)
    return built.run("ada", *words, *(() if status else ("--format", "json")), status=status, cwd=place)


def stated(line: bytes) -> Told:
    found: Told = json.loads(base64.b64decode(json.loads(line)["payload"]))
    return found


def signed_anew(line: bytes, key: Path, change: Callable[[Told], object]) -> bytes:
    """A statement with another content, as whoever has `key` could sign it."""
    value = stated(line)
    signer = workspace.signer()
    public = signer.read(key)
    value["predicate"]["signed"]["key"] = " ".join(public.line.split()[:2])
    change(value)
    payload = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    envelope = Envelope(payload=payload, keyid=public.fingerprint, signature=b"")
    signature = signer.sign(key, envelope.message, ask=str)
    return envelopes.encode(Envelope(payload=payload, keyid=public.fingerprint, signature=signature)) + b"\n"


def another(value: Told) -> None:
    """As if something else had come out, said without contradiction."""
    claim, wrong = value["predicate"]["claim"], "1" * 64
    for item in claim["closure"]:
        if item["path"] == claim["output"]:
            item["hash"] = f"sha256:{wrong}"
    claim["nar_hash"] = f"sha256:{wrong}"
    value["subject"][0]["digest"]["sha256-nar"] = wrong


# --- three stores, three keys ---


def test_three_stores_give_one_build(built: Built) -> None:
    said = {who: stated(line) for who, line in built.signed.items()}
    ada, *others = said.values()
    claim = ada["predicate"]["claim"]
    assert all(other["predicate"]["claim"] == claim for other in others)
    assert all(other["subject"] == ada["subject"] for other in others)
    assert ada["predicateType"] == BUILD
    assert ada["subject"][0]["digest"] == {"sha256-nar": claim["nar_hash"].removeprefix("sha256:")}
    assert (claim["settings"]["sandbox"], claim["settings"]["sandbox-fallback"]) == ("true", "false")
    everything = {item["path"] for item in claim["closure"]}
    assert {path.partition("-")[2] for path in everything} == {
        "python-3.11",
        "environment-3.11",
        "entrenar-research-0.1.0",
    }
    assert len({item["predicate"]["signed"]["key"] for item in said.values()}) == 3
    for who in PEOPLE:  # each of them made all of it, and Nix finds in each store what was signed
        assert set(said[who]["predicate"]["evidence"]["built"]) == everything
        assert str(built.stores[who]) not in json.dumps(said[who])
        out = built.stores[who] / claim["output"].lstrip("/")
        found = built.world.run(
            "nix", "--extra-experimental-features", "nix-command", "hash", "path", "--base16", out, cwd=out
        ).stdout
        assert found.strip() == claim["nar_hash"].removeprefix("sha256:")


def test_three_builders_agree(built: Built, shared: Path, policy: Path) -> None:
    said = built.run("ada", "consensus", "--self", "--policy", policy, cwd=shared)
    assert re.search(r"this build \(sha256:\w{64}\) matches the consensus hash of 3 independent builders", said), said
    found = built.run("ada", "consensus", "--self", "--policy", policy, "--format", "json", cwd=shared)
    assert (found["reached"], found["same"], len(found["keys"])) == (True, True, 3)
    assert {voice["notes"] for voice in found["agreeing"]} == {"By ada", "By grace", "By alan"}
    assert (
        found["nar_hash"]
        == found["consensus_nar_hash"]
        == stated(built.signed["alan"])["predicate"]["claim"]["nar_hash"]
    )


def test_two_are_not_three(built: Built, shared: Path, policy: Path) -> None:
    next((shared / "nix/tool/attestations").iterdir()).unlink()
    said = built.run("ada", "consensus", "--self", "--policy", policy, cwd=shared, status=1)
    assert "is what 2 independent builders on 1 hardware class came to" in said
    assert "no consensus: 2 of 3 distinct keys agree" in said


def test_a_key_counts_once_and_only_if_it_is_listed(built: Built, tmp_path: Path, policy: Path) -> None:
    place = copied(built, tmp_path)
    listed = place / "keys/allowed_signers"
    airgaps.replace(listed, b"".join(line for line in listed.read_bytes().splitlines(True) if b"alan" not in line))
    twice = signed_anew(
        built.signed["ada"],
        built.keys["ada"],
        lambda value: value["predicate"]["signed"].update(time="2026-12-24T00:00:00Z"),
    )
    take_in(built, place, *built.signed.values(), twice)
    found = built.run("ada", "consensus", "--self", "--policy", policy, "--format", "json", cwd=place, status=1)
    assert (len(found["keys"]), found["lacking"]) == (2, ["2 of 3 distinct keys agree"])
    assert len(found["uncounted"]) == 2


def test_what_others_signed_is_taken_in_once(built: Built, tmp_path: Path) -> None:
    place = copied(built, tmp_path)
    first = take_in(built, place, built.signed["grace"])
    again = take_in(built, place, built.signed["grace"])
    assert [(item["fresh"], item["same"], item["known"]) for item in (*first, *again)] == [
        (True, True, True),
        (False, True, True),
    ]
    assert len(list((place / "nix/tool/attestations").iterdir())) == 1


# --- what breaks it ---


def test_a_change_to_the_sources_is_another_build(built: Built, shared: Path, policy: Path) -> None:
    source = shared / "entrenar_research/errors.py"
    airgaps.replace(source, source.read_bytes() + b"# Another line\n")
    said = built.run("ada", "consensus", "--self", "--policy", policy, cwd=shared, status=1)
    assert said.count("not counted: nix/tool/attestations/") == 3
    assert "about other sources: sha256:" in said
    assert "has no builder who counts" in said
    refused = take_in(built, shared, built.signed["alan"], status=1)
    assert "sent.jsonl, line 1: about other sources" in refused


def test_a_change_elsewhere_changes_nothing(built: Built, shared: Path, policy: Path) -> None:
    for name in (
        "tests/test_more.py",
        "docs/more.md",
        "entrenar_research/notes.txt",
        "entrenar_research/actions/empty/.keep",
    ):
        (shared / name).parent.mkdir(parents=True, exist_ok=True)
        (shared / name).write_text("Another line\n")
    assert "matches" in built.run("ada", "consensus", "--self", "--policy", policy, cwd=shared)


def test_another_hash_that_most_came_to_is_not_ours(built: Built, tmp_path: Path, policy: Path) -> None:
    place = copied(built, tmp_path)
    forged = [signed_anew(built.signed[who], built.keys[who], another) for who in PEOPLE]
    (told, *_) = take_in(built, place, *forged)
    assert told["same"] is False
    said = built.run("ada", "consensus", "--self", "--policy", policy, cwd=place, status=1)
    assert f"differs from the consensus hash of 3 independent builders: sha256:{'1' * 64}" in said


def test_somebody_who_came_to_another_is_shown(built: Built, shared: Path) -> None:
    def later(value: Told) -> None:
        another(value)
        value["predicate"]["signed"]["time"] = "2026-12-24T00:00:00Z"

    take_in(built, shared, signed_anew(built.signed["alan"], built.keys["alan"], later))
    found = built.run("ada", "consensus", "--self", "--format", "json", cwd=shared, status=1)
    assert (found["same"], len(found["keys"]), found["lacking"]) == (True, 2, ["1 keys disagree, at most 0 may"])
    assert "entrenar-research-0.1.0 is sha256:1111" in found["disagreeing"][0]["detail"]


def test_what_a_key_said_before_its_last_decides_nothing(built: Built, shared: Path, policy: Path) -> None:
    def before(value: Told) -> None:
        another(value)
        value["predicate"]["signed"]["time"] = "2026-11-20T00:00:00Z"

    def last(value: Told) -> None:
        another(value)
        value["predicate"]["signed"]["time"] = "2026-12-24T00:00:00Z"

    listed = shared / "keys/allowed_signers"
    airgaps.replace(listed, re.sub(rb'valid-after="\w+"', b'valid-after="20200101Z"', listed.read_bytes()))
    earlier = [signed_anew(built.signed[who], built.keys[who], before) for who in ("ada", "grace")]
    take_in(built, shared, *earlier, signed_anew(built.signed["alan"], built.keys["alan"], last))
    found = built.run("ada", "consensus", "--self", "--policy", policy, "--format", "json", cwd=shared, status=1)
    assert (found["same"], len(found["keys"]), len(found["disagreeing"])) == (True, 2, 1)


def test_who_signs_the_tool_alone_does_not_agree(built: Built, tmp_path: Path) -> None:
    def hollow(value: Told) -> None:
        claim = value["predicate"]["claim"]
        claim["closure"] = [item for item in claim["closure"] if item["path"] == claim["output"]]

    place = copied(built, tmp_path)
    take_in(built, place, built.signed["ada"], signed_anew(built.signed["grace"], built.keys["grace"], hollow))
    found = built.run("ada", "consensus", "--self", "--format", "json", cwd=place, status=1)
    assert len(found["disagreeing"]) == 1
    assert "python-3.11 is not among what it needs" in found["disagreeing"][0]["detail"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda line: line.replace(b'"sig":"', b'"sig":"A', 1), "expected a DSSE envelope|not written as"),
        (lambda line: tampered(line, '"notes":"By', '"notes":"by'), "signature is not that of"),
        (lambda line: tampered(line, '"version":"0.1.0"', '"version":"0.1.1"'), "signature is not that of"),
        (lambda line: line[:-40] + b"\n", "expected an envelope, found no JSON"),
    ],
)  # fmt: skip
def test_a_changed_byte_is_named(built: Built, shared: Path, change: Callable[[bytes], bytes], words: str) -> None:
    file = next((shared / "nix/tool/attestations").iterdir())
    changed = change(file.read_bytes())
    assert changed != file.read_bytes()
    file.write_bytes(changed)
    said = built.run("ada", "consensus", "--self", cwd=shared, status=1)
    assert re.search(rf"damaged: nix/tool/attestations/{re.escape(file.name)}: .*({words})", said), said
    assert "no consensus: something that is signed is damaged" in said
    assert file.name not in take_in(built, shared, changed, status=1)


def tampered(line: bytes, old: str, new: str) -> bytes:
    """The payload changed under the signature that was made for another."""
    value = json.loads(line)
    payload = base64.b64decode(value["payload"]).replace(old.encode(), new.encode())
    value["payload"] = base64.b64encode(payload).decode()
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def test_a_statement_that_contradicts_itself_is_refused(built: Built, tmp_path: Path) -> None:
    place = copied(built, tmp_path)

    def half(value: Told) -> None:
        value["subject"][0]["digest"]["sha256-nar"] = "1" * 64

    assert "its subject is not the output" in take_in(
        built, place, signed_anew(built.signed["ada"], built.keys["ada"], half), status=1
    )
    assert not (place / "nix/tool/attestations").exists()


def test_what_is_there_is_built_again_before_it_is_signed(built: Built, tmp_path: Path) -> None:
    place, key = copied(built, tmp_path), ("--key", built.keys["ada"])
    signed = built.run("ada", "attest", "--self", *key, "--format", "json", cwd=place)
    predicate = signed["statement"]["predicate"]
    assert predicate["claim"] == stated(built.signed["ada"])["predicate"]["claim"]
    assert "built" not in predicate["evidence"]
    assert len(predicate["evidence"]["rebuilt"]) == 3
    assert (place / signed["path"]).is_file()


@pytest.mark.parametrize("words", [("consensus", "--self"), ("attest", "--self", "--notes", "x")])
def test_what_was_changed_in_the_store_is_no_build(built: Built, shared: Path, words: tuple[str, ...]) -> None:
    output = stated(built.signed["ada"])["predicate"]["claim"]["output"]
    (file,) = (built.stores["ada"] / output.lstrip("/")).glob("lib/*/site-packages/entrenar_research/errors.py")
    before, mode = file.read_bytes(), file.stat().st_mode
    more = ("--key", built.keys["ada"]) if words[0] == "attest" else ()
    file.chmod(0o644)
    try:
        file.write_bytes(before + b"# mine\n")
        file.chmod(mode)
        said = built.run("ada", *words, *more, cwd=shared, status=1)
    finally:
        file.chmod(0o644)
        file.write_bytes(before)
        file.chmod(mode)
    assert f"{output} was changed in the store: found sha256:" in said


def test_a_build_that_differs_from_time_to_time_is_not_signed(built: Built, tmp_path: Path) -> None:
    place = copied(built, tmp_path)
    program = place / "nix/tool/build-tool.py"
    clock = 'import time\n\n(out / "made").write_text(str(time.time()))\ndone = compileall'
    airgaps.replace(program, program.read_text().replace("done = compileall", clock).encode())
    assert "about a build by other rules" in take_in(built, place, built.signed["grace"], status=1)
    said = built.run("ada", "attest", "--self", "--key", built.keys["ada"], cwd=place, status=1)
    assert re.search(r"built again it is another: /nix/store/\w+-entrenar-research-0\.1\.0: ", said), said
    assert not (place / "nix/tool/attestations").exists()


# --- bad input ---


def test_elsewhere_there_is_no_tool_to_build(tiny: Path, world: World, tmp_path: Path) -> None:
    (tmp_path / "nowhere").mkdir()
    for verb in ("attest", "consensus"):
        said = world.tool(verb, "--self", cwd=tmp_path / "nowhere", status=2).stderr
        assert "no checkout of entrenar-research here" in said
        assert "init" not in said
    for words in (("attest", "--self"), ("consensus", "--self"), ("env", "seed", "--self")):
        said = world.tool(*words, cwd=tiny, status=2).stderr
        assert "no checkout of entrenar-research: there is no nix/tool/closure.lock.json" in said


@pytest.mark.parametrize(
    "words",
    [("attest", "--self", "line"), ("attest", "--self", "--verdict", "equal"), ("consensus", "--self", "line")],
)
def test_it_is_about_nothing_else(tiny: Path, world: World, words: tuple[str, ...]) -> None:
    assert "--self is about this tool" in world.tool(*words, cwd=tiny, status=2).stderr


def test_a_store_without_the_files_is_told_so(built: Built, tmp_path: Path) -> None:
    place, store = copied(built, tmp_path), tmp_path / "store"
    done = built.world.tool(
        "attest", "--self", "--key", built.keys["ada"], cwd=place, status=2, env={"ENTRENAR_NIX_STORE": str(store)}
    )
    hermetic.remove(store)
    assert "the Nix store lacks files of the lock" in done.stderr
    assert "entrenar-research env seed --self" in done.stderr


# --- the app ---


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Nix]:
    """A checkout with the whole lock, and a store in which its toolchain is built."""
    place = own_builds.checkout(tmp_path_factory.mktemp("whole") / "entrenar-research", own_builds.fetched())

    def build(store: Path) -> None:
        environment = {**os.environ, "ENTRENAR_NIX_STORE": str(store)}
        subprocess.run([hermetic.TOOL, "env", "seed", "--self"], cwd=place, env=environment, check=True)
        tool = Nix(own_builds.PLACE / "conf", store)
        tool.run(["nix-build", str(place / "nix/tool"), "-A", "environment", "--no-out-link"], timeout=None)

    return place, Nix(own_builds.PLACE / "conf", own_builds.store(build))


def flake(whole: tuple[Path, Nix], world: World, *words: str, cwd: Path) -> str:
    """A command of Nix on the flake, without a network and without anything of ours on PATH."""
    place, tool = whole
    argv = tool.command(["nix", words[0], "--offline", str(place), *words[1:]])
    kept = {name: value for name, value in tool.environment().items() if name.startswith("NIX_")}
    path = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
    apart = ("unshare", "--net", "--") if os.geteuid() == 0 else airgaps.apart()
    return world.run(*apart, *argv, cwd=cwd, env=kept | path).stdout


def test_the_app_says_its_version_without_a_network(whole: tuple[Path, Nix], world: World, tmp_path: Path) -> None:
    assert flake(whole, world, "run", "--", "--version", cwd=tmp_path) == f"entrenar-research {__version__}\n"


def test_it_builds_again_to_the_same(whole: tuple[Path, Nix], world: World, tmp_path: Path) -> None:
    flake(whole, world, "build", "--no-link", cwd=tmp_path)
    flake(whole, world, "build", "--no-link", "--rebuild", cwd=tmp_path)


def test_it_does_its_work_with_what_is_in_the_store(whole: tuple[Path, Nix], world: World, tmp_path: Path) -> None:
    """A study made, run, sealed and verified by the program of the store, DVC included."""
    script = """
        entrenar-research init study --title "A line" --author "Ada Lovelace" --license MIT && cd study
        printf 'import json, sys\njson.dump({"loss": 0.5}, open(sys.argv[1] + "/metrics.json", "w"))\n' > line.py
        entrenar-research experiment add line --yes -- python3 line.py '${result}'
        entrenar-research run line --quiet
        entrenar-research keys new
        entrenar-research seal experiment line -m First
        entrenar-research verify
        readlink -f "$(command -v dvc)" "$(command -v python3)"
    """
    said = flake(whole, world, "shell", "-c", "sh", "-ec", script, cwd=tmp_path)
    assert "environment-3.11/bin/dvc\n/nix/store/" in said, said


def test_it_has_the_packages_it_asks_for(whole: tuple[Path, Nix], world: World, tmp_path: Path) -> None:
    """All that it needs and its extras ask for, but for what has no wheel and what needs that."""
    script = """
from importlib import metadata
from packaging.requirements import Requirement
waiting, seen, lacking = [("entrenar-research", extra) for extra in ("", "otlp", "query", "sweeps")], set(), set()
while waiting:
    name, extra = item = waiting.pop()
    if item in seen:
        continue
    seen.add(item)
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        lacking.add(name)
        continue
    for word in found.requires or ():
        asked = Requirement(word)
        if asked.marker is None or asked.marker.evaluate({"extra": extra}):
            if asked.name.lower() != name and not lacking & {asked.name}:
                waiting += [(asked.name.lower(), wanted) for wanted in ("", *asked.extras)]
            try:
                assert asked.specifier.contains(metadata.version(asked.name), prereleases=True), word
            except metadata.PackageNotFoundError:
                pass
print(*sorted(lacking), len(seen) > 60)
"""
    said = flake(whole, world, "shell", "-c", "python3", "-I", "-c", script, cwd=tmp_path)
    assert said == "hydra-core omegaconf True\n"


# --- the lock ---


def test_the_lock_is_that_of_the_requirements() -> None:
    data = (hermetic.ROOT / closure_lock.OWN).read_bytes()
    closure = closure_lock.decode(data)
    assert closure_lock.encode(closure) == data
    assert b"://" not in data
    text = (hermetic.ROOT / "requirements/tool.txt").read_bytes()
    assert closure.requirements == f"sha256:{hashlib.sha256(text).hexdigest()}"
    versions = {item.name: item.version for item in closure.wheels}
    for line in (hermetic.ROOT / "requirements/dev.txt").read_text().splitlines():
        pinned = re.match(r"(\S+)==(\S+) \\\\$", line)  # without a marker
        if pinned and pinned[1] in versions:
            assert versions[pinned[1]] == pinned[2], line
    assert {"hatchling", "dvc", "msgspec", "optuna", "pyarrow"} <= set(versions)


def test_the_debian_packages_are_those_of_experiments() -> None:
    own, other = (closure_file.read_file(hermetic.ROOT / name, name) for name in (closure_lock.OWN, closure_lock.FILE))
    assert (own.debs, own.busybox, own.patchelf, own.installer) == (
        other.debs, other.busybox, other.patchelf, other.installer
    )  # fmt: skip
