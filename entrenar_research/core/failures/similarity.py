"""How alike two stacks are: the weighted longest common subsequence of their frames, seen from the innermost.

After the position-dependent model of ReBucket (Dang, Wu, Zhang, Zhang and Nobel, ICSE 2012, section 4.2): a frame
that both stacks have counts exp(-c * distance to the innermost frame) * exp(-o * difference of its two places).
Two things are ours: the sum is divided by that of the longer stack, not the shorter, so that only equal stacks
reach 1; and the exception's type counts as the innermost frame.
"""

from __future__ import annotations

import functools
import math
import posixpath
import re

from entrenar_research.core.failures import tracebacks

DEPTH_WEIGHT = 0.1
"""c: the seventh frame from the innermost counts half."""
SHIFT_WEIGHT = 0.2
"""o: a frame that stands four places further out in the other stack counts not quite half."""
_INNERMOST = 64
_CHANGING = re.compile(r"0x[0-9a-fA-F]+|\d+")


def signature(exception: str | None, stack: str | None) -> tuple[str, ...]:
    """What is compared of a failure: the exception's type, then its frames from the innermost outwards.

    A frame is its function and its file's name, without line numbers, addresses, digits and directories (of an
    `__init__.py` the directory stays). At most the 64 innermost count. Empty without a stack that can be read.
    """
    found = tracebacks.last(stack) if stack else None
    if found is None or not found.chain[0].frames:
        return ()
    frames = [f"{_file(frame.file)}:{_CHANGING.sub('', frame.function)}" for frame in reversed(found.chain[0].frames)]
    return (exception or found.chain[0].exception, *frames[: _INNERMOST - 1])


def _file(path: str) -> str:
    directory, name = posixpath.split(path.replace("\\", "/"))
    if name == "__init__.py":
        name = f"{posixpath.basename(directory)}/{name}"
    return _CHANGING.sub("", name)


@functools.lru_cache(maxsize=4096)
def similarity(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    """How alike two signatures are, from 0.0 (nothing in common) to 1.0 (equal, and only then).

    Symmetric; rounded down to four decimals.
    """
    if one == other:
        return 1.0
    if not one or not other or not {*one} & {*other}:
        return 0.0
    before = [0.0] * (len(other) + 1)
    for place, frame in enumerate(one):
        row = [0.0]
        for index, candidate in enumerate(other):
            best = max(before[index + 1], row[index])
            if frame == candidate:
                best = max(best, before[index] + _weight(place, index))
            row.append(best)
        before = row
    whole = sum(math.exp(-DEPTH_WEIGHT * depth) for depth in range(max(len(one), len(other))))
    return min(math.floor(before[-1] / whole * 10_000) / 10_000, 0.9999)


@functools.cache
def _weight(place: int, other: int) -> float:
    return math.exp(-DEPTH_WEIGHT * min(place, other) - SHIFT_WEIGHT * abs(place - other))
