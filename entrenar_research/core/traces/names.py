"""The names that a normalised trace gives to paths, streams and endpoints instead of this machine's own."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from entrenar_research.core.traces import spelling
from entrenar_research.core.traces.processes import DIRECTORY_CHANGES, Directories, Processes, path_arguments
from entrenar_research.core.traces.syntax import descriptor
from entrenar_research.models.trace import SystemCall, Trace

STUDY: Final = "$STUDY"
PLACE: Final = "$PWD"
"""Where a command was recorded that belongs to no study: told as a study is."""
# Directories that machines have in common. A path anywhere else names a person or a machine.
_SYSTEM: Final = re.compile(r"/(?:(?:usr|lib|lib64|lib32|bin|sbin|etc|proc|sys|dev|nix/store)(?:/|$)|$)")
# What is installed has versions in its names: `libm.so.6` is that of no process, whatever number it has.
_INSTALLED: Final = re.compile(r"/(?:usr|lib|lib64|lib32|bin|sbin|etc|nix/store)/|.*/(?:site|dist)-packages/")
_VERSIONED: Final = re.compile(r"(?:python\d\.|cpython-|x86_|\.so\.(?:\d+\.)*)$")
_PYTHON: Final = "$PYTHON"
_SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - nothing is created there, names there are all private ones
_TEMPORARY: Final = re.compile(r"/(?:var/)?tmp(?=/|$)")
_TMP: Final = "$TMP"
_ELSEWHERE: Final = "$ELSEWHERE"
# Where a path begins and ends in a word of a command line: `--in=/a:/b`.
_BEFORE: Final = r"(?<![^\s:=,;\"'(\[])"
_AFTER: Final = r"(?=[/\s:=,;\"')\]]|$)"
_ABSOLUTE: Final = re.compile(_BEFORE + r"/(?!/)[^\s:=,;\"')\]]*")
# Where one begins as well: `-I/home/x`, `ssh://host/home/x`, `<(cat</home/x)`.
_JOINED: Final = re.compile(
    rf"(?P<lead>(?<![\w./-])-[A-Za-z]+|\w+://[^/\s=,;\"')\]]+|[@<>|&{{`!]|{_BEFORE})(?P<path>/[^\s:=,;\"')\]]*)"
)
_CLIMBING: Final = re.compile(_BEFORE + r"[^\s/$:=,;\"'()\[\]][^\s:=,;\"')\]]*")
_UPWARDS: Final = re.compile(r"(?:\.\./)+")
_HOME: Final = re.compile(r"/(?:root|home/(?!\.\.?(?:/|$))[^/]+)(?=/|$)")
_PROCESS: Final = re.compile(r"/proc/\d+(?=/|$)")
_TASK: Final = re.compile(r"/task/\d+(?=/|$)")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CACHED: Final = re.compile(r"(.*/)__pycache__/([^/]+?)\.[a-z]+-?\d+(?:\.opt-\w+)?\.pyc")
_CODE: Final = re.compile(r".*\.(?:py|pyc|so(?:\.[\d.]+)?)")
# `pipe:[123]`, `anon_inode:[eventpoll]`, `anon_inode:inotify`: the number goes, the kind stays.
_OBJECT: Final = re.compile(r"(pipe|socket|anon_inode|net|mnt|user|pid|uts|ipc|cgroup):(?:\[(\D[^]]*)\]|(?!\[)(.+)|.*)")
_STREAMS: Final = ("[stdin]", "[stdout]", "[stderr]")
# The event logs of a run are named after their process, with random letters (client/layout.py).
_EVENT_LOG: Final = re.compile(r"\d+-[0-9a-z]{4}\.events")
_NAMED: Final = frozenset({"open", "openat", "openat2", "creat", "mkdir", "mkdirat"})
_UNNAMED: Final = frozenset({"pipe", "pipe2", "socket", "socketpair", "accept", "accept4"})
_BEHIND: Final = re.compile(r"\d<([^<>]*)>")
_FIRST_EPHEMERAL_PORT: Final = 32768


class Names:
    """Turns paths of one trace into names that hold on every machine.

    Given directories get their given names, longest first; then home directories become `$HOME`, `/tmp`
    `$TMP`, and what is not a system directory either `$ELSEWHERE/<last name>`. Private temporary files and
    directories (created for their owner alone, as mkstemp and mkdtemp do) become `TEMP<life>.<number>`. A path
    keeps its spelling unless that leads out of the directory it begins with (`core.traces.spelling`).
    """

    def __init__(self, trace: Trace, processes: Processes, replacements: Mapping[str, str]) -> None:
        longest_first = sorted(replacements.items(), key=lambda item: (-len(item[0]), item))
        self._given = [
            (path.rstrip("/"), name, re.compile(rf"{_BEFORE}{re.escape(path.rstrip('/'))}{_AFTER}"))
            for path, name in longest_first
            if path.rstrip("/")
        ]
        pids = sorted({str(call.pid) for call in trace.calls}, key=len, reverse=True)
        self._pid = re.compile(rf"(?<=[._-])(?:{'|'.join(pids)})(?![0-9A-Za-z])") if pids else None
        self._temporary: dict[str, str] = {}
        self._alias: dict[str, str] = {}
        self._made: set[str] = set()
        self._created: set[str] = set()
        self._known: dict[str, str] = {}
        self._start = _start(trace)
        self._survey(trace, processes)
        self._inherited = self._inherited_streams(trace)

    def path(self, path: str) -> str:
        """The name of a path."""
        name = self._known.get(path)
        if name is None:
            name = self._known[path] = self._name(path)
        return name

    def object(self, number: int | None, behind: str) -> str:
        """The name of what is behind a descriptor: a path, a stream that was inherited, a pipe, a socket."""
        if behind in self._inherited:
            return _STREAMS[number] if number in (0, 1, 2) else self._inherited[behind]
        kind = _OBJECT.fullmatch(behind)
        if kind is not None:
            return f"[{kind[2] or kind[3] or kind[1]}]"
        return self.path(self._alias.get(behind, behind))

    def text(self, text: str, base: str | None = None) -> str:
        """A word of a command line, with every absolute path and unstable name in it replaced.

        `base` is the directory that relative paths in it begin at, where it is known.
        """
        text = self._respelled(text, base)
        for _, name, given in self._given:
            text = given.sub(name.replace("\\", r"\\"), text)
        parts, end = [], 0
        for found in _ABSOLUTE.finditer(text):
            parts += [self._numberless(text[end : found.start()]), self.path(found[0])]
            end = found.end()
        return _printable("".join(parts) + self._numberless(text[end:]))

    def argument(self, path: str, base: str | None = None) -> str:
        """A path as a call names it, from `base` on: the words of `text`, and no URL."""
        if path.startswith("//") and not _SYSTEM.match(plain := spelling.straight(path)):
            return self.path(plain)
        return self.text(path, base)

    def endpoint(self, address: str) -> str:
        """An address and port; a port that the kernel picks from its own range has no number."""
        host, _, port = address.rpartition(":")
        return f"{host}:{port if int(port) < _FIRST_EPHEMERAL_PORT else 'PORT'}"

    def is_study(self, name: str) -> bool:
        """Whether a name lies in the study, below a private temporary directory, or where nobody knows."""
        known = name.startswith(("/", "$", "["))
        return not known or name in (STUDY, PLACE) or name.startswith((f"{STUDY}/", f"{PLACE}/", "$TMP/TEMP"))

    def is_stream(self, name: str) -> bool:
        """Whether a name is an inherited stream, a pipe or a socket: their pieces differ from run to run."""
        return name in _STREAMS or name in ("[pipe]", "[socket]")

    def is_code(self, name: str) -> bool:
        """Whether a name is a library or a Python module, as source or as byte code."""
        return _CODE.fullmatch(name) is not None or "/__pycache__/" in name

    def is_event_log(self, name: str) -> bool:
        """Whether a name is a log of metrics: how far it has grown is no doing of the program."""
        return name.endswith("/PROCESS.events")

    def source_of(self, name: str) -> str | None:
        """The Python source that a file of byte code stands for, or None."""
        found = _CACHED.fullmatch(name)
        return f"{found[1]}{found[2]}.py" if found else None

    def _survey(self, trace: Trace, processes: Processes) -> None:
        """Finds the private temporary names, what was opened under which name, and what was made here."""
        directories = Directories(processes)
        made: defaultdict[str, int] = defaultdict(int)
        for call in trace.calls:
            if call.name in _NAMED and call.error is None:
                life = processes.of(call)
                path = next(iter(path_arguments(call, life, directories)), None)
                directories.follow(call, life)
                if path is not None:
                    self._note_made(call, path)
                if path is not None and (call.name.startswith("mkdir") or "O_CREAT" in call.arguments):
                    self._created.add(path)
                private = path is not None and _is_private(call) and not _EVENT_LOG.search(path)
                if path is not None and private and path not in self._temporary:
                    made[life.label] += 1
                    self._temporary[path] = f"TEMP{life.label}.{made[life.label]}"
            elif call.name in _UNNAMED and call.error is None:
                self._made.update(_BEHIND.findall(call.arguments + call.result))
            elif call.name in DIRECTORY_CHANGES:
                directories.follow(call, processes.of(call))

    def _note_made(self, call: SystemCall, path: str) -> None:
        behind = descriptor(call.result)
        if behind is not None:
            self._made.add(behind[1])
            if behind[1] != path:
                self._alias.setdefault(behind[1], path)

    def _inherited_streams(self, trace: Trace) -> dict[str, str]:
        """What descriptors 0, 1 and 2 were when the command began: shown on them and not made by it."""
        found: dict[str, str] = {}
        for call in trace.calls:
            shown = descriptor(call.arguments)
            if shown is not None and shown[0] in (0, 1, 2) and shown[1] not in self._made:
                found.setdefault(shown[1], _STREAMS[shown[0]])
        return found

    def _respelled(self, text: str, base: str | None) -> str:
        """`text` with the names of those paths that are told otherwise than they are spelled."""
        if ".." in text:
            text = _CLIMBING.sub(lambda found: self._climbed(found[0], base), text)
        if "//" in text or "/." in text or "/proc/" in text or "/home/" in text or "/root" in text:
            text = _JOINED.sub(self._joined, text)
        return text

    def _climbed(self, path: str, base: str | None) -> str:
        """A relative path, or the name of where it leads if `..` in it leads to a home directory."""
        if ".." not in path.split("/"):
            return path
        base = base or self._start
        if base is None or not base.startswith("/"):
            return path if self._led(path) == path else self.path(path)
        return self.path(spelling.straight(f"{base}/{path}")) if _comes_home(base, path) else path

    def _joined(self, found: re.Match[str]) -> str:
        """An absolute path in its place, or its name if it leads elsewhere or nobody else sees that it is a home."""
        before, _, whole = found[0].partition("://")
        if _comes_home("", whole):  # it only looks like a URL: `PATH=bin://home/x`
            return f"{before}:{self.path('/' + whole)}"
        plain = self._led(found["path"])
        if plain != found["path"] or (found["lead"] and _HOME.match(plain)):
            return found["lead"] + self.path(plain)
        return found[0]

    def _led(self, path: str) -> str:
        """Where a spelling leads if that is a place with another name than it seems, otherwise `path` as it is."""
        if not path.startswith("/"):
            plain = posixpath.normpath(path) if ".." in path else path
            above = "/" + _UPWARDS.sub("", plain, count=1) if plain.startswith("../") else ""
            return above if _HOME.match(above) else path
        if not spelling.is_odd(path) or (plain := spelling.straight(path)) == path:
            return path
        length, name = self._known_directory(path)
        if name:
            return plain if _comes_home(path[:length], path[length + 1 :]) else path
        places = (*spelling.steps(path), plain)
        if any(self._known_directory(place)[1] for place in places):
            return plain
        return plain if _SYSTEM.match(path) and not all(map(_SYSTEM.match, places)) else path

    def _name(self, spelled: str) -> str:
        path = self._led(spelled)
        head, base = posixpath.split(path)
        if path in self._temporary:
            above = self.path(head)
            return f"{_ELSEWHERE if above.startswith(_ELSEWHERE) else above}/{self._temporary[path]}"
        if head == _SHARED_MEMORY:
            return f"{_SHARED_MEMORY}/TEMP"
        length, name = self._known_directory(path)
        if length:
            return self._below(path, path[length + 1 :], name) if len(path) > length else name
        if not path.startswith("/") or _SYSTEM.match(path):
            return self._plain(_TASK.sub("/task/TID", _PROCESS.sub("/proc/PID", path)), path)
        return f"{_ELSEWHERE}/{self._plain(base, path)}"

    def _known_directory(self, path: str) -> tuple[int, str]:
        """How long the part of `path` is that has a name, and the name; length 0 if none has."""
        for given, name, _ in self._given:
            if path == given or path.startswith(given + "/"):
                return len(given), name
        for directory, name in ((_HOME, "$HOME"), (_TEMPORARY, _TMP)):
            if found := directory.match(path):
                return found.end(), name
        return 0, ""

    def _below(self, path: str, below: str, name: str) -> str:
        """`name` and what lies `below` it, with private temporary directories on the way replaced."""
        head, base = posixpath.split(path)
        above = self.path(head) if "/" in below else name
        return f"{above}/{self._plain(base, path, name)}"

    def _plain(self, text: str, path: str, directory: str = "") -> str:
        """All of `path`, which lies in a known directory or in none, or its last name: without what does not repeat."""
        installed = directory == _PYTHON or _INSTALLED.match(path) is not None
        return _printable(self._numberless(text, fixed=installed and path not in self._created))

    def _numberless(self, text: str, *, fixed: bool = False) -> str:
        text = _EVENT_LOG.sub("PROCESS.events", _UUID.sub("UUID", text))
        if self._pid is None or fixed:
            return text
        return self._pid.sub(lambda found: found[0] if _VERSIONED.search(text, 0, found.start()) else "PID", text)


def _start(trace: Trace) -> str | None:
    """The directory that the command began in, where the trace shows it before it is changed."""
    for call in trace.calls:
        if call.arguments.startswith("AT_FDCWD<"):
            shown = descriptor(call.arguments)
            return shown[1] if shown else None
        if call.name in DIRECTORY_CHANGES:
            return None
    return None


def _comes_home(base: str, path: str) -> bool:
    """Whether a path from the directory `base` on enters a home directory after it has left that of `base`."""
    found = _HOME.match(base)
    own = found[0] if found else ""
    for place in list(spelling.steps(f"{base}/{path}"))[base.count("/") + 1 :]:
        if not found or not f"{place}/".startswith(f"{own}/"):
            found = None
            if _HOME.match(place):
                return True
    return False


def _printable(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def _is_private(call: SystemCall) -> bool:
    """Whether the call creates something for its owner alone, under a name that was free."""
    flags = call.arguments.rpartition('"')[2]
    if call.name.startswith("mkdir"):
        return flags.endswith(", 0700")
    return "O_EXCL" in flags and "O_CREAT" in flags and ", 0600" in flags
