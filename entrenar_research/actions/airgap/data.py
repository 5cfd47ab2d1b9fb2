"""What DVC holds of the chosen experiments: which objects, into a pack, and out of it into cache and study."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

import msgspec

from entrenar_research.errors import IntegrityError, UsageError
from entrenar_research.store import files
from entrenar_research.store.dvc_files import DvcFiles
from entrenar_research.tools import dvc

REMOTE: Final = "airgap"
_DIRECTORY: Final = ".dir"
_NAME: Final = re.compile(r"[0-9a-f]{32}(\.dir)?")
_CHUNK: Final = 1 << 20


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A file or directory that DVC holds: `path` in the study, `name` of its object (MD5, for a directory `.dir`)."""

    path: str
    name: str
    executable: bool = False


def run_once(root: Path, names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those of the experiments that have a result, and those that were never run.

    Raises:
        InvalidFileError: if `dvc.lock` is malformed.
    """
    locked = DvcFiles(root).locked()
    wanted = tuple(names)
    done = tuple(name for name in wanted if (locked.get(name) or {}).get("outs"))
    return done, tuple(name for name in wanted if name not in done)


def held(root: Path, names: Sequence[str], *, everything: bool) -> tuple[Held, ...]:
    """What is needed to have and to repeat the experiments: results, data, results of others that they read.

    With `everything`, all that DVC holds of the study.

    Raises:
        InvalidFileError: if DVC's files are malformed.
        UsageError: if something is held in a way that cannot be carried.
    """
    found = DvcFiles(root)
    locked, pointers = found.locked(), found.pointers()
    made = {str(out["path"]): stage for stage, entry in locked.items() for out in entry.get("outs") or []}
    stages = set(locked) if everything else _with_what_they_read(locked, made, names)
    outs = [out for stage in stages for out in locked[stage].get("outs") or []]
    read = [str(dep["path"]) for stage in stages for dep in locked[stage].get("deps") or []]
    for path, out in pointers.items():
        if everything or any(_overlap(path, item) for item in read) or _golden(path, root, names):
            outs.append({**out, "path": path})
    wanted = {str(out["path"]): out for out in outs if out.get("cache", True)}
    return tuple(_held(path, out) for path, out in sorted(wanted.items()))


def _with_what_they_read(locked: Mapping[str, Any], made: Mapping[str, str], names: Sequence[str]) -> set[str]:
    pending, stages = [name for name in names if name in locked], set[str]()
    while pending:
        stage = pending.pop()
        if stage in stages:
            continue
        stages.add(stage)
        read = [str(dep["path"]) for dep in locked[stage].get("deps") or []]
        pending += [other for path, other in made.items() if any(_overlap(path, item) for item in read)]
    return stages


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _golden(path: str, root: Path, names: Sequence[str]) -> bool:
    """Whether it belongs to a golden trace of one of the experiments."""
    parts = PurePosixPath(path).parts
    if len(parts) < 2 or parts[0] != "golden_traces":
        return False
    record = root / parts[0] / parts[1] / "golden.yaml"
    if not record.is_file():
        return False
    said = re.search(r"^experiment: *['\"]?([\w-]+)", files.read_text(record), re.MULTILINE)
    return said is not None and said[1] in names


def _held(path: str, out: Mapping[str, Any]) -> Held:
    name = str(out.get("md5") or "")
    if not _NAME.fullmatch(name):
        raise UsageError(f"{path}: DVC holds it without an MD5 of its content, and that cannot be carried")
    _refuse_odd(path)
    return Held(path=path, name=name, executable=bool(out.get("isexec")))


def _refuse_odd(path: str) -> None:
    """Data lies in the study, and not where Git, DVC or this tool keep what is theirs."""
    parts = PurePosixPath(path).parts
    if path.startswith("/") or {"..", ".git"} & set(parts) or parts[:1] in ((".dvc",), (".entrenar",)):
        raise IntegrityError(f"DVC's files name {path!r}: expected a path of data inside the study")


def cache_of(root: Path) -> Path:
    """Where DVC keeps the objects of a study."""
    return root / ".dvc" / "cache" if DvcFiles(root).ordinary_cache() else dvc.cache_directory(root)


def carry(items: Iterable[Held], source: Path, target: Path, *, listed: Collection[str] | None = None) -> None:
    """Copies the objects of all items from one store of DVC into another, each checked; what is there stays.

    Out of a pack only what its manifest has `listed` is taken.

    Raises:
        UsageError: if an object is missing.
        IntegrityError: if one is not what its name says, or not listed.
        StorageError: if the file system refuses.
    """
    with files.refusals("cannot copy the data"):
        for item in items:
            for name in _objects(item, source, listed):
                _copy_object(name, source, target, item.path)


def _objects(item: Held, source: Path, listed: Collection[str] | None) -> Iterator[str]:
    """The objects of an item, the list of a directory before its files are looked up in it."""
    for found in ((item.name,), (name for name, _ in _listing(item, source))):
        for name in found:
            if listed is not None and _object(source, name).relative_to(source.parent).as_posix() not in listed:
                raise IntegrityError(f"the pack lacks the data of {item.path} (object {name[:12]}...)")
            yield name


def _listing(item: Held, store: Path) -> Iterator[tuple[str, str]]:
    """The files of a directory: the name of each one's object, and its path below the directory."""
    if not item.name.endswith(_DIRECTORY):
        return
    place = _object(store, item.name)
    if not place.is_file():
        raise _missing(item.path, item.name)
    data = place.read_bytes()
    if hashlib.md5(data, usedforsecurity=False).hexdigest() + _DIRECTORY != item.name:
        raise IntegrityError(f"{item.path}: the list of its files in DVC's store is damaged ({item.name})")
    try:
        for entry in json.loads(data):
            name, path = str(entry["md5"]), str(entry["relpath"])
            _refuse_odd(path)
            if not _NAME.fullmatch(name):
                raise ValueError(name)
            yield name, path
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{item.path}: the list of its files is not as DVC writes it ({error})") from error


def _object(store: Path, name: str) -> Path:
    return store / "files" / "md5" / name[:2] / name[2:]


def _missing(path: str, name: str) -> UsageError:
    return UsageError(
        f"{path}: DVC's store lacks it (object {name[:12]}...)",
        hint="bring it there with `dvc fetch`, or with `dvc commit` if the file is here",
    )


def _copy_object(name: str, source: Path, target: Path, path: str) -> None:
    place, wanted = _object(target, name), _object(source, name)
    if not wanted.is_file():
        raise _missing(path, name)
    if place.is_file() and place.stat().st_size == wanted.stat().st_size:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with wanted.open("rb") as stream, part.open("wb") as copy:
            while piece := stream.read(_CHUNK):
                digest.update(piece)
                copy.write(piece)
        if digest.hexdigest() != name.removesuffix(_DIRECTORY):
            raise IntegrityError(f"{path}: an object in DVC's store is not what its name says ({name})")
        part.chmod(0o444)
        part.rename(place)
    finally:
        part.unlink(missing_ok=True)


def changed_here(root: Path, items: Iterable[Held], cache: Path, other: Path) -> tuple[str, ...]:
    """Files that a checkout of the items would overwrite, though no store of DVC has what is in them.

    `cache` is that of the study, `other` where the items come from.
    """
    wanted = {path: name for item in items for name, path in _files(item, other)}
    found = {path: _md5(root / path) for path in sorted(wanted)}
    return tuple(
        path for path, name in found.items()
        if name is not None and name != wanted[path] and not _object(cache, name).is_file()
    )  # fmt: skip


def check_out(root: Path, items: Iterable[Held], cache: Path) -> int:
    """Puts files where the study has them, out of the cache; how many were written. What is right already stays.

    Raises:
        StorageError: if the file system refuses.
    """
    written = 0
    for item in items:
        for name, path in _files(item, cache):
            files.contained(root, path, what="path that DVC holds")
            place = root / path
            if _md5(place) == name:
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            part = place.with_name(f".{place.name}.{os.getpid()}.part")
            try:
                shutil.copyfile(_object(cache, name), part)
                part.chmod(0o755 if item.executable else 0o644)
                part.rename(place)
            finally:
                part.unlink(missing_ok=True)
            written += 1
        if item.name.endswith(_DIRECTORY):
            (root / item.path).mkdir(parents=True, exist_ok=True)
    return written


def remove(root: Path, before: Iterable[Held], after: Iterable[Held], cache: Path) -> None:
    """Removes what DVC held before and holds no longer, if nobody changed it."""
    now = {path for item in after for _, path in _files(item, cache)}
    for item in before:
        for name, path in _files(item, cache):
            if path not in now and _md5(root / path) == name:
                (root / path).unlink()


def _files(item: Held, store: Path) -> Iterator[tuple[str, str]]:
    """Every file of an item: the name of its object and its path in the study."""
    if not item.name.endswith(_DIRECTORY):
        yield item.name, item.path
    elif _object(store, item.name).is_file():
        yield from ((name, f"{item.path}/{path}") for name, path in _listing(item, store))


def _md5(place: Path) -> str | None:
    if not place.is_file():
        return None
    with place.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def connect(root: Path, store: Path) -> None:
    """Makes the pack's store of DVC the remote that `dvc pull` asks, in the settings of this copy alone.

    Raises:
        StorageError: if the file system refuses.
        ToolError: if DVC refuses.
    """
    place = root / ".dvc" / "config.local"
    quote = "'" if '"' in str(store) else '"'
    text = f"[core]\n    remote = {REMOTE}\n['remote \"{REMOTE}\"']\n    url = {quote}{store.absolute()}{quote}\n"
    if not place.exists():
        files.write_atomically(place, text)
    elif files.read_text(place) != text:
        dvc.call(root, "remote", "add", "--local", "--force", REMOTE, str(store.absolute()))
        dvc.call(root, "config", "--local", "core.remote", REMOTE)
