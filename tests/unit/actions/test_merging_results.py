"""Which of two results counts: by descent, never by ids, clocks or the size of a Lamport time."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrenar_research.actions.runs.lineage import Relative, family
from entrenar_research.actions.runs.merging_results import Sides, Standing, standings
from entrenar_research.models.tracking import Lineage, Parent
from entrenar_research.store.study_files import StudyFiles

EARLY, LATE = "20260101T000000000Z-line-aaaa", "20270101T000000000Z-line-bbbb"


def run(run_id: str, result: str | None, *parents: str, experiment: str = "line") -> Relative:
    links = tuple(Parent(run=parent, relationship="initialization") for parent in parents)
    return Relative(
        id=run_id,
        experiment=experiment,
        status="completed",
        lineage=Lineage(parents=links) if links else None,
        result=result,
        result_md5=result,
    )


def decided(tmp_path: Path, ours: list[Relative], theirs: list[Relative], prefer: str | None = None) -> list[Standing]:
    places = [tmp_path / "ours", tmp_path / "theirs"]
    for place in places:
        place.mkdir()
    here, there = ({item.id: item for item in side} for side in (ours, theirs))
    sides = Sides(
        study=StudyFiles(places[0]),
        other=StudyFiles(places[1]),
        ours=here,
        theirs=there,
        dag=family({**here, **there}.values()).dag,
    )
    return list(standings(sides, prefer=prefer, take=False))  # type: ignore[arg-type]


def test_the_descendant_counts_though_its_clock_was_behind(tmp_path: Path) -> None:
    ours, theirs = run(LATE, "a"), run(EARLY, "b", LATE)
    (found,) = decided(tmp_path, [ours], [theirs])
    assert (found.choice, found.why) == ("theirs", f"{EARLY} descends from {LATE}")


def test_descent_goes_through_runs_of_other_experiments(tmp_path: Path) -> None:
    between = run("20260601T000000000Z-prune-cccc", None, EARLY, experiment="prune")
    (found,) = decided(tmp_path, [run(LATE, "a", between.id), between], [run(EARLY, "b")])
    assert (found.choice, found.next) == ("ours", None)


def test_a_person_cannot_prefer_against_descent(tmp_path: Path) -> None:
    (found,) = decided(tmp_path, [run(LATE, "a", EARLY)], [run(EARLY, "b")], prefer="theirs")
    assert found.choice == "ours"


def test_a_greater_lamport_time_decides_nothing(tmp_path: Path) -> None:
    roots = [run(f"20250101T00000000{number}Z-root-aaaa", None, experiment="root") for number in range(3)]
    chain = [roots[0], run(roots[1].id, None, roots[0].id, experiment="root")]
    (found,) = decided(tmp_path, [run(EARLY, "a")], [*chain, run(LATE, "b", chain[1].id)])
    assert (found.choice, found.why) == ("concurrent", "neither comes from the other")
    assert found.next == "`--prefer ours` or `--prefer theirs` decides"


@pytest.mark.parametrize(
    ("prefer", "next_step"), [("ours", "entrenar-research run line"), ("theirs", "`--prefer theirs`")]
)
def test_preference_decides_between_concurrent_results(tmp_path: Path, prefer: str, next_step: str) -> None:
    (found,) = decided(tmp_path, [run(EARLY, "a")], [run(LATE, "b")], prefer=prefer)
    assert (found.choice, found.why) == (prefer, f"neither comes from the other; you prefer {prefer}")
    assert found.next is not None
    assert next_step in found.next


def test_the_same_result_is_nothing_to_decide(tmp_path: Path) -> None:
    assert decided(tmp_path, [run(EARLY, "a")], [run(LATE, "a")]) == []


def test_a_result_that_only_one_copy_has(tmp_path: Path) -> None:
    (found,) = decided(tmp_path, [], [run(LATE, "b")])
    assert (found.choice, found.why) == ("theirs", "it has a result only there")
    (tmp_path / "other").mkdir()
    assert decided(tmp_path / "other", [run(LATE, "b")], []) == []


def test_runs_without_a_result_and_failed_ones_decide_nothing(tmp_path: Path) -> None:
    assert decided(tmp_path, [run(EARLY, None)], [run(LATE, None)]) == []
