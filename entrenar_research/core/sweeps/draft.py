"""A first `sweep.yaml` for an experiment, from its parameters as they are now: a person goes on from there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from entrenar_research.models.experiment import Experiment

_HEAD = """\
# What to search for. `entrenar-research sweep run {name}` carries it out.
experiment: {experiment}
objective: {{metric: {metric}, goal: {goal}}}{unsure}

# random, grid (every combination), or tpe (goes where it was good before)
strategy: random
seed: 0
budget: {{trials: 20}}  # and, or instead, time: 2h
# To stop trials that do badly, by what they log: pruning: {{type: hyperband, min: 1, max: 27}}
# keep: best  # whose result files to keep: best, all or none

# Take a # away to search over a parameter, and set its range to what makes sense.
#   {{type: float, low: 0.001, high: 0.1, log: true}}    {{type: float, low: 0.0, high: 1.0, step: 0.1}}
#   {{type: int, low: 10, high: 100, step: 10}}          {{type: choice, values: [sgd, adam]}} or just [sgd, adam]
#   only for one of them: {{type: float, low: 0.0, high: 0.99, when: {{param: optimizer, is: [sgd]}}}}
space:
"""


def text(name: str, experiment: Experiment, params: Mapping[str, Any]) -> str:
    """The whole file. `params` are the experiment's by dotted key; floats are searched, the rest is proposed.

    Without a float the first whole number is searched, and without any number the first parameter.
    """
    metrics = experiment.declaration.metrics
    aimed = next((key for key, metric in metrics.items() if metric.goal != "none"), None)
    metric = aimed or next(iter(metrics), "loss")
    goal = metrics[metric].goal if aimed else "minimize"
    unsure = "" if aimed else "  # is this the metric, and is less of it better?"
    chosen = _searched(params)
    lines = [f"{'' if key in chosen else '# '}{_key(key)}: {_proposal(value)}" for key, value in params.items()]
    head = _HEAD.format(name=name, experiment=experiment.name, metric=_key(metric), goal=goal, unsure=unsure)
    return head + "".join(f"  {line}\n" for line in lines)


def _searched(params: Mapping[str, Any]) -> set[str]:
    floats = {key for key, value in params.items() if isinstance(value, float)}
    whole = [key for key, value in params.items() if isinstance(value, int) and not isinstance(value, bool)]
    return floats or set(whole[:1]) or set(list(params)[:1])


def _proposal(value: Any) -> str:
    """A range around a number, both values of a truth value, of anything else the one that it has."""
    if isinstance(value, bool):
        return "[true, false]"
    if isinstance(value, int):
        reach = sorted((value // 2, value * 2)) if value else [0, 10]
        return f"{{type: int, low: {reach[0]}, high: {reach[1]}}}"
    if isinstance(value, float):
        if value <= 0:
            reach_of = sorted((value * 2, 0.0)) if value else [0.0, 1.0]
            return f"{{type: float, low: {reach_of[0]!r}, high: {reach_of[1]!r}}}"
        return f"{{type: float, low: {_round(value / 10)}, high: {_round(value * 10)}, log: true}}"
    return f"[{json.dumps(value, ensure_ascii=False, default=str)}]"


def _round(value: float) -> str:
    return repr(float(f"{value:.6g}"))


def _key(name: str) -> str:
    return (
        name
        if name.replace("_", "").replace(".", "").replace("-", "").isalnum() and not name[0].isdigit()
        else json.dumps(name)
    )
