"""Reading Debian packages without dpkg: an ar archive of compressed tar archives (deb(5))."""

from __future__ import annotations

import contextlib
import io
import lzma
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final, cast

import cramjam
import msgspec

from entrenar_research.core.nix import debian_control
from entrenar_research.core.nix.debian_control import Stanza
from entrenar_research.errors import InvalidFileError
from entrenar_research.store import files

_MAGIC: Final = b"!<arch>\n"
_HEADER: Final = 60
_LARGEST_CONTROL: Final = 8 << 20


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """A package: where its file is, its fields, and where in the file its data lie."""

    path: Path
    stanza: Stanza
    start: int
    size: int

    @property
    def name(self) -> str:
        """The package's name."""
        return self.stanza["package"]

    @property
    def version(self) -> str:
        """Its version as Debian has it, epoch included."""
        return self.stanza["version"]


def read(path: Path) -> Package:
    """A package's fields and the place of its data.

    Raises:
        InvalidFileError: if it is no package, or its data are not xz-compressed.
        StorageError: if it cannot be read.
    """
    with files.refusals(f"cannot read {path.name}"), path.open("rb") as stream:
        members = _members(stream, path.name)
        _refuse_other_data(path.name, list(members))
        start, size = members["data.tar.xz"]
        control = next((name for name in members if name.startswith("control.tar")), None)
        if control is None or members[control][1] > _LARGEST_CONTROL:
            raise InvalidFileError(f"{path.name}: no Debian package: it says nothing of itself (control.tar)")
        stream.seek(members[control][0])
        stanza = _control(path.name, control, stream.read(members[control][1]))
    return Package(path=path, stanza=stanza, start=start, size=size)


def _members(stream: IO[bytes], name: str) -> dict[str, tuple[int, int]]:
    """The members of an ar archive: (place, size) by name."""
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise InvalidFileError(f"{name}: no Debian package: it is no ar archive")
    found: dict[str, tuple[int, int]] = {}
    end = os.fstat(stream.fileno()).st_size
    place = len(_MAGIC)
    while place < end:
        stream.seek(place)
        header = stream.read(_HEADER)
        length = header[48:58].strip()
        if len(header) < _HEADER or header[58:] != b"`\n" or not length.isdigit():
            raise InvalidFileError(f"{name}: no Debian package: byte {place} begins no member of the archive")
        size = int(length)
        if place + _HEADER + size > end:
            raise InvalidFileError(f"{name}: the package is cut off: {end} bytes are there, more are announced")
        found[header[:16].decode("ascii", "replace").strip().rstrip("/")] = (place + _HEADER, size)
        place += _HEADER + size + size % 2
    return found


def _refuse_other_data(name: str, members: list[str]) -> None:
    if "data.tar.xz" in members:
        return
    data = next((member for member in members if member.startswith("data.tar")), None)
    if data is None:
        raise InvalidFileError(f"{name}: no Debian package: it has no data")
    raise InvalidFileError(
        f"{name}: its data are {data}, expected data.tar.xz: the toolchain is unpacked by busybox, which reads xz",
        hint="Ubuntu's are so; take Debian's: run `env lock` on Debian, or give `--from DIR` with its packages",
    )


def _control(name: str, member: str, data: bytes) -> Stanza:
    try:
        plain = bytes(cramjam.zstd.decompress(data)) if member.endswith(".zst") else data
        with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
            entry = next((item for item in archive if item.name.removeprefix("./") == "control"), None)
            stream = archive.extractfile(entry) if entry is not None else None
            text = stream.read(_LARGEST_CONTROL).decode("utf-8", "replace") if stream is not None else ""
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError, cramjam.DecompressionError) as error:
        raise InvalidFileError(f"{name}: what the package says of itself cannot be read: {error}") from error
    found = debian_control.stanzas(text)
    if not found or not {"version", "architecture"} <= found[0].keys():
        raise InvalidFileError(f"{name}: the package does not say its name, version and architecture")
    return found[0]


def unpack(package: Package, directory: Path) -> tuple[str, ...]:
    """Unpacks a package's data below `directory`: files, links and directories; their names, links excluded.

    Raises:
        InvalidFileError: if the data are damaged, or a name leads out of `directory`.
        StorageError: if the file system refuses.
    """
    found = []
    with files.refusals(f"cannot unpack {package.path.name}"), _data(package) as archive:
        for member in archive:
            target = _place(package, directory, member.name)
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            if member.issym():
                target.symlink_to(member.linkname)
            elif member.islnk():
                shutil.copy2(_place(package, directory, member.linkname), target)
                found.append(_relative(member.name))
            elif member.isreg():
                with _content(archive, member) as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out)
                target.chmod(0o755 if member.mode & 0o100 else 0o644)
                found.append(_relative(member.name))
    return tuple(found)


def member(package: Package, name: str) -> bytes | None:
    """The bytes of one file of a package, `name` as `bin/busybox`; None if it has none of that name.

    Raises:
        InvalidFileError: if the data are damaged.
        StorageError: if the file cannot be read.
    """
    with files.refusals(f"cannot read {package.path.name}"), _data(package) as archive:
        for item in archive:
            if _relative(item.name) == name and item.isreg():
                with _content(archive, item) as source:
                    return source.read()
    return None


@contextlib.contextmanager
def _data(package: Package) -> Iterator[tarfile.TarFile]:
    """The archive of a package's data, read from the beginning to the end."""
    try:
        with package.path.open("rb") as stream:
            stream.seek(package.start)
            with (
                lzma.open(cast("IO[bytes]", _Part(stream, package.size))) as plain,
                tarfile.open(fileobj=plain, mode="r|") as archive,
            ):
                yield archive
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise InvalidFileError(f"{package.path.name}: its data are damaged: {error}") from error


def _content(archive: tarfile.TarFile, item: tarfile.TarInfo) -> IO[bytes]:
    source = archive.extractfile(item)
    return source if source is not None else io.BytesIO()


class _Part:
    """The next `size` bytes of a stream, for somebody who reads from the beginning to the end."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream, self._left = stream, size

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._stream.read(wanted)
        self._left -= len(data)
        return data


def _relative(name: str) -> str:
    return name.removeprefix("./").strip("/")


def _place(package: Package, directory: Path, name: str) -> Path:
    parts = PurePosixPath(_relative(name)).parts
    target = directory.joinpath(*parts)
    inside = Path(os.path.realpath(target.parent)).is_relative_to(os.path.realpath(directory))
    if parts and (".." in parts or not inside):
        raise InvalidFileError(f"{package.path.name}: {name!r} leads out of the package")
    return target


def find(directory: Path) -> tuple[Package, ...]:
    """The packages that lie in a directory, by name.

    Raises:
        InvalidFileError: if one of them cannot be used, or one is there in two versions.
        StorageError: if the directory cannot be read.
    """
    with files.refusals(f"cannot read {directory}"):
        paths = sorted(path for path in directory.iterdir() if path.name.endswith(".deb"))
    found: dict[str, Package] = {}
    for path in paths:
        package = read(path)
        other = found.setdefault(package.name, package)
        if other is not package:
            raise InvalidFileError(
                f"{directory}: {package.name} is there twice: {other.path.name} and {path.name}",
                hint="leave only the one that is meant",
            )
    return tuple(found[name] for name in sorted(found))
