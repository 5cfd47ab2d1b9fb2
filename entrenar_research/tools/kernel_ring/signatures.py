"""Which calls the tracer stops at, and what it reads there."""

from __future__ import annotations

from entrenar_research.tools.kernel_ring.prototypes import PROTOTYPES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final  # not at run time: the launcher should start quickly


def signatures() -> dict[str, tuple[tuple[str, ...], str]]:
    """The kinds of the arguments and the kind of the result, by the name of the call."""
    found = {}
    for line in PROTOTYPES.splitlines():
        if line:
            call, _, result = line.partition(" = ")
            name, *kinds = call.split()
            found[name] = (tuple(kinds), result)
    return found


AT_ENTRY: Final = frozenset({"path", "str", "argv", "how", "addr", "msg", "mmsg"})
"""Kinds that are read while the call is about to begin."""

AT_EXIT: Final = frozenset({">stat", ">statx", ">link", ">pair", ">addr", ">msg"})
"""Kinds that hold something when the call has ended."""

UNSTOPPED: Final = {
    "newfstatat": (3, 0x1000, True),
    "statx": (2, 0x1000, True),
    "sendto": (4, 0xFFFFFFFFFFFFFFFF, False),
    "recvfrom": (4, 0xFFFFFFFFFFFFFFFF, False),
}
"""Calls let pass when bits of an argument are set (True: AT_EMPTY_PATH, as fstat is made) or none is (no address)."""

_OBSERVED_TOO: Final = frozenset(
    (
        "fchdir",
        "open_by_handle_at",
        "io_uring_setup",
        "kill",
        "tkill",
        "tgkill",
        "rt_sigqueueinfo",
        "rt_tgsigqueueinfo",
        "pidfd_send_signal",
        "socket",
        "socketpair",
        "listen",
    )
)
# Strings that are no paths: nobody needs them from a program that is only observed.
_NOT_OBSERVED: Final = frozenset(
    ("recvfrom", "recvmsg", "memfd_create", "fgetxattr", "fsetxattr", "fremovexattr", "pipe", "pipe2", "add_key")
)
_DIRECTORIES: Final = frozenset({"chdir", "fchdir", "chroot"})
# What the events of ptrace tell by themselves, and so without a stop.
_TOLD: Final = frozenset({"clone", "clone3", "fork", "vfork"})


def passes(name: str, arguments: tuple[int, ...]) -> bool:
    """Whether a call is let pass, for its arguments, where others of its name are stopped at."""
    if name not in UNSTOPPED:
        return False
    place, mask, when_set = UNSTOPPED[name]
    return bool(arguments[place] & mask) is when_set


class Plan:
    """What to do at the stops of one call: what to read before it, whether to stop after it, what to read then."""

    __slots__ = ("after", "before", "descriptor", "name", "returns", "stop_after")

    def __init__(self, name: str, kinds: tuple[str, ...], result: str, *, everything: bool) -> None:
        self.name = name
        self.before = tuple((place, kind) for place, kind in enumerate(kinds) if kind in AT_ENTRY)
        self.after = tuple((place, kind) for place, kind in enumerate(kinds) if kind in AT_EXIT)
        # At the level `full` every descriptor's history is known.
        self.descriptor = tuple(place for place, kind in enumerate(kinds) if kind in ("fd", "dir") and not everything)
        self.returns = "fd" if result == "fd" else "cwd" if name in _DIRECTORIES else ""
        self.stop_after = not everything or bool(self.after) or bool(self.returns)


def plans(names: dict[int, str], level: str) -> dict[int, Plan]:
    """The calls to stop at, by number: at the level `full` all whose arguments or results a ring cannot tell."""
    everything = level == "full"
    known = signatures()
    found = {}
    for number, name in names.items():
        kinds, result = known.get(name, ((), ""))
        plan = Plan(name, kinds, result, everything=everything)
        reads = bool(plan.before or plan.after)
        wanted = (reads or plan.returns) if everything else (reads and name not in _NOT_OBSERVED)
        if name not in _TOLD and (wanted or (not everything and name in _OBSERVED_TOO)):
            found[number] = plan
    return found
