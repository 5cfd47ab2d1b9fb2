"""What the kernel's log says of some processes: killed for memory, or crashed in which library."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

_RECORD = re.compile(r"\d+,\d+,(\d{1,18}),[^;]*;(.*)")
_KILLED = re.compile(
    r"(Memory cgroup out of memory|Out of memory[^:]*): Kill(?:ed)? process (\d+) \((.*?)\)(?:.*? anon-rss:(\d+)kB)?"
)
_CRASHED = re.compile(
    r"(?:traps: )?(\S+)\[(\d+)\]:? (?:trap )?(segfault|general protection fault|invalid opcode|divide error|bad stack)"
    r".*?(?: in (\S+)\[[0-9a-f,+]+\])?(?: likely on CPU .*)?"
)


def message(record: str) -> tuple[float, str]:
    """Time (seconds) and text of a record as /dev/kmsg gives it (`priority,sequence,microseconds,flags;text`)."""
    first = record.partition("\n")[0]
    found = _RECORD.fullmatch(first)
    return (int(found[1]) / 1e6, found[2]) if found else (0.0, first)


def about(messages: Iterable[str], processes: Collection[int]) -> tuple[str, ...]:
    """What the messages say of these process ids, in words that begin with `out of memory: ` or `crash: `."""
    words = []
    for text in messages:
        killed, crashed = _KILLED.match(text), _CRASHED.fullmatch(text)
        if killed and int(killed[2]) in processes:
            where = " in its memory group" if killed[1].startswith("Memory cgroup") else ""
            size = f" with {killed[4]} kB of its own memory" if killed[4] else ""
            words.append(f"out of memory: killed {killed[3]}{size}{where}")
        elif crashed and int(crashed[2]) in processes:
            words.append(f"crash: {crashed[3]} of {crashed[1]}{f' in {crashed[4]}' if crashed[4] else ''}")
    return tuple(dict.fromkeys(words))
