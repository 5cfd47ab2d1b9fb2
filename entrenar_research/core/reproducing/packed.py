"""Where two archives differ: by member, with what they note of it; and the head of Python's bytecode."""

from __future__ import annotations

import datetime
import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping

import msgspec

from entrenar_research.core.reproducing import documents
from entrenar_research.models.reproduction import Difference, Kind

_MOST = 1 << 30
"""A member of more bytes than this is not unpacked: a small archive may hold an enormous one."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A member: its bytes, and by name what the archive notes of it besides (`time`, `mode`, `owner`)."""

    data: bytes
    noted: Mapping[str, str]


Members = Mapping[str, Member]


def compared(
    file: str, one: Members, other: Members, inside: Callable[[str, bytes, bytes], tuple[Difference, ...]]
) -> Iterator[Difference]:
    """Two archives; `inside` compares members, whose differences are told as places in the archive."""
    for name in [*one, *(name for name in other if name not in one)]:
        if name not in one or name not in other:
            words = f"only the {'first' if name in one else 'second'} has it"
            yield Difference(file=file, place=name, kind="absent", detail=words)
            continue
        first, second = one[name], other[name]
        for item in inside(name, first.data, second.data):
            place = f"{name}: {item.place}" if item.place else name
            yield msgspec.structs.replace(item, file=file, place=place)
        for key in first.noted:
            a, b = first.noted[key], second.noted.get(key, "")
            if a != b:
                kind: Kind = "stamp" if key == "time" else "value"
                yield Difference(
                    file=file, place=f"{name}: its {key}", kind=kind, detail=f"{a} and {b}", one=a, other=b
                )
    if list(one) != list(other) and one.keys() == other.keys():
        orders = {"one": ", ".join(one), "other": ", ".join(other)}
        detail = f"the same {len(one)} members in another order"
        yield Difference(file=file, place="members", kind="order", detail=detail, **orders)


def zipped(data: bytes) -> Members:
    """The members of a zip archive, in its order."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {item.filename: _zip_member(archive, item) for item in archive.infolist()}


def _zip_member(archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> Member:
    stamp = datetime.datetime(*item.date_time, tzinfo=datetime.UTC)
    noted = {"time": stamp.isoformat(), "mode": f"{item.external_attr >> 16:o}"}
    with archive.open(item) as stream:
        return Member(data=stream.read(_MOST), noted=noted)


def tarred(data: bytes) -> Members:
    """The members of a tar archive, compressed or not, in its order."""
    found: dict[str, Member] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for item in archive:
            stream = archive.extractfile(item) if item.isfile() else None
            noted = {"time": _utc(item.mtime), "mode": f"{item.mode:o}", "owner": f"{item.uname}:{item.gname}"}
            found[item.name] = Member(data=stream.read(_MOST) if stream else item.linkname.encode(), noted=noted)
    return found


def gzipped(data: bytes) -> Members:
    """The one member of a gzip file (RFC 1952: bytes 4 to 7 are its time), or those of the tar archive in it."""
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
        inner = stream.read(_MOST)
    head = {"compressed": Member(data=inner, noted={"time": _utc(int.from_bytes(data[4:8], "little"))})}
    try:
        return {"compressed": Member(data=b"", noted=head["compressed"].noted), **tarred(inner)}
    except tarfile.TarError:
        return head


def bytecode(file: str, one: bytes, other: bytes) -> Iterator[Difference]:
    """Two `.pyc` files: 16 bytes of head (https://peps.python.org/pep-0552/), then the code."""
    if len(one) < 16 or len(other) < 16:
        raise ValueError("too short for bytecode")
    if one[:8] != other[:8]:
        detail = f"{one[:8].hex()} and {other[:8].hex()}: another Python, or another way to check for changes"
        yield Difference(file=file, place="head", kind="bytecode", detail=detail)
    elif one[8:16] != other[8:16] and not int.from_bytes(one[4:8], "little") & 1:
        a, b = (_utc(int.from_bytes(data[8:12], "little")) for data in (one, other))
        detail = f"the source's modification time: {a} and {b}" if a != b else "the source's size"
        yield Difference(file=file, place="head", kind="bytecode", detail=detail, one=a, other=b)
    elif one[8:16] != other[8:16]:
        digests = {"one": one[8:16].hex(), "other": other[8:16].hex()}
        yield Difference(file=file, place="head", kind="value", detail="the digest of the source", **digests)
    if one[16:] != other[16:]:
        at = documents.first_unlike(one[16:], other[16:])
        one_text, other_text = (data[16:].decode("latin-1") for data in (one, other))
        start = max(0, at - 200)
        yield Difference(
            file=file, place="code", kind="bytes", detail=f"the code, from byte {at + 16} on",
            one=one_text[start : at + 200], other=other_text[start : at + 200],
        )  # fmt: skip


def _utc(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).isoformat()
