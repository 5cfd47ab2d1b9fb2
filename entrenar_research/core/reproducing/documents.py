"""Where two documents differ: JSON by key path, text by line."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from entrenar_research.core import content
from entrenar_research.models.reproduction import Difference, Kind

SHOWN = 120
"""Characters that are shown of a value."""
CLOSE = 1e-4
"""Two numbers this close, relative to the greater, differ by rounding: 32-bit sums in another order do."""
_ALIGNED = 4000
_WORDS = re.compile(r"[\s,;|(){}\[\]<>'\":=]+")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def document(file: str, one: bytes, other: bytes) -> Iterator[Difference]:
    """Two JSON documents, by key path."""
    first, second = json.loads(one), json.loads(other)
    if content.value_digest(first) != content.value_digest(second):
        yield from _values(file, "", first, second)
        return
    if [*_keys(first)] != [*_keys(second)]:
        detail = "the same values, their keys in another order"
        yield Difference(file=file, place="", kind="order", detail=detail)


def lines_of_documents(file: str, one: bytes, other: bytes) -> Iterator[Difference]:
    """Two files with a JSON document in each line."""
    first = [json.loads(line) for line in one.splitlines() if line.strip()]
    second = [json.loads(line) for line in other.splitlines() if line.strip()]
    yield from _values(file, "", first, second)


def _keys(value: Any) -> Iterator[str]:
    """The keys of a document in the order in which they stand."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from _keys(item)


def _values(file: str, place: str, one: Any, other: Any) -> Iterator[Difference]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            inner = f"{place}.{key}" if place else key
            if key not in one or key not in other:
                yield _lone(file, inner, first=key in one, value=one.get(key, other.get(key)))
            else:
                yield from _values(file, inner, one[key], other[key])
    elif isinstance(one, list) and isinstance(other, list):
        yield from _lists(file, place, one, other)
    elif type(one) is not type(other) or content.value_digest(one) != content.value_digest(other):
        yield scalar(file, place, one, other)


def _lists(file: str, place: str, one: list[Any], other: list[Any]) -> Iterator[Difference]:
    first, second = ([content.value_digest(item) for item in items] for items in (one, other))
    if first == second:
        return
    if Counter(first) == Counter(second):
        yield Difference(
            file=file, place=place, kind="order", detail=f"the same {len(one)} items in another order",
            one=shortened(one), other=shortened(other),
        )  # fmt: skip
        return
    if len(one) != len(other):
        detail = f"{len(one)} items and {len(other)} items"
        yield Difference(
            file=file, place=place, kind="value", detail=detail, one=shortened(one), other=shortened(other)
        )
        return
    for index, (a, b) in enumerate(zip(one, other, strict=True)):
        yield from _values(file, f"{place}[{index}]", a, b)


def _lone(file: str, place: str, *, first: bool, value: Any) -> Difference:
    return Difference(
        file=file, place=place, kind="absent", detail=f"only the {'first' if first else 'second'} has it",
        one=shortened(value) if first else "", other="" if first else shortened(value),
    )  # fmt: skip


def scalar(file: str, place: str, one: Any, other: Any) -> Difference:
    """Two values that are not collections."""
    if _number(one) and _number(other):
        kind: Kind = (
            "rounding" if close(one, other) and isinstance(one, float) and isinstance(other, float) else "value"
        )
        return Difference(
            file=file, place=place, kind=kind, detail=f"{one!r} and {other!r}, apart by {abs(one - other):.3g}",
            one=repr(one), other=repr(other),
        )  # fmt: skip
    if isinstance(one, str) and isinstance(other, str):
        return worded(file, place, one, other)
    a, b = shortened(one), shortened(other)
    return Difference(file=file, place=place, kind="value", detail=f"{a} and {b}", one=a, other=b)


def worded(file: str, place: str, one: str, other: str) -> Difference:
    """Two texts: their words in another order, numbers apart by rounding, or other words."""
    first, second = _WORDS.split(one), _WORDS.split(other)
    a, b = around(one, other)
    detail = f"{a!r} and {b!r}"
    if len(first) > 1 and first != second and Counter(first) == Counter(second):
        return Difference(
            file=file, place=place, kind="order", detail=f"the same words in another order: {detail}", one=one[:4096],
            other=other[:4096],
        )  # fmt: skip
    kind: Kind = "rounding" if _rounded(one, other) else "value"
    return Difference(file=file, place=place, kind=kind, detail=detail, one=one[:4096], other=other[:4096])


def _rounded(one: str, other: str) -> bool:
    """Whether two texts are the same but for numbers that are close to each other."""
    if _NUMBER.split(one) != _NUMBER.split(other):
        return False
    pairs = list(zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True))
    return bool(pairs) and all(a == b or ("." in a + b and close(float(a), float(b))) for a, b in pairs)


def text(file: str, one: bytes, other: bytes) -> Iterator[Difference]:
    """Two texts, by line.

    Raises:
        ValueError: if one of them is no text.
    """
    if b"\0" in one or b"\0" in other:
        raise ValueError("no text")
    first, second = one.decode("utf-8").splitlines(), other.decode("utf-8").splitlines()
    if first == second:
        yield Difference(file=file, place="", kind="value", detail="the same lines, ended otherwise")
    elif Counter(first) == Counter(second):
        at = first_unlike(first, second)
        yield Difference(
            file=file, place=f"line {at + 1}", kind="order", detail=f"the same {len(first)} lines in another order",
            one=first[at][:4096], other=second[at][:4096],
        )  # fmt: skip
    elif len(first) == len(second) or max(len(first), len(second)) > _ALIGNED:
        for index, (a, b) in enumerate(zip(first, second, strict=False)):
            if a != b:
                yield worded(file, f"line {index + 1}", a, b)
        if len(first) != len(second):
            yield Difference(file=file, place="", kind="value", detail=f"{len(first)} lines and {len(second)} lines")
    else:
        yield from _hunks(file, first, second)


def _hunks(file: str, one: list[str], other: list[str]) -> Iterator[Difference]:
    """Lines that came or went."""
    for tag, a, b, c, d in difflib.SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if tag != "equal":
            before, after = "\n".join(one[a:b]), "\n".join(other[c:d])
            place = f"line {a + 1}"
            detail = f"{b - a} lines ({shortened(before)}) and {d - c} lines ({shortened(after)})"
            yield Difference(file=file, place=place, kind="value", detail=detail, one=before[:4096], other=after[:4096])


def around(one: str, other: str) -> tuple[str, str]:
    """Two texts, shortened to where they begin to differ."""
    start = max(0, first_unlike(one, other) - SHOWN // 3) if max(len(one), len(other)) > SHOWN else 0
    return _cut(one, start), _cut(other, start)


def _cut(text: str, start: int) -> str:
    return ("..." if start else "") + text[start : start + SHOWN] + ("..." if len(text) > start + SHOWN else "")


def first_unlike(one: Sequence[object], other: Sequence[object]) -> int:
    """The first index at which two sequences differ: that of the end of one if it is the beginning of the other."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))


def shortened(value: Any) -> str:
    """A value as JSON, or a text, no longer than people read."""
    written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return written if len(written) <= SHOWN else written[:SHOWN] + "..."


def close(one: float, other: float) -> bool:
    """Whether two numbers differ as rounding makes them differ."""
    return one != other and abs(one - other) <= CLOSE * max(abs(one), abs(other))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
