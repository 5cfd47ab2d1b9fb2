"""Which of two copies of one run counts, for every way in which they can have come to differ."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.tracking.copies import Copy, judge, judge_new
from entrenar_research.models.run import RunRecord
from entrenar_research.models.tracking import Series

RECORD = RunRecord(
    id="20261121T080000000Z-line-aaaa",
    experiment="line",
    status="completed",
    tool="entrenar-research 0",
    runner="script",
    started="2026-11-21T08:00:00.000Z",
)


def copy(
    status: str = "completed",
    points: int = 10,
    *,
    closed: bool = True,
    alive: bool = False,
    files: dict[str, str] | None = None,
    **changes: object,
) -> Copy:
    record = msgspec.structs.replace(RECORD, status=status, **changes)
    # Every sealing gives other bytes unless a test says otherwise.
    listing = files if files is not None else {"run.yaml": f"{record}", "metrics.parquet": f"{points}"}
    series = {"loss": Series(points=points, last=0.5, last_step=points - 1)} if points else {}
    record = msgspec.structs.replace(record, series=series if closed else {})
    return Copy(record=record, listing=listing if closed else None, series=series, alive=alive)


RECOVERED = "2026-11-22T08:00:00Z"


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict", "why"),
    [
        (copy(), copy(), "keep", "the same"),
        (copy(), copy("running", 4, closed=False), "keep", "closed here, and open there"),
        (copy("running", 4, closed=False), copy("running", 6, closed=False, alive=True), "now", "running there"),
        (copy("running", 4, closed=False), copy("running", 6, closed=False), "now", "runs recover"),
        (copy("running", 4, closed=False, alive=True), copy(), "now", "still running here"),
        (copy("running", 4, closed=False), copy(), "take", "open here, completed there"),
        (copy("running", 10, closed=False), copy("lost", 10, recovered=RECOVERED), "take", "recovered there"),
        (copy("running", 11, closed=False), copy("lost", 10, recovered=RECOVERED), "now", "runs recover"),
        (copy("lost", 4, recovered=RECOVERED), copy(), "take", "recovered here, completed there"),
        (copy("lost", 4), copy("failed"), "take", "lost here, failed there"),
        (copy(), copy("lost", 10, recovered=RECOVERED), "keep", "completed here, recovered there"),
        (copy("cancelled"), copy("lost", 11, recovered=RECOVERED), "conflict", "has points that it has not"),
        (copy("lost", 4), copy("lost", 9, recovered=RECOVERED), "take", "the one there has more of it"),
        (copy("lost", 9), copy("lost", 4, recovered=RECOVERED), "keep", "the one here has more of it"),
        (copy("lost", 9), copy("lost", 9, recovered=RECOVERED), "keep", "with the same points"),
        (copy("lost", 0), copy("lost", 0, failure="x"), "keep", "with the same points"),
        (copy(), copy("failed"), "conflict", "closed in both copies, with different run.yaml"),
        (copy(), copy(experiment="other"), "conflict", "two different runs have this id"),
        (copy(), copy(started="2026-11-21T08:00:00.001Z"), "conflict", "two different runs have this id"),
    ],
)
def test_verdicts(ours: Copy, theirs: Copy, verdict: str, why: str) -> None:
    found = judge(ours, theirs)
    assert found.verdict == verdict
    assert why in found.why


def test_completed_in_both_and_sealed_apart() -> None:
    def sealed(parquet: str, **more: str) -> Copy:
        return copy(files={"run.yaml": "sha256:1", "metrics.parquet": parquet, **more})

    assert judge(sealed("sha256:2"), sealed("sha256:3")).verdict == "keep"
    raw = copy(files={"run.yaml": "sha256:1", "events/1-aaaa.events": "sha256:4"})
    assert judge(raw, sealed("sha256:3")).why == "sealed in each copy by itself, with the same points"
    other = judge(sealed("sha256:2"), sealed("sha256:3", **{"artifacts/model.safetensors": "sha256:5"}))
    assert other.verdict == "conflict"
    assert "artifacts/model.safetensors, metrics.parquet" in other.why


def test_points_of_several_series_that_neither_copy_has_all_of() -> None:
    one, other = copy("lost", 0), copy("lost", 0)
    series = Series(points=3, last=1.0, last_step=2)
    one = msgspec.structs.replace(one, series={"a": series}, listing={"run.yaml": "sha256:1"})
    other = msgspec.structs.replace(other, series={"b": series}, listing={"run.yaml": "sha256:2"})
    assert judge(one, other).verdict == "conflict"


def test_a_run_that_only_they_have() -> None:
    assert judge_new(copy()).verdict == "take"
    assert judge_new(copy("running", closed=False)).verdict == "now"
    assert "runs recover 20261121T080000000Z-line-aaaa" in judge_new(copy("running", closed=False)).why


COPIES = st.builds(
    lambda status, points, recovered: copy(status, points, recovered=RECOVERED if recovered else None),
    st.sampled_from(["completed", "failed", "cancelled", "lost"]),
    st.integers(0, 3),
    st.booleans(),
)


@given(COPIES, COPIES)
def test_both_copies_come_to_the_same_run(one: Copy, other: Copy) -> None:
    """Merged this way or that way, the same copy is kept in the end, unless it is a conflict both ways."""
    here, there = judge(one, other).verdict, judge(other, one).verdict
    assert (here == "conflict") == (there == "conflict")
    if here == "take":
        assert there == "keep"
    if here == there == "keep":
        assert one.series == other.series
