"""Starting other programs: the one place that imports `subprocess` for short commands."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from entrenar_research.errors import MissingToolError, ToolError

HOW_TO_GET = {
    "dvc": "it comes with entrenar-research: `pip install dvc`",
    "git": "`apt-get install git`, or your system's package",
    "ssh-keygen": "`apt-get install openssh-client`, or your system's package",
    "strace": "`apt-get install strace`, or your system's package",
}


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """A program that ended: exit status (negative: killed by that signal) and what it printed."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text without its last newline."""
        return self.stdout.decode("utf-8", "replace").rstrip("\n")


def which(program: str, *, environment: Mapping[str, str] | None = None) -> str | None:
    """Where `program` is, by PATH, or None."""
    return shutil.which(program, path=(environment or os.environ).get("PATH"))


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    check: bool = True,
    timeout: float | None = None,
) -> Completed:
    """Runs a program to its end with closed (or given) standard input and captured output.

    Raises:
        MissingToolError: if the program is not installed.
        ToolError: if it fails and `check` is set, or does not end within `timeout` seconds.
    """
    try:
        done = subprocess.run(
            list(argv),
            cwd=cwd,
            env=None if env is None else dict(env),
            input=stdin if stdin is not None else b"",
            capture_output=True,
            check=False,
            timeout=timeout,
        )
    except FileNotFoundError as error:
        if cwd is not None and not cwd.is_dir():
            raise ToolError(f"cannot run {argv[0]} in {cwd}: no such directory") from error
        hint = HOW_TO_GET.get(argv[0])
        raise MissingToolError(
            f"the program {argv[0]!r} is not installed or not on PATH",
            hint=f"get it with {hint}" if hint else None,
        ) from error
    except PermissionError as error:
        raise MissingToolError(f"the program {argv[0]!r} may not be executed: {error.strerror}") from error
    except OSError as error:
        raise ToolError(f"cannot run {argv[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{argv[0]} did not end within {timeout:g} s", hint=" ".join(argv)) from error
    completed = Completed(status=done.returncode, stdout=done.stdout, stderr=done.stderr)
    if check and done.returncode != 0:
        raise ToolError(failure(argv, completed))
    return completed


def failure(argv: Sequence[str], completed: Completed) -> str:
    """What failed and what it said, in one message."""
    said = (completed.stderr or completed.stdout).decode("utf-8", "replace").strip()
    last = said.splitlines()[-6:]
    return f"`{' '.join(argv[:4])}` ended with status {completed.status}: " + ("\n  ".join(last) or "no message")


def attended(argv: Sequence[str], *, cwd: Path | None = None) -> int:
    """Runs a program that talks to the person on the terminal itself; its exit status.

    Raises:
        MissingToolError: if the program is not installed.
    """
    try:
        return subprocess.run(list(argv), cwd=cwd, check=False).returncode
    except FileNotFoundError as error:
        raise MissingToolError(f"the program {argv[0]!r} is not installed or not on PATH") from error
    except OSError as error:
        raise ToolError(f"cannot run {argv[0]}: {error.strerror}") from error
