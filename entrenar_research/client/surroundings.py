"""What a run tells its child processes, and what it is told itself: environment variables.

`ENTRENAR_STUDY` and `ENTRENAR_RUN` (relative to the study) name the run that a process belongs to, `TRACEPARENT` the
span it was started in (W3C Trace Context, https://www.w3.org/TR/trace-context/#traceparent-header).
"""

from __future__ import annotations

import os

STUDY = "ENTRENAR_STUDY"
RUN = "ENTRENAR_RUN"
PARENT = "TRACEPARENT"
_HEX = frozenset("0123456789abcdef")
_EXPORTS = 10_000
_open: list[Exports] = []
_before: dict[str, str | None] = {}


def incoming() -> tuple[str, str] | None:
    """The trace id and the span id that this process was started with; None if there are none, or none that count."""
    parts = os.environ.get(PARENT, "").strip().split("-")
    if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2]:
        return None
    version, trace, span, _ = parts[:4]
    good = _HEX.issuperset("".join(parts[:4])) and version != "ff" and (version != "00" or len(parts) == 4)
    return (trace, span) if good and trace.strip("0") and span.strip("0") else None


class Exports:
    """The variables that one run sets. With its end they are again what they were, or what another open run has set."""

    __slots__ = ("_left", "_set", "_trace")

    def __init__(self, trace: str) -> None:
        self._trace = trace
        self._left = _EXPORTS
        self._set: dict[str, str] = {}
        if not _open:
            _before.update({name: os.environ.get(name) for name in (STUDY, RUN, PARENT)})
        _open.append(self)

    def put(self, name: str, value: str) -> None:
        """Sets one of the variables."""
        self._set[name] = os.environ[name] = value

    def span(self, span: str) -> None:
        """Names the span for child processes. The first 10,000 spans of a run are named, then the name stays.

        The C library never frees what was in its environment: a span for each of a million steps would cost 100 MB.
        """
        if self._left:
            self._left -= 1
            self.put(PARENT, f"00-{self._trace}-{span}-01")

    def restore(self) -> None:
        """Undoes what was set, except where somebody else has changed it since."""
        if self in _open:
            _open.remove(self)
        for name, value in self._set.items():
            if os.environ.get(name) == value:
                others = [other._set[name] for other in _open if name in other._set]  # noqa: SLF001 - our own kind
                before = others[-1] if others else _before[name]
                if before is None:
                    del os.environ[name]
                else:
                    os.environ[name] = before
        self._set.clear()
