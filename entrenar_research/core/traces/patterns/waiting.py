"""Calls in which a thread waits rather than works: tables of their names."""

from __future__ import annotations

from typing import Final

from entrenar_research.models.documented import DocumentedCall

SLEEPS: Final = frozenset({"nanosleep", "clock_nanosleep", "pause", "rt_sigsuspend", "rt_sigtimedwait"})
"""They let time pass."""

EVENT_WAITS: Final = frozenset({"epoll_wait", "epoll_pwait", "epoll_pwait2", "io_uring_enter", "io_getevents"})
"""What event loops wait in."""

POLLS: Final = EVENT_WAITS | {"poll", "ppoll", "select", "pselect6"}
"""They wait for one of several descriptors."""

WAITS: Final = (
    SLEEPS | POLLS | {"wait4", "waitid", "waitpid", "flock", "semop", "semtimedop", "msgrcv", "accept", "accept4"}
)
"""They wait for something, by their nature."""

_RECEIVES: Final = frozenset({"read", "readv", "recv", "recvfrom", "recvmsg", "recvmmsg", "connect"})
_STREAMS: Final = ("<[pipe]>", "<[socket]>", "<pipe:", "<socket:", "<[eventfd]>", "<TCP", "<UNIX")


def waits(call: DocumentedCall) -> bool:
    """Whether the time in a call is time waited: for others, for the clock, for what comes through a pipe."""
    if call.name == "futex":
        return "FUTEX_WAIT" in call.arguments or "FUTEX_LOCK" in call.arguments
    if call.name in _RECEIVES:
        return any(stream in call.arguments[:80] for stream in _STREAMS)
    return call.name in WAITS
