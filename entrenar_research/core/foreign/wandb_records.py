"""W&B's `Record` messages: the rows of a history, what a run is called and configured with, how it ended.

Field numbers: wandb_internal.proto. Values are JSON texts, with `NaN` and `Infinity` written as Python writes them.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from entrenar_research.core.foreign import protobuf_wire as wire
from entrenar_research.core.foreign.protobuf_wire import BYTES, Message

HISTORY, SUMMARY, OUTPUT, CONFIG, FILES, STATS, ARTIFACT = 2, 3, 4, 5, 6, 7, 8
ALERT, OUTPUT_RAW, RUN, EXIT, USE_ARTIFACT, ENVIRONMENT = 10, 13, 17, 18, 25, 26
KINDS: Final = (
    HISTORY, SUMMARY, OUTPUT, CONFIG, FILES, STATS, ARTIFACT, ALERT, OUTPUT_RAW, RUN, EXIT, USE_ARTIFACT, ENVIRONMENT
)  # fmt: skip
_KEY, _NESTED, _VALUE = 1, 2, 16
_STEP: Final = 2
_SIMPLE: Final = (b"\x0a", b"\x12")
_VALUE_KEY: Final = b"\x82\x01"
TYPE = "_type"


class Item(NamedTuple):
    """One entry of a history row, a configuration or a summary: its path of keys and its value as JSON text."""

    path: tuple[str, ...]
    text: str

    @property
    def name(self) -> str:
        """The path as W&B shows it: joined by points."""
        return ".".join(self.path)

    def value(self) -> Any:
        """The value.

        Raises:
            ValueError: if it is no JSON.
        """
        try:
            return json.loads(self.text)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


class Row(NamedTuple):
    """One row of a history: its step (None if it has none) and its entries."""

    step: int | None
    items: list[Item]


def content(record: bytes) -> tuple[int, bytes] | None:
    """The kind of a record, one of `KINDS`, and its message; None for what says nothing about a run.

    Raises:
        WireError: if it is no record.
    """
    found = None
    for number, form, value in wire.fields(record):
        if form == BYTES and number in KINDS:
            found = number, value
    return found


def row(data: bytes) -> Row:
    """A history record.

    Raises:
        WireError: if it is none.
    """
    step: int | None = None
    items = []
    for number, form, value in wire.fields(data):
        if number == 1 and form == BYTES:
            items.append(item(value))
        elif number == _STEP and form == BYTES:
            step = Message(value).number(1)
    return Row(step, items)


def item(data: bytes) -> Item:
    """One entry.

    Raises:
        WireError: if it is none.
    """
    plain = _plain(data)
    if plain is not None:
        return plain
    key, nested, text = "", [], ""
    for number, form, value in wire.fields(data):
        if form != BYTES:
            continue
        if number == _KEY:
            key = wire.text(value)
        elif number == _NESTED:
            nested.append(wire.text(value))
        elif number == _VALUE:
            text = wire.text(value)
    return Item(tuple(nested) or (key,), text)


def _plain(data: bytes) -> Item | None:
    """An entry of one key and a value, both shorter than 128 bytes, as nearly all are; None for any other."""
    if data[:1] not in _SIMPLE or len(data) < 2 or data[1] > 127:
        return None
    end = data[1] + 2
    if data[end : end + 2] != _VALUE_KEY or len(data) < end + 3 or len(data) - end - 3 != data[end + 2]:
        return None
    return Item((wire.text(data[2:end]),), wire.text(data[end + 3 :]))


def changes(data: bytes) -> tuple[list[Item], list[Item]]:
    """What a configuration or summary record sets, and what it removes.

    Raises:
        WireError: if it is none.
    """
    message = Message(data)
    return ([item(part) for part in message.every(1)], [item(part) for part in message.every(2)])


def scalar(text: str) -> float | None:
    """The number that a JSON text is (a truth value counts as 1 or 0); None for anything else."""
    try:
        return float(text)
    except ValueError:
        return _NAMED.get(text)
    except OverflowError:
        return None


_NAMED: Final = {"true": 1.0, "false": 0.0, '"NaN"': float("nan"), '"Infinity"': float("inf"),
                 '"-Infinity"': float("-inf")}  # fmt: skip


def timestamp(message: Message | None) -> int | None:
    """A google.protobuf.Timestamp in nanoseconds since 1970."""
    return None if message is None else message.number(1) * 1_000_000_000 + message.number(2)


def apply(config: dict[str, Any], entries: list[Item], removed: list[Item]) -> list[str]:
    """Sets and removes entries of a nested configuration; returns the names of values that are no JSON."""
    broken = []
    for entry in entries:
        place = config
        for step in entry.path[:-1]:
            inner = place.get(step)
            if not isinstance(inner, dict):
                inner = place[step] = {}
            place = inner
        try:
            place[entry.path[-1]] = entry.value()
        except ValueError:
            broken.append(entry.name)
    for entry in removed:
        place = config
        for step in entry.path[:-1]:
            inner = place.get(step)
            place = inner if isinstance(inner, dict) else {}
        place.pop(entry.path[-1], None)
    return broken
