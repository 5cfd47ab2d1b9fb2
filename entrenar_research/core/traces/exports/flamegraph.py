"""Folded stacks, one a line with its weight, as https://github.com/brendangregg/FlameGraph reads them.

The stack of a call is its program, the spans around it, the source frames where they are known, and its name; the
weight is microseconds spent in such calls. Time between calls is nobody's: this shows where a program waits for the
kernel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from entrenar_research.core.traces.exports.located import Located
from entrenar_research.core.traces.exports.tracks import programs
from entrenar_research.errors import IntegrityError
from entrenar_research.models.documented import DocumentedSpan, TraceDocument


def export(document: TraceDocument, places: Mapping[int, Located] | None = None) -> str:
    """The folded stacks, sorted; `places` are those of calls in the source, by their place in the trace.

    Raises:
        IntegrityError: if no call has a duration: there would be nothing to weigh.
    """
    if all(call.took is None for call in document.calls):
        raise IntegrityError(
            f"the {len(document.calls)} calls of this trace have no durations: a flame graph weighs them",
            hint="record it with `entrenar-research trace record`, or strace with -T",
        )
    names, around = programs(document), _Spans(document.spans)
    weights: defaultdict[tuple[str, ...], int] = defaultdict(int)
    for place, call in enumerate(document.calls):
        where = places.get(place) if places else None
        source = where.frames if where is not None else ()
        stack = (names[call.process], *around.of(call.span), *source, call.name)
        weights[stack] += call.took or 0
    lines = [f"{';'.join(map(_frame, stack))} {round(weight / 1000)}" for stack, weight in weights.items()]
    return "".join(f"{line}\n" for line in sorted(lines))


class _Spans:
    """The names of the spans around a call, the outermost first."""

    def __init__(self, spans: Sequence[DocumentedSpan]) -> None:
        self._spans = {span.id: span for span in spans}
        self._found: dict[str | None, tuple[str, ...]] = {None: ()}

    def of(self, span: str | None) -> tuple[str, ...]:
        if span not in self._found:
            names: list[str] = []
            above, seen = self._spans.get(span or ""), set[str]()
            while above is not None and above.id not in seen:
                seen.add(above.id)
                names.append(above.name)
                above = self._spans.get(above.parent or "")
            self._found[span] = tuple(reversed(names))
        return self._found[span]


def _frame(name: str) -> str:
    """A frame's name without what divides frames, and without line ends."""
    return " ".join(name.replace(";", ":").split()) or "?"
