"""What Python has no function for: ptrace, seccomp, perf_event_open and reading another process's memory.

Sources: ptrace(2), seccomp(2), perf_event_open(2), process_vm_readv(2), and the headers linux/ptrace.h, linux/seccomp.h
and linux/perf_event.h of Linux 6.18. Only what the two supported processors have in common is used.
"""

from __future__ import annotations

import ctypes
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final  # not at run time: the launcher should start quickly

_libc = ctypes.CDLL(None, use_errno=True)
_ptrace = _libc.ptrace
_ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_ptrace.restype = ctypes.c_long
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long

# Requests, options and events of ptrace (linux/ptrace.h).
CONT: Final = 7
SYSCALL: Final = 24
LISTEN: Final = 0x4208
_SEIZE: Final = 0x4206
_GETEVENTMSG: Final = 0x4201
_GETREGSET: Final = 0x4204
_GET_SYSCALL_INFO: Final = 0x420E
OPTIONS: Final = 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x80 | 0x100000
"""SYSGOOD, FORK, VFORK, CLONE, EXEC, SECCOMP, EXITKILL."""
EVENT_FORK: Final = 1
EVENT_VFORK: Final = 2
EVENT_CLONE: Final = 3
EVENT_EXEC: Final = 4
EVENT_SECCOMP: Final = 7
EVENT_STOP: Final = 128
WAIT_ALL: Final = 0x40000000
"""__WALL: threads too."""

_SECCOMP_NUMBER: Final = {"x86_64": 317, "aarch64": 277}
_PERF_NUMBER: Final = {"x86_64": 298, "aarch64": 241}
_SET_MODE_FILTER: Final = 1
_SPEC_ALLOW: Final = 4  # no mitigation that the program would not have had without us
_NO_NEW_PRIVILEGES: Final = 38
_ADDRESSES_NOT_RANDOM: Final = 0x0040000
_NT_PRSTATUS: Final = 1
_EACCES: Final = 13
_NEW_MOUNTS: Final = 0x00020000
_PRIVATE_BELOW: Final = 0x4000 | 0x40000

# struct ptrace_syscall_info: op, arch, instruction and stack pointer; then what the kind of stop has.
_INFO_BYTES: Final = 88
_info = ctypes.create_string_buffer(_INFO_BYTES)
_entry = struct.Struct("=24x7QI").unpack_from
_exit = struct.Struct("=24xqB").unpack_from
_message = ctypes.c_ulong()
_message_address = ctypes.addressof(_message)
_info_address = ctypes.addressof(_info)


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


PAGE: Final = 4096
_buffer = ctypes.create_string_buffer(PAGE)
_local, _remote = _Vector(ctypes.addressof(_buffer), PAGE), _Vector(0, 0)
_local_base = ctypes.addressof(_buffer)
_string_at = ctypes.string_at
_process_vm_readv = _libc.process_vm_readv
_process_vm_readv.argtypes = [ctypes.c_int, *(ctypes.c_void_p, ctypes.c_ulong) * 2, ctypes.c_ulong]
_process_vm_readv.restype = ctypes.c_ssize_t
_local_address, _remote_address = ctypes.addressof(_local), ctypes.addressof(_remote)


def _checked(result: int, what: str) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def seize(tid: int) -> None:
    """Begins to trace a process, with all it will start; it runs on until a stop.

    Raises:
        OSError: if it may not be traced.
    """
    _checked(_ptrace(_SEIZE, tid, None, OPTIONS), "ptrace")


def resume(request: int, tid: int, signal: int) -> None:
    """Lets a stopped thread go on (CONT, SYSCALL, LISTEN), with a signal or 0; one that died meanwhile is no error."""
    _ptrace(request, tid, None, signal)


def syscall_entry(tid: int) -> tuple[int, ...] | None:
    """Number, six arguments and our mark of the call at which a thread stopped in the filter; None if it died."""
    if _ptrace(_GET_SYSCALL_INFO, tid, _INFO_BYTES, _info_address) < 0:
        return None
    return _entry(_info)


def syscall_exit(tid: int) -> int | None:
    """The result of the call at whose end a thread stopped, -errno for a failure; None if it died."""
    if _ptrace(_GET_SYSCALL_INFO, tid, _INFO_BYTES, _info_address) < 0:
        return None
    value: int = _exit(_info)[0]
    return value


def event_message(tid: int) -> int:
    """What belongs to an event: the number of the new process, or the former number of one that called execve."""
    _ptrace(_GETEVENTMSG, tid, None, _message_address)
    return _message.value


_registers = (ctypes.c_ulong * 40)()
_registers_vector = _Vector(ctypes.addressof(_registers), ctypes.sizeof(_registers))
# Where struct user_regs_struct has the number and the first argument of a call.
_IN_REGISTERS: Final = {"x86_64": (15, 14), "aarch64": (8, 0)}


def call_under_way(tid: int, machine: str) -> tuple[int, int]:
    """Number and first argument of the call in which a thread stopped for an event."""
    _registers_vector.length = ctypes.sizeof(_registers)
    _ptrace(_GETREGSET, tid, _NT_PRSTATUS, ctypes.addressof(_registers_vector))
    number, first = _IN_REGISTERS[machine]
    return _registers[number], _registers[first]


def peek(tid: int, address: int, length: int) -> bytes:
    """Up to a page of a stopped thread's memory; empty where nothing is mapped. It must not cross pages."""
    _remote.base, _remote.length = address, length
    got: int = _process_vm_readv(tid, _local_address, 1, _remote_address, 1, 0)
    return _string_at(_local_base, got) if got > 0 else b""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def install_filter(program: bytes, machine: str) -> bool:
    """Puts a seccomp filter before this process and all it starts; whether set-user-id programs keep their rights.

    Without CAP_SYS_ADMIN the kernel allows a filter only to a process that can gain no rights.

    Raises:
        OSError: if the kernel has no seccomp filters or refuses this one.
    """
    text = ctypes.create_string_buffer(program, len(program))
    loaded = _Program(len(program) // 8, ctypes.addressof(text))
    arguments = [ctypes.c_long(value) for value in (_SECCOMP_NUMBER[machine], _SET_MODE_FILTER, _SPEC_ALLOW)]
    if _syscall(*arguments, ctypes.byref(loaded)) == 0:
        return True
    if ctypes.get_errno() == _EACCES:
        _checked(_libc.prctl(_NO_NEW_PRIVILEGES, *map(ctypes.c_ulong, (1, 0, 0, 0))), "prctl")
    _checked(_syscall(*arguments, ctypes.byref(loaded)), "seccomp")
    return False


def fix_addresses() -> None:
    """Switches the randomisation of addresses off for the next program, where that may be done."""
    current = _libc.personality(ctypes.c_ulong(0xFFFFFFFF))
    if current != -1:
        _libc.personality(ctypes.c_ulong(current | _ADDRESSES_NOT_RANDOM))


def perf_event_open(attributes: bytes, pid: int, cpu: int, machine: str) -> int:
    """A descriptor, closed on exec, of events of `pid` and its future children on one processor.

    Raises:
        OSError: if the kernel refuses.
    """
    text = ctypes.create_string_buffer(attributes, len(attributes))
    values = [ctypes.c_long(_PERF_NUMBER[machine]), ctypes.byref(text), *map(ctypes.c_long, (pid, cpu, -1, 8))]
    return _checked(_syscall(*values), "perf_event_open")


def mount_privately(kind: str, place: str) -> None:
    """Mounts a file system for this process alone.

    Raises:
        OSError: if that is not permitted.
    """
    _checked(_libc.unshare(_NEW_MOUNTS), "unshare")
    _checked(_libc.mount(None, b"/", None, ctypes.c_ulong(_PRIVATE_BELOW), None), "mount")
    _checked(_libc.mount(kind.encode(), place.encode(), kind.encode(), ctypes.c_ulong(0), None), f"mount {kind}")
