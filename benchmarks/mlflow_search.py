"""The search of MLflow's file store, timed; a program for MLflow's own environment.

Usage: python mlflow_search.py DIRECTORY RUNS. One run is made by the API, the others are copies of it with their own
ids and values, as the API would have written them. Prints the seconds of each search as JSON.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import time
from pathlib import Path

os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
PARAMS = {"learning_rate": 0.1, "batch_size": 32, "layers": 3, "optimizer": "adam", "seed": 1}
METRICS = ("loss", "accuracy", "gradient_norm")
POINTS = 100
REPETITIONS = 3


def main() -> None:
    """Makes the store and searches it for the best hundred by a metric."""
    from mlflow.tracking import MlflowClient

    place, count = Path(sys.argv[1]).resolve(), int(sys.argv[2])
    client = MlflowClient(tracking_uri=place.as_uri())
    experiment = client.create_experiment("bench")
    run = client.create_run(experiment)
    for name, value in PARAMS.items():
        client.log_param(run.info.run_id, name, value)
    for name in METRICS:
        for step in range(POINTS):
            client.log_metric(run.info.run_id, name, 1 / (1 + step), step=step)
    client.set_terminated(run.info.run_id)
    original = place / experiment / run.info.run_id
    for number in range(1, count):
        clone(original, f"a{number:031d}", random.Random(number))  # noqa: S311 - made-up figures
    seconds = []
    for _ in range(REPETITIONS):
        began = time.perf_counter()
        found = client.search_runs([experiment], order_by=["metrics.loss ASC"], max_results=100)
        seconds.append(time.perf_counter() - began)
        if len(found) != min(100, count):
            raise AssertionError(len(found))
    sys.stdout.write(json.dumps(seconds))


def clone(original: Path, run_id: str, chance: random.Random) -> None:
    """A copy of a run with another id and another last value of each metric."""
    copy = original.with_name(run_id)
    shutil.copytree(original, copy)
    meta = copy / "meta.yaml"
    meta.write_text(meta.read_text().replace(original.name, run_id))
    for name in METRICS:
        with (copy / "metrics" / name).open("a") as stream:
            stream.write(f"{time.time_ns() // 1_000_000} {chance.random()} {POINTS}\n")


if __name__ == "__main__":
    main()
