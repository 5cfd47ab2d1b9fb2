# mypy: ignore-errors
"""Writes an offline run with wandb itself below the directory given; what was logged as JSON to standard output."""

import json
import math
import random
import sys

import wandb

place, count = sys.argv[1], int(sys.argv[2])
random.seed(7)
run = wandb.init(
    project="Übung 1", name="brave", group="g", job_type="train", tags=["t"], notes="n", dir=place,
    config={"lr": 0.1, "nested": {"a": [1, 2], "b": None}},
)  # fmt: skip
rows = []
for step in range(count):
    row = {
        "loss": random.random(),
        "whole": step,
        "val": {"acc": step / 7, "deep": {"x": -step}},
        "flag": step % 2 == 0,
    }
    if step % 3 == 0:
        row["odd"] = [math.nan, math.inf, -math.inf, 5e-324, -0.0, 1e308, 0.1][step // 3 % 7]
    if step % 100 == 0:
        row |= {f"key {i}": step + i for i in range(60)}
    rows.append([step, row])
    run.log(row)
rows.append([count + 50, {"late": 1.5}])
run.log({"late": 1.5}, step=count + 50)
run.log({"histogram": wandb.Histogram([1, 2, 3]), "text": "words", "list": [1, 2]})
run.config.update({"later": "x"})
run.summary["best"] = 0.25
run.finish(exit_code=3)
sys.stdout.write("\n" + json.dumps({"rows": rows, "id": run.id}) + "\n")
