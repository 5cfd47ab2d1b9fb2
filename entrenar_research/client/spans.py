"""Spans as a script uses them: `with run.span("epoch", index=3): ...`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self

    from entrenar_research.client.fast_path import Scope
    from entrenar_research.client.slots import SlotLog
    from entrenar_research.client.surroundings import Exports


class Span:
    """A part of a run with a beginning and an end. What is logged in it, and in its child processes, belongs to it."""

    __slots__ = ("_attributes", "_exports", "_log", "_scope", "_token", "name")

    def __init__(self, log: SlotLog, exports: Exports, name: str, attributes: dict[str, Any]) -> None:
        self._log, self._exports, self.name, self._attributes = log, exports, name, attributes
        self._scope: Scope | None = None
        self._token: object = None

    @property
    def id(self) -> str | None:
        """The W3C span id (16 hex digits); None before it is entered."""
        return self._scope.id if self._scope is not None else None

    def __enter__(self) -> Self:
        self._scope = self._log.begin(self.name, self._attributes)
        self._token = self._log.enter(self._scope)
        self._exports.span(self._scope.id)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        if self._scope is not None:
            self._log.leave(self._scope, self._token)
            self._log.end(self._scope, failed=kind is not None)
            self._exports.span(self._log.active.id)
