"""What lies where in a pack, and reading one: nothing of it is used before it was held against the signed manifest.

A pack that is brought up to date has its changed files as `<name>.new` beside the old ones until the manifest, itself
replaced in one step, says which of the two it means; so a pack is whole at every moment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from entrenar_research.bundles.port import Progress
from entrenar_research.errors import IntegrityError, StorageError, UsageError
from entrenar_research.models.airgap import Manifest, PackedFile
from entrenar_research.store import files, hashing

MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.json.sig"
README: Final = "README"
BUNDLE: Final = "study.bundle"
CACHE: Final = "cache"
DATA: Final = "dvc"
NIX_KEY: Final = "keys/nix.pub"
SIGNERS: Final = "keys/allowed_signers"
NEXT: Final = ".new"
_UNLISTED: Final = frozenset({MANIFEST, SIGNATURE, MANIFEST + NEXT, SIGNATURE + NEXT})
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LARGEST: Final = 256 << 20
_NAMED: Final = 5


class Pack(msgspec.Struct, frozen=True, kw_only=True):
    """A pack as it lies there: what its manifest says, the bytes of that, and what may be the signature of them."""

    directory: Path
    manifest: Manifest
    raw: bytes
    signatures: tuple[str, ...]


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A pack of which every file is as its manifest says: where each lies. `unlisted` is what it does not name."""

    directory: Path
    manifest: Manifest
    places: Mapping[str, Path]
    unlisted: tuple[str, ...]

    def text(self, path: str) -> str:
        """The text of a listed file."""
        return files.read_text(self.places[path], shown=path)


def read(directory: Path) -> Pack:
    """The manifest of a pack; what it says is not to be believed before its signature was checked.

    Raises:
        UsageError: if there is no pack.
        IntegrityError: if the manifest is not one of ours, or names something outside of the pack.
    """
    place = directory / MANIFEST
    if not directory.is_dir():
        raise UsageError(f"{directory}: no such directory; expected a pack")
    if not place.is_file():
        raise UsageError(
            f"{directory}: there is no {MANIFEST}, so this is no pack, or one that was never finished",
            hint="make one with `entrenar-research airgap pack -o DIR`",
        )
    with files.refusals(f"cannot read {MANIFEST}"):
        if place.stat().st_size > _LARGEST:
            raise IntegrityError(f"{MANIFEST}: larger than any that we write")
        raw = place.read_bytes()
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise IntegrityError(f"{MANIFEST}: not as `airgap pack` writes it: {error}") from error
    _refuse_odd(manifest)
    kept = [directory / name for name in (SIGNATURE, SIGNATURE + NEXT) if (directory / name).is_file()]
    if not kept:
        raise IntegrityError(f"{SIGNATURE} is missing: nobody vouches for this pack", hint="get the pack anew")
    return Pack(directory=directory, manifest=manifest, raw=raw, signatures=tuple(map(files.read_text, kept)))


def _refuse_odd(manifest: Manifest) -> None:
    listed = [item.path for item in manifest.files]
    for path in (*listed, f"a/{manifest.name}"):
        parts = PurePosixPath(path).parts
        plain = bool(parts) and path == "/".join(parts) and not {"..", "/", "."} & set(parts)
        if not plain or not path.isprintable() or path in _UNLISTED:
            raise IntegrityError(f"{MANIFEST}: names {path!r}: expected a path below the pack")
    shown = (manifest.title, manifest.version, manifest.signer, manifest.key, manifest.time, manifest.branch or "")
    if not all(map(str.isprintable, (*shown, *manifest.experiments))) or not _COMMIT.fullmatch(manifest.commit):
        raise IntegrityError(f"{MANIFEST}: the commit is none, or something that people are shown cannot be shown")
    needed = {*manifest.bundles, SIGNERS, *((NIX_KEY,) if manifest.nix else ())}
    if len(set(listed)) < len(listed) or not manifest.bundles or needed - set(listed):
        raise IntegrityError(f"{MANIFEST}: files are named twice, or the bundle or the keys are not named at all")
    if len(PurePosixPath(manifest.name).parts) != 1:
        raise IntegrityError(f"{MANIFEST}: {manifest.name!r} cannot be the name of a directory")


def check(pack: Pack, progress: Progress = lambda done, total: None) -> Checked:
    """Reads every file of the pack and holds it against the manifest.

    Raises:
        IntegrityError: naming what is missing or not as it was.
    """
    places: dict[str, Path] = {}
    faults: list[str] = []
    total = len(pack.manifest.files)
    for number, item in enumerate(pack.manifest.files):
        found = _found(pack.directory, item)
        if isinstance(found, Path):
            places[item.path] = found
        else:
            faults.append(f"{item.path}: {found}")
        progress(number + 1, total)
    if faults:
        more = f" (and {len(faults) - _NAMED} more files)" if len(faults) > _NAMED else ""
        raise IntegrityError(
            "the pack is not what its manifest says: " + "; ".join(faults[:_NAMED]) + more,
            hint="nothing was unpacked; get the pack anew",
        )
    known = {*_UNLISTED, *(path.relative_to(pack.directory).as_posix() for path in places.values())}
    unlisted = tuple(path for path in members(pack.directory) if path not in known)
    return Checked(directory=pack.directory, manifest=pack.manifest, places=places, unlisted=unlisted)


def _found(directory: Path, item: PackedFile) -> Path | str:
    """Where a file lies that is as the manifest says, or what is wrong with it."""
    fault = "missing"
    for name in (item.path, item.path + NEXT):
        place = directory / name
        if not place.exists() and not place.is_symlink():
            continue
        try:
            files.contained(directory, name, what="file")
            if place.is_symlink():
                raise UsageError("it is a symbolic link")
            found = hashing.hash_file(place, md5=False)
        except (StorageError, UsageError) as error:
            fault = error.message
            continue
        if (found.sha256, found.size) == (item.sha256, item.size):
            return place
        fault = f"found sha256:{found.sha256[:12]}... ({found.size} bytes), "
        fault += f"expected sha256:{item.sha256[:12]}... ({item.size} bytes)"
    return fault


def members(directory: Path) -> tuple[str, ...]:
    """Every file below a pack, relative to it, sorted."""
    found = []
    for top, _, names in os.walk(directory):
        inside = os.path.relpath(top, directory)
        found += [name if inside == "." else f"{inside}/{name}" for name in names]
    return tuple(sorted(found))


def encode(manifest: Manifest) -> bytes:
    """The bytes of a manifest, which are what is signed."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
