"""The rings' events and the stops' records joined: whole calls, with names for what their descriptors stand for.

A stop comes just before the event of the same call, so that the next event of its thread has the stop's number and
arguments. Where that does not hold, and where a call begins before the last one ended, something was lost: that is
counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from entrenar_research.models.trace import ProcessEnd, SystemCall
from entrenar_research.tools.kernel_ring import log
from entrenar_research.tools.kernel_ring.descriptors import Descriptors
from entrenar_research.tools.kernel_ring.events import Event
from entrenar_research.tools.kernel_ring.flags import signal_name
from entrenar_research.tools.kernel_ring.log import Record
from entrenar_research.tools.kernel_ring.notation import Form, Moment, Notation, outcome, shown
from entrenar_research.tools.kernel_ring.signatures import Plan, passes

_MOST_ERRNO: Final = 4095
_LAST: Final = 0xFFFFFFFF
_MOST_TEXTS: Final = 100_000
_NOTHING: Final[Mapping[int, bytes]] = {}
_CREATIONS: Final = frozenset({"clone", "clone3", "fork", "vfork"})


class _Begun(msgspec.Struct, gc=False):
    """A call that has begun: when, what, what was read at its stop, and what was behind its descriptors."""

    time: int
    form: Form
    arguments: tuple[int, ...]
    items: Mapping[int, bytes]
    behind: tuple[bytes | None, ...]
    directory: bytes | None
    child: int = 0


class Joining:
    """The calls and ends of one log, in the order in which they came to their ends."""

    def __init__(self, machine: str, names: Mapping[int, str], plans: Mapping[int, Plan], offset: int) -> None:
        self.calls: list[SystemCall] = []
        self.ends: list[ProcessEnd] = []
        self.lost = 0
        self.undecoded: set[int] = set()
        self.alive: set[int] = set()
        self._names = names
        self._plans = plans
        self._offset = offset
        self._notation = Notation(machine)
        self._forms: dict[int, Form] = {}
        # Threads whose next event is of a call of another processor: its number means something else.
        self._foreign: set[int] = set()
        self._texts: dict[tuple[object, ...], str] = {}
        self._descriptors = Descriptors()
        self._begun: dict[int, _Begun] = {}
        self._stops: dict[int, Record] = {}
        self._followed: set[int] = set()

    def event(self, event: Event) -> None:
        """Takes an event of a ring."""
        time, tid, number, arguments, result = event
        if arguments is not None:
            self._enters(tid, time, number, arguments)
        elif tid in self._begun:
            self._leaves(tid, time, result)

    def record(self, record: Record, *, alone: bool) -> None:
        """Takes a record of the stops; `alone` where there are no rings."""
        tid = record.tid
        if record.kind == log.CALL:
            self.alive.add(tid)
            if alone:
                self._whole(record)
            else:
                self._unmatched(tid, ended=False)
                self._stops[tid] = record
        elif record.kind == log.BORN:
            self._born(record, alone=alone)
        elif record.kind == log.EXECUTED:
            self._executed(record)
        elif record.kind == log.ENDED:
            self._ended(record)
        elif record.kind == log.UNDECODED:
            self.undecoded.add(tid)
            self.lost += 1
            self._foreign.add(tid)

    def _enters(self, tid: int, time: int, number: int, arguments: tuple[int, ...]) -> None:
        stop = self._stops.pop(tid, None) if self._stops else None
        if tid not in self._followed:
            if stop is None:
                return  # our own child, on its way to becoming the command
            self._followed.add(tid)
        if tid in self._foreign:
            self._foreign.discard(tid)
            return
        form = self._forms.get(number) or self._form(number)
        if tid in self._begun:
            self.lost += 1
            self._give_up(tid)
        items: Mapping[int, bytes] = _NOTHING
        if stop is not None and stop.numbers == (number, *arguments):
            items = stop.items
        elif stop is not None or (number in self._plans and not passes(form.name, arguments)):
            self.lost += 1
        behind: tuple[bytes | None, ...] = ()
        if form.descriptors:
            table = self._descriptors.table(tid)
            behind = tuple([table.get(arguments[place] & _LAST) for place in form.descriptors])
        self._begun[tid] = _Begun(time, form, arguments, items, behind, self._descriptors.directory(tid))
        if form.before:
            self._descriptors.before(tid, form.name, arguments)

    def _form(self, number: int) -> Form:
        name = self._names.get(number) or f"syscall_{number:#x}"
        form = self._forms[number] = self._notation.form(name)
        return form

    def _leaves(self, tid: int, time: int, result: int) -> None:
        begun = self._begun.pop(tid)
        if begun.form.after and (result >= 0 or result < -_MOST_ERRNO):
            self._descriptors.after(tid, begun.form.name, begun.arguments, result, begun.items)
        self._add(tid, begun, time, result)

    def _add(self, tid: int, begun: _Begun, ended: int, value: int) -> None:
        text, error = outcome(begun.child or value)
        returns = begun.form.returns
        if returns and error is None:
            if returns == "x":
                text = hex(value)
            elif begun.items.get(log.RESULT) is not None:
                text = shown(value, begun.items[log.RESULT])
            elif returns == "dup" or (returns == "fcntl" and self._descriptors.duplicates(begun.arguments)):
                text = shown(value, self._descriptors.behind(tid, value))
        arguments = self._arguments(begun, value, failed=error is not None)
        began = begun.time
        self.calls.append(
            SystemCall(tid, self._seconds(began), begun.form.name, arguments, text, error, (ended - began) / 1e9)
        )

    def _arguments(self, begun: _Begun, value: int | None, *, failed: bool) -> str:
        """The text of the arguments; programs make many calls in the same words."""
        key = (begun.form.name, begun.arguments, begun.behind, failed, value is None)
        plain = not begun.items
        found = self._texts.get(key) if plain else None
        if found is None:
            behind = dict(zip(begun.form.descriptors, begun.behind, strict=True))
            found = self._notation.arguments(
                Moment(begun.form.name, begun.arguments, begun.items, behind, begun.directory, failed, value)
            )
            if plain and len(self._texts) < _MOST_TEXTS:
                self._texts[key] = found
        return found

    def _give_up(self, tid: int) -> None:
        """The thread went no further in what it had begun: it has no result."""
        begun = self._begun.pop(tid, None)
        if begun is not None:
            arguments = self._arguments(begun, None, failed=False)
            self.calls.append(SystemCall(tid, self._seconds(begun.time), begun.form.name, arguments, "?"))

    def _unmatched(self, tid: int, *, ended: bool) -> None:
        """A stop that no event followed: the thread was killed there, or the event is lost."""
        stop = self._stops.pop(tid, None)
        if stop is not None:
            self.lost += not ended
            self._whole(stop)

    def _whole(self, record: Record) -> None:
        """A call that is known from its stops alone."""
        tid, (number, *arguments) = record.tid, record.numbers
        form = self._forms.get(number) or self._form(number)
        behind = tuple(record.items.get(log.BEHIND + place) for place in form.descriptors)
        directory = self._descriptors.directory(tid)
        begun = _Begun(record.moment, form, tuple(arguments), record.items, behind, directory)
        if record.how_far != log.DONE:
            self._begun[tid] = begun
            self._give_up(tid)
            return
        if log.DIRECTORY in record.items:
            self._descriptors.stands(tid, record.items[log.DIRECTORY])
        self._add(tid, begun, record.ended, record.result)

    def _born(self, record: Record, *, alone: bool) -> None:
        tid, (child, number, flags) = record.tid, record.numbers
        self.alive.add(child)
        self._followed.add(child)
        self._descriptors.born(tid, child, flags)
        items = {0: flags.to_bytes(8, "little", signed=True)}
        begun = self._begun.get(tid)
        if alone:
            form = self._forms.get(number) or self._form(number)
            begun = _Begun(record.moment, form, (flags, 0, 0, 0, 0, 0), items, (), None)
            self._add(tid, begun, record.moment, child)
        elif begun is not None and begun.form.name in _CREATIONS:
            begun.child, begun.items = child, items

    def _executed(self, record: Record) -> None:
        tid, former = record.tid, record.numbers[0]
        if former != tid:
            self._give_up(tid)
            if former in self._begun:
                self._begun[tid] = self._begun.pop(former)
            self.ends.append(ProcessEnd(former, self._seconds(record.moment)))
            self.alive.discard(former)
        self._descriptors.executed(tid, former, record.items)

    def _ended(self, record: Record) -> None:
        tid, (status, killed, _) = record.tid, record.numbers
        self._unmatched(tid, ended=True)
        self._give_up(tid)
        self.alive.discard(tid)
        self._followed.discard(tid)
        self._descriptors.ended(tid)
        time = self._seconds(record.moment)
        self.ends.append(ProcessEnd(tid, time, None if killed else status, signal_name(killed) if killed else None))

    def _seconds(self, moment: int) -> float:
        return (moment + self._offset) / 1e9
