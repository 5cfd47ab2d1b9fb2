"""What a tracer traces does not outlive us: not even where we are killed by SIGKILL, and can do nothing any more.

A guard, a shell in a process group of its own, waits for the end of a pipe whose other end is here alone. Its end is
ours: then the guard kills whatever the tracer traces, and the tracer. PR_SET_PDEATHSIG would reach only the tracer, and
strace (6.1) leaves what it traces running when it is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Final

# They are looked for until a look finds no new one: one that is born meanwhile is traced from its birth, and its parent
# was one of those.
AFTER_US: Final = """\
read -r tracer
read -r end
killed=" "
again=$tracer
while [ "$again" ]; do
    again=
    for status in /proc/[0-9]*/status; do
        process=${status#/proc/}
        process=${process%/status}
        key= value=
        while read -r key value rest; do
            [ "$key" = TracerPid: ] && break
        done <"$status"
        [ "$key $value" = "TracerPid: $tracer" ] || continue
        case $killed in *" $process "*) continue ;; esac
        kill -s KILL "$process"
        killed="$killed$process "
        again=yes
    done
done
"""
"""For a guard: waits for our end, then kills what the process `$tracer` traces, if it was told of one."""


_LOOKS: Final = 100
"""So often at the most: a program that starts others faster than they are found would never let us end."""


@contextlib.contextmanager
def dying_with_us() -> Iterator[subprocess.Popen[bytes]]:
    """A guard: within the block, the tracer that it is told of, and what that traces, are killed if this process dies.

    The block is to end while the tracer's process id is still the tracer's: before it is waited for.
    """
    guard = subprocess.Popen(
        ["/bin/sh", "-c", f'{AFTER_US}[ "$tracer" ] && kill -s KILL "$tracer"'], cwd="/", env={}, process_group=0,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield guard
    finally:
        guard.kill()
        guard.communicate()


def kill(tracer: int) -> None:
    """Kills what the process `tracer` traces, wherever it has gone, before somebody kills the tracer."""
    killed: set[int] = set()
    for _ in range(_LOOKS):
        if not (fresh := _traced_by(tracer) - killed):
            return
        for process in fresh:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        killed |= fresh


def _traced_by(tracer: int) -> set[int]:
    wanted = f"\nTracerPid:\t{tracer}\n"
    found = set()
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/status", encoding="utf-8", errors="replace") as stream:
            if wanted in stream.read():
                found.add(int(name))
    return found


def tell(guard: subprocess.Popen[bytes], tracer: int) -> None:
    """Tells a guard which process is the tracer; it may as well be one that traces nothing."""
    if guard.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            guard.stdin.write(b"%d\n" % tracer)
            guard.stdin.flush()
