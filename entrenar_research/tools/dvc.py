"""DVC: the program, for what is done rarely. What every run needs is in `store.dvc_files`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from entrenar_research.errors import ToolError
from entrenar_research.tools import process
from entrenar_research.tools.process import Completed


def program() -> list[str]:
    """The words that start DVC: the one on PATH, or the one installed beside this package."""
    beside = Path(sys.executable).with_name("dvc")
    return [process.which("dvc") or (str(beside) if beside.is_file() else "dvc")]


def call(root: Path, *arguments: str, check: bool = True) -> Completed:
    """Runs `dvc` in `root`, without analytics and without asking for updates.

    Raises:
        MissingToolError: if DVC is not installed.
        ToolError: if it fails and `check` is set.
    """
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_STUDIO_OFFLINE": "1", "NO_COLOR": "1"}
    done = process.run([*program(), *arguments], cwd=root, env=environment, check=False)
    if check and done.status != 0:
        raise ToolError(process.failure(["dvc", *arguments], done))
    return done


def version() -> str | None:
    """DVC's version, or None where it is not installed."""
    if process.which(program()[0]) is None:
        return None
    done = process.run([*program(), "--version"], check=False)
    return done.text if done.status == 0 else None


def initialise(root: Path) -> None:
    """Makes a DVC repository in `root`, quiet about itself.

    Raises:
        ToolError: if DVC refuses.
    """
    call(root, "init")
    call(root, "config", "core.analytics", "false")
    call(root, "config", "core.check_update", "false")


def add(root: Path, *paths: str) -> None:
    """Puts data under DVC (`dvc add`).

    Raises:
        ToolError: if DVC refuses.
    """
    if paths:
        call(root, "add", "--", *paths)


def commit(root: Path, *targets: str) -> None:
    """Stores the present outputs of `targets` (`dvc commit --force`).

    Raises:
        ToolError: if DVC refuses.
    """
    call(root, "commit", "--force", *targets)


def cache_directory(root: Path) -> Path:
    """Where the cache of a study is, also if a person has put it elsewhere (`dvc cache dir`).

    Raises:
        ToolError: if DVC cannot say.
    """
    return Path(root, call(root, "cache", "dir").text)
