"""What the tests of sweeps share: a quick experiment without any library, and looking at sweeps."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from entrenar_research.actions.sweeps import look
from entrenar_research.actions.sweeps import work as sweep_work
from entrenar_research.actions.sweeps.work import Share
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.views.terminal import sweeps
from entrenar_research.workspace import Workspace
from tests.conftest import World

SCRIPT = '''\
"""y = (x - 3)^2, plus 0.5 for Adam. Waits for the file `hold` to go, fails at x = 13."""

import json
import os
import sys
import time

text = open(sys.argv[1]).read().splitlines()
params = dict(line.partition("#")[0].split(": ", 1) for line in text if ": " in line)
x, optimizer = float(params["x"]), params["optimizer"].strip()
open(f"began-{os.getpid()}", "w").close()
while os.path.exists("hold"):
    time.sleep(0.01)
if x == 13:
    raise SystemExit("unlucky thirteen")
with open(os.path.join(sys.argv[2], "metrics.json"), "w") as stream:
    json.dump({"y": (x - 3) ** 2 + (0.5 if optimizer == "adam" else 0)}, stream)
'''
PARAMS = "# Where to look\nx: 1.5  # anything\nn: 2\noptimizer: sgd\nmomentum: 0.5\nnested: {deep: 1.0}\n"
DECLARATION = """\
command: python experiments/toy/toy.py ${params} ${result}
params: experiments/toy/params.yaml
code: [experiments/toy/toy.py]
outputs: [metrics.json]
metrics: {y: {goal: minimize}}
trace: none
"""
SWEEP = """\
experiment: toy
objective: {metric: y}
strategy: random
seed: 7
budget: {trials: 4}
space:
  x: {type: float, low: 0.0, high: 10.0}
"""
GRID = """\
experiment: toy
objective: {metric: y}
strategy: grid
space:
  x: [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
"""


def add_toy(study: Path, sweep: str = SWEEP, *, name: str = "s", script: str = SCRIPT) -> Path:
    """Adds the experiment and a sweep over it to a study."""
    place = study / "experiments" / "toy"
    place.mkdir(exist_ok=True)
    (place / "toy.py").write_text(script)
    (place / "params.yaml").write_text(PARAMS)
    (place / "experiment.yaml").write_text(DECLARATION)
    write_sweep(study, sweep, name=name)
    return study


def write_sweep(study: Path, text: str, *, name: str = "s") -> None:
    """Writes a `sweep.yaml`."""
    (study / "sweeps" / name).mkdir(parents=True, exist_ok=True)
    (study / "sweeps" / name / "sweep.yaml").write_text(text)


def seen(study: Path, name: str = "s") -> dict[str, Any]:
    """The sweep as `sweep show --format json` has it."""
    found = json.loads(msgspec.json.encode(sweeps.plain(look.look(StudyFiles(study), name), {})))
    assert isinstance(found, dict)
    return found


def work(world: World, study: Path, name: str = "s", **share: Any) -> list[dict[str, Any]]:
    """Carries out a sweep as one worker, in this process; every trial of it."""
    means = msgspec.structs.replace(Workspace(study).means(lambda words: None), environment=world.environment)
    sweep_work.work(StudyFiles(study), name, Share(**share), means, lambda trial: None)
    trials: list[dict[str, Any]] = seen(study, name)["trials"]
    return trials


def begin(world: World, study: Path, *words: str) -> subprocess.Popen[str]:
    """Begins `sweep run s` without waiting for its end."""
    return subprocess.Popen(
        ["entrenar-research", "sweep", "run", "s", *words],
        cwd=study, env=world.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Polls until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


def counted(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The trials that count: the last one of each place."""
    return list({trial["slot"]: trial for trial in trials}.values())
