"""How long it takes to carry the digits study over an air gap: pack, unpack, the pack's own test, and an update.

Everything is present: the toolchain and the results of the experiments are in the Nix store. The files of the closure
lock come from the cache that `make setup` fills; without Nix or without them nothing is measured.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import measuring, worlds
from entrenar_research.core.nix import closure_lock
from entrenar_research.store import blobs, closure_file
from entrenar_research.tools import nix

_ROOT = Path(__file__).resolve().parent.parent
_EXPERIMENTS = ("training_loop", "model_io", "lora_finetune")
_REPETITIONS = 3
_LIMIT = 10.0


def missing() -> str | None:
    """Why nothing can be measured here, or None."""
    if nix.number() is None:
        return "nix is not installed"
    if not (_ROOT / closure_lock.FILE).is_file():
        return f"there is no {closure_lock.FILE}"
    cache = blobs.cache(os.environ)
    lacking = [blob for blob in closure_file.read(_ROOT).blobs if cache.path(blob) is None]
    return f"{len(lacking)} files of the lock are not in {cache.root} (make setup)" if lacking else None


def make_study(base: Path, env: dict[str, str]) -> Path:
    """The digits study, run once by Nix and committed."""
    title = ("--title", "Digits", "--author", "A Bench", "--license", "MIT")
    worlds.call("entrenar-research", "init", "digits", "--template", "digits", *title, cwd=base, env=env)
    study = base / "digits"
    leave = shutil.ignore_patterns("experiments.json", "__pycache__")
    shutil.copytree(_ROOT / "nix", study / "nix", dirs_exist_ok=True, ignore=leave)
    shutil.copyfile(_ROOT / "flake.nix", study / "flake.nix")
    worlds.call("entrenar-research", "env", "seed", cwd=study, env=env)
    worlds.call("entrenar-research", "keys", "new", cwd=study, env=env)
    worlds.call("git", "add", "-A", cwd=study, env=env)
    for name in _EXPERIMENTS:
        worlds.call("entrenar-research", "run", name, "--runner", "nix", "--quiet", cwd=study, env=env)
    commit(study, env)
    return study


def commit(study: Path, env: dict[str, str]) -> None:
    """Commits everything."""
    worlds.call("git", "add", "-A", cwd=study, env=env)
    worlds.call("git", "commit", "-q", "-m", "Bench", cwd=study, env=env)


def remove(*places: Path) -> None:
    """Removes directories; what Nix made is read-only."""
    for place in places:
        if place.exists():
            subprocess.run(["chmod", "-R", "u+w", str(place)], check=True)
            shutil.rmtree(place)


def main() -> None:
    """Prints seconds and limits."""
    reason = missing()
    if reason is not None:
        print(f"air gap: not measured: {reason}")
        return
    with tempfile.TemporaryDirectory(prefix="bench-airgap-") as directory:
        base = Path(directory)
        env = worlds.environment(base / "home")
        env["XDG_CACHE_HOME"] = str(blobs.cache(os.environ).root.parent.parent)
        env["ENTRENAR_NIX_STORE"] = str(base / "store")
        measure(base, env)
        remove(base / "store", base / "there")


def measure(base: Path, env: dict[str, str]) -> None:
    """Measures in a world that was made for it."""
    study = make_study(base, env)
    there = {**env, "ENTRENAR_NIX_STORE": str(base / "there/store")}
    tool = ("entrenar-research", "airgap")
    trusted = ("--trusted", str(study / "keys/allowed_signers"))

    def pack(*options: str) -> Callable[[], None]:
        def call() -> None:
            remove(base / "pack")
            worlds.call(*tool, "pack", "-o", str(base / "pack"), *options, cwd=study, env=env)

        return call

    def unpack() -> None:
        remove(base / "there")
        (base / "there").mkdir()
        worlds.call(*tool, "unpack", str(base / "pack"), *trusted, cwd=base / "there", env=there)

    def both() -> None:
        pack("--no-test")()
        unpack()

    cases = {
        "pack": pack("--no-test"),
        "unpack into an empty store": unpack,
        "pack and unpack": both,
        "pack with its own test": pack(),
    }
    found = measuring.in_turn(cases, repetitions=_REPETITIONS)
    size = sum(path.stat().st_size for path in (base / "pack").rglob("*") if path.is_file())
    measuring.show_absolute(f"air gap: the digits study, {size / 2**20:.0f} MiB", found, {"pack and unpack": _LIMIT})
    show_update(study, base / "pack", env)


def show_update(study: Path, pack: Path, env: dict[str, str]) -> None:
    """What one changed experiment makes an update write."""
    change = ("--set", "epochs=3", "--runner", "nix", "--quiet")
    worlds.call("entrenar-research", "run", "training_loop", *change, cwd=study, env=env)
    commit(study, env)
    argv = ["entrenar-research", "airgap", "update", str(pack), "--no-test", "--format", "json"]
    done = subprocess.run(argv, cwd=study, env=env, check=True, capture_output=True)
    said = json.loads(done.stdout)
    print(f"  an update after one more run writes {said['written'] / 1024:.0f} KiB of {said['size'] / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
