"""A golden trace: a promoted trace that later runs are held against."""

from __future__ import annotations

import msgspec


class GoldenRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag=1):
    """What `golden_traces/<name>/golden.yaml` holds.

    `trace_id` is the digest of the normalised call sequence; `calls` counts every traced call by name.
    """

    name: str
    experiment: str
    run: str
    promoted: str
    tool: str
    tracer: str
    recipe: str | None = None
    result: str | None = None
    trace_id: str
    total: int
    calls: dict[str, int]
