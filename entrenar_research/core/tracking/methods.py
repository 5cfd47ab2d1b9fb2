"""Configurations of training methods as parameters: `method: lora` with its settings in `lora_config`.

Settings stay ordinary nested parameters, so that each has a dotted name (`lora_config.rank`) to be queried by. What
is known of a method is used to find values that cannot be meant. Of other methods nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from entrenar_research.core import recipe
from entrenar_research.core.sweeps import suggest


class Number(msgspec.Struct, frozen=True, kw_only=True):
    """A number from `least` (`above`: greater than that) to `most` (`below`: less than that)."""

    least: float = -math.inf
    most: float = math.inf
    above: bool = False
    below: bool = False
    whole: bool = False

    def problem(self, value: Any) -> str | None:
        """What was expected, if `value` is not it."""
        kinds = int if self.whole else int | float
        good = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
        if good and self._holds(value):
            return None
        return f"expected {'a whole number' if self.whole else 'a number'}{self._range()}"

    def _holds(self, value: float) -> bool:
        low = self.least < value if self.above else self.least <= value
        return low and (value < self.most if self.below else value <= self.most)

    def _range(self) -> str:
        low = "" if self.least == -math.inf else f"{'greater than' if self.above else 'at least'} {self.least:g}"
        high = "" if self.most == math.inf else f"{'less than' if self.below else 'at most'} {self.most:g}"
        both = " and ".join(part for part in (low, high) if part)
        return f", {both}" if both else ""


class Names(msgspec.Struct, frozen=True):
    """A list of names, not empty and none of them twice."""

    def problem(self, value: Any) -> str | None:
        """What was expected, if `value` is not it."""
        if isinstance(value, list | tuple) and value and all(isinstance(item, str) and item for item in value):
            twice = next((item for item in value if list(value).count(item) > 1), None)
            return None if twice is None else f"expected each name once, {twice!r} stands in it several times"
        return "expected a list of names"


class Word(msgspec.Struct, frozen=True):
    """One of some words, or any if there are none."""

    words: tuple[str, ...] = ()

    def problem(self, value: Any) -> str | None:
        """What was expected, if `value` is not it."""
        if isinstance(value, str) and value and (not self.words or value in self.words):
            return None
        return f"expected one of: {', '.join(self.words)}" if self.words else "expected text"


class Switch(msgspec.Struct, frozen=True):
    """True or false."""

    def problem(self, value: Any) -> str | None:
        """What was expected, if `value` is not it."""
        return None if isinstance(value, bool) else "expected true or false"


Setting = Number | Names | Word | Switch
_COUNT = Number(least=1, whole=True)
_POSITIVE = Number(least=0, above=True)
_SHARE = Number(least=0, most=1)
_DROPOUT = Number(least=0, most=1, below=True)
_LORA: dict[str, Setting] = {
    "rank": _COUNT,
    "alpha": _POSITIVE,
    "targets": Names(),
    "dropout": _DROPOUT,
    "bias": Word(("none", "all", "lora_only")),
    "rslora": Switch(),
}
METHODS: dict[str, dict[str, Setting]] = {
    "lora": _LORA,
    "qlora": {
        **_LORA,
        "bits": Number(least=2, most=8, whole=True),
        "quantization": Word(("nf4", "fp4", "int8", "int4")),
        "double_quantization": Switch(),
        "compute_type": Word(),
    },
    "dora": _LORA,
    "full": {"freeze": Names(), "gradient_checkpointing": Switch()},
    "distillation": {
        "temperature": _POSITIVE,
        "alpha": _SHARE,
        "teacher": Word(),
        "loss": Word(),
        "layers": Names(),
    },
    "prefix": {"tokens": _COUNT, "projection": Switch(), "hidden_size": _COUNT, "dropout": _DROPOUT},
    "prompt": {"tokens": _COUNT, "initialization": Word()},
    "adapter": {
        "bottleneck": _COUNT,
        "reduction_factor": _POSITIVE,
        "targets": Names(),
        "dropout": _DROPOUT,
        "activation": Word(),
    },
    "ia3": {"targets": Names(), "feedforward": Names()},
}
"""The known methods with their known settings; a setting may be left out, and further ones may stand beside them.

LoRA: Hu et al. 2021 (arXiv:2106.09685); QLoRA: Dettmers et al. 2023 (2305.14314); DoRA: Liu et al. 2024 (2402.09353);
distillation: Hinton et al. 2015 (1503.02531); prefix: Li and Liang 2021 (2101.00190); prompt: Lester et al. 2021
(2104.08691); adapter: Houlsby et al. 2019 (1902.00751); IA3: Liu et al. 2022 (2205.05638).
"""
_REQUIRED = {"lora": ("rank",), "qlora": ("rank",), "dora": ("rank",), "prefix": ("tokens",), "prompt": ("tokens",)}


def findings(params: Mapping[str, Any]) -> tuple[str, ...]:
    """In words, what about the configuration of a method cannot be meant; empty if all is well or nothing is known."""
    method = params.get("method")
    if not isinstance(method, str) or method not in METHODS:
        return ()
    return (*_of_others(params, method), *_of(params, method))


def flat(params: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter by its dotted name: `lora_config.rank`. Lists stay values."""
    return recipe.dotted(params)


def _of_others(params: Mapping[str, Any], method: str) -> Iterator[str]:
    for other in METHODS:
        if other != method and f"{other}_config" in params:
            yield f"{other}_config: the method is {method}, so nothing reads it; expected {method}_config"


def _of(params: Mapping[str, Any], method: str) -> Iterator[str]:
    place = f"{method}_config"
    required = _REQUIRED.get(method, ())
    if place not in params:
        if required:
            yield f"method: found {method} without {place}; expected its settings there, at least {', '.join(required)}"
        return
    config = params[place]
    if not isinstance(config, Mapping):
        yield f"{place}: found {_shown(config)}, expected a mapping of settings"
        return
    for name in required:
        if name not in config:
            yield f"{place}.{name}: not there; {method} needs it"
    known = METHODS[method]
    for name, value in config.items():
        if name in known:
            problem = known[name].problem(value)
            if problem is not None:
                yield f"{place}.{name}: found {_shown(value)}, {problem}"
        elif close := suggest.closest(str(name), [item for item in known if item not in config]):
            yield f"{place}.{name}: not a known setting of {method}; did you mean {close[0]}?"


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
