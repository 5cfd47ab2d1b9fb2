"""Packs for tests: copies that can be spoiled, and manifests that are signed anew after that."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import World

NAMESPACE = "airgap@entrenar-research"
OURS = "a-line-1"


def apart() -> tuple[str, ...]:
    """What puts a command where there is no network; skips where nobody may."""
    words = ("unshare", "--map-current-user", "--net", "--")
    done = subprocess.run([*words, "true"], check=False, capture_output=True) if shutil.which("unshare") else None
    if done is None or done.returncode != 0:
        pytest.skip("needs network namespaces for everybody (unshare --map-current-user --net)")
    return words


def copy(pack: Path, target: Path) -> Path:
    """A copy of a pack; the large files are shared until one is replaced."""
    shutil.copytree(pack, target, copy_function=os.link)
    return target


def replace(path: Path, data: bytes) -> None:
    """Writes a file anew, so that what it was linked with stays."""
    path.unlink()
    path.write_bytes(data)


def flip(path: Path) -> None:
    """Flips a bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    replace(path, bytes(data))


def largest(pack: Path) -> Path:
    """The largest archive of the cache."""
    return max((pack / "cache/nar").iterdir(), key=lambda path: path.stat().st_size)


def narinfo(pack: Path, name: str) -> Path:
    """What the cache says of the store path that ends in a name."""
    return next(path for path in (pack / "cache").glob("*.narinfo") if f"-{name}\n" in path.read_text())


def manifest(pack: Path) -> Any:
    """What the manifest says."""
    return json.loads((pack / "manifest.json").read_text())


def sign_anew(world: World, pack: Path, change: Callable[[Any], None] = lambda said: None) -> None:
    """Makes manifest and signature agree with the files again, as the author of the pack could."""
    said = manifest(pack)
    for item in said["files"]:
        place = pack / item["path"]
        if place.is_file():
            data = place.read_bytes()
            item |= {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    change(said)
    replace(pack / "manifest.json", json.dumps(said).encode())
    key = world.home / ".config/entrenar-research/keys/id_ed25519"
    with (pack / "manifest.json").open("rb") as stream:
        argv = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", NAMESPACE]
        done = subprocess.run(argv, stdin=stream, capture_output=True, check=True)
    replace(pack / "manifest.json.sig", done.stdout)


def digests(directory: Path) -> dict[str, str]:
    """Every file with its digest."""
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }
