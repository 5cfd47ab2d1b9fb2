"""`runs remove`: what nothing stands on goes in one step; what lives never does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import World
from tests.integration import checking
from tests.integration.open_runs import ids, lose, three_points

LOST, CHILD = "20200101T000000000Z-alone-aaaa", "20200102T000000000Z-alone-bbbb"


@pytest.fixture(autouse=True)
def _in_the_world(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)


def test_a_run_that_nothing_stands_on(world: World, tiny: Path) -> None:
    lose(tiny, LOST)
    (kept,) = set(ids(tiny)) - {LOST}
    said = world.tool("runs", "remove", "aaaa", cwd=tiny, status=2).stderr
    assert said == "error: 1 run would be removed\nhint: give --yes: there is nobody here to ask\n"
    assert ids(tiny) == [LOST, kept]
    assert "removed 1 run" in world.tool("runs", "remove", "aaaa", "--yes", cwd=tiny).stdout
    assert ids(tiny) == [kept]
    assert not (tiny / ".entrenar/removed").exists()
    assert checking.passes(checking.check(tiny))


def test_what_stands_on_a_run_is_named(world: World, tiny: Path) -> None:
    (run,) = ids(tiny)
    said = world.tool("runs", "remove", "line", "--yes", cwd=tiny, status=2).stderr
    for words in (
        f"run {run} stays: the golden trace line was made of it",
        "it made the result of line",
        "the tag experiment/line/v1 holds it",
        "the tag golden/line/v1 holds it",
    ):
        assert words in said
    assert "hint: --force removes it all the same" in said
    assert ids(tiny) == [run]
    assert "the golden trace line was made of it" in world.tool(
        "runs", "remove", run, "--yes", "--force", cwd=tiny
    ).stdout  # fmt: skip
    assert ids(tiny) == []


def test_lineage_holds_a_run_unless_all_of_it_goes(world: World, tiny: Path) -> None:
    log = three_points()
    log.note("parent", run=LOST, relationship="initialization")
    lose(tiny, LOST)
    lose(tiny, CHILD, log)
    world.tool("runs", "recover", cwd=tiny)
    said = world.tool("runs", "remove", LOST, "--yes", cwd=tiny, status=2).stderr
    assert f"run {CHILD} comes from it" in said
    world.tool("runs", "remove", LOST, CHILD, "--yes", cwd=tiny)
    assert not {LOST, CHILD} & set(ids(tiny))


def test_a_record_that_cannot_be_read_goes_by_its_id(world: World, tiny: Path) -> None:
    directory = lose(tiny, LOST)
    (directory / "run.yaml").write_text("schema: [")
    assert "its record cannot be read" in world.tool("runs", "remove", LOST, "--yes", cwd=tiny).stdout
    assert LOST not in ids(tiny)


def test_a_removal_that_was_cut_short_is_finished_by_the_next(world: World, tiny: Path) -> None:
    lose(tiny, CHILD)
    lose(tiny, LOST).rename(tiny / ".entrenar/removed")
    world.tool("runs", "remove", CHILD, "--yes", cwd=tiny)
    assert not (tiny / ".entrenar/removed").exists()


def test_an_unknown_run(world: World, tiny: Path) -> None:
    assert "no run named 'lnie'" in world.tool("runs", "remove", "lnie", "--yes", cwd=tiny, status=2).stderr
