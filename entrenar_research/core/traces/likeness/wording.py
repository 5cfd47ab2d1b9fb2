"""Normalised lines in words: `reads $STUDY/x.csv` for `openat($STUDY/x.csv, O_RDONLY) = ok`."""

from __future__ import annotations

from typing import Final

from entrenar_research.core.traces.calls import LOOKS, OPENS
from entrenar_research.core.traces.likeness.alignment import Parting
from entrenar_research.core.traces.likeness.strands import SYNCS, failed, inside, name_of

_VERBS: Final = {
    "close": "closes {0}",
    "mkdir": "makes the directory {0}",
    "mkdirat": "makes the directory {0}",
    "rmdir": "removes the directory {0}",
    "unlink": "removes {0}",
    "unlinkat": "removes {0}",
    "rename": "renames {0} to {1}",
    "renameat": "renames {0} to {1}",
    "renameat2": "renames {0} to {1}",
    "link": "links {0} as {1}",
    "symlink": "makes {1} a link to {0}",
    "truncate": "cuts {0}",
    "ftruncate": "cuts {0}",
    "chdir": "changes to the directory {0}",
    "lseek": "moves in {0}",
    "mmap": "maps {0}",
    "getdents64": "lists {0}",
    "connect": "connects to {1}",
    "bind": "binds {1}",
    "socket": "makes a socket ({0})",
    "pipe2": "makes a pipe",
    "kill": "sends {0}",
}


def divergence(parting: Parting) -> str:
    """The first difference of two traces in one sentence."""
    who = f"process {parting.process}"
    if parting.extra and parting.found is not None:
        if parting.missing and parting.expected is not None:
            return f"{who} {phrase(parting.found)} and no longer {phrase(parting.expected)}"
        more = "more often than before" if parting.again else "which it did not before"
        return f"{who} {phrase(parting.found)}, {more}"
    if parting.missing and parting.expected is not None:
        return f"{who} no longer {phrase(parting.expected)}"
    if parting.found is not None and parting.expected is not None:
        return f"{who} {phrase(parting.found)} before it {phrase(parting.expected)}: it was the other way round"
    return f"{who} does the same in another order"


def context(parting: Parting) -> tuple[str, ...]:
    """The lines around the first difference: those before it, `-` the expected one, `+` the found one."""
    return (
        *(f"    {line}" for line in parting.before),
        f"  - {parting.expected or '(nothing more)'}",
        f"  + {parting.found or '(nothing more)'}",
    )


def phrase(text: str) -> str:
    """A line without its label as a verb and what follows it."""
    name, details = name_of(text), inside(text)
    if failed(text):
        return f"tries {name}({details}) and gets {text.rpartition(' = ')[2]}"
    if name in OPENS:
        return _opens(details)
    if name in LOOKS:
        return f"looks at {details}"
    if name in SYNCS:
        return f"syncs {details}" + (" with nothing new in it" if text.endswith("(nothing new)") else "")
    return _other(name, details)


def _opens(details: str) -> str:
    path, _, flags = details.rpartition(", O_")
    if "DIRECTORY" in flags:
        return f"looks into the directory {path}"
    return f"{'reads' if flags.startswith('RDONLY') else 'opens for writing'} {path}"


def _other(name: str, details: str) -> str:
    if name == "exit":
        return f"ends by {details}" if details.startswith("SIG") else f"ends with status {details}"
    if name.startswith("execve"):
        return "executes " + details.replace(", [", " [", 1)
    if name == "new":
        kind, _, program = details.partition(": ")
        return f"starts a {kind}" + (f" that runs {program}" if program else "")
    parts = [*details.split(", "), "", ""]
    return _VERBS[name].format(*parts) if name in _VERBS else f"calls {name}({details})"
