"""What a traced command touched: read, written, listed, executed, looked for, and contacted."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from typing import Final

import msgspec

from entrenar_research.core.traces.calls import LOOKS
from entrenar_research.core.traces.processes import Directories, Life, Processes, path_arguments
from entrenar_research.core.traces.syntax import descriptor, internet_addresses
from entrenar_research.models.trace import SystemCall, Trace

_CACHED: Final = re.compile(r"(.*/)__pycache__/([^/]+?)\.[a-z]+-?\d+(?:\.opt-\w+)?\.pyc")
_PACKAGE: Final = re.compile(r"(.*/(?:site|dist)-packages)/([^/]+)")
_CONTACTS: Final = frozenset({"connect", "bind", "sendto", "sendmsg", "sendmmsg"})
_CLIMBS: Final = re.compile(r'["/]\.\.["/]')
_ABSENT: Final = frozenset({"ENOENT", "ENOTDIR"})


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """Absolute paths without `.` and `..`, sorted, each once.

    `reads` held something before the command began; `writes` are there because of it; `temporary` are files
    it made and deleted; `removed` were there before and are no more. `probed` was looked at and not opened,
    `missing` looked for inside the study and not there. `network` is `connect 192.0.2.1:80` and the like,
    failed or not. `python_packages` is (directory, first name below it) of all read from `site-packages`.
    `problems` say what could not be observed.
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    temporary: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    executed: tuple[str, ...] = ()
    probed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    python_packages: tuple[tuple[str, str], ...] = ()
    problems: tuple[str, ...] = ()


def observe(trace: Trace, *, root: str, initial_directory: str) -> Observation:
    """What the command of `trace` touched; `root` is the study, `initial_directory` where it started.

    Both are absolute and free of symbolic links. A path is the one the program named where that lies in the
    study, otherwise the one the kernel found behind it. Byte code in `__pycache__` stands for its source;
    what Python writes there is no output.
    """
    watch = _Watch(trace, root.rstrip("/") or "/", initial_directory)
    for call in trace.calls:
        watch.see(call)
    return watch.observation()


class _Watch:
    """The state of every touched path after the calls seen so far."""

    def __init__(self, trace: Trace, root: str, initial_directory: str) -> None:
        self.root = root
        self.processes = Processes(trace)
        self.directories = Directories(self.processes, initial_directory)
        self.reads: set[str] = set()
        self.written: set[str] = set()
        self.temporary: set[str] = set()
        self.removed: set[str] = set()
        self.folders: set[str] = set()
        self.listed: set[str] = set()
        self.executed: set[str] = set()
        self.probed: set[str] = set()
        self.missing: set[str] = set()
        self.network: set[str] = set()
        self.problems: set[str] = set()

    def see(self, call: SystemCall) -> None:
        act = _ACTS.get(call.name)
        life = self.processes.of(call)
        if act is not None:
            act(self, call, life)
        self.directories.follow(call, life)

    def paths(self, call: SystemCall, life: Life) -> list[str]:
        return path_arguments(call, life, self.directories)

    def inside(self, path: str) -> bool:
        return path == self.root or path.startswith(self.root + "/")

    def looked(self, path: str, error: str | None) -> None:
        if error is None:
            self.probed.add(path)
        elif error in _ABSENT and self.inside(path) and path not in self.written:
            self.missing.add(path)

    def look(self, call: SystemCall, life: Life) -> None:
        for path in self.paths(call, life)[:1]:
            self.looked(path, call.error)
            if "st_mode=S_IFDIR" in call.arguments:
                self.folders.add(path)

    def open(self, call: SystemCall, life: Life) -> None:
        path = self.opened(call, life)
        flags = call.arguments.rpartition('"')[2]
        if path is None or "O_TMPFILE" in flags:
            return
        if call.error is not None or "O_PATH" in flags:
            self.looked(path, call.error)
        elif "O_DIRECTORY" in flags:
            self.listed.add(path)
            self.folders.add(path)
        elif call.name == "creat" or "O_WRONLY" in flags:
            self.write(path)
        elif "O_RDWR" in flags:
            if "O_TRUNC" not in flags and "O_EXCL" not in flags and path not in self.missing:
                self.read(path)
            self.write(path)
        else:
            self.read(path)

    def opened(self, call: SystemCall, life: Life) -> str | None:
        named = self.paths(call, life)[:1]
        behind = descriptor(call.result)
        # Behind a symbolic link `..` is another directory than it reads: there only the kernel knows.
        if named and (behind is None or (self.inside(named[0]) and not _CLIMBS.search(call.arguments))):
            return named[0]
        return behind[1] if behind is not None else None

    def read(self, path: str) -> None:
        found = _CACHED.fullmatch(path)
        path = found[1] + found[2] + ".py" if found else path
        if path not in self.written:
            self.reads.add(path)

    def write(self, path: str) -> None:
        if "/__pycache__/" in path:
            return
        self.written.add(path)
        self.missing.discard(path)
        self.temporary.discard(path)
        self.removed.discard(path)

    def write_first(self, call: SystemCall, life: Life) -> None:
        if call.error is None:
            for path in self.paths(call, life)[:1]:
                self.write(path)

    def write_second(self, call: SystemCall, life: Life) -> None:
        for path in self.paths(call, life)[1:2] if call.error is None else ():
            self.write(path)

    def link(self, call: SystemCall, life: Life) -> None:
        for source, target in self.pair(call, life):
            self.read(source)
            self.write(target)

    def pair(self, call: SystemCall, life: Life) -> list[tuple[str, str]]:
        named = self.paths(call, life)
        return [(named[0], named[1])] if call.error is None and len(named) >= 2 else []

    def rename(self, call: SystemCall, life: Life) -> None:
        for source, target in self.pair(call, life):
            if "RENAME_EXCHANGE" in call.arguments:
                self.read(source)
                self.read(target)
                self.write(source)
            elif source in self.written or "/__pycache__/" in source:
                self.drop(source)
            elif source in self.folders:
                self.move_folder(source, target)
                continue
            else:
                self.read(source)
                self.removed.add(source)
            self.write(target)

    def move_folder(self, source: str, target: str) -> None:
        self.folders.add(target)
        for path in [path for path in self.written if path.startswith(source + "/")]:
            self.written.discard(path)
            self.written.add(target + path[len(source) :])

    def remove(self, call: SystemCall, life: Life) -> None:
        for path in self.paths(call, life)[:1] if call.error is None else ():
            if path in self.written and path not in self.reads:
                self.drop(path)
            elif "AT_REMOVEDIR" not in call.arguments and "/__pycache__/" not in path:
                self.written.discard(path)
                self.removed.add(path)

    def drop(self, path: str) -> None:
        self.written.discard(path)
        self.temporary.add(path)

    def make_folder(self, call: SystemCall, life: Life) -> None:
        for path in self.paths(call, life)[:1] if call.error is None else ():
            self.folders.add(path)
            self.missing.discard(path)

    def execute(self, call: SystemCall, life: Life) -> None:
        for path in self.paths(call, life)[:1]:
            if call.error is None:
                self.executed.add(path)
            else:
                self.looked(path, call.error)

    def contact(self, call: SystemCall, life: Life) -> None:
        self.network.update(f"{call.name} {address}" for address in internet_addresses(call.arguments))

    def ring(self, call: SystemCall, life: Life) -> None:
        if call.error is None:
            self.problems.add("the command uses io_uring: what it opens that way cannot be observed")

    def observation(self) -> Observation:
        touched = self.reads | self.written | self.temporary | self.removed | self.executed | self.listed
        folders = self.folders | {posixpath.dirname(path) for path in touched}
        reads = self.reads - folders
        packages = {found.groups() for path in reads | self.executed if (found := _PACKAGE.match(path))}
        return Observation(
            reads=tuple(sorted(reads)),
            writes=tuple(sorted(self.written - folders)),
            temporary=tuple(sorted(self.temporary)),
            removed=tuple(sorted(self.removed)),
            listed=tuple(sorted(self.listed)),
            executed=tuple(sorted(self.executed)),
            probed=tuple(sorted(self.probed - touched)),
            missing=tuple(sorted(path for path in self.missing if "__pycache__" not in path)),
            network=tuple(sorted(self.network)),
            python_packages=tuple(sorted((directory, name) for directory, name in packages)),
            problems=tuple(sorted(self.problems)),
        )


_Act = Callable[[_Watch, SystemCall, Life], None]
_ACTS: Final[dict[str, _Act]] = {
    **dict.fromkeys(LOOKS | {"statfs"}, _Watch.look),
    **dict.fromkeys(_CONTACTS, _Watch.contact),
    **dict.fromkeys(("open", "openat", "openat2", "creat", "open_by_handle_at"), _Watch.open),
    **dict.fromkeys(("truncate", "mknod", "mknodat"), _Watch.write_first),
    **dict.fromkeys(("symlink", "symlinkat"), _Watch.write_second),
    **dict.fromkeys(("link", "linkat"), _Watch.link),
    **dict.fromkeys(("rename", "renameat", "renameat2"), _Watch.rename),
    **dict.fromkeys(("unlink", "unlinkat"), _Watch.remove),
    **dict.fromkeys(("mkdir", "mkdirat"), _Watch.make_folder),
    **dict.fromkeys(("execve", "execveat"), _Watch.execute),
    "io_uring_setup": _Watch.ring,
}
