"""What a recorded run needs and this machine lacks, found out before anything is executed."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from entrenar_research.models.run import RunRecord
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools import process, python
from entrenar_research.tools.python import Interpreter


class Suited(msgspec.Struct, frozen=True, kw_only=True):
    """The program to start, or in words what is lacking for it."""

    program: str | None
    lacking: tuple[str, ...]


def suited(study: StudyFiles, record: RunRecord, environment: Mapping[str, str]) -> Suited:
    """A program here that is what the run used: same Python (3.x), same versions of the packages it loaded.

    A program of the study is looked for in the study. For a Python command the named one is tried first, then the
    one on PATH, then the one that runs this tool: which of them it is does not matter where the versions agree.
    """
    program = record.argv[0] if record.argv else ""
    candidates = list(dict.fromkeys(_candidates(study.root, program, environment)))
    if not candidates:
        return Suited(program=None, lacking=(f"the program {program}",))
    if record.environment is None or record.environment.python is None:
        return Suited(program=candidates[0], lacking=())
    shortest: tuple[str, ...] | None = None
    for candidate in candidates:
        lacking = _lacking(study, record, python.interpreter(candidate))
        if not lacking:
            return Suited(program=candidate, lacking=())
        if shortest is None or len(lacking) < len(shortest):
            shortest = lacking
    return Suited(program=None, lacking=shortest or ())


def _candidates(root: Path, program: str, environment: Mapping[str, str]) -> Iterator[str]:
    """The programs that may stand for the recorded one, the best first."""
    if "/" not in program:
        if found := process.which(program, environment=environment):
            yield found
    elif (place := root / program).is_file():
        yield str(place) if python.is_python(program) else program
    if python.is_python(program):
        if "/" in program and (found := process.which("python3", environment=environment)):
            yield found
        yield sys.executable


def _lacking(study: StudyFiles, record: RunRecord, found: Interpreter | None) -> tuple[str, ...]:
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
    else:
        words += [f"the module {name}" for name in python.missing(found.path, _imports(study, record))]
    return tuple(words)


def _imports(study: StudyFiles, record: RunRecord) -> list[str]:
    """What the code of an untraced run imports from outside of the study."""
    wanted: set[str] = set()
    own = python.modules_in(study.root)
    for item in record.code:
        path = study.root / item.path
        if path.suffix == ".py" and path.is_file():
            own |= python.modules_in(path.parent)
            wanted |= _imported(path)
    return sorted(wanted - own)


def _imported(path: Path) -> set[str]:
    """The first names of what a module imports on its outermost level; imports further in may never happen."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return set()
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found
