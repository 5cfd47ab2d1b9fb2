"""Counting the calls of a long strace log without reading them: all lines at once, as arrays of bytes.

It gives what `strace_log.parse` and `summary.summarise` give for the same log. What a line is, is seen from its ends:
its name from the first bytes after process and time, its duration from the last ones, its error from what stands after
its last `=` where the line ends in a parenthesis. The few lines that cannot be judged so are read one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenar_research.core.traces.logs import strace_log
from entrenar_research.core.traces.logs.strace_form import Form
from entrenar_research.core.traces.summary import SummaryRow

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Places = NDArray[np.int64]
Marks = NDArray[np.bool_]

_PAD: Final = 64
_STAMP: Final = 18  # `1700000000.000001 `
_NAME_WORDS: Final = 4  # names of 32 letters at most
_SLOTS: Final = 1 << 14
_HIGHS: Final = np.uint64(0x8080808080808080)
_ONES: Final = np.uint64(0x0101010101010101)
_MIXERS: Final = tuple(
    np.uint64(odd) for odd in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5)
)
_UNFINISHED, _RESUMED, _ENDED, _SUPERSEDED = range(4)


def countable(form: Form) -> bool:
    """Whether logs of this form can be counted so: those of `strace -f -ttt -o`, with or without -T and -y."""
    return (form.processes, form.stamp, form.rich) == ("column", "epoch", False)


class Count:
    """Counts a log piece by piece: `take` the pieces in order, then ask for `rows`.

    `doubtful` when a line was met that only `strace_log.parse` can judge, `unreadable` is how many it would refuse.
    """

    def __init__(self) -> None:
        self.doubtful = False
        self.unreadable = 0
        self._rest = b""
        self._names: dict[bytes, list[int]] = {}
        self._open: dict[int, bytes] = {}

    def take(self, piece: bytes) -> None:
        """The next bytes of the log, cut anywhere."""
        data = self._rest + piece if self._rest else piece
        end = data.rfind(b"\n") + 1
        self._rest = data[end:]
        if end:
            self._take_lines(data, end)

    @property
    def cut(self) -> bool:
        """Whether the last line has no end; it is not counted."""
        return bool(self._rest)

    def rows(self) -> tuple[SummaryRow, ...]:
        """The rows of the summary of what was taken."""
        rows = (
            SummaryRow(name=name.decode(), calls=calls, errors=errors, microseconds=spent)
            for name, (calls, errors, spent) in self._names.items()
        )
        return tuple(sorted(rows, key=lambda row: (-row.microseconds, row.name)))

    def _add(self, name: bytes, calls: int, errors: int, microseconds: int) -> None:
        row = self._names.setdefault(name, [0, 0, 0])
        row[0] += calls
        row[1] += errors
        row[2] += microseconds

    def _take_lines(self, data: bytes, end: int) -> None:
        lines = _Lines(np.frombuffer(b"".join((b"\0" * _PAD, data[:end], b"\0" * _PAD)), dtype=np.uint8))
        self._follow(lines)
        for which, at, closing in (
            (lines.whole, lines.names, ord("(")),
            (lines.resumed, lines.names + 5, ord(" ")),
        ):
            places = np.flatnonzero(which)
            for row in lines.counted(places, at[places], closing):
                self._add(*row)
        for number in np.flatnonzero(lines.odd).tolist():
            self._take_odd(lines.text(number))

    def _follow(self, lines: _Lines) -> None:
        """Pairs the halves of calls; one whose process ended in it has no second half, and counts all the same."""
        events = lines.events()
        found = lines.kinds(events)
        before = [(key, _UNFINISHED, -1) for key in self._open]
        keys = np.concatenate((np.array([key for key, *_ in before], dtype=np.uint64), lines.processes(events)))
        kinds = np.concatenate((np.full(len(before), _UNFINISHED), found))
        order = np.argsort(keys, kind="stable")
        keys, kinds = keys[order], kinds[order]
        same = np.concatenate(([False], keys[1:] == keys[:-1])) if len(keys) else np.zeros(0, dtype=bool)
        inside = same & np.concatenate(([False], kinds[:-1] == _UNFINISHED)) if len(keys) else same
        taken_over = same & np.concatenate(([False], kinds[:-1] == _SUPERSEDED)) if len(keys) else same
        lost = order[(kinds == _RESUMED) & ~inside & ~taken_over] - len(before)
        lines.resumed[events[lost]] = False
        self.unreadable += len(lost)
        names = [self._open[key] for key, *_ in before]

        def name(place: int) -> bytes:
            return names[place] if place < len(before) else lines.name(int(events[place - len(before)]))

        for at in np.flatnonzero(inside & (kinds >= _ENDED)).tolist():
            self._add(name(int(order[at - 1])), 1, 0, 0)
        last = np.concatenate((keys[1:] != keys[:-1], [True])) if len(keys) else same
        waiting = np.flatnonzero(last & (kinds == _UNFINISHED))
        self._open = {int(keys[at]): name(int(order[at])) for at in waiting.tolist()}
        for at in events[found == _SUPERSEDED].tolist():
            thread = lines.text(at).split()[-2]
            self._open.pop(int.from_bytes(thread.ljust(8, b"\0"), "little"), None)

    def _take_odd(self, line: bytes) -> None:
        call = strace_log.call_of(line.decode("ascii", "backslashreplace"))
        if call is not None:
            self._add(call.name.encode(), 1, int(call.error is not None), round((call.duration or 0.0) * 1e6))
        elif b" resumed>" in line or line.endswith((b" ...>", b" +++")):
            self.doubtful = True
        elif not line.endswith(b" ---") and b"[ Process PID=" not in line:
            self.unreadable += 1


class _Lines:
    """The lines of a piece, which has room before and after: which of them is what.

    `whole`, `resumed`, `unfinished` and `ended` (and superseded) are disjoint; `odd` is none of what is known.
    """

    def __init__(self, data: Bytes) -> None:
        self._data = data
        self._words: Words = np.ndarray((len(data) - 7,), dtype="<u8", buffer=data, strides=(1,))  # one at every byte
        self._ends = np.flatnonzero(data == ord("\n"))
        self._starts = np.concatenate(([_PAD], self._ends[:-1] + 1))
        self._equals: Places | None = None
        self.names, fits = self._after_stamp()
        self._last, before = self._words[self._ends - 8], self._words[self._ends - 16]
        self._timed, self._long = _durations(self._last, before)
        self._seconds = (before >> np.uint64(56)) & np.uint64(0x0F)
        head = self._words[self.names]
        first = head & np.uint64(0xFF)
        letter = (((first | np.uint64(0x20)) - np.uint64(ord("a"))) < 26) | (first == ord("_")) | (first == ord("?"))
        letter &= fits
        self.resumed: Marks = fits & ((head & _mask(5)) == _word(b"<... "))
        cut = self._last == _word(b"hed ...>")
        self.unfinished: Marks = letter & cut & (before == _word(b"<unfinis"))
        marked = head & _mask(4)
        self.ended: Marks = fits & (marked == _word(b"+++ "))
        self.whole: Marks = letter & ~self.unfinished
        unsure = np.flatnonzero(self.whole & ~self._timed & ~self._long & ~cut)
        at = self._last_equals(unsure, self._ends[unsure])
        self.whole[unsure] = (self._words[at - 1] & _mask(3)) == _word(b" = ")
        remark = fits & ((marked == _word(b"--- ")) | (head == _word(b"[ Proces")))
        self.odd: Marks = ~(self.whole | self.unfinished | self.resumed | self.ended | remark)

    def _after_stamp(self) -> tuple[Places, Marks]:
        """Where what follows process and time begins, and which lines have these as strace writes them."""
        head = self._words[self._starts]
        five, six, seven = ((head >> np.uint64(shift)) & np.uint64(0xFF) == ord(" ") for shift in (40, 48, 56))
        names = self._starts + (_STAMP + 8)
        names[six] = self._starts[six] + (_STAMP + 7)
        names[five] = self._starts[five] + (_STAMP + 6)
        names = np.minimum(names, len(self._data) - _PAD)
        stamp = self._words[names - 8] & np.uint64(0xFF000000000000FF)
        digit = ((head & np.uint64(0xFF)) - np.uint64(ord("0"))) < 10
        fits = digit & (five | six | seven) & (stamp == _word(b".\0\0\0\0\0\0 ")) & (names < self._ends)
        return names, fits

    def text(self, at: int) -> bytes:
        """A whole line."""
        return self._data[self._starts[at] : self._ends[at]].tobytes()

    def name(self, at: int) -> bytes:
        """The name of the call that begins in a line."""
        return self._data[self.names[at] : self._ends[at]].tobytes().partition(b"(")[0]

    def processes(self, which: Places) -> Words:
        """A number for the process of each of the lines: its digits."""
        words = self._words[self._starts[which]]
        return words & _before(words, ord(" "))

    def events(self) -> Places:
        """The lines that begin, resume or end something that another line belongs to."""
        return np.flatnonzero(self.unfinished | self.resumed | self.ended)

    def kinds(self, which: Places) -> Places:
        """What kind of event each of the lines is."""
        superseded = self.ended[which] & (self._words[self.names[which] + 4] == _word(b"supersed"))
        kinds = np.where(self.ended[which], _ENDED, np.where(self.resumed[which], _RESUMED, _UNFINISHED))
        return np.where(superseded, _SUPERSEDED, kinds)

    def counted(self, which: Places, at: Places, closing: int) -> Iterator[tuple[bytes, int, int, int]]:
        """Name, calls, errors and microseconds of the lines `which`; a name begins `at` and ends before `closing`."""
        failed, spent = self._failed(which), self._microseconds(which)
        keys = self._keys(at, closing)
        while len(at):
            slots = (keys >> np.uint64(50)).astype(np.int64)
            example = np.zeros(_SLOTS, dtype=np.int64)
            example[slots] = np.arange(len(slots))
            mine = keys[example[slots]] == keys
            calls = np.bincount(slots[mine], minlength=_SLOTS)
            errors = np.bincount(slots[mine & failed], minlength=_SLOTS)
            time = np.bincount(slots[mine], weights=spent[mine], minlength=_SLOTS)
            for slot in np.flatnonzero(calls).tolist():
                start = int(at[example[slot]])
                name = self._data[start : start + 64].tobytes().partition(bytes([closing]))[0]
                yield name, int(calls[slot]), int(errors[slot]), int(time[slot])
            at, keys, failed, spent = at[~mine], keys[~mine], failed[~mine], spent[~mine]

    def _keys(self, at: Places, closing: int) -> Words:
        """A number for each of the names."""
        words = self._words[at]
        before = _before(words, closing)
        keys = (words & before) * _MIXERS[0]
        pending = np.flatnonzero(before == ~np.uint64(0))
        for number in range(1, _NAME_WORDS):
            words = self._words[at[pending] + 8 * number]
            before = _before(words, closing)
            keys[pending] ^= (words & before) * _MIXERS[number] + np.uint64(number)
            pending = pending[before == ~np.uint64(0)]
        return keys * _MIXERS[3]

    def _failed(self, which: Places) -> Marks:
        """Which of the lines end in an error: `= -1 ENOENT (No such file or directory)`, `= ? ERESTARTSYS (...)`."""
        last = self._ends[which] - np.where(self._timed[which], 12, 1)
        for place in np.flatnonzero(self._long[which]).tolist():
            last[place] = self._starts[which[place]] + self.text(int(which[place])).rindex(b" <") - 1
        failed = np.zeros(len(which), dtype=bool)
        maybe = np.flatnonzero(self._data[last] == ord(")"))
        words = self._words[self._last_equals(which[maybe], last[maybe]) - 1]
        failed[maybe] = ((words & _mask(7)) == _word(b" = -1 E")) | ((words & _mask(6)) == _word(b" = ? E"))
        return failed

    def _last_equals(self, which: Places, before: Places) -> Places:
        """The place of the last `=` in each line `before` a place in it; that of its name if there is none."""
        if self._equals is None:
            self._equals = np.concatenate(([_PAD], np.flatnonzero(self._data == ord("="))))
        found = self._equals[np.searchsorted(self._equals, before) - 1]
        return np.where(found > self.names[which], found, self.names[which])

    def _microseconds(self, which: Places) -> Places:
        """The durations; 0 for lines without."""
        digits = ((self._last[which] >> np.uint64(8)) & np.uint64(0x00000F0F0F0F0F0F)) << np.uint64(16)
        pairs = digits * np.uint64(10) + (digits >> np.uint64(8))
        upper = (pairs & np.uint64(0x000000FF000000FF)) * np.uint64(0x000F424000000064)
        lower = ((pairs >> np.uint64(16)) & np.uint64(0x000000FF000000FF)) * np.uint64(0x0000271000000001)
        spent = ((upper + lower) >> np.uint64(32)) + self._seconds[which] * np.uint64(1_000_000)
        found = np.where(self._timed[which], spent, np.uint64(0)).astype(np.int64)
        for place in np.flatnonzero(self._long[which]).tolist():
            found[place] = round(float(self.text(int(which[place])).rpartition(b"<")[2][:-1]) * 1e6)
        return found


def _durations(last: Words, before: Words) -> tuple[Marks, Marks]:
    """Which lines end in ` <0.000012>`, and which in a duration of ten seconds or more, by their last sixteen bytes."""
    frame = last & np.uint64(0xFFF0F0F0F0F0F0FF)
    second = (before >> np.uint64(56)) - np.uint64(ord("0"))
    told = (frame == _word(b".000000>")) & (second < 10)
    opened = (before >> np.uint64(40)) & np.uint64(0xFFFF)
    short = told & (opened == _word(b" <"))
    tens = told & ~short & (((opened >> np.uint64(8)) - np.uint64(ord("0"))) < 10)
    return short, tens


def _word(text: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(text[:8], "little"))


def _mask(length: int) -> np.uint64:
    return np.uint64((1 << 8 * length) - 1)


def _before(words: Words, byte: int) -> Words:
    """Masks of the bytes of each word before the first `byte` in it; all of them where there is none.

    The lowest zero byte of `x` is at the lowest set bit of `(x - 0x01..) & ~x & 0x80..` (Hacker's Delight, 6-1).
    """
    unlike = words ^ (np.uint64(byte) * _ONES)
    zeros = (unlike - _ONES) & ~unlike & _HIGHS
    lowest = zeros & (~zeros + np.uint64(1))
    return np.where(zeros == 0, ~np.uint64(0), (lowest >> np.uint64(7)) - np.uint64(1))
