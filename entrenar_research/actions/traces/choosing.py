"""Which tracer a command is traced with: the one that the person named, else the first of those that work here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from entrenar_research.errors import MissingToolError, UsageError
from entrenar_research.models.experiment import TraceLevel
from entrenar_research.tracers.port import SHORTCOMINGS, Sight, Tracer

DEFAULTS: Final = ("strace", "kernel")
"""Those that are tried where nobody names one, in this order: both see all that a level asks for."""
_NEXT: Final = "install strace, or allow this account to trace; `entrenar-research doctor` shows what works here"
_OTHER: Final = "leave --tracer out, or name one that works: `entrenar-research doctor` shows them"


class Tracers:
    """The tracers to choose from: `find` gives one by name, `named` is what the person asked for.

    What works is tried once a level: a sweep asks again for every trial.
    """

    def __init__(self, find: Callable[[str], Tracer], named: str | None = None) -> None:
        """With a name.

        Raises:
            UsageError: if there is no tracer of that name.
        """
        self._find = find
        self.named = None if named is None else find(named)
        self._tried: dict[tuple[str, TraceLevel], str | None] = {}

    def find(self, level: TraceLevel) -> Tracer | None:
        """The tracer for `level`; None where none works, and nobody named one.

        Raises:
            MissingToolError: if the one that was named does not work here.
        """
        return self._first(level, DEFAULTS) if self.named is None else self.able(level)

    def able(
        self, level: TraceLevel, what: str | None = None, hint: str | None = None, *, of: Sequence[str] = DEFAULTS
    ) -> Tracer:
        """The tracer for `level`: the first one of `of` that works, if nobody named one.

        Raises:
            MissingToolError: if none works here: `what` comes of that.
        """
        found = self._first(level, of)
        if found is not None:
            return found
        if self.named is not None:
            of = (self.named.name,)
        hint = hint or (_NEXT if self.named is None else _OTHER)
        what = what or f"nothing can be traced here with {' or '.join(of)}"
        raise MissingToolError(f"{what}: {self.reason(level, of)}", hint=hint)

    def reader(self, name: str) -> Tracer:
        """The tracer whose logs are to be read, whether it could trace here or not."""
        return self._find(name)

    def reason(self, level: TraceLevel, of: Sequence[str] = DEFAULTS) -> str:
        """Why nothing can be traced at `level`, of each of `of` in turn."""
        reasons = {name: self._try(name, level) for name in of}
        return "; ".join(told if name in told else f"{name}: {told}" for name, told in reasons.items() if told)

    def refuse(self, what: str, *insufficient: Sight) -> None:
        """Refuses a named tracer that does not see enough of a command for `what`.

        Raises:
            UsageError: if so.
        """
        if self.named is not None and self.named.sees in insufficient:
            raise UsageError(
                f"{what} cannot be made with {self.named.name}: {SHORTCOMINGS[self.named.sees]}",
                hint=f"leave --tracer out, or name one that sees all: {' or '.join(DEFAULTS)}",
            )

    def _first(self, level: TraceLevel, of: Sequence[str]) -> Tracer | None:
        names = of if self.named is None else (self.named.name,)
        return next((self._find(name) for name in names if self._try(name, level) is None), None)

    def _try(self, name: str, level: TraceLevel) -> str | None:
        """Why the tracer of this name cannot trace here."""
        if (name, level) not in self._tried:
            self._tried[name, level] = self._find(name).unavailable(level)
        return self._tried[name, level]


def described(tracer: Tracer) -> str:
    """A tracer with its version, as records have it."""
    return f"{tracer.name} {tracer.version() or ''}".strip()
