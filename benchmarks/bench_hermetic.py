"""What hermetic runs cost: the first one, one more, and the hash of the environment without Nix.

The first one begins with an empty store and the files of the lock in the cache that `make setup` fills: they are put
into the store, the toolchain is built, and `training_loop` in it. One more is measured on `training_loop` and on a
command that does next to nothing, each by hand and by the tool, beside the bare command: the toolchain's own Python
under the same pins, without a sandbox (bubblewrap only shows it the store). The host's Python is another one, so a run
on the host is compared with the other runners on the command that does nothing.

To hash an environment is to hash every file of the toolchain as Nix does; the floor is to read and hash each.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from benchmarks import bench_airgap, worlds
from benchmarks.measuring import Case, command, in_turn, show, show_absolute
from entrenar_research.core.nix import closure_lock
from entrenar_research.core.proofs import environments
from entrenar_research.models.hermetic import HermeticJob
from entrenar_research.models.proof import Hermetic, StorePath
from entrenar_research.models.run import RunRecord
from entrenar_research.store import nar
from entrenar_research.store.run_files import RunFiles
from entrenar_research.tools.nix import Nix

ROOT = Path(__file__).resolve().parent.parent
TOOL = "entrenar-research"
COLD, REBUILD, ENVIRONMENT = 15.0, 0.5, 1.2
"""Limits: seconds, seconds over the bare command, and how many times the floor."""
NOTHING = """\
description: Next to nothing.
command: python experiments/nothing/nothing.py ${result}
code: [experiments/nothing/nothing.py]
outputs: [nothing.txt]
"""
BARE, HAND = "the bare command", "nix build --rebuild, by hand"
HOST, BWRAP, NIX = "run --runner host", "run --runner bwrap", "run --runner nix"
_COLD_REPETITIONS = 3
_CHUNK = 1 << 16


def main() -> None:
    """Prints seconds, ratios and limits."""
    reason = bench_airgap.missing() or (None if shutil.which("bwrap") else "bubblewrap is not installed")
    if reason is not None:
        print(f"hermetic runs: not measured: {reason}")
        return
    with tempfile.TemporaryDirectory(prefix="bench-hermetic-") as directory:
        base = Path(directory)
        env = worlds.environment(base / "home")
        env["XDG_CACHE_HOME"] = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
        env["ENTRENAR_NIX_STORE"] = str(base / "store")
        try:
            study = make_study(base, env)
            measure_first(study, base, env)
            measure_hash(last(RunFiles(study), "training_loop"), base / "store")
            for name in ("nothing", "training_loop"):
                measure_again(study, name, base / "store", env)
        finally:
            bench_airgap.remove(*base.glob("store*"))


def make_study(base: Path, env: dict[str, str]) -> Path:
    """The digits study and one more experiment, committed, with the lock of this repository."""
    title = ("--title", "Digits", "--author", "A Bench", "--license", "MIT")
    worlds.call(TOOL, "init", "digits", "--template", "digits", *title, cwd=base, env=env)
    study = base / "digits"
    (study / "nix").mkdir()
    shutil.copyfile(ROOT / closure_lock.FILE, study / closure_lock.FILE)
    worlds.call(TOOL, "env", "lock", "--build-files", cwd=study, env=env)
    place = study / "experiments" / "nothing"
    place.mkdir()
    (place / "experiment.yaml").write_text(NOTHING, encoding="utf-8")
    script = "import sys\nopen(sys.argv[1] + '/nothing.txt', 'w').close()\n"
    (place / "nothing.py").write_text(script, encoding="utf-8")
    bench_airgap.commit(study, env)
    return study


def measure_first(study: Path, base: Path, env: dict[str, str]) -> None:
    """From an empty store to the first result; what is left is a store that has all."""
    store = base / "store"

    def first() -> None:
        if store.exists():  # to delete it takes its time, and is no part of this
            store.rename(base / f"store-{len(list(base.glob('store*')))}")
        worlds.call(TOOL, "env", "seed", cwd=study, env=env)
        worlds.call(TOOL, "run", "training_loop", "--runner", "nix", "--force", "--quiet", cwd=study, env=env)

    cases = in_turn({"env seed and the first run of training_loop": first}, repetitions=_COLD_REPETITIONS)
    show_absolute("hermetic runs: cold, the files of the lock in the cache", cases, dict.fromkeys(cases, COLD))
    for case in cases.values():
        print(f"  the quickest {min(case.seconds):.1f} s; processors {statistics.median(case.busy):.1f} s")


def measure_again(study: Path, name: str, store: Path, env: dict[str, str]) -> None:
    """Once more what was built before: the bare command, by hand, and by every runner of the tool."""
    run = (TOOL, "run", name, "--force", "--quiet", "--trace", "none", "--runner")
    worlds.call(*run, "nix", cwd=study, env=env)
    bench_airgap.commit(study, env)
    tool = Nix(study / ".entrenar" / "nix", store)
    build = ["nix", "build", "--offline", "--no-link", f".#{name}"]
    tool.run(build, cwd=study, timeout=None)
    cases = in_turn(
        {
            BARE: command(bare(study, name, store), cwd=study, env={}),
            HAND: command(tool.command([*build, "--rebuild"]), cwd=study, env={**tool.environment(), **env}),
            **{words: command([*run, words.split()[-1]], cwd=study, env=env) for words in (NIX, BWRAP, HOST)},
        }
    )
    show_absolute(f"hermetic runs: {name} once more", cases, {})
    show_over(cases, {HAND: BARE, NIX: BARE})
    if name == "nothing":
        show_over(cases, {NIX: HOST, BWRAP: HOST})


def bare(study: Path, name: str, store: Path) -> list[str]:
    """The command as the toolchain's Python carries it out with its pins, no sandbox between them."""
    jobs = json.loads((study / "nix" / "experiments.json").read_text(encoding="utf-8"))
    job = msgspec.convert(jobs["experiments"][name], HermeticJob)
    hermetic = last(RunFiles(study), name)
    python = next(item.path for item in hermetic.closure if "-environment-" in item.path)
    pins = [word for pin, value in hermetic.pins.items() for word in ("--setenv", pin, value)]
    places = ["--ro-bind", str(store / "nix"), "/nix", "--bind", str(study), str(study), "--chdir", str(study)]
    own = ["--proc", "/proc", "--dev", "/dev", "--tmpfs", str(study / job.result)]
    return ["bwrap", *places, *own, *pins, "--", f"{python}/bin/{job.command[0]}", *job.command[1:]]


def last(runs: RunFiles, name: str) -> Hermetic:
    """What the last good run was built from."""
    record: RunRecord | None = runs.latest(name)
    if record is None or record.hermetic is None:
        raise SystemExit(f"the last run of {name} is not hermetic")
    return record.hermetic


def show_over(cases: Mapping[str, Case], over: Mapping[str, str]) -> None:
    """Prints what one costs over another, by medians, by the quickest of each, and in time of processors.

    The limit is for what Nix does. Where others work as well, the last figure is the one to go by.
    """
    for name, floor in over.items():
        extra = cases[name].median - cases[floor].median
        least = min(cases[name].seconds) - min(cases[floor].seconds)
        busy = statistics.median(cases[name].busy) - statistics.median(cases[floor].busy)
        limit = f"  (limit {REBUILD:g} s: {'kept' if extra <= REBUILD else 'MISSED'})" if name != BWRAP else ""
        print(f"  {name} costs over {floor}: {extra:.2f} s{limit}; the quickest {least:.2f} s; processors {busy:.2f} s")


def measure_hash(world: Hermetic, store: Path) -> None:
    """`environment_hash` from the files of the toolchain, as a machine without Nix has them."""
    tops = [store / item.path.lstrip("/") for item in world.closure]

    def computed() -> str:
        found = [nar.digest(top) for top in tops]
        closure = tuple(
            StorePath(path=item.path, hash=f"sha256:{digest}", size=size)
            for item, (digest, size) in zip(world.closure, found, strict=True)
        )
        return environments.of_hermetic(msgspec.structs.replace(world, closure=closure))

    def hashed() -> None:
        computed()

    if computed() != environments.of_hermetic(world):
        raise SystemExit("the environment's hash computed from its files is not that of the record")
    floor = "read and hash each file (SHA-256)"
    cases = in_turn(
        {
            floor: lambda: read(tops, hashed=True),
            "environment_hash without Nix": hashed,
            "read each file": lambda: read(tops, hashed=False),
            "nix-hash, by hand": command(["nix-hash", "--type", "sha256", *map(str, tops)]),
        }
    )
    size = sum(item.size for item in world.closure)
    title = f"environment_hash: {len(list(regular(tops))):,} files, {size / 2**20:.0f} MiB"
    show(title, cases, floor, {"environment_hash without Nix": ENVIRONMENT})


def read(tops: list[Path], *, hashed: bool) -> None:
    """Reads every file, and hashes it."""
    for path in regular(tops):
        sha = hashlib.sha256()
        with open(path, "rb", buffering=0) as stream:
            while data := stream.read(_CHUNK):
                if hashed:
                    sha.update(data)
        sha.hexdigest()


def regular(tops: list[Path]) -> Iterator[str]:
    """Every regular file below some directories."""
    for top in tops:
        for directory, _, names in os.walk(top):
            for name in names:
                path = f"{directory}/{name}"
                if not os.path.islink(path):  # noqa: PTH114 - thousands of files
                    yield path


if __name__ == "__main__":
    main()
