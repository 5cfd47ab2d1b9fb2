from __future__ import annotations

import msgspec

from entrenar_research.core import golden_analysis, golden_words
from entrenar_research.core.golden_analysis import Analysed
from entrenar_research.core.traces import figures, kinds
from entrenar_research.core.traces.summary import SummaryRow, format_summary, parse_summary
from entrenar_research.models.documented import DocumentedCall, DocumentedExit, TraceDocument
from entrenar_research.models.golden import GateResult, GoldenRecord, Noise
from entrenar_research.models.measured import Measured, Repetition
from entrenar_research.models.patterns import PatternFinding
from entrenar_research.models.policy import AssertionResult

# The third table of the report that these files are modelled on: 10,866 calls, of which 9,914 are getrandom.
LORA = (
    SummaryRow(name="getrandom", calls=9914, errors=0, microseconds=77364),
    SummaryRow(name="munmap", calls=137, errors=0, microseconds=54250),
    SummaryRow(name="mremap", calls=511, errors=0, microseconds=9966),
    SummaryRow(name="mmap", calls=152, errors=0, microseconds=1678),
    SummaryRow(name="openat", calls=152, errors=3, microseconds=1470),
)


def repetition(wall: float, used: float = 0.0) -> Repetition:
    return Repetition(wall=wall, user=used, system=0.0, peak_memory=8 << 20, exit_status=0)


def record(name: str = "lora", **changes: object) -> GoldenRecord:
    found = GoldenRecord(
        name=name, experiment="e", run="r", promoted="2025-11-23T00:00:00Z", tool="t", tracer="strace 6.1",
        command="python a|b.py", trace_id="sha256:0", total=10866, calls={"getrandom": 9914},
        noise=Noise(traced=5, agreed=4, counts={"brk": 3, "futex": (1, 2, 1, 1, 1)}, elapsed=0.25),
        repetitions=tuple(repetition(wall, 0.04) for wall in (0.1, 0.2, 0.3)),
        gates=(GateResult(gate="exit", state="pass", words="status 0"),),
    )  # fmt: skip
    return msgspec.structs.replace(found, **changes)


def trace(*durations: int | None, name: str = "read", error: str | None = None, process: int = 1) -> TraceDocument:
    calls = tuple(
        DocumentedCall(process, process, began, took, name, "", "0", error, None)
        for began, took in enumerate(durations)
    )
    return TraceDocument(
        schema=2, tracer="strace", tracer_version="6.1", level="full", rules=1, command=("x",),
        exit=DocumentedExit(status=0, signal=None), complete=True, problems=(), lost=0, recorded=len(calls),
        counts={}, trace_id="", spans=(), ends=(), lines=(), calls=calls,
    )  # fmt: skip


def analysed(**changes: object) -> Analysed:
    return msgspec.structs.replace(Analysed(record=record(), rows=LORA, document=trace(5)), **changes)


def test_the_same_files_give_the_same_text_and_numbers_come_from_the_rows() -> None:
    text = golden_analysis.text([analysed()])
    assert text == golden_analysis.text([analysed()])
    assert "| lora | 10866 | 144.728 ms | 200.0 ms | 40.0 ms | 8.0 MiB | `getrandom` (91.2%) |" in text
    assert "| getrandom | 9914 | 91.2% |  | 77.364 ms | 53.5% |" in text
    assert "`getrandom` is the most frequent call: 9914 of 10866 (91.2%)" in text
    assert "- command `python a\\|b.py`" in text
    assert "- 4 of 5 fresh traces made the same calls in the same order" in text
    assert "- counts that varied: futex 1 to 2" in text


def test_a_budget_that_is_not_kept_is_told() -> None:
    results = (
        AssertionResult(name="calls", type="span_count", state="fail", message="too many", actual=10866, limit=10000,
                        unit="calls"),
        AssertionResult(name="rss", type="memory_usage", state="no data", message="not measured"),
    )  # fmt: skip
    text = golden_analysis.text([analysed(assertions=results)])
    assert "2 assertions evaluated: 1 fail, 1 no data. The budgets are not kept." in text
    assert "| calls | lora | fail | 10,866 calls | 10,000 calls | too many |" in text
    kept = golden_analysis.text([analysed(assertions=results[1:])])
    assert "What has no data is not known to be kept." in kept
    assert "not kept" not in kept


def test_what_was_not_measured_is_said_to_be_missing() -> None:
    bare = record(repetitions=(), noise=Noise(), gates=())
    text = golden_analysis.text([analysed(record=bare, document=None)])
    assert "| lora | 10866 | 144.728 ms | not measured | not measured | not measured |" in text
    assert "It was not repeated: how steady it is, is not known." in text
    assert "The trace itself is not here" in text
    assert "They were not looked for" in text
    assert golden_analysis.text([]).endswith("There are no golden traces.\n")
    assert "- old: schema 1" in golden_analysis.text([], [("old", "schema 1")])


def test_patterns_are_told_apart() -> None:
    findings = (
        PatternFinding(pattern="TightLoop", confidence=0.9, severity="warning", metric=1.0, explanation="It polls.",
                       remediation="Wait.", place="1.2"),
        PatternFinding(pattern="GodProcess", confidence=0.0, severity="info", metric=0.0, explanation="alone",
                       remediation="", applicable=False),
        PatternFinding(pattern="AllocationStorm", confidence=0.0, severity="info", metric=0.0, explanation="",
                       remediation=""),
    )  # fmt: skip
    text = golden_analysis.text([analysed(findings=findings)])
    assert "- TightLoop: confidence 0.90, warning, at 1.2. It polls. Wait." in text
    assert "- not found: AllocationStorm" in text
    assert "- GodProcess does not apply: alone" in text


def test_sentences_follow_the_figures() -> None:
    busy = Measured(repetitions=tuple(repetition(1.0, 0.99) for _ in range(5)))
    idle = Measured(repetitions=tuple(repetition(1.0, 0.1) for _ in range(5)))
    assert "it computes and hardly waits" in " ".join(golden_words.interpretation(LORA, None, busy))
    assert "it waits for most of the time" in " ".join(golden_words.interpretation(LORA, None, idle))
    words = " ".join(golden_words.interpretation(LORA, trace(1, error="ENOENT"), None))
    assert "3 of 10866 calls failed (ENOENT 1)" in words
    assert "one process with one thread" in words
    assert "no call to the network" in words
    assert "1 calls to the network" in " ".join(golden_words.interpretation(LORA, trace(1, name="connect"), None))
    assert "Untraced" not in words


def test_every_call_has_one_kind() -> None:
    assert kinds.by_kind({"read": 3, "write": 4, "mmap": 5, "made_up": 1}) == {"file I/O": 7, "memory": 5, "other": 1}
    names = [name for table in kinds._TABLES.values() for name in table.split()]
    assert len(names) == len(set(names))


def test_the_table_of_a_summary_stays_readable() -> None:
    table = format_summary(LORA)
    text = figures.summary(table, trace(1000, 2000, 100_000, None), Measured(repetitions=(repetition(0.5),)))
    assert figures.table_of(text) == table
    assert parse_summary(figures.table_of(text), "s") == LORA
    assert "        3         2.0       100.0       100.0       100.0 read" in text.splitlines()
    assert "        1    0.500000    0.000000    0.000000        8192         0" in text.splitlines()
    assert figures.table_of(figures.summary(table, trace(None), None)) == table
    assert figures.table_of("") == ""


def test_percentiles_are_values_that_occurred() -> None:
    assert [figures.nearest([5, 1, 4, 2, 3], share) for share in (0.0, 0.2, 0.21, 0.5, 0.99, 1.0)] == [1, 1, 2, 3, 5, 5]


def test_noise_is_spread_over_the_traces_again() -> None:
    noise = record().noise
    assert noise.samples == {"brk": (3, 3, 3, 3, 3), "futex": (1, 2, 1, 1, 1)}
    assert noise.varying == {"futex": (1, 2)}
