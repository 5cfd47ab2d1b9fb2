"""The log of one process: everything about it but the fast path of `log_metric`.

Spans, keys and notes are statements of several slots, written under a lock; so is whatever the fast path hands over:
the first point of a key, a point for which there is no room yet, a value that is no number, a process that was just
forked.
"""

from __future__ import annotations

import os
import time
from _thread import RLock, _local, get_native_id  # not threading, which takes longer to import than all of the client
from contextvars import ContextVar
from itertools import count, repeat

from entrenar_research.client import layout, texts, values
from entrenar_research.client.fast_path import NOWHERE, NoRoomError, Scope, fast_path
from entrenar_research.client.layout import SLOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from entrenar_research.client.port import Room, Storage

_PATIENCE = 1.0
_OPEN, _FULL, _ABSENT, _ENDED = range(4)


class SlotLog:
    """Everything about a log but the fast path. `trace` is the W3C trace id, `parent` the span above its first one.

    `lost` counts the points and notes for which there was no room, and `lost_errno` says why; `spans` were begun.
    """

    def __init__(self, storage: Storage, name: str, trace: str, parent: str | None) -> None:
        self.storage = storage
        self.trace = trace
        self.parent = parent
        self.lost = self.lost_errno = self.spans = 0
        self.root = Scope(self, name, None, {})
        self._scopes = {self.root.id: self.root}
        self._active: ContextVar[Scope] = ContextVar("span", default=self.root)
        self._lock = RLock()
        self._room: Room = bytearray()
        self._forget()
        self.log_metric, self._switch = fast_path(self, self._active.get)

    def _forget(self) -> None:
        """The state of a process that has not logged yet."""
        self._state = _ABSENT
        self._free: Iterator[int] = repeat(NOWHERE)
        self._refs = count(1).__next__
        self._retry = 0.0
        self._own = _local()

    @property
    def active(self) -> Scope:
        """The span that is logged in, in this thread or task."""
        return self._active.get()

    @property
    def begun(self) -> bool:
        """Whether this process has logged anything; one that was forked may not have."""
        return self._state != _ABSENT

    @property
    def ended(self) -> bool:
        """Whether the log was ended."""
        return self._state == _ENDED

    def open(self) -> None:
        """Makes the log, with its header and its first span; otherwise the first thing logged does.

        Raises:
            OSError: if the storage has no room for it.
        """
        with self._lock:
            room = self.storage.append(layout.HEADER_SIZE + SLOT)
            began = time.time_ns()
            layout.HEADER.pack_into(room, 0, layout.MAGIC, SLOT, 0, os.getpid(), began, self.lost, self.lost_errno, 0)
            self._free = count(layout.HEADER_SIZE, SLOT)
            self._use(room)
            self._state = _OPEN
            if not self.root.inherited:
                self._try_span(self.root)

    def _use(self, room: Room) -> None:
        self._room = room
        self._switch(room, self._free)

    # --- spans, keys and notes: statements -------------------------------------------------------------------------

    def begin(self, name: str, attributes: Mapping[str, Any]) -> Scope:
        """Begins a span below the active one; it is logged in once it is entered."""
        scope = Scope(self, name, self.active, attributes)
        scope.thread = self._thread()
        with self._lock:
            self._scopes[scope.id] = scope
            self._try_span(scope)
        return scope

    def _thread(self) -> int:
        """The kernel's number of this thread, asked for once in each; 0 for the first one of the process."""
        try:
            return int(self._own.number)
        except AttributeError:
            number = get_native_id()
            self._own.number = 0 if number == os.getpid() else number
            return int(self._own.number)

    def enter(self, scope: Scope) -> object:
        """Makes a span the active one, in this thread or task; what is returned is given back to `leave`."""
        return self._active.set(scope)

    def leave(self, scope: Scope, token: Any) -> None:
        """Makes the span above the active one again."""
        try:
            self._active.reset(token)
        except ValueError:  # entered in another task, as generators do
            self._active.set(scope.above or self.root)

    def end(self, scope: Scope, *, failed: bool) -> None:
        """Ends a span, where it is in this file."""
        with self._lock:
            self._scopes.pop(scope.id, None)
            if scope.ref and not self.ended:
                slots = self._slots(1)
                if slots is not None:
                    moment = time.time_ns()
                    layout.STATEMENT_SLOT.pack_into(self._room, slots[0], failed, 0, moment, scope.ref, layout.END)

    def note(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Writes down something that is no number; where there is no room it is counted as lost."""
        with self._lock:
            try:
                self._statement(layout.NOTE, self._ref(self.active), texts.json_text({"kind": kind, **fields}))
            except NoRoomError:
                self._lose()

    def name_key(self, scope: Scope, key: str) -> int:
        """The ref of a key that is logged in a span for the first time.

        Raises:
            UsageError: if it is no name.
            NoRoomError: if it cannot be written down.
        """
        values.name(key, "name of a metric")
        with self._lock:
            if key not in scope:  # another thread may have been first
                scope[key] = self._statement(layout.KEY, self._ref(scope), key)
            return dict.__getitem__(scope, key)

    def _try_span(self, scope: Scope) -> None:
        try:
            self._state_span(scope)
        except NoRoomError:
            self._lose()

    def _ref(self, scope: Scope) -> int:
        """The ref of a span in this file, where it may have to be written down first."""
        if self._state == _ABSENT:
            self._resume()
        return scope.ref or self._state_span(scope)

    def _state_span(self, scope: Scope) -> int:
        """Writes down that a span was begun. Of an inherited one, that this process goes on with it."""
        above = scope.above
        fields: dict[str, Any] = {"id": scope.id, "name": scope.name}
        if scope.inherited:
            fields = {"id": os.urandom(8).hex(), "name": f"fork in {scope.name}", "parent": scope.id}
            above = None
        elif above is None and self.parent is not None:
            fields["parent"] = self.parent
        if above is None:
            fields["trace"] = self.trace
        elif scope.thread:
            fields["thread"] = scope.thread
        fields["attributes"] = dict(scope.attributes)
        parent = self._ref(above) if above is not None else 0
        scope.ref = self._statement(layout.BEGIN, parent, texts.json_text(fields))
        self.spans += 1
        return scope.ref

    def _statement(self, mark: int, second: int, text: str) -> int:
        """Writes the slots of a text and then the statement that they belong to; its ref.

        Raises:
            NoRoomError: if they do not all fit; then none is written.
            UsageError: if the log was ended.
        """
        raw = text.encode("utf-8")
        size = layout.TEXT_BYTES
        parts = [raw[start : start + size] for start in range(0, len(raw), size)]
        with self._lock:
            slots = self._slots(len(parts) + 1)
            if slots is None:
                raise NoRoomError
            ref = self._refs()
            for slot, part in zip(slots, parts, strict=False):
                layout.TEXT_SLOT.pack_into(self._room, slot, part, ref, layout.TEXT)
            layout.STATEMENT_SLOT.pack_into(self._room, slots[-1], len(raw), second, time.time_ns(), ref, mark)
        return ref

    # --- room ------------------------------------------------------------------------------------------------------

    def _slots(self, number: int) -> list[int] | None:
        """So many slots, in order; None if there is no room for them."""
        if self._state != _OPEN and not self._resume():
            return None
        slots = [next(self._free) for _ in range(number)]
        return slots if self._reach(slots[-1] + SLOT) else None

    def _reach(self, length: int) -> bool:
        """Whether the room is that long, after more was asked for where it was not."""
        missing = length - len(self._room)
        if missing > 0:
            try:
                self._use(self.storage.append(missing))
            except OSError as error:
                self._suspend(error)
                return False
        return True

    def _suspend(self, error: OSError) -> None:
        """Gives out no slots for a while: a full disk is not asked again for every point."""
        self._state = _FULL if self._state == _OPEN else self._state
        self._switch(self._room, repeat(NOWHERE))
        self.lost_errno = error.errno or 0
        self._retry = time.monotonic() + _PATIENCE

    def _resume(self) -> bool:
        """Whether slots are given out again: there is a file now, or space on the disk."""
        if self._state == _ENDED:
            raise values.ended(self.root.name)
        if time.monotonic() < self._retry:
            return False
        try:
            if self._state == _ABSENT:
                self.open()
            else:
                self._use(self.storage.append(SLOT))
        except OSError as error:
            self._suspend(error)
            return False
        self._state = _OPEN
        return True

    def _lose(self) -> None:
        self.lost += 1
        if len(self._room) >= layout.HEADER_SIZE:
            layout.LOST.pack_into(self._room, layout.LOST_OFFSET, self.lost, self.lost_errno)

    # --- what the fast path hands over -----------------------------------------------------------------------------

    def refuse(self, key: object, value: object, step: object) -> None:
        """A point whose key has no ref: it is no name, or there is no room for it."""
        name = values.name(key, "name of a metric")
        values.number(value, name)
        if step is not None:
            values.step(step, name)
        with self._lock:
            self._lose()

    def repair(self, slot: int, key: str, ref: int, value: object, step: object) -> None:
        """A point that could not be packed: there is no such slot, or its value or step is not what it should be."""
        try:
            number, whole = values.number(value, key), values.step(step, key)
        except Exception:
            self._wipe(slot)
            raise
        with self._lock:
            if self._state == _ENDED:
                raise values.ended(self.root.name)
            within = slot < NOWHERE
            slots = [slot] if within and self._reach(slot + SLOT) else None if within else self._slots(1)
            if slots is None:
                self._lose()
            else:
                layout.POINT_SLOT.pack_into(self._room, slots[0], whole, number, time.time_ns(), ref, layout.POINT)

    def _wipe(self, slot: int) -> None:
        """Empties a slot that was packed in part."""
        if slot + SLOT <= len(self._room):
            self._room[slot : slot + SLOT] = bytes(SLOT)

    # --- the end, and a fork ---------------------------------------------------------------------------------------

    def finish(self, *, failed: bool) -> int:
        """Ends the spans that are open and the log; the number of points in it.

        Raises:
            OSError: if the storage cannot be sealed; what was logged is there all the same.
        """
        with self._lock:
            if self._state == _ABSENT or self.ended:
                self._state = _ENDED
                return 0
            for scope in reversed(list(self._scopes.values())):
                self.end(scope, failed=failed)
            self._switch(self._room, repeat(NOWHERE))  # first: beyond the length nobody may write any more
            length = min(next(self._free), len(self._room))
            self._state = _ENDED
            marks = bytes(self._room[layout.HEADER_SIZE + SLOT - 4 : length : SLOT])
            layout.CLOSED.pack_into(self._room, layout.CLOSED_OFFSET, 1)
            self._room = bytearray()
            self._switch(self._room, repeat(NOWHERE))  # the map goes, and its descriptor with it
            self.storage.seal(length)
        return marks.count(layout.POINT)

    def fork(self) -> None:
        """Called in a process that was just forked: from now on this is its log, and begins with what it logs first."""
        active: Scope | None = self.active
        self._lock = RLock()
        self._switch(bytearray(), repeat(NOWHERE))
        self._room = bytearray()
        self.storage = self.storage.child()
        if self.ended:
            return
        self._forget()
        self.lost = self.lost_errno = self.spans = 0
        while active is not None:
            self._scopes[active.id] = active
            active = active.above
        for scope in self._scopes.values():
            scope.clear()
            scope.ref, scope.inherited = 0, True
