"""Holding one normalised trace against another: the calls that were counted, and where the sequences part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

_CONTEXT: Final = 3
_MOST_SHOWN: Final = 20


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """The first place where two sequences differ.

    `index` counts lines from 0; `before` are up to three lines that both have before it. `expected` is the
    golden line and `found` the one in its place: None where that sequence ends.
    """

    index: int
    before: tuple[str, ...]
    expected: str | None
    found: str | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What differs: `count_differences` are (call, golden number, number now), sorted by name."""

    same: bool
    count_differences: tuple[tuple[str, int, int], ...] = ()
    first_divergence: Divergence | None = None


def compare(
    golden_lines: Sequence[str],
    golden_counts: Mapping[str, int],
    lines: Sequence[str],
    counts: Mapping[str, int],
) -> Comparison:
    """Compares two traces in time linear in their lengths; they are the same if all lines and counts are.

    Both counts must be of one kind: `trace_normalisation.counts_of` the lines is the one that repeats.
    """
    names = sorted(golden_counts.keys() | counts.keys())
    pairs = ((name, golden_counts.get(name, 0), counts.get(name, 0)) for name in names)
    differences = tuple(pair for pair in pairs if pair[1] != pair[2])
    divergence = _first_divergence(golden_lines, lines)
    return Comparison(
        same=not differences and divergence is None,
        count_differences=differences,
        first_divergence=divergence,
    )


def describe(comparison: Comparison) -> str:
    """The comparison in words and lines for a person, without a newline at the end."""
    if comparison.same:
        return "the same calls in the same order"
    parts = []
    if comparison.first_divergence is not None:
        parts.append(_describe_divergence(comparison.first_divergence))
    if comparison.count_differences:
        parts.append(_describe_counts(comparison.count_differences))
    return "\n".join(parts)


def _first_divergence(golden: Sequence[str], now: Sequence[str]) -> Divergence | None:
    shared = min(len(golden), len(now))
    index = next((place for place in range(shared) if golden[place] != now[place]), shared)
    if index == len(golden) == len(now):
        return None
    return Divergence(
        index=index,
        before=tuple(golden[max(0, index - _CONTEXT) : index]),
        expected=golden[index] if index < len(golden) else None,
        found=now[index] if index < len(now) else None,
    )


def _describe_divergence(divergence: Divergence) -> str:
    lines = [f"first divergence at call {divergence.index + 1}:"]
    lines += [f"    {line}" for line in divergence.before]
    lines.append(f"  - {divergence.expected or '(the golden trace ends here)'}")
    lines.append(f"  + {divergence.found or '(this trace ends here)'}")
    return "\n".join(lines)


def _describe_counts(differences: Sequence[tuple[str, int, int]]) -> str:
    width = max(len(name) for name, _, _ in differences)
    lines = ["calls in number (golden, now):"]
    for name, golden, now in differences[:_MOST_SHOWN]:
        lines.append(f"  {name:<{width}}  {golden} -> {now} ({now - golden:+d})")
    if len(differences) > _MOST_SHOWN:
        lines.append(f"  and {len(differences) - _MOST_SHOWN} more")
    return "\n".join(lines)


def unlike(one: tuple[str, str], other: tuple[str, str]) -> str | None:
    """What to know of two traces, each a name and its tracer, that different tracers made; None of others."""
    if one[1] == other[1]:
        return None
    return (
        f"{one[0]} was traced with {one[1]}, {other[0]} with {other[1]}: "
        "what differs may be how the tracers write it, not what was done"
    )
