"""The filter that makes the kernel stop a program at some of its calls and let all others pass (seccomp(2)).

Calls that always pass cost next to nothing: the kernel works out beforehand for which numbers a filter looks at nothing
else, and does not run it for those (since Linux 5.11).
"""

from __future__ import annotations

import struct

from entrenar_research.tools.kernel_ring.numbers import AUDIT_ARCHITECTURES
from entrenar_research.tools.kernel_ring.signatures import UNSTOPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from entrenar_research.tools.kernel_ring.signatures import Plan

OURS: Final = 1
"""The mark of a stop at a call that was asked for."""
FOREIGN: Final = 2
"""The mark of a stop at a call made as another processor makes it: a 32-bit program."""

# Instructions of classic BPF: load a word, jump if equal, if at least, if a bit is set; return.
_LOAD: Final = 0x20
_EQUAL: Final = 0x15
_AT_LEAST: Final = 0x35
_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06
_TRACE: Final = 0x7FF00000
_ALLOW: Final = 0x7FFF0000
# struct seccomp_data: number, architecture, instruction pointer, six arguments (the lower half of each first).
_NUMBER: Final = 0
_ARCHITECTURE: Final = 4
_ARGUMENTS: Final = 16
_X32: Final = 0x40000000  # numbers from here on are calls of x32 programs
_LOWER: Final = 0xFFFFFFFF


def program(plans: Mapping[int, Plan], machine: str) -> bytes:
    """The filter as the kernel takes it: eight bytes an instruction."""
    code = [
        _one(_LOAD, _ARCHITECTURE),
        _one(_EQUAL, AUDIT_ARCHITECTURES[machine], 1, 0),
        _one(_RETURN, _TRACE | FOREIGN),
        _one(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":
        code += [_one(_AT_LEAST, _X32, 0, 1), _one(_RETURN, _TRACE | FOREIGN)]
    for number, plan in sorted(plans.items()):
        answer = [*_pass(plan.name), _one(_RETURN, _TRACE | OURS)]
        code += [_one(_EQUAL, number, 0, len(answer)), *answer]
    code.append(_one(_RETURN, _ALLOW))
    return b"".join(code)


def _pass(name: str) -> list[bytes]:
    """What lets a call of this name pass for its arguments."""
    if name not in UNSTOPPED:
        return []
    place, mask, when_set = UNSTOPPED[name]
    low = _ARGUMENTS + 8 * place
    if when_set:
        return [_one(_LOAD, low), _one(_ANY_BIT, mask & _LOWER, 0, 1), _one(_RETURN, _ALLOW)]
    return [
        _one(_LOAD, low),
        _one(_ANY_BIT, mask & _LOWER, 3, 0),
        _one(_LOAD, low + 4),
        _one(_ANY_BIT, mask >> 32, 1, 0),
        _one(_RETURN, _ALLOW),
    ]


def _one(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
