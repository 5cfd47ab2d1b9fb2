"""Run directories for tests of the catalogue and of listings: as the tool writes them, without running anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from entrenar_research.models.run import RunRecord
from entrenar_research.store.catalogue.catalogue import Catalogue
from entrenar_research.store.catalogue.filter import Request
from entrenar_research.store.run_files import RunFiles

STUDY = "title: Runs\nlicense: MIT\nauthors:\n- family: Lovelace\n  given: Ada\n"


def new_study(place: Path) -> Path:
    """A directory that counts as a study, with nothing in it."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "study.yaml").write_text(STUDY)
    return place


def run_id(number: int, experiment: str = "line") -> str:
    """The id of the run of that number; they sort by it."""
    return f"20260101T{number:09d}Z-{experiment}-aaaa"


def record(number: int, experiment: str = "line", **fields: Any) -> RunRecord:
    """A completed run that was started `number` ms into the year, with what `fields` say."""
    plain: dict[str, Any] = {
        "id": run_id(number, experiment),
        "experiment": experiment,
        "status": "completed",
        "tool": "entrenar-research",
        "runner": "script",
        "started": f"2026-01-01T00:00:{number // 1000:02d}.{number % 1000:03d}Z",
        "duration": 1.5,
    }
    return RunRecord(**{**plain, **fields})


def put(root: Path, made: RunRecord, *, closed: bool = True) -> Path:
    """Puts a run into the study; returns its directory."""
    runs = RunFiles(root)
    directory = runs.open(made)
    if closed:
        runs.close(made)
    return directory


def listed(root: Path, **request: Any) -> list[str]:
    """The ids that a listing of the study gives, with a catalogue opened for it alone."""
    catalogue = Catalogue(root)
    try:
        catalogue.refresh()
        return catalogue.select(Request(**request)).ids
    finally:
        catalogue.close()


def statuses(root: Path) -> dict[str, str]:
    """Every run and its status as it is shown."""
    catalogue = Catalogue(root)
    try:
        catalogue.refresh()
        listing = catalogue.select(Request(columns=["status"]))
        return {name: row[0] for name, row in zip(listing.ids, listing.rows, strict=True)}
    finally:
        catalogue.close()
