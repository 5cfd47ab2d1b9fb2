"""What the kernel itself counts and logs about memory: control groups (v1 and v2), /proc/vmstat, /dev/kmsg."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from entrenar_research.core.failures import kernel_log

_RECORD = 8192
_SLACK = 60.0
_COUNTERS = {"cgroup2": "memory.events", "cgroup": "memory.oom_control"}


def group_kills() -> int | None:
    """How many processes of our own memory control group the kernel has killed for memory; None if unreadable.

    v2: `oom_kill` of memory.events, groups below included. v1: `oom_kill` of memory.oom_control, this group alone.
    """
    for kind, directory in _memory_groups():
        found = _field(directory / _COUNTERS[kind], "oom_kill")
        if found is not None:
            return found
    return None


def machine_kills() -> int | None:
    """How many processes of the whole machine the kernel has killed for memory since it started."""
    return _field(Path("/proc/vmstat"), "oom_kill")


def _field(path: Path, name: str) -> int | None:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    for line in lines:
        key, _, value = line.partition(" ")
        if key == name and value.isdigit():
            return int(value)
    return None


def _memory_groups() -> list[tuple[str, Path]]:
    """The directories of this process's memory control group, as they may be mounted here (cgroups(7))."""
    try:
        own = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    places = []
    for line in own:
        _, controllers, path = line.split(":", 2)
        kind = "cgroup" if "memory" in controllers.split(",") else "cgroup2" if not controllers else None
        for mount in mounts:
            before, _, after = mount.partition(" - ")
            fields, of = before.split(), after.split()
            if kind is None or of[0] != kind or (kind == "cgroup" and "memory" not in of[-1].split(",")):
                continue
            root, point = fields[3], Path(fields[4])
            inside = path[len(root) :] if root != "/" and path.startswith(root) else path
            # In a container the path may be the host's: what is mounted is then the container's own group.
            places += [(kind, point / inside.lstrip("/")), (kind, point)]
    return places


class Log:
    """The kernel's log from now on, or `all_of_it`; empty where it may not be read."""

    def __init__(self, *, all_of_it: bool = False) -> None:
        self._descriptor: int | None = None
        with contextlib.suppress(OSError):
            self._descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            if not all_of_it:
                os.lseek(self._descriptor, 0, os.SEEK_END)

    def messages(self) -> list[str]:
        """What was logged since this was made or last asked."""
        return [text for _, text in self.records()]

    def records(self) -> list[tuple[float, str]]:
        """As `messages`, each with its time in seconds since the kernel started."""
        found = []
        while self._descriptor is not None:
            try:
                record = os.read(self._descriptor, _RECORD)
            except BrokenPipeError:  # older records were overwritten meanwhile
                continue
            except OSError:
                break
            if not record:
                break
            found.append(kernel_log.message(record.decode("utf-8", "replace")))
        return found

    def close(self) -> None:
        """Gives the file back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def logged_since(moment: float) -> list[str]:
    """What the kernel has logged since a time (seconds since 1970), as far as its buffer reaches; empty if unreadable.

    The kernel counts from its own start, and may leave out the time a machine slept: a minute is allowed for.
    """
    log = Log(all_of_it=True)
    try:
        started = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC)
        return [text for at, text in log.records() if started + at > moment - _SLACK]
    finally:
        log.close()
