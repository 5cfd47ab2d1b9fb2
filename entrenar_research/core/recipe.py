"""The recipe of a run: what goes in, its digest, and in words how two recipes differ."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from entrenar_research.core import digests
from entrenar_research.core.sweeps import suggest
from entrenar_research.errors import UsageError
from entrenar_research.models.experiment import Experiment
from entrenar_research.models.run import RunRecord

_PLACE = re.compile(r"\$\{([^}]*)\}")


def expand(
    command: str, *, result: str, params_file: str | None, seed: int | None, params: Mapping[str, Any]
) -> list[str]:
    """The words of a command with `${result}`, `${params}`, `${seed}` and `${params.<key>}` replaced.

    Raises:
        UsageError: if a placeholder is unknown, or the quotes do not match.
    """
    known: dict[str, str] = {"result": result}
    if params_file is not None:
        known["params"] = params_file
    if seed is not None:
        known["seed"] = str(seed)
    known.update({f"params.{key}": _word(value) for key, value in params.items()})

    def replace(match: re.Match[str]) -> str:
        if match.group(1) not in known:
            error = suggest.unknown("placeholder", match.group(1), known)
            raise UsageError(f"command: {error.message}", hint=error.hint)
        return known[match.group(1)]

    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"command {command!r}: {str(error).lower()}") from error
    if not words:
        raise UsageError("the command is empty")
    return [_PLACE.sub(replace, word) for word in words]


def command_line(words: Iterable[str]) -> str:
    """The words as one command that `expand` takes apart again: quoted as for a shell, placeholders left bare."""
    return " ".join(word if _bare(word) else shlex.quote(word) for word in words)


def _bare(word: str) -> bool:
    rest = _PLACE.sub("", word)
    return bool(word) and shlex.quote(rest or "x") == (rest or "x") and not re.search(r"[\s'\"\\]", word)


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def parts(record: RunRecord) -> dict[str, Any]:
    """What a recipe consists of: command, seed, parameters, code, inputs, environment."""
    environment = record.environment
    return {
        "command": record.command,
        "seed": record.seed,
        "params": _plain(declared_params(record)),
        "code": {item.path: item.digest for item in record.code},
        "inputs": {item.path: item.digest for item in record.inputs},
        "python": environment.python if environment else None,
        "packages": dict(environment.packages) if environment else {},
        "variables": dict(environment.variables) if environment else {},
    }


def declared_params(record: RunRecord) -> dict[str, Any]:
    """The parameters that went in: those of the params file, without what the script logged besides."""
    return {name: value for name, value in record.params.items() if name not in record.logged_params}


def _plain(value: Any) -> Any:
    """A value as JSON can hold it: numbers that JSON lacks become text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def digest(record: RunRecord) -> str:
    """The recipe digest: over code, parameters, input digests and environment, never over times or places."""
    return digests.sha256(digests.canonical_json(parts(record)))


def differences(old: RunRecord, new: RunRecord) -> tuple[str, ...]:
    """Which parameter, input, code file or environment entry changed, from what to what.

    Packages are compared only where the old record knows them: one that was not there did not matter.
    """
    before, now = parts(old), parts(new)
    words = []
    if before["command"] != now["command"]:
        words.append(f"command: {before['command']} -> {now['command']}")
    if before["seed"] != now["seed"]:
        words.append(f"seed: {before['seed']} -> {now['seed']}")
    words += _changes("parameter", dotted(before["params"]), dotted(now["params"]))
    words += _changes("code", before["code"], now["code"], shorten=True)
    words += _changes("input", before["inputs"], now["inputs"], shorten=True)
    if before["python"] != now["python"]:
        words.append(f"environment: Python {before['python']} -> {now['python']}")
    shared = {name: now["packages"].get(name, "absent") for name in before["packages"]}
    words += _changes("environment", before["packages"], shared)
    words += _changes("environment", before["variables"], now["variables"])
    return tuple(words)


def dotted(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested parameters by dotted key, as `${params.<key>}` names them; lists stay values."""
    flat: dict[str, Any] = {}
    for key, value in params.items():
        if isinstance(value, Mapping) and value:
            flat.update(dotted(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _changes(what: str, old: Mapping[str, Any], new: Mapping[str, Any], *, shorten: bool = False) -> list[str]:
    words = []
    for key in sorted({*old, *new}):
        if key in old and key in new and digests.canonical_json(old[key]) == digests.canonical_json(new[key]):
            continue
        before = _shown(old[key], shorten=shorten) if key in old else "absent"
        after = _shown(new[key], shorten=shorten) if key in new else "absent"
        words.append(f"{what} {key}: {before} -> {after}")
    return words


def _shown(value: Any, *, shorten: bool) -> str:
    return str(value).removeprefix("sha256:")[:12] if shorten else str(value)


def undelivered(experiment: Experiment, record: RunRecord) -> tuple[str, ...]:
    """In words, what is declared by now and what the run, begun under an older declaration, did not deliver."""
    prefix = f"{experiment.result}/"
    delivered = {item.path.removeprefix(prefix) for item in record.outputs}
    words = [
        f"the output {path} is declared, and run {record.id} did not make it"
        for path in experiment.declaration.output_paths
        if path.split("/")[0] not in delivered
    ]
    words += [
        f"the metric {name} is declared, and run {record.id} did not record it"
        for name in experiment.declaration.metrics
        if name not in record.metrics
    ]
    return tuple(words)
