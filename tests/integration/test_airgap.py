"""The air gap with real Nix: packed here, carried to another account without network, and what must not get in."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import hermetic
from tests.conftest import World
from tests.integration import accounts, airgaps
from tests.integration.accounts import Account

pytestmark = [pytest.mark.nix, pytest.mark.slow]
CONFIGURATION = (
    "experimental-features = nix-command flakes\nsandbox = true\nsandbox-fallback = false\nsandbox-paths =\n"
    "substituters =\n"
)
KEYS = "keys/allowed_signers"


@pytest.fixture(scope="module")
def base(_shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path, Path]:
    """A study that was run with Nix and sealed, and a pack of it that stood its own test."""
    store = hermetic.store()
    world = World(_shared / "home")
    world.environment["ENTRENAR_NIX_STORE"] = str(store)
    place = tmp_path_factory.mktemp("airgap")
    study = place / "study"
    shutil.copytree(_shared / "tiny", study, symlinks=True)
    hermetic.equip(study)
    world.run("git", "add", "-A", cwd=study)
    world.tool("run", "line", "--runner", "nix", "--quiet", cwd=study)
    world.tool("keys", "new", cwd=study)
    world.run("git", "add", "-A", cwd=study)
    world.tool("seal", "experiment", "line", "-m", "For Nix", cwd=study)
    world.run("git", "add", "-A", cwd=study)
    if world.run("git", "status", "--short", cwd=study).stdout:
        world.run("git", "commit", "-q", "-m", "The rest", cwd=study)
    done = world.tool("airgap", "pack", "-o", place / "pack", cwd=study)
    assert "tried: unpacked and rebuilt in a namespace without network" in done.stdout
    return world, study, place / "pack"


@pytest.fixture
def world(base: tuple[World, Path, Path], tmp_path: Path) -> World:
    """The author's world, with a Nix store of its own for unpacking."""
    mine = World(base[0].home)
    mine.environment["ENTRENAR_NIX_STORE"] = str(tmp_path / "store")
    return mine


@pytest.fixture
def author(base: tuple[World, Path, Path]) -> World:
    """The author's world, with the store in which everything is built."""
    return base[0]


@pytest.fixture
def study(base: tuple[World, Path, Path], tmp_path: Path) -> Path:
    """A fresh copy of the study."""
    shutil.copytree(base[1], tmp_path / "study", symlinks=True)
    return tmp_path / "study"


@pytest.fixture
def pack(base: tuple[World, Path, Path], tmp_path: Path) -> Path:
    """A fresh copy of the pack."""
    return airgaps.copy(base[2], tmp_path / "pack")


@pytest.fixture
def trusted(base: tuple[World, Path, Path], tmp_path: Path) -> Path:
    """The author's keys as somebody else wrote them down."""
    shutil.copyfile(base[1] / KEYS, tmp_path / "trusted")
    return tmp_path / "trusted"


@pytest.fixture(scope="module")
def reader() -> Iterator[Account]:
    """Another account."""
    with accounts.made() as account:
        yield account


def nothing_there(place: Path, *expected: str) -> None:
    """Neither a study nor a part of one: what is there are just these."""
    assert sorted(path.name for path in place.iterdir()) == sorted(expected)


# --- the trip -----------------------------------------------------------------------------------------------------


def test_another_account_without_network_does_everything_there(
    base: tuple[World, Path, Path], reader: Account, trusted: Path
) -> None:
    within = airgaps.apart()
    world, study, packed = base
    stick = reader.give(packed, "stick")
    signers = reader.give(trusted, "trusted")
    with_nix = (*within, "env", f"NIX_CONFIG={CONFIGURATION}")
    done = reader.run("entrenar-research", "airgap", "unpack", stick, "--trusted", signers, within=within)
    assert "unpacked 'A line' into a-line" in done.stdout
    lab = reader.home / "a-line"
    store = reader.home / ".local/share/nix/root"
    said = airgaps.manifest(stick)
    out = Path(said["nix"]["builds"]["line"]["out_path"])
    assert (store / out.relative_to("/") / "metrics.json").read_bytes() == (
        study / "experiments/line/result/metrics.json"
    ).read_bytes()
    where = ("--store", str(store), "--offline")
    shown = reader.run("nix", "run", *where, ".#line", cwd=lab, within=with_nix).stdout
    assert "metrics.json" in shown
    reader.run("nix", "build", *where, "--no-link", "--rebuild", ".#line", cwd=lab, within=with_nix)
    reader.run("nix", "build", *where, "--no-link", "--rebuild", ".#toolchain", cwd=lab, within=with_nix)
    assert "up to date" in reader.run("dvc", "repro", cwd=lab, within=within).stdout
    assert "up to date" in reader.run("dvc", "pull", cwd=lab, within=within).stdout
    assert "nothing is different or broken" in reader.run("entrenar-research", "verify", cwd=lab, within=within).stdout
    assert reader.run("git", "status", "--short", cwd=lab).stdout == ""
    # A bundle that somebody hands over as well is rebuilt from that store.
    world.tool("bundle", "-o", reader.home / "line.crate.zip", cwd=study)
    verify = ("entrenar-research", "verify", "line.crate.zip", "--rebuild", "--replay", "--format", "json")
    report = json.loads(reader.run(*verify, within=within).stdout)
    assert {item["verdict"] for item in report["findings"] if item["area"] == "rebuild"} == {"identical"}
    again = reader.run("entrenar-research", "airgap", "unpack", stick, "-o", lab, within=within)
    assert "is at the commit of the pack already" in again.stdout
    # What DVC lost comes back from the stick.
    shutil.rmtree(lab / ".dvc/cache")
    (lab / "data/points.csv").unlink()
    reader.run("dvc", "pull", cwd=lab, within=within)
    assert (lab / "data/points.csv").read_bytes() == (study / "data/points.csv").read_bytes()
    # Work goes on there.
    reader.run("entrenar-research", "run", "line", "--runner", "nix", "--force", "--quiet", cwd=lab, within=within)
    reader.run("entrenar-research", "reproduce", "line", "--runner", "nix", "--vary", "none", cwd=lab, within=within)
    (lab / "sweeps/rate").mkdir(parents=True)
    (lab / "sweeps/rate/sweep.yaml").write_text(
        "experiment: line\nobjective: {metric: loss}\nstrategy: grid\nspace: {rate: [0.02, 0.05]}\n"
    )
    reader.own(lab / "sweeps")
    sweep = ("entrenar-research", "sweep", "run", "rate", "--runner", "nix", "--workers", "2")
    assert "2 trials: 2 completed" in reader.run(*sweep, cwd=lab, within=within).stdout


def test_the_readme_says_how_it_goes_without_our_tool(world: World, pack: Path, trusted: Path, tmp_path: Path) -> None:
    text = (pack / "README").read_text().partition("Check it\n")[2]
    commands = "\n".join(line for line in text.splitlines() if line.startswith("    "))
    commands = re.sub(r"\bDIR\b", str(pack), re.sub(r"\bFILE\b", str(trusted), commands))
    commands = re.sub(r"\bSTUDY\b", "lab", commands).replace("$HOME/.local/share/nix/root", str(tmp_path / "store"))
    commands = commands.replace("cd lab", f"cd {tmp_path}/lab").replace("bundle lab", f"bundle {tmp_path}/lab")
    script = f"set -eux\nexport NIX_CONF_DIR={tmp_path}/none\n" + commands.replace(
        "sandbox = true", "sandbox = true\n    build-users-group ="
    )
    done = world.run("sh", "-c", script, cwd=tmp_path)
    assert 'Good "airgap@entrenar-research" signature for ada@example.org' in done.stdout
    assert (tmp_path / "lab/data/points.csv").is_file()
    assert "metrics.json" in done.stdout
    airgaps.flip(airgaps.largest(pack))
    assert world.run("sh", "-c", script.partition("git clone")[0], cwd=tmp_path, status=None).returncode != 0


def test_what_is_in_it_is_listed_and_nothing_else(base: tuple[World, Path, Path]) -> None:
    _, study, packed = base
    said = airgaps.manifest(packed)
    listed = {item["path"]: item["sha256"] for item in said["files"]}
    found = airgaps.digests(packed)
    assert set(found) - set(listed) == {"manifest.json", "manifest.json.sig"}
    assert listed == {path: found[path] for path in listed}
    assert said["experiments"] == ["line"]
    assert (
        said["commit"]
        == subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=study, capture_output=True, text=True, check=True
        ).stdout.strip()
    )
    assert not [path for path in said["nix"]["paths"] if path.endswith(".drv")]
    for path in (packed / "cache").glob("*.narinfo"):
        text = path.read_text()
        assert "CA: " in text or f"Sig: {airgaps.OURS}:" in text, path
    assert "secret" not in " ".join(found)


# --- what must not get in -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("study.bundle", "study.bundle: found"),
        ("keys/nix.pub", "keys/nix.pub: found"),
        ("README", "README: found"),
        ("cache/nar/*", "cache/nar/.+: found"),
        ("cache/*.narinfo", "cache/.+narinfo: found"),
        ("dvc/files/md5/*/*", "dvc/files/md5/.+: found"),
        ("manifest.json.sig", "manifest.json.sig"),
    ],
)
@pytest.mark.parametrize("missing", [False, True])
def test_a_changed_or_missing_file_is_named(
    path: str, words: str, missing: bool, world: World, pack: Path, trusted: Path, tmp_path: Path
) -> None:
    place = max(pack.glob(path), key=lambda item: item.stat().st_size)
    if missing:
        place.unlink()
        words = words.replace("found", "missing")
    else:
        airgaps.flip(place)
    done = world.tool("airgap", "unpack", pack, "-o", "lab", "--trusted", trusted, cwd=tmp_path, status=1)
    assert re.search(words, done.stderr), done.stderr
    nothing_there(tmp_path, "pack", "trusted")


def test_a_changed_manifest_is_refused(world: World, pack: Path, trusted: Path, tmp_path: Path) -> None:
    text = (pack / "manifest.json").read_bytes()
    airgaps.replace(pack / "manifest.json", text.replace(b'"A line"', b'"A lie!"'))
    done = world.tool("airgap", "unpack", pack, "-o", "lab", "--trusted", trusted, cwd=tmp_path, status=1)
    assert "is no signature of manifest.json" in done.stderr
    nothing_there(tmp_path, "pack", "trusted")


def test_a_key_that_is_not_trusted(world: World, pack: Path, trusted: Path, tmp_path: Path) -> None:
    world.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "other", cwd=tmp_path)
    other = (tmp_path / "other.pub").read_text()
    for line in (f"ada@example.org {other}", trusted.read_text().replace("airgap@", "other@")):
        (tmp_path / "list").write_text(line)
        done = world.tool("airgap", "unpack", pack, "-o", "lab", "--trusted", "list", cwd=tmp_path, status=1)
        assert "which list does not accept" in done.stderr
    done = world.tool("airgap", "unpack", pack, "-o", "lab", cwd=tmp_path, status=2)
    assert "nobody is trusted yet: the pack was signed with SHA256:" in done.stderr
    nothing_there(tmp_path, "pack", "trusted", "other", "other.pub", "list")
    done = world.tool("airgap", "unpack", pack, "-o", "lab", "--yes", "--without-nix", cwd=tmp_path)
    assert "hermetic runs are not possible here" in done.stdout


def test_a_cache_that_another_key_signed(world: World, pack: Path, trusted: Path, tmp_path: Path) -> None:
    """The manifest is right and trusted; that Nix itself refuses is what is tested."""
    secret = world.run("nix", "--extra-experimental-features", "nix-command", "key", "generate-secret",
                       "--key-name", airgaps.OURS, cwd=tmp_path).stdout  # fmt: skip
    public = subprocess.run(
        ["nix", "--extra-experimental-features", "nix-command", "key", "convert-secret-to-public"],
        input=secret, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    airgaps.replace(pack / "keys/nix.pub", public.encode())
    airgaps.sign_anew(world, pack, lambda said: said["nix"].update(key=public))
    done = world.tool("airgap", "unpack", pack, "-o", "lab", "--trusted", trusted, cwd=tmp_path, status=1)
    assert "lacks a valid signature" in done.stderr or "lacks a signature by a trusted key" in done.stderr
    nothing_there(tmp_path, "pack", "trusted", "store")


@pytest.mark.parametrize("what", ["archive", "references", "digest"])
def test_a_cache_that_was_changed_by_whoever_signs_the_manifest(
    what: str, world: World, pack: Path, trusted: Path, tmp_path: Path
) -> None:
    if what == "archive":
        airgaps.flip(airgaps.largest(pack))
    else:
        place = airgaps.narinfo(pack, "environment-3.11")
        text = place.read_text()
        pattern = r"^(NarHash: sha256:)(.)(.)" if what == "digest" else r"^(References:)()() \S+"
        changed = re.sub(pattern, r"\1\3\2", text, flags=re.MULTILINE)
        assert changed != text
        airgaps.replace(place, changed.encode())
    airgaps.sign_anew(world, pack)
    done = world.tool("airgap", "unpack", pack, "-o", "lab", "--trusted", trusted, cwd=tmp_path, status=1)
    assert "Nix does not take what is in the pack's cache" in done.stderr
    shutil.rmtree(tmp_path / "store", ignore_errors=True)
    nothing_there(tmp_path, "pack", "trusted")


# --- packing ------------------------------------------------------------------------------------------------------


def test_a_study_that_is_not_committed_is_refused(author: World, study: Path, tmp_path: Path) -> None:
    with (study / "experiments/line/params.yaml").open("a") as stream:
        stream.write("# more\n")
    (study / "notes.txt").write_text("mine")
    done = author.tool("airgap", "pack", "-o", "../out", cwd=study, status=2)
    assert "1 files differ from the last commit: experiments/line/params.yaml" in done.stderr
    nothing_there(tmp_path, "study")


def test_what_no_commit_holds_is_said(author: World, study: Path) -> None:
    (study / "notes.txt").write_text("mine")
    done = author.tool("airgap", "pack", "-o", "../out", "--no-test", "--without-nix", cwd=study)
    assert "left out, since no commit holds them: notes.txt" in done.stderr
    author.run("git", "clone", "-q", "out/study.bundle", "cloned", cwd=study.parent)
    assert not (study.parent / "cloned/notes.txt").exists()


@pytest.mark.parametrize("what", ["*/data/points.csv", "*.dir"])
def test_data_that_is_not_here_is_named(what: str, author: World, study: Path, tmp_path: Path) -> None:
    cache = study / ".dvc/cache/files/md5"
    if what == "*.dir":
        place = max(cache.glob("*/*.dir"), key=lambda item: item.stat().st_mtime)
        named = "experiments/line/result"
    else:
        digest = re.search(r"md5: ([0-9a-f]{32})", (study / "data/points.csv.dvc").read_text())
        assert digest
        place, named = cache / digest[1][:2] / digest[1][2:], "data/points.csv"
    place.chmod(0o644)
    place.unlink()
    done = author.tool("airgap", "pack", "-o", "../out", cwd=study, status=2)
    assert f"{named}: DVC's store lacks it" in done.stderr
    nothing_there(tmp_path, "study")


def test_an_experiment_that_was_never_run(author: World, study: Path, tmp_path: Path) -> None:
    shutil.copytree(study / "experiments/line", study / "experiments/curve", ignore=shutil.ignore_patterns("result"))
    declaration = study / "experiments/curve/experiment.yaml"
    declaration.write_text(declaration.read_text().replace("experiments/line", "experiments/curve"))
    author.run("git", "add", "-A", cwd=study)
    author.run("git", "commit", "-q", "-m", "Another", cwd=study)
    done = author.tool("airgap", "pack", "curve", "-o", "../out", cwd=study, status=2)
    assert "curve was never run, so there is no result to carry" in done.stderr
    nothing_there(tmp_path, "study")
    done = author.tool("airgap", "pack", "-o", "../out", "--without-nix", "--format", "json", cwd=study)
    assert json.loads(done.stdout)["never_run"] == ["curve"]
    assert airgaps.manifest(tmp_path / "out")["experiments"] == ["line"]


def test_what_the_lock_names_is_not_in_the_store(world: World, study: Path, tmp_path: Path) -> None:
    done = world.tool("airgap", "pack", "-o", "../out", cwd=study, status=2)
    assert "the Nix store lacks files of the lock: " in done.stderr
    assert "entrenar-research env seed" in done.stderr
    nothing_there(tmp_path, "study", "store")


def without(tmp_path: Path, *names: str) -> str:
    """A PATH on which some programs are not."""
    place = tmp_path / "programs"
    place.mkdir()
    for directory in (Path(sys.executable).parent, "/usr/local/bin", "/usr/bin", "/bin"):
        for program in Path(directory).iterdir():
            if program.name not in names and not (place / program.name).exists():
                (place / program.name).symlink_to(program)
    return str(place)


def test_where_there_is_no_nix(author: World, study: Path, pack: Path, trusted: Path, tmp_path: Path) -> None:
    found = {path.name for path in Path("/usr/bin").glob("nix*")} | {"nix", "nix-store", "nix-build"}
    path = {"PATH": without(tmp_path, *found)}
    done = author.tool("airgap", "pack", "-o", "../out", cwd=study, status=3, env=path)
    assert "--without-nix" in done.stderr
    done = author.tool("airgap", "pack", "-o", "../out", "--without-nix", cwd=study, env=path)
    assert "without Nix: hermetic runs are not possible there" in done.stdout
    assert "tried: unpacked in a namespace without network" in done.stdout
    assert not (tmp_path / "out/cache").exists()
    done = author.tool("airgap", "unpack", pack, "--trusted", trusted, cwd=tmp_path, status=3, env=path)
    assert "--without-nix" in done.stderr
    assert not (tmp_path / "a-line").exists()
    done = author.tool("airgap", "unpack", "out", "--trusted", trusted, cwd=tmp_path, env=path)
    assert "hermetic runs are not possible here" in done.stdout
    assert "nothing is different or broken" in author.tool("verify", cwd=tmp_path / "a-line", env=path).stdout


def test_where_it_cannot_be_tried(author: World, study: Path, tmp_path: Path) -> None:
    path = {"PATH": without(tmp_path, "unshare")}
    done = author.tool("airgap", "pack", "-o", "../out", "--without-nix", cwd=study, status=1, env=path)
    assert "not tried: this system lets nobody make a network namespace" in done.stderr
    assert (tmp_path / "out/manifest.json").is_file()
    shutil.rmtree(tmp_path / "out")
    author.tool("airgap", "pack", "-o", "../out", "--without-nix", "--no-test", cwd=study, env=path)


def test_a_place_that_is_taken(author: World, study: Path, pack: Path) -> None:
    before = airgaps.digests(pack)
    assert "not empty" in author.tool("airgap", "pack", "-o", pack, cwd=study, status=2).stderr
    assert "inside the study" in author.tool("airgap", "pack", "-o", "out", cwd=study, status=2).stderr
    assert airgaps.digests(pack) == before


# --- interrupted, killed, no space --------------------------------------------------------------------------------


def started(world: World, cwd: Path, *words: str | Path) -> subprocess.Popen[bytes]:
    """The tool in a session of its own, as in a terminal; its scratch files are where they go with the test's."""
    scratch = cwd / ".entrenar"
    scratch.mkdir(exist_ok=True)
    return subprocess.Popen(
        ["entrenar-research", *map(str, words)], cwd=cwd, env=world.environment | {"TMPDIR": str(scratch)},
        start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def awaited(place: Path, pattern: str, process: subprocess.Popen[bytes]) -> None:
    """Waits until something is there."""
    deadline = time.monotonic() + 120
    while not any(place.glob(pattern)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("at", [".out.*.part/study.bundle", ".out.*.part/cache/nar", ".out.*.part/manifest.json"])
def test_an_interrupted_pack_leaves_nothing(at: str, author: World, study: Path, tmp_path: Path) -> None:
    process = started(author, study, "airgap", "pack", "-o", "../out")
    awaited(tmp_path, at, process)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert (process.returncode, said) == (130, b"error: interrupted\n")
    nothing_there(tmp_path, "study")
    assert list((study / ".entrenar").glob("entrenar-*")) == []


def test_a_killed_pack_leaves_nothing_that_looks_whole(
    author: World, study: Path, trusted: Path, tmp_path: Path
) -> None:
    process = started(author, study, "airgap", "pack", "-o", "../out", "--no-test")
    awaited(tmp_path, ".out.*.part/cache/nar", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=120)
    (part,) = tmp_path.glob(".out.*")
    assert not (tmp_path / "out").exists()
    done = author.tool("airgap", "unpack", part, "--trusted", trusted, cwd=tmp_path, status=2)
    assert "there is no manifest.json" in done.stderr
    author.tool("airgap", "pack", "-o", "../out", "--no-test", "--without-nix", cwd=study)
    nothing_there(tmp_path, "out", "study", "trusted")


def test_an_interrupted_unpack_leaves_no_study(world: World, pack: Path, trusted: Path, tmp_path: Path) -> None:
    process = started(world, tmp_path, "airgap", "unpack", pack, "-o", "lab", "--trusted", trusted)
    awaited(tmp_path, ".lab.*.part/.git", process)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130
    assert not (tmp_path / "lab").exists()
    assert not list(tmp_path.glob(".lab.*"))
    world.tool("airgap", "unpack", pack, "-o", "lab", "--trusted", trusted, cwd=tmp_path)


@pytest.fixture
def small(as_root: None, tmp_path: Path) -> Iterator[Path]:
    """A file system with room for half a pack."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_a_disk_that_is_full(author: World, study: Path, pack: Path, trusted: Path, small: Path) -> None:
    done = author.tool("airgap", "pack", "-o", small / "out", cwd=study, status=1)
    assert "No space left on device" in done.stderr
    nothing_there(small)
    into = {"ENTRENAR_NIX_STORE": str(small / "store")}
    words = ("airgap", "unpack", pack, "-o", "lab", "--trusted", trusted)
    done = author.tool(*words, cwd=study.parent, status=1, env=into)
    assert re.search("no space left|disk is full|disk I/O", done.stderr, re.IGNORECASE), done.stderr
    nothing_there(study.parent, "study", "pack", "trusted", "small")


# --- bringing it up to date ---------------------------------------------------------------------------------------


def moved_on(author: World, study: Path, steps: int) -> None:
    """Another result, sealed."""
    author.tool("run", "line", "--runner", "nix", "--set", f"steps={steps}", "--quiet", cwd=study)
    author.run("git", "add", "-A", cwd=study)
    author.tool("seal", "experiment", "line", "-m", f"{steps} steps", cwd=study)
    author.run("git", "add", "-A", cwd=study)
    if author.run("git", "status", "--short", cwd=study).stdout:
        author.run("git", "commit", "-q", "-m", "The rest", cwd=study)


def test_only_what_changed_is_written_and_a_study_moves_forward(
    author: World, world: World, study: Path, pack: Path, trusted: Path, tmp_path: Path
) -> None:
    done = author.tool("airgap", "update", pack, cwd=study)
    assert "is up to date: nothing was written" in done.stdout
    world.tool("airgap", "unpack", pack, "-o", "lab", "--trusted", trusted, cwd=tmp_path)
    lab = tmp_path / "lab"
    before = airgaps.digests(pack)
    old = airgaps.copy(pack, tmp_path / "old")
    moved_on(author, study, 40)
    done = author.tool("airgap", "update", pack, "--format", "json", cwd=study)
    told = json.loads(done.stdout)
    assert told["tested"] is True
    assert 0 < told["written"] < told["size"] / 20
    after = airgaps.digests(pack)
    changed = {path for path in after if before.get(path) != after[path]}
    assert {"manifest.json", "manifest.json.sig", "study.bundle"} <= changed
    assert not {path for path in changed & set(before) if path.startswith(("cache/", "dvc/"))}
    assert set(before) <= set(after)
    assert not [path for path in after if path.endswith((".new", ".part"))]
    (lab / "notes.txt").write_text("mine")
    done = world.tool("airgap", "unpack", pack, "-o", "lab", cwd=tmp_path)
    assert "moved lab forward from" in done.stdout
    assert (lab / "notes.txt").read_text() == "mine"
    assert (lab / "experiments/line/result/curve.csv").read_text().count("\n") == 41
    assert "up to date" in world.run("dvc", "repro", cwd=lab).stdout
    done = world.tool("airgap", "unpack", old, "-o", "lab", cwd=tmp_path)
    assert "lab is ahead of the pack" in done.stdout
    assert (lab / "experiments/line/result/curve.csv").read_text().count("\n") == 41


@pytest.mark.parametrize("work", ["commit", "result", "file", "branch"])
def test_work_that_was_done_there_is_not_lost(
    work: str, author: World, study: Path, base: tuple[World, Path, Path], trusted: Path, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "pack", ignore_errors=True)
    author.tool("airgap", "pack", "-o", "../pack", "--without-nix", "--no-test", cwd=study)
    author.tool("airgap", "unpack", "pack", "-o", "lab", "--trusted", trusted, cwd=tmp_path)
    lab = tmp_path / "lab"
    moved_on(author, study, 30)
    author.tool("airgap", "update", "../pack", "--no-test", cwd=study)
    place = lab / "experiments/line" / ("result/curve.csv" if work == "result" else "params.yaml")
    if work == "branch":
        author.run("git", "checkout", "-q", "-b", "mine", cwd=lab)
    else:
        place.write_text(place.read_text() + "# mine\n")
    if work == "commit":
        author.run("git", "commit", "-q", "-a", "-m", "Mine", cwd=lab)
    before = {path: digest for path, digest in airgaps.digests(lab).items() if not path.startswith((".git/", ".dvc/"))}
    head = author.run("git", "rev-parse", "HEAD", cwd=lab).stdout
    done = author.tool("airgap", "unpack", "pack", "-o", "lab", cwd=tmp_path, status=2)
    words = {
        "commit": "lab has commits that the pack does not have",
        "result": "what was made here would be lost: experiments/line/result/curve.csv",
        "file": "experiments/line/params.yaml",
        "branch": "is on mine, the pack on main",
    }
    assert words[work] in done.stderr
    after = {path: digest for path, digest in airgaps.digests(lab).items() if not path.startswith((".git/", ".dvc/"))}
    assert after == before
    assert author.run("git", "rev-parse", "HEAD", cwd=lab).stdout == head


def test_a_pack_that_was_changed_is_not_signed_again(author: World, study: Path, pack: Path) -> None:
    airgaps.flip(airgaps.narinfo(pack, "environment-3.11"))
    moved_on(author, study, 50)
    before = airgaps.digests(pack)
    done = author.tool("airgap", "update", pack, cwd=study, status=1)
    assert "the pack is not what its manifest says: cache/" in done.stderr
    assert airgaps.digests(pack) == before


def test_a_pack_is_whole_at_every_moment_of_an_update(
    author: World, study: Path, pack: Path, trusted: Path, tmp_path: Path
) -> None:
    """The states between which the manifest is replaced, put together from the pack before and after."""
    old = airgaps.copy(pack, tmp_path / "old")
    moved_on(author, study, 60)
    author.tool("airgap", "update", pack, "--no-test", cwd=study)
    before, after = airgaps.digests(old), airgaps.digests(pack)
    replaced = [path for path in before if before[path] != after[path]]
    both = airgaps.copy(pack, tmp_path / "both")
    for path in replaced:
        (both / path).rename(both / f"{path}.new")
        shutil.copyfile(old / path, both / path)
    (both / "manifest.json.new").rename(tmp_path / "next")
    said = author.tool("airgap", "unpack", both, "-o", "l1", "--trusted", trusted, "--without-nix", cwd=tmp_path)
    assert airgaps.manifest(old)["commit"][:10] in said.stdout
    (tmp_path / "next").replace(both / "manifest.json")
    said = author.tool("airgap", "unpack", both, "-o", "l2", "--trusted", trusted, "--without-nix", cwd=tmp_path)
    assert airgaps.manifest(pack)["commit"][:10] in said.stdout
    done = author.tool("airgap", "update", both, "--no-test", cwd=study)
    assert "nothing was written" in done.stdout
    assert airgaps.digests(both) == after


def test_an_update_that_was_killed_can_be_done_again(author: World, study: Path, pack: Path, trusted: Path) -> None:
    moved_on(author, study, 70)
    process = started(author, study, "airgap", "update", pack, "--no-test")
    known = set(pack.rglob("*"))
    deadline = time.monotonic() + 120
    while set(pack.rglob("*")) == known:  # until it has begun to write
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=120)
    author.tool("airgap", "unpack", pack, "-o", "l1", "--trusted", trusted, "--without-nix", cwd=study.parent)
    (pack / "cache/nar/half.nar.zst").write_bytes(b"half")
    (pack / "study.bundle.new").write_bytes(b"half")
    author.tool("airgap", "update", pack, "--no-test", cwd=study)
    assert not (pack / "cache/nar/half.nar.zst").exists()
    assert not (pack / "study.bundle.new").exists()
    author.tool("airgap", "unpack", pack, "-o", "l2", "--trusted", trusted, "--without-nix", cwd=study.parent)


def test_another_nix_key_or_another_study(author: World, study: Path, pack: Path, tmp_path: Path) -> None:
    moved_on(author, study, 80)
    before = airgaps.digests(pack)
    done = author.tool("airgap", "update", pack, "--nix-key", tmp_path / "new.secret", cwd=study, status=2)
    assert "is another one" in done.stderr
    author.run("git", "checkout", "-q", "--orphan", "fresh", cwd=study)
    author.run("git", "commit", "-q", "-m", "Anew", cwd=study)
    done = author.tool("airgap", "update", pack, cwd=study, status=2)
    assert "does not lead on from" in done.stderr
    assert airgaps.digests(pack) == before
