"""Values that no careful writer writes, through the whole of an import."""

import json
from pathlib import Path

import pytest

from entrenar_research.actions.runs import importing
from entrenar_research.importers.port import Curve
from entrenar_research.models.run import RunRecord
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.workspace import importer
from tests.unit.importing.foreign import START, field, wandb_item, wandb_log, wandb_row, wandb_run, write_mlflow


def brought_in(tmp_path: Path, tracker: str, place: Path) -> tuple[RunRecord, importing.Report]:
    study = StudyFiles(tmp_path / "study")
    report = importing.bring_in(study, importer(tracker), importing.Request(place), tool="test")
    [run] = report.imported
    json.dumps(report.problems)
    return RunFiles(study.root).load(str(run.run)), report


def wandb(tmp_path: Path, *records: bytes) -> tuple[RunRecord, importing.Report]:
    place = tmp_path / "offline-run-1-x"
    place.mkdir()
    (place / "run-x.wandb").write_bytes(wandb_log([wandb_run(), *records]))
    return brought_in(tmp_path, "wandb", place)


def config(name: str, text: str) -> bytes:
    return field(5, field(1, field(1, name) + field(16, text)))


def test_half_a_surrogate_pair_and_deep_nesting(tmp_path: Path) -> None:
    deep = "[" * 300 + "1" + "]" * 300
    record, _ = wandb(tmp_path, config("half", '"\\ud800"'), config("deep", deep), config("broken", "{"))
    assert record.params["half"] == "\\ud800"
    inside = record.params["deep"]
    for _ in range(49):
        [inside] = inside
    assert inside == "[" * 251 + "1" + "]" * 251
    assert "broken" not in record.params


def test_steps_and_times_beyond_64_bits(tmp_path: Path) -> None:
    row = field(2, field(1, wandb_item("x", 1)) + field(1, field(1, "_step") + field(16, "1e400")))
    record, report = wandb(tmp_path, wandb_row(0, {"x": 1, "_timestamp": 1e300}), row, wandb_row(2, {"x": 2**53 + 1}))
    assert record.series["x"].points == 2
    assert "cannot convert float infinity to integer" in report.imported[0].damaged[0]
    kinds = {item.what: item.count for item in report.imported[0].omissions if item.kind == "kept otherwise"}
    assert kinds == {"row without a time": 2, "whole number beyond 2^53": 1}


def test_times_of_mlflow_beyond_64_bits(tmp_path: Path) -> None:
    lines = [f"{10**17} 1 0\n", "-5 2 1\n", f"{START}000 3 2\n"]
    record, report = brought_in(tmp_path, "mlflow", write_mlflow(tmp_path / "theirs", lines=lines))
    assert record.series["loss"].points == 3
    what = {item.what: item.count for item in report.imported[0].omissions}
    assert what["time that is not between 1970 and 2262"] == 2


def test_a_file_of_nothing_but_garbage_is_not_listed_line_by_line(tmp_path: Path) -> None:
    record, report = brought_in(tmp_path, "mlflow", write_mlflow(tmp_path / "theirs", lines=["rubbish\n"] * 5000))
    assert record.series == {}
    assert len(report.imported[0].damaged) == 101
    assert report.imported[0].damaged[-1] == "and 4900 more places"


@pytest.mark.parametrize("step", [2**63, -(2**63) - 1])
def test_a_step_of_more_than_64_bits_is_remembered(step: int) -> None:
    curve = Curve()
    curve.add(1, 0.5, 0)
    curve.add(step, 0.5, 2**70)
    assert (list(curve.steps), curve.odd, list(curve.times)) == ([1, 0], {1: str(step)}, [0, -1])
