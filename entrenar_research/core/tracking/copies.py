"""Two copies of one run, in two copies of a study that were both continued: which one counts.

A closed run never changes, so two copies of it differ only if one was made while the run was still open, and both
were closed later, each on its own. Of those the one that its own process concluded counts; what was sealed after a
crash is the beginning of it. Whatever cannot be explained so is a conflict, and a person has to look.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from entrenar_research.models.run import RunRecord
from entrenar_research.models.tracking import Series

_CONCLUDED = ("completed", "failed", "cancelled")
_SEALING = ("metrics.parquet", "spans.parquet", "events/")
_RECORD = "run.yaml"


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """A run in one of the copies. `listing` is its `SHA256SUMS` by path, None while it is open.

    `series` are those of the record, or of an open run what was logged so far.
    """

    record: RunRecord
    listing: Mapping[str, str] | None
    series: Mapping[str, Series]
    alive: bool = False


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """`take` theirs, `keep` ours, leave it out for `now`, or `conflict`; `why` in words."""

    verdict: Literal["take", "keep", "now", "conflict"]
    why: str


def judge(ours: Copy, theirs: Copy) -> Judgement:
    """Which of two copies of a run counts."""
    if theirs.listing is None:
        return _of_open(theirs, known=ours.listing is not None)
    if ours.alive:
        return Judgement(verdict="now", why="still running here")
    if _identity(ours.record) != _identity(theirs.record):
        return Judgement(verdict="conflict", why="two different runs have this id")
    if ours.listing is None:
        return _closed_there(ours, theirs)
    return _both_closed(ours, theirs, _differing(ours.listing, theirs.listing))


def judge_new(theirs: Copy) -> Judgement:
    """Whether a run that only they have can be taken."""
    if theirs.listing is None:
        return _of_open(theirs, known=False)
    return Judgement(verdict="take", why="")


def _of_open(theirs: Copy, *, known: bool) -> Judgement:
    if known:
        return Judgement(verdict="keep", why="closed here, and open there")
    if theirs.alive:
        return Judgement(verdict="now", why="still running there")
    return Judgement(verdict="now", why=f"open there: `entrenar-research runs recover {theirs.record.id}` seals it")


def _closed_there(ours: Copy, theirs: Copy) -> Judgement:
    if _within(ours, theirs):
        return Judgement(verdict="take", why=f"open here, {_state(theirs.record)} there")
    recover = f"`entrenar-research runs recover {ours.record.id}` seals it"
    return Judgement(verdict="now", why=f"open here, with points that the copy there has not: {recover}")


def _both_closed(ours: Copy, theirs: Copy, differing: tuple[str, ...]) -> Judgement:
    if not differing:
        return Judgement(verdict="keep", why="the same")
    here, there = _concluded(ours.record), _concluded(theirs.record)
    if here != there:
        return _one_concluded(ours, theirs, here=here)
    less, more = _within(ours, theirs), _within(theirs, ours)
    if less and more and (not here or _sealed_apart(ours.record, theirs.record, differing)):
        return Judgement(verdict="keep", why="sealed in each copy by itself, with the same points")
    if here or not (less or more):
        return Judgement(verdict="conflict", why=f"closed in both copies, with different {', '.join(differing[:5])}")
    where = "there" if less else "here"
    return Judgement(verdict="take" if less else "keep", why=f"cut off in both copies; the one {where} has more of it")


def _one_concluded(ours: Copy, theirs: Copy, *, here: bool) -> Judgement:
    short, whole = (theirs, ours) if here else (ours, theirs)
    if _within(short, whole):
        why = f"{_state(ours.record)} here, {_state(theirs.record)} there"
        return Judgement(verdict="keep" if here else "take", why=why)
    why = f"{_state(whole.record)} in one copy, and the other, {_state(short.record)}, has points that it has not"
    return Judgement(verdict="conflict", why=why)


def _identity(record: RunRecord) -> tuple[object, ...]:
    """What is written when a run begins and never changed."""
    return record.id, record.experiment, record.started, record.runner


def _concluded(record: RunRecord) -> bool:
    """Whether the run's own process wrote how it ended."""
    return record.status in _CONCLUDED


def _state(record: RunRecord) -> str:
    return "recovered" if record.status == "lost" and record.recovered else record.status


def _within(one: Copy, other: Copy) -> bool:
    """Whether the copy `one` logged nothing that `other` has not: each process only ever adds."""
    points = {name: series.points for name, series in other.series.items()}
    return all(series.points <= points.get(name, 0) for name, series in one.series.items())


def _sealed_apart(ours: RunRecord, theirs: RunRecord, differing: tuple[str, ...]) -> bool:
    """Whether nothing differs but what is made by sealing."""
    if any(path != _RECORD and not path.startswith(_SEALING) for path in differing):
        return False
    one, other = (msgspec.structs.replace(record, recovered=None, telemetry=None) for record in (ours, theirs))
    return one == other


def _differing(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(path for path in {*one, *other} if one.get(path) != other.get(path)))
