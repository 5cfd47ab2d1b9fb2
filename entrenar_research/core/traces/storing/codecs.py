"""The ways to make bytes fewer that a study may choose (spec 26.1), each with its exact inverse."""

from __future__ import annotations

from typing import Any, Final

import cramjam
import numpy as np

from entrenar_research.errors import IntegrityError, UsageError
from entrenar_research.models.policy import Algorithm

ALGORITHMS: Final[tuple[Algorithm, ...]] = ("none", "rle", "zstd", "lz4", "snappy")
LEVELS: Final[dict[Algorithm, range]] = {"zstd": range(1, 23), "lz4": range(1, 13)}
"""The levels of the algorithms that have any."""
_DEFAULTS: Final[dict[Algorithm, int]] = {"zstd": 9, "lz4": 1}
_LONGEST_RUN: Final = 255


def level_of(algorithm: Algorithm, level: int | None) -> int | None:
    """The level that `algorithm` works at when `level` is asked for: its default for None; None if it has no levels.

    Raises:
        UsageError: if there is no such algorithm, or it has no such level.
    """
    if algorithm not in ALGORITHMS:
        raise UsageError(f"no algorithm {algorithm!r}: expected one of {', '.join(ALGORITHMS)}")
    levels = LEVELS.get(algorithm)
    if level is None:
        return _DEFAULTS.get(algorithm)
    if levels is None:
        raise UsageError(f"{algorithm} has no levels, level {level} was asked for", hint="leave the level out")
    if level not in levels:
        raise UsageError(f"{algorithm} has the levels {levels[0]} to {levels[-1]}, not {level}")
    return level


def compress(algorithm: Algorithm, data: bytes, level: int | None) -> bytes:
    """`data` by `algorithm`, at a level that `level_of` gave."""
    if algorithm == "zstd":
        return bytes(cramjam.zstd.compress(data, level=level))
    if algorithm == "lz4":
        return bytes(cramjam.lz4.compress(data, level=level))
    if algorithm == "snappy":
        return bytes(cramjam.snappy.compress_raw(data))
    return _runs(data) if algorithm == "rle" else data


def decompress(algorithm: Algorithm, data: bytes | memoryview, size: int, name: str) -> bytes:
    """What `compress` was given, `size` bytes of it, from the part of a file that `name` names.

    Raises:
        IntegrityError: if it is anything else; never more than `size` bytes are made.
    """
    if algorithm == "none":
        found = bytes(data)
    elif algorithm == "rle":
        found = _expanded(data, size)
    else:
        found = _through_cramjam(algorithm, data, size, name)
    if len(found) != size:
        raise IntegrityError(f"{name}: damaged: {len(found)} bytes, expected {size}")
    return found


def _through_cramjam(algorithm: Algorithm, data: bytes | memoryview, size: int, name: str) -> bytes:
    if not size:
        return b""
    target = np.empty(size, dtype=np.uint8)
    into: dict[str, Any] = {
        "zstd": cramjam.zstd.decompress_into,
        "lz4": cramjam.lz4.decompress_into,
        "snappy": cramjam.snappy.decompress_raw_into,
    }
    try:
        length = into[algorithm](bytes(data), target)
    except cramjam.DecompressionError as error:
        raise IntegrityError(f"{name}: damaged: {algorithm}: {error}") from error
    return target[:length].tobytes()


def _runs(data: bytes) -> bytes:
    """Pairs of a length (1 to 255) and the byte that is repeated so often: twice as much where nothing repeats."""
    if not data:
        return b""
    plain = np.frombuffer(data, dtype=np.uint8)
    starts = np.concatenate(([0], np.flatnonzero(plain[1:] != plain[:-1]) + 1))
    lengths = np.diff(np.concatenate((starts, [len(plain)])))
    pieces = -(-lengths // _LONGEST_RUN)
    pairs = np.empty((int(pieces.sum()), 2), dtype=np.uint8)
    pairs[:, 0] = _LONGEST_RUN
    pairs[np.cumsum(pieces) - 1, 0] = lengths - (pieces - 1) * _LONGEST_RUN
    pairs[:, 1] = np.repeat(plain[starts], pieces)
    return pairs.tobytes()


def _expanded(data: bytes | memoryview, size: int) -> bytes:
    pairs = np.frombuffer(data, dtype=np.uint8)
    if len(pairs) % 2 or int(pairs[::2].sum(dtype=np.int64)) != size:
        return b""
    return np.repeat(pairs[1::2], pairs[::2]).tobytes()
