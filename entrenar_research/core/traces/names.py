"""The names that a normalised trace gives to paths, streams and endpoints instead of this machine's own."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from entrenar_research.core.traces.processes import DIRECTORY_CHANGES, Directories, Processes, path_arguments
from entrenar_research.core.traces.syntax import descriptor
from entrenar_research.models.trace import SystemCall, Trace

STUDY: Final = "$STUDY"
PLACE: Final = "$PWD"
"""Where a command was recorded that belongs to no study: told as a study is."""
# Directories that machines have in common. A path anywhere else names a person or a machine.
_SYSTEM: Final = re.compile(r"/(?:(?:usr|lib|lib64|lib32|bin|sbin|etc|proc|sys|dev|nix/store)(?:/|$)|$)")
_SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - nothing is created there, names there are all private ones
_TEMPORARY: Final = re.compile(r"/(?:var/)?tmp(?=/|$)")
_ELSEWHERE: Final = "$ELSEWHERE"
# Where a path begins and ends in a word of a command line: `--in=/a:/b`.
_BEFORE: Final = r"(?<![^\s:=,;\"'(\[])"
_AFTER: Final = r"(?=[/\s:=,;\"')\]]|$)"
_ABSOLUTE: Final = re.compile(_BEFORE + r"/(?!/)[^\s:=,;\"')\]]*")
_HOME: Final = re.compile(r"/(?:root|home/[^/]+)(?=/|$)")
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
    directories (created for their owner alone, as mkstemp and mkdtemp do) become `TEMP<life>.<number>`.
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
        self._known: dict[str, str] = {}
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

    def text(self, text: str) -> str:
        """A word of a command line, with every absolute path and unstable name in it replaced."""
        for _, name, found in self._given:
            text = found.sub(name.replace("\\", r"\\"), text)
        return self._plain(_ABSOLUTE.sub(lambda found: self.path(found[0]), text))

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

    def _name(self, path: str) -> str:
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
            return self._plain(_TASK.sub("/task/TID", _PROCESS.sub("/proc/PID", path)))
        return f"{_ELSEWHERE}/{self._plain(base)}"

    def _known_directory(self, path: str) -> tuple[int, str]:
        """How long the part of `path` is that has a name, and the name; length 0 if none has."""
        for given, name, _ in self._given:
            if path == given or path.startswith(given + "/"):
                return len(given), name
        for directory, name in ((_HOME, "$HOME"), (_TEMPORARY, "$TMP")):
            if found := directory.match(path):
                return found.end(), name
        return 0, ""

    def _below(self, path: str, below: str, name: str) -> str:
        """`name` and what lies `below` it, with private temporary directories on the way replaced."""
        head, base = posixpath.split(path)
        above = self.path(head) if "/" in below else name
        return f"{above}/{self._plain(base)}"

    def _plain(self, text: str) -> str:
        text = _EVENT_LOG.sub("PROCESS.events", _UUID.sub("UUID", text))
        if self._pid is not None:
            text = self._pid.sub("PID", text)
        return text.encode("unicode_escape").decode() if not text.isprintable() else text


def _is_private(call: SystemCall) -> bool:
    """Whether the call creates something for its owner alone, under a name that was free."""
    flags = call.arguments.rpartition('"')[2]
    if call.name.startswith("mkdir"):
        return flags.endswith(", 0700")
    return "O_EXCL" in flags and "O_CREAT" in flags and ", 0600" in flags
