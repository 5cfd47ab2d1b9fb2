"""What a recorded run needs and this machine lacks, found out before anything is executed."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import msgspec

from entrenar_research.models.run import RunRecord
from entrenar_research.tools import process, python
from entrenar_research.tools.python import Interpreter


class Suited(msgspec.Struct, frozen=True, kw_only=True):
    """The program to start, or in words what is lacking for it."""

    program: str | None
    lacking: tuple[str, ...]


def suited(record: RunRecord, environment: Mapping[str, str]) -> Suited:
    """A program here that is what the run used: same Python (3.x), same versions of its packages.

    For a Python command the one on PATH is tried first, then the one that runs this tool.
    """
    program = record.argv[0] if record.argv else ""
    candidates = [found] if (found := process.which(program, environment=environment)) else []
    if python.is_python(program) and "/" not in program and sys.executable not in candidates:
        candidates.append(sys.executable)
    if not candidates:
        return Suited(program=None, lacking=(f"the program {program}",))
    if record.environment is None or record.environment.python is None:
        return Suited(program=candidates[0], lacking=())
    shortest: tuple[str, ...] | None = None
    for candidate in candidates:
        lacking = _lacking(record, python.interpreter(candidate))
        if not lacking:
            return Suited(program=candidate, lacking=())
        if shortest is None or len(lacking) < len(shortest):
            shortest = lacking
    return Suited(program=None, lacking=shortest or ())


def _lacking(record: RunRecord, found: Interpreter | None) -> tuple[str, ...]:
    needed = record.environment
    if needed is None or needed.python is None:
        return ()
    if found is None:
        return (f"Python {needed.python}",)
    words = []
    if found.version.split(".")[:2] != needed.python.split(".")[:2]:
        words.append(f"Python {needed.python} (here: {found.version})")
    if needed.packages_scope == "loaded":
        here = found.packages()
        for name, version in needed.packages.items():
            if here.get(name) != version:
                words.append(f"{name} {version} (here: {here.get(name, 'not installed')})")
    return tuple(words)
