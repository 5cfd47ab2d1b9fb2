"""What a difference looks like: what its content says about its cause.

A clue is named only where both sides bear it out: each side's time lies within its own rebuild, each side's path is
below a directory for temporary files, and so on.
"""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from entrenar_research.core.reproducing import causes
from entrenar_research.models.reproduction import Difference

_SLACK: Final = 2.5
"""Seconds around a rebuild: zip archives note even seconds, and clocks of file systems lag."""
_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?")
_BASIC: Final = re.compile(r"(?<!\d)(20\d{6})[T_-]?(\d{6})(?!\d)")
_MAIL: Final = re.compile(r"(?:[A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d(?: (?:GMT|UTC|[+-]\d{4}))?")
_ASCTIME: Final = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) +(\d{1,2}) (\d\d:\d\d:\d\d) (?:[A-Z]{3,4} )?(\d{4})")
_OF_DAY: Final = re.compile(r"(?<![\d:])\d\d:\d\d:\d\d(?![\d:])")
_NUMBER: Final = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.])")
_ADDRESS: Final = re.compile(r"\b0x[0-9a-f]{6,16}\b")
_UUID: Final = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-([14])[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE)
_TEMPORARY: Final = re.compile(r"(?:/var/tmp|/tmp|/dev/shm)/[^\s\"',;:)]+")
_NAMED: Final = re.compile(r"\btmp(?:[a-z0-9_]{8}|\.[A-Za-z0-9]{6,12})\b")
_DURATION: Final = re.compile(r"(?i)(?:sec|second|duration|elapsed|time|wall|latency|cpu|took|_ms|_ns|_us|_s)s?\b")
_UNITS: Final = (1.0, 1e3, 1e6, 1e9)
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """When and where one rebuild took place: seconds since 1970, its directories, its process ids."""

    began: float
    ended: float
    study: str = "\0"
    temporary: tuple[str, ...] = ()
    processes: frozenset[int] = frozenset()


class Clue(msgspec.Struct, frozen=True, kw_only=True):
    """A cause that the content of a difference tells, and how."""

    cause: str
    evidence: str


Sides = Sequence[tuple[str, Circumstances]]
_Rule = Callable[[Difference, Sides], str | None]


def clue(difference: Difference, one: Circumstances, other: Circumstances) -> Clue | None:
    """What the content of a difference says about its cause, if it says anything."""
    sides = ((difference.one, one), (difference.other, other))
    for cause, rule in _RULES:
        if (evidence := rule(difference, sides)) is not None:
            return Clue(cause=cause, evidence=evidence)
    return None


def _bytecode(difference: Difference, _: Sides) -> str | None:
    if difference.kind != "bytecode":
        return None
    return f"the head of a .pyc file: {difference.detail}"


def _stamp(difference: Difference, _: Sides) -> str | None:
    if difference.kind != "stamp":
        return None
    return f"an archive notes when its members were written: {difference.detail}"


def _temporary(_: Difference, sides: Sides) -> str | None:
    found = []
    for text, there in sides:
        own = [part for place in there.temporary for part in re.findall(re.escape(place) + r"[^\s\"',;:)]*", text)]
        others = [part for part in _TEMPORARY.findall(text) if not part.startswith(there.study)]
        found.append(_only(own + others + _NAMED.findall(text), sides, text))
    return _pair(found, "the name of a temporary file")


def _only(candidates: list[str], sides: Sides, text: str) -> str | None:
    """The first candidate that the other side does not have as well."""
    others = [side for side, _ in sides if side is not text]
    return next((item for item in candidates if all(item not in other for other in others)), None)


def _uuid(_: Difference, sides: Sides) -> str | None:
    found = [_only([m[0] for m in _UUID.finditer(text) if m[1] == "4"], sides, text) for text, _ in sides]
    return _pair(found, "a random UUID (version 4)")


def _address(_: Difference, sides: Sides) -> str | None:
    return _pair([_only(_ADDRESS.findall(text), sides, text) for text, _ in sides], "an address in memory")


def _process(_: Difference, sides: Sides) -> str | None:
    found = []
    for text, there in sides:
        numbers = [item for item in _NUMBER.findall(text) if item.isdecimal() and int(item) in there.processes]
        found.append(_only(numbers, sides, text))
    return _pair(found, "the id of a process of the rebuild")


def _pair(found: Sequence[str | None], what: str) -> str | None:
    if None in found:
        return None
    return f"{what}: {found[0]} and {found[1]}"


def _moment(_: Difference, sides: Sides) -> str | None:
    """Each side has a time at which its own rebuild ran, and the sides have not the same."""
    found = []
    for text, there in sides:
        inside = [words for words, at in _moments(text, there) if _during(at, there)]
        found.append(_only(inside, sides, text))
    return _pair(found, "times at which the rebuilds ran")


def _during(moment: float, there: Circumstances) -> bool:
    return there.began - _SLACK <= moment <= there.ended + _SLACK


def _moments(text: str, there: Circumstances) -> Iterator[tuple[str, float]]:
    """Every moment that a text names, in seconds since 1970; without a time zone it is UTC."""
    day = datetime.datetime.fromtimestamp(there.began, datetime.UTC).date().isoformat()
    bare = text
    for dated in (_ISO, _ASCTIME, _MAIL):
        bare = dated.sub(" ", bare)
    written = [(match[0], match[0].replace(",", ".")) for match in _ISO.finditer(text)]
    written += [(match[0], f"{match[1]}T{match[2]}") for match in _BASIC.finditer(text)]
    written += [(match[0], _from_asctime(match)) for match in _ASCTIME.finditer(text)]
    written += [(match[0], f"{day}T{match[0]}") for match in _OF_DAY.finditer(bare)]
    for words, moment in written:
        with contextlib.suppress(ValueError):
            yield words, _seconds(datetime.datetime.fromisoformat(moment))
    for match in _MAIL.finditer(text):
        with contextlib.suppress(ValueError):
            yield match[0], _seconds(email.utils.parsedate_to_datetime(match[0]))
    for match in _NUMBER.finditer(text):
        yield from ((match[0], float(match[0]) / unit) for unit in _UNITS)


def _from_asctime(match: re.Match[str]) -> str:
    """`Sat Nov 21 14:02:11 2026` as ISO 8601 has it; with month 00 where there is no such month."""
    month = _MONTHS.index(match[1]) + 1 if match[1] in _MONTHS else 0
    return f"{match[4]}-{month:02}-{int(match[2]):02}T{match[3]}"


def _seconds(moment: datetime.datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


def _duration(difference: Difference, sides: Sides) -> str | None:
    """A number that is called a duration, and is no longer than its rebuild took."""
    if not _DURATION.search(difference.place.rpartition(".")[2]):
        return None
    found = []
    for text, there in sides:
        numbers = [float(item) for item in _NUMBER.findall(text)]
        spent = there.ended - there.began
        found.append(f"{numbers[0]:g}" if len(numbers) == 1 and 0 < numbers[0] <= spent else None)
    return _pair(found, "by its name a duration, and within what the rebuilds took")


_RULES: Final[tuple[tuple[str, _Rule], ...]] = (
    (causes.BYTECODE, _bytecode),
    (causes.STAMPS, _stamp),
    (causes.TEMPORARY, _temporary),
    (causes.RANDOMNESS, _uuid),
    (causes.CLOCK, _moment),
    (causes.ADDRESS, _address),
    (causes.PROCESS, _process),
    (causes.CLOCK, _duration),
)
