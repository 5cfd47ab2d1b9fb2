"""Where in the code each call of a trace comes from, call by call: what `<name>_source.json` says in rows."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from entrenar_research.errors import IntegrityError
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.source import SourceDocument, SourceLocation


class Located(msgspec.Struct, frozen=True, gc=False):
    """The place of a call: `exact`, or (not `exact`) where the descriptor that it acts on was opened.

    `around` is the nearest code around it that belongs to no library, None where that is the place itself.
    """

    location: SourceLocation
    around: SourceLocation | None
    exact: bool

    @property
    def frames(self) -> tuple[str, ...]:
        """The place as frames of a stack, the outermost first."""
        places = (self.around, self.location) if self.around is not None else (self.location,)
        frames = [_frame(place) for place in places]
        return tuple(frames) if self.exact else (*frames[:-1], f"{frames[-1]} (opened here)")


def located(found: SourceDocument, document: TraceDocument, name: str) -> Mapping[int, Located]:
    """The places of calls, by a call's place in the trace; `name` is the file that `found` was read from.

    Raises:
        IntegrityError: if it is of another trace.
    """
    if (found.trace_id, found.recorded) != (document.trace_id, document.recorded):
        raise IntegrityError(
            f"{name} is of another trace: {found.recorded} calls, {found.trace_id}",
            hint="record the trace again with --source, or remove that file",
        )
    places: dict[int, Located] = {}
    for run in found.calls:
        location = found.locations[run.location]
        around = found.locations[location.within] if location.within is not None else None
        place = Located(location, around, run.how != "opened at")
        places.update(dict.fromkeys(range(run.first, run.first + run.count), place))
    return places


def _frame(place: SourceLocation) -> str:
    line = f":{place.line}" if place.line is not None else ""
    return f"{place.function} ({place.file}{line})" if place.function else f"{place.file}{line}"
