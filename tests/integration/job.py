"""The job of the acceptance: a newcomer's numpy script becomes a sealed, cited bundle. Counted in commands."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import World

SCRIPT = '''\
"""Softmax regression on points in four groups."""

import argparse
import json

import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--data", default="points.csv")
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=50)
parser.add_argument("--seed", type=int, default=0)
options = parser.parse_args()

table = np.loadtxt(options.data, delimiter=",")
x, y = table[:, :-1], table[:, -1].astype(int)
chance = np.random.default_rng(options.seed)
order = chance.permutation(len(x))
x, y = x[order], y[order]
split = len(x) * 4 // 5
targets = np.eye(4)[y]
weights = np.zeros((x.shape[1], 4))

rows = ["epoch,loss"]
for epoch in range(options.epochs):
    scores = x[:split] @ weights
    scores = np.exp(scores - scores.max(1, keepdims=True))
    scores /= scores.sum(1, keepdims=True)
    loss = -np.log(scores[np.arange(split), y[:split]]).mean()
    rows.append(f"{epoch},{loss:.6f}")
    weights -= options.lr * x[:split].T @ (scores - targets[:split]) / split

accuracy = float(((x[split:] @ weights).argmax(1) == y[split:]).mean())
np.savez("model.npz", weights=weights)
with open("metrics.json", "w") as stream:
    json.dump({"accuracy": accuracy, "loss": float(loss)}, stream)
with open("curve.csv", "w") as stream:
    stream.write("\\n".join(rows) + "\\n")
print(f"accuracy {accuracy:.3f}")
'''
PERSON = ("--title", "Four groups", "--author", "Ada Lovelace", "--license", "MIT")
AUTHOR = (
    ("init", "groups", *PERSON),
    ("experiment", "add", "softmax", "--yes", "--", "python", "train.py", "--lr", "0.1"),
    ("run", "softmax", "--set", "lr=0.5"),
    ("runs", "compare", "softmax"),
    ("cite",),
    ("keys", "new"),
    ("seal", "experiment", "softmax", "-m", "First"),
    ("bundle", "-o", "../groups.crate.zip"),
)
"""What the author types; between the first and the second the script and the data are put into the study."""
READER = (("verify", "groups.crate.zip", "--replay"),)
"""What the reader types, who has the bundle and nothing else."""


def points() -> str:
    """Four clouds of points in the plane with their numbers, the same each time."""
    chance = random.Random(0)
    rows = []
    for number in range(200):
        group = number % 4
        across, up = (1 if group & 1 else -1), (1 if group & 2 else -1)
        rows.append(f"{chance.gauss(across, 0.4):.4f},{chance.gauss(up, 0.4):.4f},{group}\n")
    return "".join(rows)


def carry_out(world: World, base: Path, *, within: Sequence[str] = ()) -> dict[str, str]:
    """The author's part in `base/groups`; what each command printed. `within` is put before every command."""
    said = {}
    study = base / "groups"
    for words in AUTHOR:
        cwd = base if words[0] == "init" else study
        done = world.run(*within, "entrenar-research", *words, cwd=cwd)
        said[" ".join(words[:2])] = done.stdout
        if words[0] == "init":
            (study / "train.py").write_text(SCRIPT)
            (study / "points.csv").write_text(points())
    return said


def newcomer(home: Path, like: World) -> World:
    """Somebody whose Git knows a name, and who has no key yet."""
    home.mkdir()
    world = World(home)
    world.environment["PATH"] = like.environment["PATH"]
    world.run("git", "config", "--global", "user.name", "Ada Lovelace", cwd=home)
    world.run("git", "config", "--global", "user.email", "ada@example.org", cwd=home)
    return world
