"""Looking at run directories without reading them: what is there, what it looks like, who writes it.

Imports little: it is on the way of `runs list`.
"""

from __future__ import annotations

import contextlib
import os
import time

RECORD = "run.yaml"
SUMS = "SHA256SUMS"
# Times of files may be as coarse as this; what changed within it may have changed again unseen.
_RACY_NS = 2_000_000_000


class Look:
    """What the files of a run looked like: `mark` differs once any that counts was written, `sealed` has SHA256SUMS.

    `rough` is the part of `mark` that a faithful copy (`rsync -a`) keeps.
    """

    __slots__ = ("mark", "rough", "sealed")

    def __init__(self, mark: str, rough: str, *, sealed: bool) -> None:
        self.mark = mark
        self.rough = rough
        self.sealed = sealed


def look(directory: str) -> Look | None:
    """What is in a run's directory; None without a record, or with one that has only been begun."""
    sealed = os.path.exists(f"{directory}/{SUMS}")
    try:
        found = os.stat(f"{directory}/{RECORD}")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:  # not ours to look into
        return Look(f"errno {error.errno}", "", sealed=False)
    if not found.st_size:
        return None
    rough = f"{found.st_size}:{found.st_mtime_ns}"
    mark = f"{rough}:{found.st_ctime_ns}:{found.st_ino}:{int(sealed)}"
    if not sealed:
        mark += _events(f"{directory}/events")
    return Look(mark, rough, sealed=sealed)


def same(directory: str, mark: str) -> bool:
    """Whether the record of a sealed run still looks as it did when `look` gave `mark`."""
    try:
        found = os.stat(f"{directory}/{RECORD}")
    except OSError:
        return False
    return mark == f"{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}:{found.st_ino}:1"


def _events(directory: str) -> str:
    words = []
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                found = entry.stat()
                words.append(f" {entry.name}:{found.st_size}:{found.st_mtime_ns}:{found.st_ino}")
    return "".join(sorted(words))


def listing(runs: str) -> dict[str, str]:
    """The directories in `runs/` and what each looks like. Hidden ones (copies under way) do not count."""
    found = {}
    try:
        with os.scandir(runs) as entries:
            for entry in entries:
                if entry.name[0] != "." and entry.is_dir() and (entry.name.isascii() or _is_text(entry.name)):
                    with contextlib.suppress(OSError):  # removed meanwhile
                        found[entry.name] = _print(entry.stat())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return found


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8: no id of a run
        return False
    return True


def print_of(directory: str) -> str:
    """What a directory itself looks like: it differs once an entry was added, removed or renamed; '' without one.

    The change time is part of it because `rsync -a` and `cp -a` set the modification time back.
    """
    try:
        return _print(os.stat(directory))
    except OSError:
        return ""


def _print(found: os.stat_result) -> str:
    return f"{found.st_dev}:{found.st_ino}:{found.st_mtime_ns}:{found.st_ctime_ns}"


def clock(place: str) -> int:
    """What time the file system has (ns since 1970): it may be another machine's. `place` is touched to learn it.

    Where it cannot be touched, our own clock has to do.
    """
    try:
        os.utime(place)
        return os.stat(place).st_mtime_ns
    except OSError:
        return time.time_ns()


def certain(seen: str, now: int) -> bool:
    """Whether what was found in a directory holds as long as `print_of` gives `seen`; `now` is `clock`'s, taken later.

    Not if the directory had changed within the granularity of that clock: it may change again and look the same.
    """
    return bool(seen) and all(int(part) + _RACY_NS < now for part in seen.split(":")[2:])


def alive(root: str, run_id: str) -> bool:
    """Whether somebody writes this run: a process of its own, or the tool that carries it out."""
    from entrenar_research.client import liveness  # only where there are open runs

    return liveness.alive(f"{root}/runs/{run_id}")
