"""The JSON document of where calls come from (`<name>_source.json`): canonical bytes, one row a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import msgspec

from entrenar_research.core.traces.sources.source import SCHEMA
from entrenar_research.errors import IntegrityError
from entrenar_research.models.source import SourceDocument

_LISTS: Final = ("locations", "calls")
_AGAIN: Final = "the file was changed after it was written: restore it, or record the trace again"


def encode(found: SourceDocument) -> bytes:
    """The document's bytes: the same for the same document."""
    head = [name for name in found.__struct_fields__ if name not in _LISTS]
    lines = [f"  {json.dumps(name)}: {json.dumps(getattr(found, name))}".encode() for name in head]
    return b"{\n" + b",\n".join([*lines, *(_rows(name, getattr(found, name)) for name in _LISTS)]) + b"\n}\n"


def _rows(name: str, values: Sequence[Any]) -> bytes:
    if not values:
        return f'  "{name}": []'.encode()
    encoder = msgspec.json.Encoder()
    return f'  "{name}": [\n    '.encode() + b",\n    ".join(encoder.encode(value) for value in values) + b"\n  ]"


def decode(data: bytes, name: str) -> SourceDocument:
    """The document in the bytes of the file `name`.

    Raises:
        IntegrityError: if it is not JSON of this schema, contradicts itself, or was touched.
    """
    try:
        schema = msgspec.json.decode(data, type=_Versioned).schema
        if schema != SCHEMA:
            raise IntegrityError(
                f"{name}: schema {schema}, this version reads schema {SCHEMA}",
                hint="read it with the version that wrote it, or record the trace again",
            )
        found = msgspec.json.decode(data, type=SourceDocument)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{name}: no document of where calls come from: {error}", hint=_AGAIN) from error
    _refuse_contradictions(found, name)
    if encode(found) != data:
        raise IntegrityError(f"{name}: the bytes are not as this tool writes them", hint=_AGAIN)
    return found


class _Versioned(msgspec.Struct):
    schema: Any = None


def _refuse_contradictions(found: SourceDocument, name: str) -> None:
    known, runs = range(len(found.locations)), found.calls
    if not all(run.location in known and run.first >= 0 and run.count > 0 for run in runs) or not all(
        location.within is None or location.within in known for location in found.locations
    ):
        raise IntegrityError(f"{name}: a row names a call or a location that is not there", hint=_AGAIN)
    if any(before.first + before.count > after.first for before, after in pairwise(runs)):
        raise IntegrityError(f"{name}: the rows of calls are not in order", hint=_AGAIN)
    last = runs[-1].first + runs[-1].count if runs else 0
    if found.correlated != sum(run.count for run in runs) or last > found.recorded:
        raise IntegrityError(
            f"{name}: {found.correlated} of {found.recorded} calls are said to be correlated, "
            f"{sum(run.count for run in runs)} up to number {last} are listed",
            hint=_AGAIN,
        )
