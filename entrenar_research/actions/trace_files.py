"""A run's trace as evidence: normalised, without places or persons, kept compressed in the run directory."""

from __future__ import annotations

import gzip
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from entrenar_research.core import trace_normalisation
from entrenar_research.models.experiment import Experiment
from entrenar_research.models.trace import Trace
from entrenar_research.store import files


class Doc(msgspec.Struct):
    trace_id: str
    lines: tuple[str, ...]


def replacements(root: Path, result: Path, experiment: Experiment) -> dict[str, str]:
    real = os.path.realpath(root)
    return {os.path.realpath(result): f"$STUDY/{experiment.result}", real: "$STUDY"}


def document(trace: Trace, root: Path, result: Path, experiment: Experiment) -> Doc:
    lines = trace_normalisation.normalise(trace, replacements=replacements(root, result, experiment))
    return Doc(trace_normalisation.trace_id(lines), lines)


def write(directory: Path, document: Doc, trace: Trace) -> None:
    files.write_atomically(directory / "trace" / "lines.txt.gz", gzip.compress("\n".join(document.lines).encode(), mtime=0))
