"""Files that a run keeps: copied into it while their digest is taken."""

from __future__ import annotations

import os

from entrenar_research.client import places, values
from entrenar_research.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from entrenar_research.client.port import Storage

_CHUNK = 1 << 20


def relative_name(given: object) -> str:
    """`given`, if it can be the name of an artifact: a relative path that stays where artifacts are.

    Raises:
        UsageError: if it cannot.
    """
    name = values.name(given, "name of an artifact")
    parts = name.split("/")
    if name.startswith("/") or any(part in ("", ".", "..") for part in parts) or "\\" in name:
        raise UsageError(
            f"the name of an artifact is {name!r}, expected a relative path without `..`",
            hint="for instance plots/loss.png",
        )
    return name


def source_path(given: object) -> str:
    """The path of a file that is to be kept.

    Raises:
        UsageError: if there is no such file.
    """
    if not isinstance(given, str | os.PathLike):
        raise UsageError(
            f"an artifact is {type(given).__name__}, expected the path of a file, or bytes and a name",
            hint="write it to a file first",
        )
    path = os.fspath(given)
    if not os.path.isfile(path):  # noqa: PTH113 - pathlib takes longer to import than all of the client
        found = "a directory" if os.path.isdir(path) else "nothing"
        raise UsageError(f"artifact {path}: expected a file, found {found}", hint="pack a directory into one file")
    return str(path)


def chunks_of(path: str) -> Iterator[bytes]:
    """The bytes of a file, piece by piece.

    Raises:
        OSError: if it cannot be read.
    """
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def digest(chunks: Iterable[bytes]) -> str:
    """`sha256:<hex>` of bytes in pieces."""
    import hashlib  # loads OpenSSL, which only those need who keep something

    found = hashlib.sha256()
    for chunk in chunks:
        found.update(chunk)
    return f"sha256:{found.hexdigest()}"


def keep(storage: Storage, name: str, chunks: Iterable[bytes], kind: str) -> dict[str, Any]:
    """Keeps an artifact; the note about it: `path` (in the run), `digest`, `size` and `artifact_kind`.

    Raises:
        StorageError: if the file system refuses; nothing of it is left then.
    """
    import hashlib  # as above

    found, size = hashlib.sha256(), 0

    def measured() -> Iterator[bytes]:
        nonlocal size
        for chunk in chunks:
            found.update(chunk)
            size += len(chunk)
            yield chunk

    try:
        path = storage.keep(name, measured())
    except OSError as error:
        raise places.refused(f"cannot keep the artifact {name}", error) from error
    return {"path": path, "digest": f"sha256:{found.hexdigest()}", "size": size, "artifact_kind": kind}
