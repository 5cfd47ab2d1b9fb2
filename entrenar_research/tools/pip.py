"""pip: choosing and fetching wheels. Where from is its own configuration; nothing is built and nothing installed."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from entrenar_research.errors import MissingToolError, ToolError, UsageError
from entrenar_research.tools import process

_OLDEST: Final = (22, 3)
_NOT_FOUND: Final = re.compile(r"No matching distribution found for (\S[^\n(]*)")
_MISMATCH: Final = re.compile(r"THESE PACKAGES DO NOT MATCH THE HASHES.*?\n\s+(\S+)", re.DOTALL)
_GET: Final = "`apt-get install python3-pip`, or `python3 -m ensurepip`"


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: requirements in words or in files, with what they need or only themselves.

    `hashes` refuses every wheel whose digest is not given. From `source`, a directory, alone if it is given.
    """

    words: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    alone: bool = False
    hashes: bool = False
    source: Path | None = None

    @property
    def options(self) -> list[str]:
        """As pip wants it."""
        said = ["--no-deps"] if self.alone else []
        said += ["--require-hashes"] if self.hashes else []
        said += ["--no-index", "--find-links", str(self.source)] if self.source is not None else []
        return [*said, *(word for file in self.files for word in ("--requirement", str(file))), *self.words]


@functools.cache
def require() -> list[str]:
    """The words that start a pip that is new enough: ours, or the one on PATH.

    Raises:
        MissingToolError: if there is none.
    """
    found: list[str] = []
    for words in ([sys.executable, "-m", "pip"], ["pip3"], ["pip"], ["python3", "-m", "pip"]):
        version = _version(words)
        if version is not None and version >= _OLDEST:
            return words
        found += [".".join(map(str, version))] if version is not None else []
    wanted = ".".join(map(str, _OLDEST))
    if found:
        raise MissingToolError(f"pip {found[0]} is too old to choose wheels: expected {wanted} or newer", hint=_GET)
    raise MissingToolError("pip, which chooses and fetches wheels, was not found", hint=_GET)


def _version(words: Sequence[str]) -> tuple[int, ...] | None:
    try:
        done = process.run([*words, "--version"], check=False, timeout=60)
    except (MissingToolError, ToolError):
        return None
    match = re.match(r"pip (\d+)\.(\d+)", done.text)
    return (int(match[1]), int(match[2])) if done.status == 0 and match else None


def download(interpreter: Path, wanted: Selection, directory: Path) -> None:
    """Fetches the wheels that are asked for, as `interpreter` could use them, into a directory.

    Raises:
        MissingToolError: if there is no pip.
        UsageError: if there is no wheel of something, or none with the digest that was given.
        ToolError: if pip fails otherwise.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH")}
    if wanted.source is not None:  # nobody's settings add to what is there
        environment = {name: value for name, value in environment.items() if not name.startswith("PIP_")}
        environment["PIP_CONFIG_FILE"] = os.devnull
    argv = [
        *require(), "--python", str(interpreter), "download", "--disable-pip-version-check", "--no-input", "--quiet",
        "--only-binary", ":all:", "--dest", str(directory), *wanted.options,
    ]  # fmt: skip
    done = process.run(argv, cwd=directory, check=False, env=environment)
    if done.status != 0:
        raise _complaint(done, wanted)


def _complaint(done: process.Completed, wanted: Selection) -> UsageError | ToolError:
    said = done.stderr.decode("utf-8", "replace")
    if match := _NOT_FOUND.search(said):
        where = f"in {wanted.source}" if wanted.source is not None else "where pip looks"
        return UsageError(
            f"{match[1].strip()}: there is no wheel of it {where} for this Python on x86-64 Linux",
            hint="if it has only a source distribution: build a wheel (`pip wheel`), and let pip find it "
            "(PIP_FIND_LINKS=DIR); only wheels go into the toolchain",
        )
    if match := _MISMATCH.search(said):
        return UsageError(
            f"{match[1]}: the file that was found has another sha256 than the one that is pinned",
            hint="the pin is obeyed: if the file changed rightly, write the file of requirements anew",
        )
    lines = [line for line in said.strip().splitlines() if line.startswith("ERROR:")] or said.strip().splitlines()[-4:]
    return ToolError(f"pip could not fetch the wheels: {' '.join(lines) or f'status {done.status}'}")
