"""Where `dvc.yaml` and a declaration say different things, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from entrenar_research.models.experiment import Experiment

_HARMLESS = frozenset({"always_changed", "cmd", "deps", "desc", "meta", "outs", "params"})


def stage(found: Mapping[str, Any], wanted: Mapping[str, Any], experiment: Experiment) -> list[str]:
    """The differences between the stage that is there and the one that belongs to the declaration."""
    words = []
    if found.get("cmd") != wanted["cmd"]:
        words.append(f"dvc.yaml runs {found.get('cmd')!r}, expected {wanted['cmd']!r}")
    for key, what in (("deps", "dependency"), ("params", "parameter file"), ("outs", "output")):
        words += _listed(what, _options(found.get(key)), _options(wanted.get(key)), experiment.file)
    outputs = _options(found.get("outs"))
    if experiment.result in outputs:
        options = outputs[experiment.result] or {}
        if not options.get("persist"):
            words.append(f"dvc.yaml lets DVC delete {experiment.result} before a run: `persist: true` is missing there")
        if options.get("cache") is False:
            words.append(f"dvc.yaml keeps {experiment.result} out of DVC's cache: `cache: false` stands there")
    declared = _options(wanted["params"])[experiment.file]
    watched = _options(found.get("params")).get(experiment.file, declared)
    if sorted(watched or []) != sorted(declared):
        words.append(f"dvc.yaml watches {_keys(watched)} of {experiment.file}, expected {_keys(declared)}")
    words += [f"dvc.yaml gives the stage `{key}`, which changes what DVC does" for key in found if key not in _HARMLESS]
    return words


def drawn(key: str, found: Any, wanted: Sequence[Any], experiment: Experiment) -> list[str]:
    """The differences between the `metrics` or `plots` that are there and those of the declaration."""
    listed, declared = _options(found), _options(wanted)
    listed = {item: options for item, options in listed.items() if item.startswith(f"{experiment.result}/")}
    words = _listed(key.removesuffix("s"), listed, declared, experiment.file)
    return words + [
        f"dvc.yaml draws {item} otherwise than {experiment.file} declares it"
        for item in sorted(listed.keys() & declared.keys())
        if (listed[item] or None) != (declared[item] or None)
    ]


def name(item: Any) -> str:
    """The path of an entry in one of DVC's lists: the entry itself, or the only key of a mapping."""
    return str(next(iter(item))) if isinstance(item, dict) and item else str(item)


def _listed(what: str, found: Mapping[str, Any], wanted: Mapping[str, Any], file: str) -> list[str]:
    words = [f"dvc.yaml lists the {what} {item}, {file} does not" for item in sorted(found.keys() - wanted.keys())]
    return words + [
        f"{file} declares the {what} {item}, dvc.yaml does not list it" for item in sorted(wanted.keys() - found.keys())
    ]


def _options(entries: Any) -> dict[str, Any]:
    """The entries of one of DVC's lists by path, with what is said about each."""
    if isinstance(entries, dict):
        return dict(entries)
    return {name(item): item[name(item)] if isinstance(item, dict) and item else None for item in entries or []}


def _keys(keys: Any) -> str:
    return ", ".join(f"`{key}`" for key in keys) if keys else "all"
