"""From one observed execution to a declaration: inputs, code, parameters, outputs, metrics, plots."""

from __future__ import annotations

import csv
import io
import json
import math
import posixpath
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec

from entrenar_research.core import recipe
from entrenar_research.models.experiment import Collected, Declaration, Metric, Plot

_FLAG = re.compile(r"--?([A-Za-z][A-Za-z0-9_-]*)")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_PYTHON = re.compile(r"python(\d+(\.\d+)?)?$")
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
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


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a command was seen to touch, as study paths.

    `settings` are those of the `inputs` that hold a mapping. `writes` were written outside of the result
    directory, `staged` below it; both with their bytes where these are few enough to look into.
    """

    code: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    writes: Mapping[str, bytes | None] = {}
    staged: Mapping[str, bytes | None] = {}


def infer(name: str, words: Sequence[str], seen: Seen, *, params_taken: bool = False) -> Inferred:
    """The declaration for a command that was observed once.

    Flags with plain values become parameters, unless it reads a params file or the place of a new one is
    `params_taken`.
    """
    params_file = _params_file(words, seen.settings)
    outputs = _outputs(sorted(seen.writes), sorted(seen.staged))
    contents = dict(seen.staged)
    contents.update({item.path: seen.writes[item.source] for item in outputs if not isinstance(item, str)})
    small = {path: data for path, data in contents.items() if data is not None}
    params: dict[str, Any] = {}
    seed: int | None = None
    command = list(words)
    if params_file is None and not params_taken:
        touched = {*seen.code, *seen.inputs, *seen.writes}
        touched |= {parent.as_posix() for path in touched for parent in PurePosixPath(path).parents}
        command, params, seed = _parameters(words, touched, seen.code)
    declaration = Declaration(
        command=recipe.command_line(command),
        params=f"experiments/{name}/params.yaml" if params else params_file,
        seed=seed,
        code=tuple(sorted(seen.code)),
        inputs=tuple(sorted(path for path in seen.inputs if path != params_file)),
        outputs=outputs,
        metrics=_metrics(small),
        plots=_plots(small),
    )
    return Inferred(declaration=declaration, params=params)


def _params_file(words: Sequence[str], settings: Sequence[str]) -> str | None:
    """A YAML file that was read and is called params or config, or stands in the command."""
    for path in settings:
        named = PurePosixPath(path).stem.startswith(("param", "config", "hparam"))
        if named or any(word == path or word.endswith(f"={path}") for word in words):
            return path
    return None


def _outputs(writes: Sequence[str], staged: Sequence[str]) -> tuple[str | Collected, ...]:
    """Outputs by their shortest unambiguous names; those outside of the result directory are collected."""
    names = Counter(PurePosixPath(path).name for path in writes)
    folders = {parent.as_posix() for path in (*staged, *writes) for parent in PurePosixPath(path).parents}
    taken = {*staged, *folders}
    found: list[str | Collected] = list(staged)
    for path in writes:
        short = PurePosixPath(path).name
        target = short if names[short] == 1 and short not in taken else path
        found.append(Collected(path=target, source=path))
    return tuple(found)


def _parameters(
    words: Sequence[str], paths: set[str], code: Collection[str]
) -> tuple[list[str], dict[str, Any], int | None]:
    """Flags with plain values become parameters: `--lr 0.1` is `--lr ${params.lr}` with `lr: 0.1`.

    The interpreter's own flags stay as they are, and so do flags that stand more than once.
    """
    flags = list(_flags(words, paths, _start(words, code)))
    keys = Counter(key for _, _, key, _ in flags)
    params: dict[str, Any] = {}
    seed: int | None = None
    done = list(words)
    for index, prefix, key, text in flags:
        if keys[key] > 1:
            continue
        value = scalar(text)
        if key == "seed" and isinstance(value, int) and not isinstance(value, bool):
            seed, done[index] = value, f"{prefix}${{seed}}"
        else:
            params[key], done[index] = value, f"{prefix}${{params.{key}}}"
    return done, params, seed


def _start(words: Sequence[str], code: Collection[str]) -> int:
    """Where the arguments of the experiment's own code begin: behind its script, or behind `python -m module`."""
    for index, word in enumerate(words[1:], 1):
        if posixpath.normpath(word) in code:
            return index + 1
        if word in ("-m", "-c") and _PYTHON.match(PurePosixPath(words[0]).name):
            return index + 2
    return 1


def _flags(words: Sequence[str], paths: set[str], start: int) -> Iterator[tuple[int, str, str, str]]:
    """Each flag with a plain value: the index of the word that has it, what stands before it there, key, value."""
    index = start
    while index < len(words):
        flag, equals, value = words[index].partition("=")
        match = _FLAG.fullmatch(flag)
        at = index if equals else index + 1
        text = value if equals else (words[at] if at < len(words) else "")
        if match is not None and _plain(text, paths):
            yield at, f"{flag}=" if equals else "", match.group(1).replace("-", "_"), text
            index = at
        index += 1


def _plain(text: str, paths: set[str]) -> bool:
    """Whether a word is a value: not a flag, not a path, not a placeholder."""
    if not text or "${" in text or "/" in text or text in paths:
        return False
    return _FLAG.match(text) is None and ("." not in text or _NUMBER.fullmatch(text) is not None)


def scalar(text: str) -> Any:
    """A word as number, truth value or text, such that it is the same word (the same number) written out again."""
    if _INTEGER.fullmatch(text) and str(int(text)) == text:
        return int(text)
    if _NUMBER.fullmatch(text) and not _INTEGER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return {"true": True, "false": False}.get(text, text)


def _metrics(seen: Mapping[str, bytes]) -> dict[str, Metric]:
    """Numbers at the top of small JSON outputs, with the goal that their names suggest."""
    found: dict[str, Metric] = {}
    for path, data in sorted(seen.items()):
        if not path.endswith(".json"):
            continue
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            continue
        if not isinstance(document, dict):
            continue
        for key, value in document.items():
            if _is_number(value) and key not in found and key and "." not in key:
                found[key] = Metric(file=path, goal=_goal(key))
    return found


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


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
            rows = list(csv.reader(io.StringIO(data.decode("utf-8")), delimiter="\t" if path.endswith("tsv") else ","))
        except (UnicodeDecodeError, csv.Error):
            continue
        if len(rows) < 3 or any(_NUMBER.fullmatch(cell) for cell in rows[0]):
            continue
        numeric = [
            name
            for index, name in enumerate(rows[0])
            if name and index < len(rows[1]) and _NUMBER.fullmatch(rows[1][index])
        ]
        x = next((name for name in numeric if name.lower() in _ABSCISSAE), None)
        y = tuple(name for name in numeric if name != x)
        if y:
            losses = tuple(name for name in y if "loss" in name.lower())
            found.append(Plot(file=path, x=x, y=losses or y[:1]))
    return tuple(found)
