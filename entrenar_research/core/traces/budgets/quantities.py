"""The numbers of one trace that assertions ask about, each worked out when it is asked for first."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import Final

from entrenar_research.core.traces import memory
from entrenar_research.core.traces.activity import Activity, end_of
from entrenar_research.core.traces.budgets.critical_path import CriticalPath, critical_path
from entrenar_research.core.traces.calls import EXECUTIONS, LOOKS, ON_PATHS, OPENS
from entrenar_research.core.traces.memory import Peak
from entrenar_research.core.traces.processes import CREATION
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.measured import Measured

_READS: Final = frozenset(
    {"read", "readv", "pread64", "preadv", "preadv2", "recv", "recvfrom", "recvmsg", "sendfile", "copy_file_range"}
)
_WRITES: Final = frozenset(
    {"write", "writev", "pwrite64", "pwritev", "pwritev2", "send", "sendto", "sendmsg", "sendfile", "copy_file_range"}
)
# What a trace at level `observe` holds in any case.
_OBSERVED: Final = OPENS | LOOKS | ON_PATHS | EXECUTIONS | CREATION


class Quantities:
    """The numbers of a document and of the untraced runs beside it. What has no data is None."""

    def __init__(self, document: TraceDocument, measured: Measured | None) -> None:
        self.document = document
        self.measured = measured if measured is not None and measured.repetitions else None

    @cached_property
    def activity(self) -> Activity:
        """The trace by process and thread."""
        return Activity(self.document)

    @cached_property
    def doubt(self) -> str | None:
        """Why the trace may hold less than what happened; None where it is whole."""
        if self.document.lost:
            return f"the tracer lost {self.document.lost} calls"
        if not self.document.complete:
            return "; ".join(self.document.problems) or "the trace is incomplete"
        return None

    @cached_property
    def gap(self) -> str | None:
        """Why the calls in the trace may not be all calls: `doubt`, or its level."""
        if self.doubt is None and self.document.level != "full":
            return f"level {self.document.level!r} leaves calls out"
        return self.doubt

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each call was made."""
        return Counter(call.name for call in self.document.calls)

    @cached_property
    def nanoseconds(self) -> Counter[str]:
        """Time in each call."""
        found = Counter[str]()
        for call in self.document.calls:
            found[call.name] += call.took or 0
        return found

    @cached_property
    def path(self) -> CriticalPath:
        """The critical path, as traced."""
        return critical_path(self.activity)

    @cached_property
    def traced_wall(self) -> int | None:
        """Nanoseconds from the first call to the end of the last process; None where the trace has no times."""
        began = min(call.began for call in self.document.calls)
        ends = [end.at for end in self.document.ends]
        ended = max(ends + [end_of(call) for call in self.document.calls])
        return ended - began if self.activity.dated else None

    @cached_property
    def peak(self) -> Peak:
        """The peak of what was allocated."""
        return memory.peak(self.activity)

    @property
    def memory_gap(self) -> str | None:
        """Why what was allocated cannot be told from this trace."""
        if self.document.level != "full":
            return f"level {self.document.level!r} leaves memory calls out"
        if self.peak.unread:
            return f"the arguments of {self.peak.unread} memory calls are not in the trace"
        return self.doubt

    def name(self, name: str) -> float | None:
        """The value of a name in an expression (`expressions.NAMES`), None without data."""
        if name == "wall_ms":
            return self._wall()
        if name == "rss_bytes":
            return self.measured.peak_memory if self.measured else None
        if name == "spans":
            return None if self.doubt else len(self.document.spans)
        if name in ("processes", "threads"):
            lives = self.activity.by_process if name == "processes" else self.activity.by_thread
            return None if self.doubt else len(lives)
        if name == "peak_bytes":
            return None if self.memory_gap else self.peak.total
        return None if self.gap else self._of_calls(name)

    def function(self, function: str, call: str) -> float | None:
        """The value of a function of one call (`expressions.FUNCTIONS`), None without data."""
        whole = self.gap is None or (self.doubt is None and call in _OBSERVED)
        if not whole or (function != "count" and not self.activity.timed):
            return None
        if function == "count":
            return self.counts[call]
        if function == "seconds":
            return self.nanoseconds[call] / 1e9
        total = self.nanoseconds.total()
        return self.nanoseconds[call] / total if total and self.gap is None else None

    def _wall(self) -> float | None:
        if self.measured is not None:
            return self.measured.median_wall * 1e3
        return None if self.doubt or self.traced_wall is None else self.traced_wall / 1e6

    def _of_calls(self, name: str) -> float | None:
        calls = self.document.calls
        if name == "calls":
            return len(calls)
        if name == "errors":
            return sum(call.error is not None for call in calls)
        if name == "syscall_ms":
            return self.nanoseconds.total() / 1e6 if self.activity.timed else None
        names = _READS if name == "bytes_read" else _WRITES
        return sum(int(call.result) for call in calls if call.name in names and call.result.isdecimal())
