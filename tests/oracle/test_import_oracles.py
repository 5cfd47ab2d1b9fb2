"""What the trackers themselves wrote is imported point for point: step, value, wall time, parameters.

The writers run as programs in the environment of the oracles; where we may, without any network. MLflow and
TensorBoard also say what they read back from the same files.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrenar_research.actions.runs import importing
from entrenar_research.core.foreign.tensorboard_events import nanoseconds
from entrenar_research.models.run import RunRecord
from entrenar_research.store.foreign.import_files import REPORT
from entrenar_research.store.logged import points
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.workspace import importer
from tests.oracle import judges

pytestmark = pytest.mark.oracle
WRITERS = Path(__file__).parent / "writers"
Point = tuple[int, str, int]
Write = Callable[..., Any]


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Runs a writer, in a home of its own, and returns the JSON on its last line."""
    home = tmp_path_factory.mktemp("home")

    def run(name: str, *words: Path | int | str, modules: tuple[str, ...]) -> Any:
        python = judges.python_with(*modules)
        alone = ["unshare", "-n"] if os.geteuid() == 0 else []
        environment = {
            "HOME": str(home), "PATH": "/usr/bin:/bin", "TMPDIR": str(home), "LANG": "C.UTF-8", "TZ": "UTC",
            "MLFLOW_ALLOW_FILE_STORE": "true", "WANDB_MODE": "offline", "GIT_PYTHON_REFRESH": "quiet",
        }  # fmt: skip
        command = [*alone, python, str(WRITERS / name), *map(str, words)]
        done = subprocess.run(
            command, env=environment, cwd=home, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode in (0, 3), done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


class Study:
    """A bare study to import into."""

    def __init__(self, root: Path) -> None:
        self.files = StudyFiles(root)
        (root / "runs").mkdir(parents=True)

    def import_(self, tracker: str, place: Path) -> dict[str, RunRecord]:
        """Imports everything; the records by what they were imported from."""
        report = importing.bring_in(self.files, importer(tracker), importing.Request(place), tool="test")
        assert report.problems == ()
        assert report.whole, [run.damaged for run in report.imported]
        runs = RunFiles(self.files.root)
        found = {run.origin: runs.load(str(run.run)) for run in report.imported}
        for run in report.imported:
            assert found[run.origin].telemetry is None or found[run.origin].telemetry.points == run.points  # type: ignore[union-attr]
        again = importing.bring_in(self.files, importer(tracker), importing.Request(place), tool="test")
        assert (again.imported, set(again.known), again.whole) == ((), set(found), True)
        return found

    def points(self, record: RunRecord, key: str) -> list[Point]:
        """Step, value as text (NaN is itself then) and time of every point."""
        read = points.points(RunFiles(self.files.root).directory(record.id), key)
        return [(int(s), repr(float(v)), int(t)) for s, v, t in zip(read.steps, read.values, read.times, strict=True)]

    def omissions(self, record: RunRecord) -> dict[str, int]:
        """What was left out or reads differently, with its number."""
        text = (RunFiles(self.files.root).directory(record.id) / REPORT).read_text()
        return {item["what"]: item["count"] for item in json.loads(text)["omissions"]}

    def steps_before(self, record: RunRecord) -> dict[str, list[int]]:
        """The steps of counted series as they were."""
        text = (RunFiles(self.files.root).directory(record.id) / REPORT).read_text()
        return dict(json.loads(text)["steps"])


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path / "study")


STATUSES = {"FINISHED": "completed", "FAILED": "failed", "KILLED": "cancelled", "RUNNING": "lost"}


def compare_with_mlflow(study: Study, found: dict[str, RunRecord], written: dict[str, Any]) -> None:
    """Every run as MLflow reads it back."""
    assert set(found) == {f"mlflow:{run_id}" for run_id in written["runs"]}
    for run_id, theirs in written["runs"].items():
        record = found[f"mlflow:{run_id}"]
        assert record.status == STATUSES[theirs["status"]]
        assert RunFiles(study.files.root).directory(record.id).name.startswith(record.started[:4])
        assert {key: str(value) for key, value in record.params.items()} == theirs["params"]
        assert set(record.series) == set(theirs["metrics"])
        before = study.steps_before(record)
        for key, history in theirs["metrics"].items():
            ours = study.points(record, key)
            steps = before.get(key, [step for step, _, _ in ours])
            assert sorted(zip(steps, [p[1] for p in ours], [p[2] for p in ours], strict=True)) == sorted(
                (step, value, time * 1_000_000) for step, value, time in history
            )
    outer, inner = found[f"mlflow:{written['outer']}"], found[f"mlflow:{written['inner']}"]
    assert study.steps_before(outer) == {"early": [-3, -2, -1, 0, 1, 2]}
    assert [step for step, _, _ in study.points(outer, "early")] == [0, 1, 2, 3, 4, 5]
    assert outer.experiment == "Ubung-1-LoRA"
    assert {"name=outer", "note=hi", "git.branch=main", "experiment=Übung 1 / LoRA"} <= set(outer.tags)
    assert outer.git.commit == "0" * 40
    assert f"parent=mlflow:{written['outer']}" in inner.tags
    assert outer.params["lr"] == 0.1
    assert outer.params["flag"] is True
    assert outer.params["1e5"] == "1e5"


def test_mlflow_file_store(study: Study, write: Write, tmp_path: Path) -> None:
    store = tmp_path / "mlruns"
    written = write("write_mlflow.py", store, tmp_path, 2000, modules=("mlflow",))
    found = study.import_("mlflow", store)
    compare_with_mlflow(study, found, written)
    outer = found[f"mlflow:{written['outer']}"]
    values = [value for _, value, _ in study.points(outer, "loss")]
    assert values == ["1.0", "nan", "inf", "-inf", "-0.0", "5e-324", "0.1", "1e+308", "-7.0"]
    order = json.loads(json.dumps([step for step, _, _ in study.points(outer, "val/acc/top 1")]))
    assert order != sorted(order), "points are in the order written, not sorted"
    assert [artifact.path for artifact in outer.artifacts] == ["artifacts/plots/curve.csv"]
    assert study.omissions(outer)["artifact model.pkl"] == 1


def test_mlflow_database(study: Study, write: Write, tmp_path: Path) -> None:
    python = judges.python_with("mlflow")
    if subprocess.run([python, "-c", "import sqlalchemy, alembic"], capture_output=True, check=False).returncode:
        pytest.skip("sqlalchemy and alembic, which MLflow's database needs, are not beside it")
    written = write("write_mlflow.py", f"sqlite:///{tmp_path}/mlflow.db", tmp_path, 500, modules=("mlflow",))
    found = study.import_("mlflow", tmp_path / "mlflow.db")
    compare_with_mlflow(study, found, written)
    assert sorted(path.name for path in tmp_path.glob("mlflow.db*")) == ["mlflow.db"]
    outer = found[f"mlflow:{written['outer']}"]
    assert [value for _, value, _ in study.points(outer, "loss")][1] == "nan"


def test_wandb(study: Study, write: Write, tmp_path: Path) -> None:
    written = write("write_wandb.py", tmp_path, 700, modules=("wandb",))
    [record] = study.import_("wandb", tmp_path).values()
    expected: dict[str, list[tuple[int, str]]] = {}

    def flat(step: int, name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                flat(step, f"{name}.{key}" if name else key, inner)
        else:
            expected.setdefault(name, []).append((step, repr(float(value))))

    for step, row in written["rows"]:
        flat(step, "", row)
    own = {name for name in record.series if not name.startswith("system/")}
    assert own == set(expected)
    assert len(own) > 60
    for name, rows in expected.items():
        ours = study.points(record, name)
        assert [(step, value) for step, value, _ in ours] == rows
        times = [time for _, _, time in ours]
        assert times == sorted(times)
        assert all(0 <= time / 1e9 - _seconds(record.started) < 120 for time in times)
    assert (record.status, record.exit_status, record.imported) == ("failed", 3, f"wandb:Übung 1/{written['id']}")
    assert record.params == {"lr": 0.1, "nested": {"a": [1, 2], "b": None}, "later": "x"}
    assert record.metrics == {"best": 0.25}
    assert {"name=brave", "group=g", "job_type=train", "notes=n", "t"} <= set(record.tags)
    assert record.command == "write_wandb.py"
    assert {"histogram": 1, "text": 1, "list": 1}.items() <= study.omissions(record).items()
    text = (RunFiles(study.files.root).directory(record.id) / "run.yaml").read_text()
    assert os.uname().nodename not in text.split()
    assert str(tmp_path) not in text


def _seconds(text: str) -> float:
    import datetime

    return datetime.datetime.fromisoformat(text).timestamp()


def test_tensorboard(study: Study, write: Write, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    modules = ("tensorboardX", "tensorboard", "numpy")
    written = write("write_tensorboard.py", logs, 1500, modules=modules)
    found = {record.tags[0]: record for record in study.import_("tensorboard", logs).values()}
    assert set(found) == {"name=plain", "name=plain/session", "name=tensors"}
    for name in ("plain", "tensors"):
        record = found[f"name={name}"]
        theirs = write("read_tensorboard.py", logs / name, modules=("tensorboard",))
        ours = []
        before = study.steps_before(record)
        for key in record.series:
            read = study.points(record, key)
            steps = before.get(key, [step for step, _, _ in read])
            ours += [(key, step, value, time) for step, (_, value, time) in zip(steps, read, strict=True)]
        assert sorted(ours) == sorted(_point(*point) for point in written[name])
        assert sorted(ours) == sorted(_point(*point) for point in theirs)
        written_steps = [step for tag, step, _, _ in written[name] if tag == "loss/train"]
        assert [step for key, step, _, _ in ours if key == "loss/train"] == written_steps
    tensors, session = found["name=tensors"], found["name=plain/session"]
    assert (tensors.status, tensors.duration, tensors.params) == (
        "failed", 100.0, {"rate": 0.5, "name": "x", "flag": False},
    )  # fmt: skip
    assert study.steps_before(tensors) == {"early": [-5]}
    assert session.params == {"lr": 0.1, "name": "x", "flag": True}
    assert {"text": 1, "histogram": 1, "image": 1}.items() <= study.omissions(found["name=plain"]).items()


def _point(tag: str, step: int, value: str, wall: float) -> tuple[str, int, str, int]:
    time = nanoseconds(wall)
    assert math.isclose(time / 1e9, wall, rel_tol=0, abs_tol=1e-9)
    assert time / 10**9 == wall, "a time can be had back"
    return tag, step, repr(float(value)), time
