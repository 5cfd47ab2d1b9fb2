"""What `<name>_source.json` holds: where in the code the calls of a trace come from."""

from __future__ import annotations

from typing import Literal

import msgspec

Way = Literal["audit", "opened at", "stack"]
"""How a place is known. `audit`: the interpreter told of the act just before the call. `opened at`: the call acts on a
descriptor, and this is where that was opened. `stack`: the native stack at the moment of the call."""


class SourceLocation(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A place in the code. `file` has names for this machine's places; `line` is None where only the file is known.

    `within` is the number (from 0) of the location of the nearest code around it that belongs to no library.
    """

    file: str
    line: int | None
    function: str
    within: int | None


class SourceRun(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """`count` calls in a row, from the `first` (its place in the trace, from 0), of one location and span."""

    first: int
    count: int
    location: int
    how: Way
    span: str | None


class SourceDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields are written in this order. `trace_id` says which trace it is of, `recorded` how many calls that has.

    `correlated` of them have a place here. `marks` were left by the interpreter and `stacks` by the tracer;
    `unreadable` are lines among them that could not be read, as a process that was killed may leave one.
    """

    schema: int
    trace_id: str
    recorded: int
    correlated: int
    marks: int
    stacks: int
    unreadable: int
    locations: tuple[SourceLocation, ...]
    calls: tuple[SourceRun, ...]
