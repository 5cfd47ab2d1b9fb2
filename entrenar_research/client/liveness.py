"""Whether somebody still writes a run: asked of the kernel, whose locks die with their holders."""

from __future__ import annotations

import fcntl
import os
import sys

from entrenar_research.client import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

_MACHINE_ID = "/etc/machine-id"


def _sha256(data: bytes) -> str:
    try:
        module = __import__("_sha2" if sys.version_info >= (3, 12) else "_sha256")
    except ImportError:
        import hashlib as module  # loads OpenSSL, which takes milliseconds
    return str(module.sha256(data).hexdigest())


def machine() -> str:
    """A digest of which machine it is: `sha256:` and 16 hex digits, of the machine id or else of the host name."""
    try:
        with open(_MACHINE_ID, "rb") as stream:
            identity = stream.read().strip()
    except OSError:
        identity = b""
    return f"sha256:{_sha256(identity or os.uname().nodename.encode())[:16]}"


def held(path: Path | str) -> bool:
    """Whether a process holds the lock of the event log at `path`, or nobody can tell; false if it is not there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def alive(run_directory: Path | str) -> bool:
    """Whether a process writes the run: one of its event logs is locked, or its staging area."""
    place = os.fspath(run_directory)
    study, name = os.path.dirname(os.path.dirname(place)), os.path.basename(place)  # noqa: PTH119, PTH120 - no pathlib
    if held(os.path.join(study, ".entrenar", "staging", name, "lock")):
        return True
    logs = os.path.join(place, layout.DIRECTORY)
    try:
        names = sorted(os.listdir(logs))
    except OSError:
        return False
    return any(held(os.path.join(logs, name)) for name in names if name.endswith(layout.SUFFIX))
