"""TensorBoard's `Event` messages: scalars, and the kind of everything else.

Field numbers: tensorflow's event.proto, summary.proto, tensor.proto and TensorBoard's plugin_data.proto of HParams.
"""

from __future__ import annotations

import re
import struct
from typing import Any, Final, NamedTuple

from entrenar_research.core.foreign import protobuf_wire as wire
from entrenar_research.core.foreign.protobuf_wire import BYTES, FIXED32, FIXED64, VARINT, Message, WireError

SCALARS: Final = "scalars"
HPARAMS: Final = "hparams"
_STOP = 2
_OLD_KINDS: Final = {3: "histogram (old form)", 4: "image", 5: "histogram", 6: "audio"}
_STATUS: Final = {1: "completed", 2: "failed", 3: "running"}

# tensor.proto: how each type of number lies in tensor_content, and its own field with that field's wire type.
_CONTENT: Final = {
    1: "<f",
    2: "<d",
    3: "<i",
    4: "<B",
    5: "<h",
    6: "<b",
    9: "<q",
    10: "<?",
    17: "<H",
    22: "<I",
    23: "<Q",
}
_HALF, _BFLOAT16, _UINT64, _HALF_FIELD = 19, 14, 23, 13
_FLOATS: Final = {1: (5, "<f"), 2: (6, "<d")}
_INTEGER_FIELDS: Final = {3: 7, 4: 7, 5: 7, 6: 7, 9: 10, 10: 11, 17: 7, 22: 16, 23: 17}
_TYPE_NAMES: Final = {7: "text", 8: "complex", 18: "complex"}

# A scalar as every writer writes it: wall time, step, one value of a tag with a float, all lengths of one byte.
_PLAIN = re.compile(rb"\x09(.{8})(?:\x10([\x80-\xff]{0,9}[\x00-\x7f]))?\x2a(.)\x0a(.)\x0a(.)(.*)\x15(.{4})", re.DOTALL)
_DOUBLE = struct.Struct("<d")
_FLOAT = struct.Struct("<f")


class Scalar(NamedTuple):
    """One point: the time in seconds since 1970, the step as it is written (it may be negative), the value."""

    wall_time: float
    step: int
    tag: str
    value: float


class Other(NamedTuple):
    """A value that is no scalar; `plugin` is the one that would draw it, empty where the writer does not say."""

    tag: str
    kind: str
    plugin: str
    content: bytes


class Event(NamedTuple):
    """What one record says."""

    wall_time: float
    scalars: list[Scalar]
    others: list[Other]
    file_version: str = ""
    stopped: bool = False


class Session(NamedTuple):
    """What the HParams plugin wrote about a run: parameters, name of its group, status, times in seconds."""

    params: dict[str, Any]
    group: str
    status: str | None
    started: float | None
    ended: float | None


def plain_scalar(record: bytes) -> Scalar | None:
    """The one scalar of a record that holds nothing else; None if it is of any other form."""
    match = _PLAIN.fullmatch(record)
    if match is None:
        return None
    wall, step, summary, value, length, tag, number = match.groups()
    size = len(tag)
    if length[0] != size or value[0] != size + 7 or summary[0] != size + 9 or size > 118:
        return None
    try:
        name = tag.decode()
    except UnicodeDecodeError:
        return None
    count = 0 if step is None else step[0] if len(step) == 1 else wire.signed(wire.varint(step, 0)[0])
    return Scalar(_DOUBLE.unpack(wall)[0], count, name, _FLOAT.unpack(number)[0])


def event(record: bytes, plugins: dict[str, str]) -> Event:
    """Any record. `plugins` has the plugin of each tag, which writers say with its first value only; it is added to.

    Raises:
        WireError: if it is no message.
    """
    wall, step, version, stopped = 0.0, 0, "", False
    values: list[bytes] = []
    others: list[Other] = []
    for number, kind, value in wire.fields(record):
        if number == 1 and kind == FIXED64:
            wall = wire.double(value)
        elif number == 2 and kind == VARINT:
            step = wire.signed(value)
        elif number == 3 and kind == BYTES:
            version = wire.text(value)
        elif number == 5 and kind == BYTES:
            values += [part for inner, form, part in wire.fields(value) if inner == 1 and form == BYTES]
        elif number == 7 and kind == BYTES:
            stopped = Message(value).number(1) == _STOP
        elif number in (4, 6, 8, 9):
            names = {4: "graph", 6: "log message", 8: "run metadata", 9: "graph"}
            others.append(Other("", names[number], "", b""))
    scalars: list[Scalar] = []
    for value in values:
        found = _value(value, plugins)
        if isinstance(found, Other):
            others.append(found)
        else:
            scalars.append(Scalar(wall, step, *found))
    return Event(wall, scalars, others, version, stopped)


def _value(data: bytes, plugins: dict[str, str]) -> tuple[str, float] | Other:
    tag, kind, found = "", "nothing", dict[int, bytes]()
    for field, form, value in wire.fields(data):
        if field == 1 and form == BYTES:
            tag = wire.text(value)
        elif field in _OLD_KINDS:
            kind = _OLD_KINDS[field]
        elif form in (BYTES, FIXED32):
            found[field] = value
    if len(found.get(2, b"")) == 4:
        return tag, wire.single(found[2])
    plugin = Message(found.get(9, b"")).message(1)
    if plugin is not None:
        plugins[tag] = plugin.text(1)
    name = plugins.get(tag, "")
    if 8 in found:
        number = tensor_number(found[8]) if name in ("", SCALARS) else None
        if number is not None:
            return tag, number
        kind = f"tensor ({_TYPE_NAMES.get(Message(found[8]).number(1), 'numbers')})"
    content = plugin.every(2)[-1:] if plugin is not None else []
    return Other(tag, name or kind, name, b"".join(part for part in content if isinstance(part, bytes)))


def tensor_number(data: bytes) -> float | None:
    """The number of a tensor that holds exactly one; None for any other tensor.

    Raises:
        WireError: if it is no tensor.
    """
    message = Message(data)
    dtype, shape = message.number(1), message.message(2)
    if shape is not None and any(size.number(1) != 1 for size in shape.messages(2)):
        return None
    content = b"".join(part for part in message.every(4) if isinstance(part, bytes))
    if content:
        return _from_content(dtype, content)
    if dtype in _FLOATS:
        return _only(message.every(_FLOATS[dtype][0]), _FLOATS[dtype][1])
    if dtype in (_HALF, _BFLOAT16):
        bits = _integer(message.every(_HALF_FIELD))
        return None if bits is None else _from_content(dtype, (bits & 0xFFFF).to_bytes(2, "little"))
    found = _integer(message.every(_INTEGER_FIELDS[dtype])) if dtype in _INTEGER_FIELDS else None
    return None if found is None else float(found if dtype == _UINT64 else wire.signed(found))


def _from_content(dtype: int, content: bytes) -> float | None:
    if dtype == _HALF and len(content) == 2:
        return float(struct.unpack("<e", content)[0])
    if dtype == _BFLOAT16 and len(content) == 2:
        return wire.single(b"\0\0" + content)
    form = _CONTENT.get(dtype)
    if form is None or len(content) != struct.calcsize(form):
        return None
    return float(struct.unpack(form, content)[0])


def _only(values: list[Any], form: str) -> float | None:
    """The one floating-point number of a field, packed or not; zero where there is none: protobuf leaves it out."""
    raw = b"".join(value for value in values if isinstance(value, bytes))
    if not raw:
        return 0.0
    return float(struct.unpack(form, raw)[0]) if len(raw) == struct.calcsize(form) else None


def _integer(values: list[Any]) -> int | None:
    """The one integer of a field, as `_only`."""
    found: list[int] = []
    for value in values:
        if isinstance(value, int):
            found.append(value)
            continue
        place = 0
        while place < len(value):
            number, place = wire.varint(value, place)
            found.append(number)
    if len(found) > 1:
        return None
    return found[0] if found else 0


def session(content: bytes) -> Session:
    """The content of the HParams plugin's metadata: what was set when a session began, or how it ended.

    Raises:
        WireError: if it is none.
    """
    message = Message(content)
    start, end = message.message(3), message.message(4)
    params: dict[str, Any] = {}
    for entry in start.messages(1) if start is not None else ():
        value = entry.message(2)
        if value is not None:
            params[entry.text(1)] = _json_value(value)
    return Session(
        params=params,
        group=start.text(4) if start is not None else "",
        status=_STATUS.get(end.number(1)) if end is not None else None,
        started=_seconds(start, 5),
        ended=_seconds(end, 2),
    )


def _seconds(message: Message | None, field: int) -> float | None:
    raw = message.every(field)[-1:] if message is not None else []
    return wire.double(raw[0]) if raw and isinstance(raw[0], bytes) and len(raw[0]) == 8 else None


def _json_value(value: Message) -> Any:
    """A google.protobuf.Value that is null, a number, a text or a truth value."""
    if value.every(2):
        raw = value.every(2)[-1]
        if not isinstance(raw, bytes) or len(raw) != 8:
            raise WireError("a number that is none")
        return wire.double(raw)
    if value.every(3):
        return value.text(3)
    if value.every(4):
        return bool(value.number(4))
    return None


def nanoseconds(seconds: float) -> int:
    """Seconds since 1970 as nanoseconds, exact to the nearest; 0 for NaN and what no 64-bit number holds."""
    if not -9.2e9 < seconds < 9.2e9:
        return 0
    whole = int(seconds // 1)
    return whole * 1_000_000_000 + round((seconds - whole) * 1e9)
