"""Where runs are: finding the study, giving out ids, making run directories, writing their records."""

# pathlib, datetime and secrets take longer to import than all of the client:
# ruff: noqa: PTH102, PTH103, PTH105, PTH106, PTH113, PTH120, SIM105
from __future__ import annotations

import errno
import os
import time

from entrenar_research.client import event_log, layout, surroundings, values
from entrenar_research.errors import NotAStudyError, StorageError, UsageError

STUDY_FILE = "study.yaml"
RECORD = "run.yaml"
RUNS = "runs"
_CLOSED = "SHA256SUMS"
_TRIES = 100
_HINTS = {
    errno.ENOSPC: "free some space, then start again",
    errno.EDQUOT: "your quota is used up: free some space, then start again",
    errno.EACCES: "check the owner and the mode of the directory",
    errno.EPERM: "check the owner and the mode of the directory",
    errno.EROFS: "the study may only be read here; pass storage=MemoryStorage() to keep nothing",
    errno.ENODEV: "the file system cannot map files into memory; keep the study on another one",
}


def refused(doing: str, error: OSError) -> StorageError:
    """The error for what the file system refused."""
    return StorageError(f"{doing}: {error.strerror or error}", hint=_HINTS.get(error.errno or 0))


def moment(nanoseconds: int) -> str:
    """A time since 1970 as ISO 8601 in UTC, to the millisecond."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest // 1_000_000:03}Z"


def new_id(experiment: str, nanoseconds: int) -> str:
    """`<UTC time to the millisecond>-<experiment>-<random>`, as the commands name runs too."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds))
    return f"{stamp}{rest // 1_000_000:03}Z-{experiment}-{event_log.random_name()}"


def find_study(given: str | os.PathLike[str] | None) -> str:
    """The study at `given`, or around the working directory.

    Raises:
        NotAStudyError: if there is none.
    """
    start = os.path.realpath(given if given is not None else os.curdir)
    place = start
    while True:
        if os.path.isfile(os.path.join(place, STUDY_FILE)):
            return place
        above = os.path.dirname(place)
        if given is not None or above == place:
            where = (
                "there is no study.yaml" if given is not None else "there is no study.yaml here or in a directory above"
            )
            raise NotAStudyError(
                f"{start}: not a study: {where}",
                hint="make one with `entrenar-research init DIR`, change into one, or pass study=...",
            )
        place = above


def make_directory(study: str, experiment: str, nanoseconds: int) -> tuple[str, str]:
    """A new run's id and directory.

    Raises:
        UsageError: if the experiment cannot be named so.
        StorageError: if the file system refuses.
    """
    values.experiment(experiment)
    try:
        os.makedirs(os.path.join(study, RUNS), exist_ok=True)
        for _ in range(_TRIES):
            run_id = new_id(experiment, nanoseconds)
            directory = os.path.join(study, RUNS, run_id)
            try:
                os.mkdir(directory)
            except FileExistsError:
                continue
            return run_id, directory
    except OSError as error:
        raise refused(f"cannot make a run in {os.path.join(study, RUNS)}", error) from error
    raise StorageError(f"{_TRIES} random ids for a run of {experiment} were all taken", hint="start it again")


def inherited() -> str | None:
    """The directory of the run that this process was started in, as the environment has them.

    Raises:
        UsageError: if the environment names a run that is not there, or takes nothing any more.
    """
    study, relative = os.environ.get(surroundings.STUDY), os.environ.get(surroundings.RUN)
    if not relative:
        return None
    hint = f"unset {surroundings.RUN} to start a run of its own"
    if not study:
        raise UsageError(f"{surroundings.RUN} is {relative!r}, but {surroundings.STUDY} is not set", hint=hint)
    directory = os.path.join(study, relative)
    if not os.path.isdir(directory):
        raise UsageError(f"{surroundings.RUN} is {relative!r}, and there is no such run in {study}", hint=hint)
    if os.path.exists(os.path.join(directory, _CLOSED)):
        raise UsageError(f"the run {relative} is closed: nothing can be logged to it any more", hint=hint)
    return directory


def write_record(directory: str, text: str, *, durable: bool) -> None:
    """Replaces `run.yaml` in one step; when `durable`, waits until it is on the disk.

    Raises:
        OSError: if the file system refuses; the record is left as it was.
    """
    path = os.path.join(directory, RECORD)
    part = os.path.join(directory, f".{RECORD}.{os.getpid()}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            left = memoryview(text.encode("utf-8"))
            while left:
                left = left[os.write(descriptor, left) :]
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(part, path)
    except BaseException:
        event_log.remove_quietly(part)
        raise


def overwrite_record(directory: str, text: str) -> None:
    """Writes over `run.yaml` where it is, in one call: on a full disk it has its block already.

    Raises:
        OSError: if even that does not go.
    """
    descriptor = os.open(os.path.join(directory, RECORD), os.O_WRONLY | os.O_CLOEXEC)
    try:
        raw = text.encode("utf-8").ljust(os.fstat(descriptor).st_size, b"\n")
        if os.pwrite(descriptor, raw, 0) < len(raw):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(directory: str) -> None:
    """Takes back a run directory that was only just made, as far as there is nothing else in it."""
    folder = os.path.join(directory, layout.DIRECTORY)
    try:
        for name in os.listdir(folder):
            event_log.remove_quietly(os.path.join(folder, name))
        os.rmdir(folder)
    except OSError:
        pass
    try:
        os.rmdir(directory)
    except OSError:
        pass
