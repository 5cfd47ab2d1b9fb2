"""What SQL found, written for other programs: JSON and CSV, row after row as they come."""

from __future__ import annotations

import datetime
import decimal
import json
import math
from typing import Any, TextIO

from entrenar_research.store.querying.engine import Answer


def write_json(stream: TextIO, answer: Answer) -> None:
    """A list of objects, one a line. NULL is null; what JSON has no number for is text: NaN, Infinity, -Infinity.

    A column whose name was there before gets `_2`, `_3`... behind it.
    """
    names = unlike(answer.columns)
    begin = "["
    for rows in answer.batches:
        for row in rows:
            cells = {
                name: json.loads(value) if kind == "JSON" and isinstance(value, str) else value
                for name, kind, value in zip(names, answer.types, row, strict=True)
            }
            text = json.dumps(plain(cells), ensure_ascii=False, allow_nan=False)
            stream.write(f"{begin}\n{text}")
            begin = ","
    stream.write("[]\n" if begin == "[" else "\n]\n")


def unlike(names: tuple[str, ...]) -> list[str]:
    """The names, those that were there before with a number behind them."""
    given: list[str] = []
    for name in names:
        number, other = 1, name
        while other in given:
            number += 1
            other = f"{name}_{number}"
        given.append(other)
    return given


def write_csv(stream: TextIO, answer: Answer) -> None:
    """CSV by RFC 4180: lines end in CR LF. NULL is nothing, an empty text is `""`."""
    stream.write(",".join(map(_field, answer.columns)) + "\r\n")
    for rows in answer.batches:
        stream.writelines(",".join(map(_field, row)) + "\r\n" for row in rows)


def _field(value: Any) -> str:
    if value is None:
        return ""
    text = exact(value)
    return '"' + text.replace('"', '""') + '"' if not text or any(letter in text for letter in ',"\r\n') else text


def exact(value: Any) -> str:
    """A value as text, with every digit that it has."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _special(value) or repr(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict | list | tuple):
        return json.dumps(plain(value), ensure_ascii=False, allow_nan=False)
    return str(value)


def plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return _special(value) or value
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {exact(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime.datetime) else exact(value)


def _special(value: float) -> str:
    if math.isfinite(value):
        return ""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
