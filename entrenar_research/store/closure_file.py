"""Reading the closure lock of a study and what Nix is told of its experiments."""

from __future__ import annotations

from pathlib import Path

import msgspec

from entrenar_research.core.nix import closure_lock
from entrenar_research.errors import IntegrityError, UsageError
from entrenar_research.models.closure import Closure
from entrenar_research.models.hermetic import Data, HermeticJobs

JOBS = "nix/experiments.json"


def read(root: Path) -> Closure:
    """The lock of the study at `root`.

    Raises:
        UsageError: if there is none.
        IntegrityError: if it does not hold what it should.
    """
    return read_file(root / closure_lock.FILE, closure_lock.FILE)


def read_own(root: Path) -> Closure:
    """The lock that this tool itself is built from, in a checkout of its repository at `root`.

    Raises:
        UsageError: if it is another repository.
        IntegrityError: if the lock does not hold what it should.
    """
    if not (root / closure_lock.OWN).is_file():
        raise UsageError(
            f"{root}: no checkout of entrenar-research: there is no {closure_lock.OWN}",
            hint="the tool is built from its own repository: go there, and leave --self out elsewhere",
        )
    return read_file(root / closure_lock.OWN, closure_lock.OWN)


def read_file(path: Path, shown: str) -> Closure:
    """The lock in a file, which is called `shown`.

    Raises:
        UsageError: if there is none.
        IntegrityError: if it does not hold what it should.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"{shown}: no such closure lock", hint="make one: `entrenar-research env lock`") from error
    except OSError as error:
        raise UsageError(f"{shown}: cannot be read: {error.strerror}") from error
    return closure_lock.decode(data, shown)


def data(root: Path) -> tuple[Data, ...]:
    """The data that experiments need in the store, each once; none where Nix was not told of experiments yet.

    Raises:
        IntegrityError: if the file does not hold what it should.
    """
    try:
        text = (root / JOBS).read_bytes()
    except OSError:
        return ()
    try:
        jobs = msgspec.json.decode(text, type=HermeticJobs)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{JOBS}: it does not describe experiments: {error}") from error
    found = {(item.store, item.sha256, item.nar): item for job in jobs.experiments.values() for item in job.data}
    return tuple(found.values())
