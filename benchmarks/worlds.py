"""Private worlds and studies to measure in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BESIDE = Path(sys.executable).parent


def environment(home: Path) -> dict[str, str]:
    """An environment whose HOME is `home`, with the tool on PATH and a Git identity."""
    home.mkdir(parents=True, exist_ok=True)
    (home / ".gitconfig").write_text("[user]\n\tname = Bench\n\temail = bench@example.org\n", encoding="utf-8")
    return {
        "HOME": str(home),
        "PATH": f"{BESIDE}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "LANG": "C.UTF-8",
        "DVC_NO_ANALYTICS": "1",
    }


def call(*words: str, cwd: Path, env: dict[str, str]) -> None:
    """Runs a program that has to succeed."""
    subprocess.run(words, cwd=cwd, env=env, check=True, capture_output=True, stdin=subprocess.DEVNULL)


def new_study(base: Path, env: dict[str, str]) -> Path:
    """An empty study below `base`."""
    title = ("--title", "Bench", "--author", "A Bench", "--license", "MIT")
    call("entrenar-research", "init", "study", *title, cwd=base, env=env)
    return base / "study"


def write_files(directory: Path, count: int, size: int) -> None:
    """`count` files of `size` bytes that differ, half of each compressible."""
    for index in range(count):
        place = directory / f"{index % 100:02d}"
        place.mkdir(parents=True, exist_ok=True)
        half = size // 2
        noise = os.urandom(half)
        (place / f"{index:05d}.bin").write_bytes(noise + bytes(size - half))
