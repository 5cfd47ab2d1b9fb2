"""`renacer.toml`, what a study demands of its traces, read in full: what is not understood is refused with its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from entrenar_research.core.sweeps import suggest
from entrenar_research.core.traces.budgets import expressions
from entrenar_research.errors import InvalidFileError, ResearchError
from entrenar_research.models.policy import (
    Assertion,
    CiPolicy,
    ClockPolicy,
    CompressionPolicy,
    EquivalencePolicy,
    OtlpPolicy,
    TracePolicy,
)
from entrenar_research.store import files, policy_limits
from entrenar_research.store.toml_lines import Lines

NAME: Final = "renacer.toml"
DEFAULT_THRESHOLD: Final = 0.8
"""The confidence from which on an anti-pattern counts as found, where an assertion names none."""

T = TypeVar("T", bound=msgspec.Struct)
_SECTIONS: Final[dict[str, type[msgspec.Struct]]] = {
    "semantic_equivalence": EquivalencePolicy,
    "compression": CompressionPolicy,
    "lamport_clock": ClockPolicy,
    "otlp": OtlpPolicy,
    "ci": CiPolicy,
}
_ALWAYS: Final = ("name", "type", "enabled", "fail_on_violation")
_REQUIRED: Final = {
    "critical_path": ("max_duration_ms",),
    "span_count": ("max_spans",),
    "memory_usage": ("max_bytes",),
    "anti_pattern": ("pattern",),
    "custom": ("expression",),
}
_OPTIONAL: Final = {
    "critical_path": ("trace_name_pattern",),
    "span_count": ("span_name_pattern",),
    "memory_usage": ("tracking_mode",),
    "anti_pattern": ("threshold", "process_name_pattern"),
    "custom": (),
}
_KINDS: Final = {"array": "list", "object": "table", "str": "text", "bool": "true or false", "int": "a whole number",
                 "float": "a number"}  # fmt: skip


def load(root: Path) -> TracePolicy:
    """The policy of the directory `root`; the defaults where it has no `renacer.toml`.

    Raises:
        InvalidFileError: if the file is not as it should be.
        UsageError: if it cannot be read.
    """
    path = root / NAME
    if not path.exists():
        return TracePolicy()
    return parse(files.read_text(path, shown=NAME), NAME)


def parse(text: str, name: str) -> TracePolicy:
    """The policy in the text of the file `name`.

    Raises:
        InvalidFileError: for invalid TOML, an unknown section, key, type or pattern, a value of the wrong type or out
            of range, an assertion named twice, a pattern or expression that means nothing. It says the line.
    """
    try:
        value = tomllib.loads(text)
        lines = Lines(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        raise _syntax(error, name, text) from error
    except RecursionError as error:
        raise InvalidFileError(f"{name}: lists or tables are nested too deeply") from error
    return _Reading(name, value, lines).policy()


def _syntax(error: tomllib.TOMLDecodeError, name: str, text: str) -> InvalidFileError:
    said = str(error)
    place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", said)
    line = int(place[1]) if place and place[1] else max(text.rstrip("\n").count("\n"), 0) + 1
    words = said[: place.start()] if place else said
    return InvalidFileError(
        f"{name}, line {line}: not valid TOML: {words[:1].lower()}{words[1:]}",
        hint='a value is text in quotes, a number, true or false, or a list: `max_spans = 10000`, `name = "budget"`',
    )


class _Reading:
    """One file on its way to a policy."""

    def __init__(self, name: str, value: Mapping[str, Any], lines: Lines) -> None:
        self._name, self._value, self._lines = name, value, lines

    def policy(self) -> TracePolicy:
        known = ["assertion", *_SECTIONS]
        for key, value in self._value.items():
            if key not in known:
                what = "section" if isinstance(value, dict | list) else "key"
                raise self._unknown(what, key, (key,), known)
        sections: dict[str, Any] = {
            key: self._section(key, kind) for key, kind in _SECTIONS.items() if key in self._value
        }
        return TracePolicy(assertions=self._assertions(), **sections)

    def _section(self, key: str, kind: type[T]) -> T:
        value = self._value[key]
        if not isinstance(value, dict):
            raise self._wrong((key,), f"`{key}` is {_shown(value)}, expected a section", hint=f"write it as [{key}]")
        fields = msgspec.structs.fields(kind)
        for name in value:
            if name not in [field.name for field in fields]:
                raise self._unknown("key", name, (key, name), [field.name for field in fields], of=f"[{key}]")
        section = self._converted(value, kind, (key,))
        for name in value:
            self._refuse_limit((key, name), f"{key}.{name}", section, name)
        return section

    def _assertions(self) -> tuple[Assertion, ...]:
        entries = self._value.get("assertion", [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise self._wrong(("assertion",), "`assertion` is no list of tables", hint="write each as [[assertion]]")
        found: dict[str, Assertion] = {}
        for place, entry in enumerate(entries):
            made = self._assertion(entry, ("assertion", place))
            if not made.name.isprintable():
                raise self._wrong(
                    ("assertion", place, "name"),
                    f"the name {made.name!r} cannot be printed on one line",
                    hint="give it a name without line breaks and control characters",
                )
            if made.name in found:
                raise self._wrong(
                    ("assertion", place, "name"),
                    f"the assertion {made.name!r} is there already, at line {found[made.name].line}",
                    hint="give each assertion a name of its own",
                )
            found[made.name] = made
        return tuple(found.values())

    def _assertion(self, entry: dict[str, Any], path: tuple[str | int, ...]) -> Assertion:
        self._refuse_keys(entry, path)
        made = self._converted({**entry, "line": self._lines.of(path)}, Assertion, path)
        for key in entry:
            self._refuse_limit((*path, key), key, made, key)
        for key in ("trace_name_pattern", "span_name_pattern", "process_name_pattern"):
            self._refuse_pattern(getattr(made, key), (*path, key))
        if made.expression is not None:
            self._refuse_expression(made.expression, (*path, "expression"))
        if made.type == "anti_pattern" and made.threshold is None:
            made = msgspec.structs.replace(made, threshold=DEFAULT_THRESHOLD)
        return made

    def _refuse_keys(self, entry: Mapping[str, Any], path: tuple[str | int, ...]) -> None:
        for key in ("name", "type"):
            value = entry.get(key)
            if not isinstance(value, str) or not value.strip():
                self._refuse_missing(key, entry, path)
        kind = entry["type"]
        if kind not in _REQUIRED:
            raise self._unknown("type of assertion", kind, (*path, "type"), list(_REQUIRED))
        keys = [*_ALWAYS, *_REQUIRED[kind], *_OPTIONAL[kind]]
        for key in entry:
            if key not in keys:
                raise self._unknown("key", key, (*path, key), keys, of=f"an assertion of type {kind}")
        for key in _REQUIRED[kind]:
            if key not in entry:
                self._refuse_missing(key, entry, path)

    def _refuse_missing(self, key: str, entry: Mapping[str, Any], path: tuple[str | int, ...]) -> None:
        kind = f" of type {entry['type']}" if key not in _ALWAYS else ""
        if key in entry:
            raise self._wrong((*path, key), f"`{key}` is {_shown(entry[key])}, expected text that is not empty")
        raise self._wrong(path, f"the assertion{kind} has no `{key}`", hint=f"add `{key} = ...`")

    def _refuse_limit(self, path: tuple[str | int, ...], shown: str, record: msgspec.Struct, key: str) -> None:
        expected = policy_limits.expected(record, key)
        if expected is not None:
            raise self._wrong(path, f"`{shown}` is {_shown(getattr(record, key))}, expected {expected}")

    def _refuse_pattern(self, pattern: str | None, path: tuple[str | int, ...]) -> None:
        try:
            re.compile(pattern or "")
        except (re.error, RecursionError, OverflowError) as error:
            words = f"`{path[-1]}` is {_shown(pattern)}, which is no regular expression: {error}"
            raise self._wrong(path, words, hint="a pattern matches anywhere: `^open`, `read|write`") from error

    def _refuse_expression(self, expression: str, path: tuple[str | int, ...]) -> None:
        try:
            expressions.parse(expression)
        except ResearchError as error:
            raise self._wrong(path, f"`expression`: {error.message}", hint=error.hint) from error

    def _converted(self, value: Mapping[str, Any], kind: type[T], path: tuple[str | int, ...]) -> T:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            said, _, where = str(error).partition(" - at ")
            key = where.strip("`").removeprefix("$.").partition("[")[0]
            chosen = _choices(kind, key)
            if chosen and isinstance(value[key], str):
                raise self._unknown(f"{key}", value[key], (*path, key), chosen) from error
            types = re.search(r"Expected `([^`]+)`", said)
            names = [_KINDS.get(name, name) for name in (types[1] if types else "").split(" | ") if name != "null"]
            expected = " or ".join(names) or said.lower()
            words = f"`{key}` is {_shown(value.get(key))}, expected {expected}"
            raise self._wrong((*path, key), words) from error

    def _unknown(
        self, what: str, found: str, path: tuple[str | int, ...], known: Sequence[str], *, of: str = ""
    ) -> InvalidFileError:
        close = suggest.unknown(what, found, known)
        return self._wrong(path, f"unknown {what} `{found}`{f' of {of}' if of else ''}", hint=close.hint)

    def _wrong(self, path: tuple[str | int, ...], words: str, *, hint: str | None = None) -> InvalidFileError:
        line = self._lines.of(path)
        hint = hint or f"correct line {line} of {self._name}"
        return InvalidFileError(f"{self._name}, line {line}: {words}", hint=hint)


def _choices(kind: type, key: str) -> list[str]:
    """The words that a key may hold, if it is one of a list."""
    field = next((field for field in msgspec.structs.fields(kind) if field.name == key), None)
    info = msgspec.inspect.type_info(field.type) if field else None
    options = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
    return [str(value) for item in options if isinstance(item, msgspec.inspect.LiteralType) for value in item.values]


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 60 else text[:57] + "..."
