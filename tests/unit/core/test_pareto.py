"""The table of failures: its order, its sums, and the vital few."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.failures import classification, pareto
from entrenar_research.core.failures.classification import Evidence
from entrenar_research.core.failures.codes import CODES
from entrenar_research.core.failures.pareto import Failing


def failing(*codes: str) -> list[Failing]:
    return [
        Failing(
            run=f"{number:03d}-line",
            experiment="line",
            status="failed",
            started="2026-01-01T00:00:00Z",
            failure=classification.classify(Evidence(found=code, said="x")),
        )
        for number, code in enumerate(codes)
    ]


def test_nothing_failed() -> None:
    assert pareto.table([]) == ()


def test_one_is_vital() -> None:
    (only,) = pareto.table(failing("LOST"))
    assert (only.percent, only.cumulative, only.vital, only.last_run) == (100.0, 100.0, True, "000-line")


def test_order_sums_and_last_runs() -> None:
    rows = pareto.table(failing("LOST", "OOM_CUDA", "OOM_CUDA", "DISK_FULL", "OOM_CUDA", "OOM_CUDA"))
    assert [(row.code, row.occurrences, row.percent, row.cumulative) for row in rows] == [
        ("OOM_CUDA", 4, 66.67, 66.67),
        ("DISK_FULL", 1, 16.67, 83.33),
        ("LOST", 1, 16.67, 100.0),
    ]
    assert [row.vital for row in rows] == [True, True, False]
    assert rows[0].last_run == "005-line"
    assert rows[0].remediation == CODES["OOM_CUDA"].remediation


def test_by_category() -> None:
    rows = pareto.table(failing("DISK_FULL", "OOM_CUDA", "OOM_CUDA", "LOST"), "category")
    assert [(row.code, row.category, row.occurrences) for row in rows] == [("", "resource", 3), ("", "infra", 1)]
    assert rows[0].remediation == CODES["OOM_CUDA"].remediation


@given(st.lists(st.sampled_from(sorted(CODES)), min_size=1))
def test_it_adds_up(codes: list[str]) -> None:
    rows = pareto.table(failing(*codes))
    assert sum(row.occurrences for row in rows) == len(codes)
    assert rows[-1].cumulative == 100.0
    assert [row.occurrences for row in rows] == sorted((row.occurrences for row in rows), reverse=True)
    vital = [row for row in rows if row.vital]
    assert rows[: len(vital)] == tuple(vital)
    share = Fraction(sum(row.occurrences for row in vital), len(codes))
    assert share >= Fraction(4, 5) > share - Fraction(vital[-1].occurrences, len(codes))
