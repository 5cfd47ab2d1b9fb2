from __future__ import annotations

import msgspec
import pytest

from entrenar_research.actions.golden import gates
from entrenar_research.actions.golden.gates import Candidate
from entrenar_research.core.traces import patterns
from entrenar_research.models.documented import DocumentedCall, DocumentedExit, DocumentedLine, TraceDocument
from entrenar_research.models.measured import Measured, Repetition
from entrenar_research.models.patterns import PatternFinding
from entrenar_research.models.policy import Assertion, TracePolicy
from entrenar_research.models.run import RunRecord

RUN = RunRecord(id="r1", experiment="e", status="completed", tool="t", runner="host", started="2025-01-01T00:00:00Z")


def trace(*lines: str, **changes: object) -> TraceDocument:
    calls = (DocumentedCall(1, 1, 0, 10, "execve", '"/x", [], 0x0 /* 0 vars */', "0", None, None),)
    found = TraceDocument(
        schema=2, tracer="strace", tracer_version="6.1", level="full", rules=1, command=("x",),
        exit=DocumentedExit(status=0, signal=None), complete=True, problems=(), lost=0, recorded=1,
        counts={"read": len(lines)}, trace_id="sha256:" + "|".join(lines), spans=(), ends=(),
        lines=tuple(DocumentedLine(line, 0, 0) for line in lines), calls=calls,
    )  # fmt: skip
    return msgspec.structs.replace(found, **changes)


def candidate(**changes: object) -> Candidate:
    same = trace("1 read(a) = 1")
    found = Candidate(name="g", run=RUN, document=same, policy=TracePolicy(), repeated=(same, same))
    return msgspec.structs.replace(found, **changes)


def said(found: Candidate, gate: str) -> tuple[str, str]:
    (result,) = (result for result in gates.ask(found) if result.gate == gate)
    return result.state, result.words


def measured(*statuses: int) -> Measured:
    return Measured(
        repetitions=tuple(
            Repetition(wall=1.0, user=0.5, system=0.1, peak_memory=1, exit_status=status) for status in statuses
        )
    )


def test_a_good_candidate_passes_them_all() -> None:
    found = gates.ask(candidate(measured=measured(0, 0)))
    assert [result.gate for result in found] == ["exit", "completeness", "behaviour", "architecture", "assertions"]
    assert [result.state for result in found] == ["pass"] * 4 + ["no data"]
    assert gates.refusing(found) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run": msgspec.structs.replace(RUN, status="failed")}, "run r1 is failed"),
        ({"document": trace(exit=DocumentedExit(status=3, signal=None))}, "ended with status 3, expected 0"),
        ({"document": trace(exit=DocumentedExit(status=None, signal="SIGKILL"))}, "was killed by SIGKILL"),
        ({"document": trace(exit=DocumentedExit(status=None, signal=None))}, "ended with status None"),
        ({"measured": measured(0, 1, 2)}, "2 of 3 untraced repetitions failed, the first with status 1"),
    ],
)
def test_exit(changes: dict[str, object], words: str) -> None:
    state, found = said(candidate(**changes), "exit")
    assert state == "refused"
    assert words in found


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lost": 7}, "7 calls were lost by the tracer"),
        ({"complete": False, "problems": ("the last line is cut off",)}, "the last line is cut off"),
        ({"complete": False}, "the tracer says so"),
    ],
)
def test_completeness(changes: dict[str, object], words: str) -> None:
    state, found = said(candidate(document=trace("1 read(a) = 1", **changes)), "completeness")
    assert state == "refused"
    assert words in found


def test_behaviour() -> None:
    other = trace("1 read(b) = 1")
    state, words = said(candidate(repeated=(trace("1 read(a) = 1"), other)), "behaviour")
    assert state == "refused"
    assert words.startswith(
        "1 of 2 fresh repetitions made the same calls in the same order; first divergence at call 1:"
    )
    assert "+ 1 read(b) = 1" in words
    assert said(candidate(repeated=(), unrepeated="no tracer here"), "behaviour") == (
        "no data",
        "not repeated: no tracer here",
    )
    assert said(candidate(repeated=(), failed="it ended with status 1"), "behaviour")[0] == "refused"


def test_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    finding = PatternFinding(
        pattern="TightLoop",
        confidence=0.9,
        severity="warning",
        metric=1.0,
        explanation="It polls.",
        remediation="Wait.",
    )
    monkeypatch.setattr(patterns, "detect", lambda document: (finding,))
    assert said(candidate(), "architecture") == (
        "pass",
        "no critical pattern; found: TightLoop (warning, 0.90): It polls.",
    )
    critical = msgspec.structs.replace(finding, severity="critical")
    monkeypatch.setattr(patterns, "detect", lambda document: (critical,))
    assert said(candidate(), "architecture") == ("refused", "TightLoop (critical, 0.90): It polls.")


@pytest.mark.parametrize(
    ("assertion", "state"),
    [
        (Assertion(name="few", type="span_count", max_spans=0), "refused"),
        (Assertion(name="few", type="span_count", max_spans=0, fail_on_violation=False), "pass"),
        (Assertion(name="few", type="span_count", max_spans=10), "pass"),
        (Assertion(name="rss", type="memory_usage", max_bytes=10, tracking_mode="rss"), "no data"),
    ],
)
def test_assertions(assertion: Assertion, state: str) -> None:
    found, words = said(candidate(policy=TracePolicy(assertions=(assertion,))), "assertions")
    assert found == state
    assert (assertion.name in words) is (words != "1 pass")
