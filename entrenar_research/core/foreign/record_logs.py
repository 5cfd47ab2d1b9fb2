"""Two framings of records in a file, read as far as they can be: TFRecord and the log of LevelDB as W&B writes it.

TFRecord (https://www.tensorflow.org/tutorials/load_data/tfrecord): length u64, masked CRC-32C of it u32, the bytes,
masked CRC-32C of them u32. W&B's log is LevelDB's (https://github.com/google/leveldb, doc/log_format.md): blocks of
32 KiB, chunks of checksum u32, length u16, type u8 (1 whole, 2 first, 3 middle, 4 last), a block's tail of less
than 7 bytes is filling. Before the first chunk stand 7 bytes: `:W&B`, 0xBEE1, the version. Its checksum is the
plain CRC-32 of zlib over type and bytes; LevelDB's own masked CRC-32C is taken as well.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

from entrenar_research.core.foreign.crc32c import LONGEST_COLUMNS, crc32c, crc32c_each, masked

Buffer = bytes | memoryview
Damage = Callable[[int, str], None]
"""Is told of what cannot be read: the byte where it begins, and what is wrong there."""

_LENGTH = struct.Struct("<QI")
_SUM = struct.Struct("<I")
_BATCH = 4096
_BATCH_BYTES = 8 << 20

WANDB_HEADER = 7
_WANDB_MAGIC = b":W&B\xe1\xbe"
_BLOCK = 32768
_CHUNK = struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def tf_records(data: Buffer, damage: Damage) -> Iterator[bytes]:
    """The records of a TFRecord file in order; those with a wrong checksum are left out and told to `damage`.

    Where a length is wrong, the next place at which one is right is looked for.
    """
    batch: list[tuple[int, int, bytes]] = []
    held = 0
    for place, checksum, record in _frames(data, damage):
        batch.append((place, checksum, record))
        held += len(record)
        if len(batch) == _BATCH or held > _BATCH_BYTES:
            yield from _checked(batch, damage)
            batch, held = [], 0
    yield from _checked(batch, damage)


def _frames(data: Buffer, damage: Damage) -> Iterator[tuple[int, int, bytes]]:
    """Each record with its place and the checksum that stands behind it."""
    good: dict[int, int] = {}  # lengths with their checksums: in a log they repeat
    place, end = 0, len(data)
    while place < end:
        if end - place < _LENGTH.size:
            damage(place, f"the file ends within a record: {end - place} bytes are left")
            return
        length, checksum = _LENGTH.unpack_from(data, place)
        expected = good.get(length)
        if expected is None:
            expected = masked(crc32c(length.to_bytes(8, "little")))
        if checksum != expected:
            following = _next_frame(data, place + 1)
            skipped = (end if following is None else following) - place
            damage(place, f"the checksum of a record's length is wrong: {skipped} bytes are passed over")
            if following is None:
                return
            place = following
            continue
        if len(good) < _BATCH:
            good[length] = checksum
        start = place + _LENGTH.size
        if start + length + _SUM.size > end:
            damage(place, f"the file ends within a record of {length} bytes: {end - start} are there")
            return
        yield place, _SUM.unpack_from(data, start + length)[0], bytes(data[start : start + length])
        place = start + length + _SUM.size


def _next_frame(data: Buffer, place: int) -> int | None:
    """The next place where a length below 2^32 stands with its checksum: its upper four bytes are zero."""
    step = 1 << 20
    while place + _LENGTH.size <= len(data):
        window = bytes(data[place : place + step + _LENGTH.size])
        found = window.find(b"\0\0\0\0", 4)
        while found != -1 and found + 8 <= len(window):
            length, checksum = _LENGTH.unpack_from(window, found - 4)
            if checksum == masked(crc32c(length.to_bytes(8, "little"))):
                return place + found - 4
            found = window.find(b"\0\0\0\0", found + 1)
        place += step
    return None


def _checked(batch: list[tuple[int, int, bytes]], damage: Damage) -> Iterator[bytes]:
    by_length: dict[int, list[int]] = {}
    for index, item in enumerate(batch):
        by_length.setdefault(len(item[2]), []).append(index)
    wrong: set[int] = set()
    for length, indices in by_length.items():
        records = [batch[index][2] for index in indices]
        sums = crc32c_each(records) if length <= LONGEST_COLUMNS else [crc32c(record) for record in records]
        wrong.update(i for i, found in zip(indices, sums, strict=True) if masked(found) != batch[i][1])
    for index, (place, _, record) in enumerate(batch):
        if index in wrong:
            damage(place, f"the checksum of a record of {len(record)} bytes is wrong")
        else:
            yield record


def is_wandb(data: Buffer) -> bool:
    """Whether a file begins as W&B's logs do."""
    return bytes(data[: len(_WANDB_MAGIC)]) == _WANDB_MAGIC


def wandb_records(data: Buffer, damage: Damage) -> Iterator[tuple[int, bytes]]:
    """The records of a W&B log in order, each with its place; what cannot be read is told to `damage`."""
    parts: list[bytes] = []
    began = WANDB_HEADER
    for place, kind, chunk in _chunks(data, damage):
        if kind in (_MIDDLE, _LAST):
            if not parts:
                if chunk is not None:
                    damage(place, "the continuation of a record whose beginning cannot be read")
                continue
        elif parts:
            damage(began, "a record that is not continued")
            parts = []
        if kind in (_WHOLE, _FIRST):
            began = place
        if chunk is None:
            parts = []
            continue
        parts.append(chunk)
        if kind in (_WHOLE, _LAST):
            yield began, b"".join(parts)
            parts = []
    if parts:
        damage(began, "the file ends within a record")


def _chunks(data: Buffer, damage: Damage) -> Iterator[tuple[int, int, bytes | None]]:
    """Each chunk with its place and type; None for one that is damaged."""
    place, end = WANDB_HEADER, len(data)
    while place < end:
        left = _BLOCK - place % _BLOCK
        if left < _CHUNK.size:
            place += left
            continue
        if end - place < _CHUNK.size:
            damage(place, f"the file ends within a record: {end - place} bytes are left")
            return
        checksum, length, kind = _CHUNK.unpack_from(data, place)
        start = place + _CHUNK.size
        if not _WHOLE <= kind <= _LAST or length > left - _CHUNK.size:
            damage(place, f"no record begins here: {min(left, end - place)} bytes are passed over")
            yield place, _WHOLE, None
            place += left
            continue
        if start + length > end:
            damage(place, f"the file ends within a record of {length} bytes: {end - start} are there")
            return
        chunk = bytes(data[start : start + length])
        good = checksum == zlib.crc32(chunk, zlib.crc32(bytes([kind])))
        if not good and checksum != masked(crc32c(bytes([kind]) + chunk)):
            damage(place, f"the checksum of {length} bytes is wrong")
            yield place, kind, None
        else:
            yield place, kind, chunk
        place = start + length
