# mypy: ignore-errors
"""Writes runs with MLflow itself into the store given, and what it should read back as JSON to standard output."""

import json
import math
import os
import random
import sys
from pathlib import Path

import mlflow
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

uri, scratch, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
mlflow.set_tracking_uri(uri)
mlflow.set_experiment("Übung 1 / LoRA")
client = MlflowClient()
random.seed(7)
VALUES = [1.0, math.nan, math.inf, -math.inf, -0.0, 5e-324, 0.1, 1e308, -7]


def logged(run_id: str) -> dict[str, object]:
    """What MLflow reads back."""
    run = client.get_run(run_id)
    history = {key: client.get_metric_history(run_id, key) for key in run.data.metrics}
    return {
        "status": run.info.status,
        "start": run.info.start_time,
        "params": run.data.params,
        "metrics": {k: [[p.step, repr(p.value), p.timestamp] for p in points] for k, points in history.items()},
    }


runs = {}
with mlflow.start_run(run_name="outer") as outer:
    mlflow.log_params(
        {"lr": 0.1, "layers": 12, "deep/one": "x\ny", "empty": "", "flag": True, "none": None, "1e5": "1e5"}
    )
    mlflow.set_tags({"note": "hi", "mlflow.source.git.commit": "0" * 40, "mlflow.source.git.branch": "main"})
    client.log_batch(
        outer.info.run_id,
        metrics=[Metric("loss", v, 1_700_000_000_000 + i, i) for i, v in enumerate(VALUES)],
    )
    shuffled = random.sample(range(count), count)
    for start in range(0, count, 500):
        part = [Metric("val/acc/top 1", s / 7, 1_700_000_000_000 + s, s) for s in shuffled[start : start + 500]]
        client.log_batch(outer.info.run_id, metrics=part)
    client.log_batch(outer.info.run_id, metrics=[Metric(f"key {i}", i, 1, i) for i in range(300)])
    client.log_batch(outer.info.run_id, metrics=[Metric("early", i, 5, i - 3) for i in range(6)])
    (scratch / "curve.csv").write_text("a,b\n")
    (scratch / "model.pkl").write_bytes(b"\x80\x04N.")
    mlflow.log_artifact(str(scratch / "curve.csv"), "plots")
    mlflow.log_artifact(str(scratch / "model.pkl"))
    with mlflow.start_run(run_name="inner", nested=True) as inner:
        mlflow.log_metric("m", 1)
for status in ("FAILED", "KILLED"):
    run = mlflow.start_run(run_name=status)
    mlflow.end_run(status)
    runs[run.info.run_id] = logged(run.info.run_id)
gone = mlflow.start_run(run_name="gone")
mlflow.end_run()
client.delete_run(gone.info.run_id)
left = mlflow.start_run(run_name="open")
for run in (outer, inner, left):
    runs[run.info.run_id] = logged(run.info.run_id)
sys.stdout.write(
    json.dumps({"runs": runs, "outer": outer.info.run_id, "inner": inner.info.run_id, "deleted": gone.info.run_id})
    + "\n"
)
sys.stdout.flush()
os._exit(0)  # the open run stays open
