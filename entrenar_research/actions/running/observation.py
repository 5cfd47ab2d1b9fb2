"""Declared against observed: what a traced run touched, and what its declaration says."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from entrenar_research.core.traces import observation
from entrenar_research.core.traces.observation import Observation
from entrenar_research.core.traces.syntax import descriptor
from entrenar_research.models.experiment import Declaration, Experiment
from entrenar_research.models.run import Observed
from entrenar_research.models.trace import Trace
from entrenar_research.store import declaration_file
from entrenar_research.store.dvc_files import DvcFiles
from entrenar_research.store.study_files import STUDY_FILE, StudyFiles

CODE_SUFFIXES = frozenset({".py", ".pyi", ".sh", ".r", ".R", ".jl", ".js", ".pl", ".rb", ".lua", ".c", ".cpp", ".h"})
_OPENS = frozenset({"open", "openat", "openat2"})
_NOT_INPUTS = (".git", ".dvc", ".entrenar", "runs", "golden_traces", "__pycache__")


class Touched(msgspec.Struct, frozen=True, kw_only=True):
    """What a command touched inside the study, as study paths; `staged` are below its result directory.

    `continued` are written files of which the command uses what was in them before it began: it reads them, or
    writes without emptying them first.
    """

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    staged: tuple[str, ...]
    network: tuple[str, ...]
    packages: tuple[tuple[str, str], ...]
    continued: tuple[str, ...] = ()


def touched(study: StudyFiles, trace: Trace, result: Path) -> Touched:
    """The part of an observation that concerns the study."""
    root = os.path.realpath(study.root)
    seen = observation.observe(trace, root=root, initial_directory=root)
    inside = os.path.realpath(result)
    staged = tuple(os.path.relpath(path, inside) for path in seen.writes if path.startswith(inside + "/"))
    reads, writes = _within(root, (*seen.reads, *seen.executed)), _within(root, seen.writes)
    unemptied = _within(root, _unemptied(trace))
    return Touched(
        reads=tuple(reads),
        writes=tuple(writes),
        staged=staged,
        network=seen.network,
        packages=_packages(seen),
        continued=tuple(path for path in writes if path in reads or path in unemptied),
    )


def _unemptied(trace: Trace) -> list[str]:
    """Files whose first opening for writing leaves in them what was there."""
    first: dict[str, bool] = {}
    for call in trace.calls:
        behind = descriptor(call.result) if call.error is None and call.name in _OPENS else None
        flags = call.arguments.rpartition('"')[2]
        if behind is not None and ("O_WRONLY" in flags or "O_RDWR" in flags):
            first.setdefault(behind[1], "O_TRUNC" not in flags and "O_EXCL" not in flags)
    return [path for path, stays in first.items() if stays]


def _packages(seen: Observation) -> tuple[tuple[str, str], ...]:
    """Without what every Python start-up reads for its own sake: metadata, path files, hooks of installers."""
    return tuple(
        (site, name)
        for site, name in seen.python_packages
        if not name.endswith((".dist-info", ".pth")) and name not in ("_distutils_hack", "_virtualenv.py")
    )


def _within(root: str, paths: Iterable[str]) -> list[str]:
    """Study paths of those that lie in the study and could be inputs or outputs of it."""
    found = set()
    environments: dict[str, bool] = {}
    for path in paths:
        if not path.startswith(root + "/"):
            continue
        relative = path[len(root) + 1 :]
        parts = PurePosixPath(relative).parts
        if parts[0] in _NOT_INPUTS or "__pycache__" in parts or not os.path.lexists(path):
            continue
        if not _in_environment(root, parts, environments) and not os.path.isdir(path):
            found.add(relative)
    return sorted(found)


def _in_environment(root: str, parts: Sequence[str], known: dict[str, bool]) -> bool:
    """Whether a path lies in a virtual environment (a directory with `pyvenv.cfg` or `conda-meta`)."""
    for depth in range(1, len(parts)):
        top = "/".join(parts[:depth])
        if top not in known:
            place = os.path.join(root, top)
            known[top] = os.path.exists(f"{place}/pyvenv.cfg") or os.path.isdir(f"{place}/conda-meta")
        if known[top]:
            return True
    return False


def compare(declaration: Declaration, experiment: Experiment, seen: Touched) -> Observed:
    """What was read and written without being declared, what was declared and not read, what went to the network."""
    declared = {*declaration.code, *declaration.inputs, experiment.file}
    if declaration.params is not None:
        declared.add(declaration.params)
    collected = {item.source for item in declaration.outputs if not isinstance(item, str)}
    outputs = set(declaration.output_paths)
    extra = [f"{experiment.result}/{path}" for path in seen.staged if outputs and not _covered(path, outputs)]
    return Observed(
        undeclared_reads=tuple(path for path in seen.reads if not _covered(path, {*declared, STUDY_FILE})),
        undeclared_writes=(*(path for path in seen.writes if not _covered(path, collected)), *extra),
        unused_inputs=tuple(path for path in declaration.inputs if not _used(path, seen.reads)),
        network=seen.network,
    )


def _covered(path: str, declared: Iterable[str]) -> bool:
    return any(path == item or path.startswith(item.rstrip("/") + "/") for item in declared)


def _used(declared: str, reads: Iterable[str]) -> bool:
    return any(_covered(path, (declared,)) for path in reads)


def declare(study: StudyFiles, experiment: Experiment, reads: Iterable[str]) -> tuple[Experiment, tuple[str, ...]]:
    """Adds observed reads to the declaration (code by its ending, inputs otherwise) and to `dvc.yaml`.

    Raises:
        StorageError: if a file cannot be written.
    """
    paths = tuple(path for path in reads if not _covered(path, (experiment.result,)))
    code = [path for path in paths if PurePosixPath(path).suffix in CODE_SUFFIXES]
    inputs = [path for path in paths if path not in code]
    declaration_file.extend(study.root / experiment.file, experiment.file, code=code, inputs=inputs)
    changed = study.experiment(experiment.name)
    if DvcFiles(study.root).present():
        DvcFiles(study.root).write_stage(changed)
    words = [f"{path} is declared as code" for path in code] + [f"{path} is declared as an input" for path in inputs]
    return changed, tuple(words)
