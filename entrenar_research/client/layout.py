"""The event log: one append-only file a process, of 32-byte slots behind a header of 64 bytes.

A slot counts once its mark, which is written last, is not zero; what a killed process left unmarked is no record.
All numbers are little-endian. `ref` numbers count from 1 within a file; a key, a span or a note has one.

    POINT   step u64, value f64, time u64 (ns since 1970), ref u32 of its key, mark
    KEY     length u64 of its name, ref of its span as u64 (0: none), time u64, own ref u32, mark
    BEGIN   length u64 of its text, ref of its parent span as u64 (0: none), time u64, own ref u32, mark
    END     0 or 1 (failed) u64, 0 u64, time u64, ref u32 of the span, mark
    NOTE    length u64 of its text, ref of its span as u64 (0: none), time u64, own ref u32, mark
    TEXT    24 bytes of UTF-8 (the last slot padded with zeros), ref u32 of the KEY, BEGIN or NOTE, mark

The TEXT slots of a statement come before it, in order, though slots of other threads may lie between them: the
statement is valid once its own mark is there. A key is a name within a span, so that every point knows the span
it was logged in. The text of BEGIN is JSON, {"id": 16 hex digits, "name": ..., "attributes": {...}}, with "thread",
the kernel's number of the thread, where that is not the first one of the process; that of NOTE is JSON with at least
"kind".
"""

from __future__ import annotations

import struct

SUFFIX = ".events"
DIRECTORY = "events"
MAGIC = b"ENTRLOG1"

# magic, slot size, reserved, process id, start (ns since 1970), points lost, errno that lost them, 1 once closed
HEADER = struct.Struct("<8sIIQQQII")
HEADER_SIZE = 64
LOST = struct.Struct("<QI")
LOST_OFFSET = 32
CLOSED = struct.Struct("<I")
CLOSED_OFFSET = 44

SLOT = 32
POINT_SLOT = struct.Struct("<QdQII")
STATEMENT_SLOT = struct.Struct("<QQQII")
TEXT_SLOT = struct.Struct("<24sII")
TEXT_BYTES = 24

POINT, KEY, BEGIN, END, NOTE, TEXT = 1, 2, 3, 4, 5, 6
MARKS = frozenset((POINT, KEY, BEGIN, END, NOTE, TEXT))
