"""From one observed execution to a declaration: inputs, code, parameters, outputs, metrics, plots."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec

from entrenar_research.models.experiment import Collected, Declaration, Metric, Plot

_FLAG = re.compile(r"--?([A-Za-z][A-Za-z0-9_-]*)")
_INTEGER = re.compile(r"[-+]?\d+")
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_HIGHER = (
    "accuracy",
    "acc",
    "auc",
    "auroc",
    "f1",
    "precision",
    "recall",
    "score",
    "r2",
    "bleu",
    "iou",
    "dice",
    "map",
)
_LOWER = ("loss", "error", "err", "mse", "rmse", "mae", "perplexity", "nll", "wer", "cer")
_ABSCISSAE = ("epoch", "step", "iteration", "iter", "batch", "time")


class Inferred(msgspec.Struct, frozen=True, kw_only=True):
    """A declaration and, where the command's flags became parameters, the params file to go with it."""

    declaration: Declaration
    params: dict[str, Any]


def infer(
    name: str,
    words: Sequence[str],
    *,
    code: Sequence[str],
    inputs: Sequence[str],
    writes: Sequence[str],
    staged: Mapping[str, bytes | None],
    contents: Mapping[str, bytes | None],
) -> Inferred:
    """The declaration for a command that was observed once.

    `writes` are study paths that it wrote outside of its result directory, `staged` the files it wrote there;
    `contents` has the bytes of written files where they are small enough to look into.
    """
    params_file = _params_file(words, inputs)
    rest = [path for path in inputs if path != params_file]
    outputs = _outputs(writes, sorted(staged))
    seen = {path: data for path, data in staged.items() if data is not None}
    for item in outputs:
        data = None if isinstance(item, str) else contents.get(item.source)
        if data is not None and not isinstance(item, str):
            seen[item.path] = data
    params: dict[str, Any] = {}
    seed: int | None = None
    command = list(words)
    if params_file is None:
        command, params, seed = _parameters(command, {*code, *inputs, *writes})
        params_file = f"experiments/{name}/params.yaml" if params else None
    declaration = Declaration(
        command=shlex.join(command).replace("'${", "${").replace("}'", "}"),
        params=params_file,
        seed=seed,
        code=tuple(sorted(code)),
        inputs=tuple(sorted(rest)),
        outputs=outputs,
        metrics=_metrics(seen),
        plots=_plots(seen),
    )
    return Inferred(declaration=declaration, params=params)


def _params_file(words: Sequence[str], inputs: Sequence[str]) -> str | None:
    """A YAML file that was read and is called params or config, or stands in the command."""
    candidates = [path for path in inputs if path.endswith((".yaml", ".yml"))]
    for path in candidates:
        if PurePosixPath(path).stem.startswith(("param", "config", "hparam")) or path in words:
            return path
    return None


def _outputs(writes: Sequence[str], staged: Sequence[str]) -> tuple[str | Collected, ...]:
    """Outputs by their shortest unambiguous names; those outside of the result directory are collected."""
    found: list[str | Collected] = list(staged)
    names = [PurePosixPath(path).name for path in writes]
    taken = set(staged)
    for path, short in zip(writes, names, strict=True):
        target = short if names.count(short) == 1 and short not in taken else path
        taken.add(target)
        found.append(Collected(path=target, source=path))
    return tuple(found)


def _parameters(words: list[str], paths: set[str]) -> tuple[list[str], dict[str, Any], int | None]:
    """Flags with plain values become parameters: `--lr 0.1` is `--lr ${params.lr}` with `lr: 0.1`."""
    params: dict[str, Any] = {}
    seed: int | None = None
    done: list[str] = []
    index = 0
    while index < len(words):
        word = words[index]
        flag, equals, value = word.partition("=")
        match = _FLAG.fullmatch(flag)
        following = value if equals else (words[index + 1] if index + 1 < len(words) else "")
        if match is None or not _plain(following, paths) or index == 0:
            done.append(word)
            index += 1
            continue
        key = match.group(1).replace("-", "_")
        if key == "seed" and _INTEGER.fullmatch(following):
            seed, place = int(following), "${seed}"
        else:
            params[key], place = scalar(following), f"${{params.{key}}}"
        done += [f"{flag}={place}"] if equals else [flag, place]
        index += 1 if equals else 2
    return done, params, seed


def _plain(text: str, paths: set[str]) -> bool:
    """Whether a word is a value: not a flag, not a path, not a placeholder."""
    if (
        not text
        or "${" in text
        or "/" in text
        or text in paths
        or ("." in text
        and not _NUMBER.fullmatch(text))
    ):
        return False
    return _FLAG.fullmatch(text) is None


def scalar(text: str) -> Any:
    """A word as number, truth value or text."""
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    return {"true": True, "false": False}.get(text.lower(), text)


def _metrics(seen: Mapping[str, bytes]) -> dict[str, Metric]:
    """Numbers at the top of small JSON outputs, with the goal that their names suggest."""
    found: dict[str, Metric] = {}
    for path, data in sorted(seen.items()):
        if not path.endswith(".json"):
            continue
        try:
            document = json.loads(data)
        except ValueError:
            continue
        if not isinstance(document, dict):
            continue
        for key, value in document.items():
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if number and key not in found and "." not in key:
                found[key] = Metric(file=path, goal=_goal(key))
    return found


def _goal(key: str) -> Any:
    parts = set(re.split(r"[^a-z0-9]+", key.lower()))
    if parts & set(_LOWER):
        return "minimize"
    return "maximize" if parts & set(_HIGHER) else "none"


def _plots(seen: Mapping[str, bytes]) -> tuple[Plot, ...]:
    """Tables with a header and at least two rows of numbers."""
    found = []
    for path, data in sorted(seen.items()):
        if not path.endswith((".csv", ".tsv")):
            continue
        try:
            rows = list(
                csv.reader(io.StringIO(data.decode("utf-8")), delimiter="\t" if path.endswith("tsv") else ",")
            )
        except (UnicodeDecodeError, csv.Error):
            continue
        if len(rows) < 3 or any(_NUMBER.fullmatch(cell) for cell in rows[0]):
            continue
        numeric = [
            name
            for index, name in enumerate(rows[0])
            if index < len(rows[1]) and _NUMBER.fullmatch(rows[1][index])
        ]
        x = next((name for name in numeric if name.lower() in _ABSCISSAE), None)
        y = tuple(name for name in numeric if name != x)
        if y:
            losses = tuple(name for name in y if "loss" in name.lower())
            found.append(Plot(file=path, x=x, y=losses or y[:1]))
    return tuple(found)
