"""The marks that a traced interpreter left (client/source_hook.py says what they look like), and what each explains."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from entrenar_research.core.traces.calls import TRANSIENT
from entrenar_research.core.traces.processes import CREATION
from entrenar_research.models.trace import SystemCall

Place = tuple[str, int, str]
"""File as the interpreter names it, line, function."""

_ESCAPE: Final = re.compile(r"\\(.)")
_LETTERS: Final = {"t": "\t", "n": "\n"}


class Mark(msgspec.Struct, frozen=True, gc=False):
    """An act that was about to begin: when (ns since 1970), in which thread, where; `detail` is a module's name."""

    time: int
    thread: int
    event: str
    detail: str
    places: tuple[Place, ...]


class Marks(msgspec.Struct, frozen=True):
    """The marks of some processes, in the order of their times, and how many lines could not be read."""

    marks: tuple[Mark, ...]
    unreadable: int


def read(files: Iterable[bytes]) -> Marks:
    """The marks in the bytes of files; never raises, whatever the bytes are."""
    marks: list[Mark] = []
    unreadable = 0
    for data in files:
        places: dict[int, tuple[Place, ...]] = {}
        for line in data.decode("utf-8", "surrogateescape").split("\n"):
            if not _take(line.split("\t"), places, marks) and line:
                unreadable += 1
    return Marks(tuple(sorted(marks, key=lambda mark: mark.time)), unreadable)


def _take(fields: list[str], places: dict[int, tuple[Place, ...]], marks: list[Mark]) -> bool:
    try:
        if fields[0] == "L" and len(fields) in (5, 8):
            threes = zip(fields[2::3], fields[3::3], fields[4::3], strict=True)
            places[int(fields[1])] = tuple((_plain(file), int(line), _plain(name)) for file, line, name in threes)
            return True
        if fields[0] == "M" and len(fields) == 6:
            time, thread, number = int(fields[1]), int(fields[2]), int(fields[5])
            marks.append(Mark(time, thread, fields[3], _plain(fields[4]), places[number]))
            return True
    except (ValueError, KeyError):
        pass
    return False


def _plain(field: str) -> str:
    return _ESCAPE.sub(lambda found: _LETTERS.get(found[1], found[1]), field)


def _table(text: str) -> Mapping[str, frozenset[str]]:
    rows = (line.partition(":") for line in text.strip().splitlines())
    return {event.strip(): frozenset(calls.split()) for event, _, calls in rows}


LOOKED_FOR: Final = frozenset("stat lstat newfstatat fstatat64 statx access faccessat faccessat2 readlink".split())  # noqa: SIM905 - as the table
"""Calls that a search for a module makes; they belong to an import if they name it, or a directory."""

EXPLAINED: Final = _table(
    """
    _thread.start_new_thread: clone clone3
    ctypes.dlopen: open openat
    fcntl.fcntl: fcntl
    fcntl.flock: flock
    fcntl.ioctl: ioctl
    fcntl.lockf: fcntl
    import: open openat
    mmap.__new__: mmap
    open: open openat creat
    os.chdir: chdir fchdir
    os.chmod: chmod fchmod fchmodat fchmodat2
    os.chown: chown fchown lchown fchownat
    os.exec: execve execveat
    os.fork: fork clone clone3
    os.forkpty: fork clone clone3 openat
    os.getxattr: getxattr lgetxattr fgetxattr
    os.kill: kill
    os.killpg: kill
    os.link: link linkat
    os.listdir: open openat
    os.listxattr: listxattr llistxattr flistxattr
    os.lockf: fcntl
    os.mkdir: mkdir mkdirat
    os.posix_spawn: fork vfork clone clone3
    os.remove: unlink unlinkat
    os.removexattr: removexattr lremovexattr fremovexattr
    os.rename: rename renameat renameat2
    os.rmdir: rmdir unlinkat
    os.scandir: open openat
    os.setxattr: setxattr lsetxattr fsetxattr
    os.spawn: fork vfork clone clone3
    os.symlink: symlink symlinkat
    os.system: fork vfork clone clone3
    os.truncate: truncate ftruncate
    os.utime: utime utimes utimensat futimesat
    resource.prlimit: prlimit64
    resource.setrlimit: setrlimit prlimit64
    signal.pthread_kill: tgkill tkill
    socket.__new__: socket
    socket.bind: bind
    socket.connect: connect
    socket.getaddrinfo: socket connect bind open openat sendmmsg uname
    socket.gethostbyaddr: socket connect bind open openat sendmmsg uname
    socket.gethostbyname: socket connect bind open openat sendmmsg uname
    socket.gethostname: uname
    socket.getnameinfo: socket connect bind open openat sendmmsg uname
    socket.sendmsg: sendmsg
    socket.sendto: sendto
    sqlite3.connect: open openat
    subprocess.Popen: pipe pipe2 fork vfork clone clone3
    time.sleep: clock_nanosleep nanosleep select pselect6
    """
)
"""The calls that an act leads to, by the name that the interpreter has for it
(https://docs.python.org/3/library/audit_events.html). What is done with a descriptor belongs to its opening."""

STARTS: Final = frozenset(("subprocess.Popen", "os.posix_spawn", "os.system", "os.spawn"))
"""Acts that start another program: what the new process does until then belongs to them."""

_MANY: Final = frozenset(("import", "ctypes.dlopen", "sqlite3.connect")) | {
    event for event in EXPLAINED if event.startswith("socket.get")
}
_PIPES: Final = frozenset(("pipe", "pipe2"))


def explains(mark: Mark, call: SystemCall) -> bool:
    """Whether `mark` can be what led to a call, if it was the last one of its thread."""
    if call.name in EXPLAINED.get(mark.event, ()):
        thread = "CLONE_THREAD" in call.arguments
        return call.name not in CREATION or thread == (mark.event == "_thread.start_new_thread")
    if mark.event == "import" and call.name in LOOKED_FOR:
        return mark.detail.rpartition(".")[2] in call.arguments or "st_mode=S_IFDIR" in call.arguments
    return False


def is_spent(mark: Mark, call: SystemCall) -> bool:
    """Whether a mark explains no more calls after this one, which it explains: most acts are one call each."""
    return mark.event not in _MANY and call.name not in _PIPES and call.error not in TRANSIENT
