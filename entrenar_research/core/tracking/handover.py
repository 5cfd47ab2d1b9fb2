"""What a command is told by its environment about the run it belongs to, and what it is not to inherit."""

from __future__ import annotations

from collections.abc import Mapping

from entrenar_research.core import digests

RESULT = "ENTRENAR_RESULT"
"""Where the outputs go, relative to the study."""
RUN = "ENTRENAR_RUN"
"""The directory of the run, relative to the study."""
STUDY = "ENTRENAR_STUDY"
"""The study, as an absolute path."""
TRACE = "TRACEPARENT"
"""The trace that spans belong to (W3C Trace Context, https://www.w3.org/TR/trace-context/#traceparent-header)."""


def variables(*, study: str, run: str, result: str, trace_id: str) -> dict[str, str]:
    """The variables of a command: directories of `run` and `result` are relative to `study`.

    The parent in `TRACEPARENT` is the run itself (`root_span`).
    """
    return {RESULT: result, RUN: run, STUDY: study, TRACE: f"00-{trace_id}-{root_span(run)}-01"}


def root_span(run: str) -> str:
    """The span id that stands for a run, by its directory relative to the study: the same for the same run."""
    return digests.sha256(run.encode()).removeprefix("sha256:")[:16]


def without(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment that says nothing of any run: what we were started with may speak of another one."""
    return {name: value for name, value in environment.items() if name not in (RESULT, RUN, STUDY, TRACE)}
