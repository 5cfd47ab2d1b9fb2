"""Choosing the parameters of a trial, with Optuna's samplers and pruner.

The seed of each trial comes from the sweep's seed and the trial's place alone, so that a sweep that was interrupted
goes on as it would have. Optuna is imported where it is used: it takes 0.3 s, and is an extra.
"""

from __future__ import annotations

import copy
import itertools
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from entrenar_research.core.sweeps import space as sweep_space
from entrenar_research.errors import MissingToolError
from entrenar_research.models.sweep import Choice, Dimension, Hyperband, Sweep, Whole

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.trial import FrozenTrial, Trial


def optuna() -> Any:
    """Optuna, silenced.

    Raises:
        MissingToolError: if it is not installed.
    """
    try:
        import optuna as library  # an extra, and 0.3 s
    except ImportError as error:
        raise MissingToolError(
            "sweeps need Optuna, which is not installed", hint="pip install 'entrenar-research[sweeps]'"
        ) from error
    library.logging.set_verbosity(library.logging.CRITICAL)
    return library


def distribution(dimension: Dimension) -> BaseDistribution:
    """The dimension as Optuna has it. A range ends at the last value that its steps reach."""
    from optuna import distributions  # see `optuna`

    if isinstance(dimension, Choice):
        return distributions.CategoricalDistribution([label(value) for value in dimension.values])
    if isinstance(dimension, Whole):
        numbers = sweep_space.whole_numbers(dimension)
        return distributions.IntDistribution(dimension.low, numbers[-1], log=dimension.log, step=dimension.step)
    high = dimension.high if dimension.step is None else sweep_space.real_numbers(dimension)[-1]
    return distributions.FloatDistribution(dimension.low, high, log=dimension.log, step=dimension.step)


def label(value: Any) -> Any:
    """A value of a choice as Optuna can hold it: a list becomes text."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def value_of(dimension: Dimension, internal: Any) -> Any:
    """The value of a dimension that Optuna's value stands for."""
    if isinstance(dimension, Choice):
        return next(value for value in dimension.values if label(value) == internal)
    if isinstance(dimension, Whole):
        return int(internal)
    if dimension.step is None:
        return float(internal)
    return sweep_space.real_numbers(dimension)[round((internal - dimension.low) / dimension.step)]


def pruner(pruning: Hyperband | None) -> BasePruner:
    """What decides whether a trial goes on."""
    from optuna import pruners  # see `optuna`

    if pruning is None:
        return pruners.NopPruner()
    return pruners.HyperbandPruner(min_resource=pruning.low, max_resource=pruning.high, reduction_factor=pruning.factor)


def chosen(sweep: Sweep, slot: int, before: Sequence[FrozenTrial]) -> dict[str, Any]:
    """The parameters of the trial at `slot`, after all the trials `before` it (in the order of their numbers).

    For a grid they are those of its point of that number, which has to be there.
    """
    if sweep.declaration.strategy == "grid":
        return next(itertools.islice(sweep_space.points(sweep.space), slot, None))
    library = optuna()
    seed = sweep_space.seed_of(sweep.declaration.seed, slot)
    tpe = sweep.declaration.strategy == "tpe"
    sampler = library.samplers.TPESampler(seed=seed) if tpe else library.samplers.RandomSampler(seed=seed)
    study = library.create_study(
        study_name=sweep.name, direction=sweep.goal, sampler=sampler, pruner=pruner(sweep.declaration.pruning)
    )
    if tpe:
        study.add_trials([_bare(trial) for trial in before])
    trial, found = study.ask(), dict[str, Any]()
    for name, dimension in sweep.space.items():
        if sweep_space.active(dimension.when, found):
            found[name] = value_of(dimension, _suggested(trial, name, dimension))
    return found


def _bare(trial: FrozenTrial) -> FrozenTrial:
    """A trial without what the sampler does not ask for: Optuna copies all of it."""
    found = copy.copy(trial)
    found.user_attrs = {}
    return found


def _suggested(trial: Trial, name: str, dimension: Dimension) -> Any:
    space: Any = distribution(dimension)
    if isinstance(dimension, Choice):
        return trial.suggest_categorical(name, space.choices)
    if isinstance(dimension, Whole):
        return trial.suggest_int(name, space.low, space.high, step=space.step, log=space.log)
    return trial.suggest_float(name, space.low, space.high, step=space.step, log=space.log)


def is_rung(pruning: Hyperband, step: int, last: int | None) -> bool:
    """Whether a trial that was looked at in step `last` has come, in `step`, to where one is looked at again."""
    return _rung(pruning, step) > (-1 if last is None else _rung(pruning, last))


def _rung(pruning: Hyperband, step: int) -> int:
    """How many of the steps min, min * factor, min * factor^2, ... (up to max) have been reached, less one."""
    reached = min(step, pruning.high) // pruning.low
    return -1 if reached < 1 else math.floor(math.log(reached, pruning.factor) + 1e-9)
