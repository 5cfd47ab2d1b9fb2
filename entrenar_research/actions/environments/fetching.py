"""Fetching the very files of a lock into the cache: from a mirror, or from where apt and pip get theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from entrenar_research.core.nix.python_locks import Pin
from entrenar_research.errors import IntegrityError, InvalidFileError, MissingToolError, ResearchError, ToolError
from entrenar_research.models.closure import Blob, Closure
from entrenar_research.net import blobs as mirrors
from entrenar_research.net.errors import OfflineError, RemoteError
from entrenar_research.store import blobs, debian_packages, files
from entrenar_research.store.blobs import Cache
from entrenar_research.tools import apt, bare_python, pip, process
from entrenar_research.tools.pip import Selection


class Mirror:
    """A directory of files by their names, at a `file://` or `http(s)://` address."""

    def __init__(self, template: str, agent: str, progress: Callable[[int, int], None]) -> None:
        self._template, self._agent, self._progress = template, agent, progress
        self.shown = "the mirror"

    def gather(self, wanted: Sequence[Blob], cache: Cache) -> dict[str, str]:
        """Fetches each file and keeps it if it is the right one; the reason for each, by name, that is not kept.

        Raises:
            UsageError: if the address is none.
            OfflineError: if connections are forbidden.
            StorageError: if the cache cannot be written.
        """
        reasons: dict[str, str] = {}
        mirror = mirrors.Mirror(self._agent)
        try:
            with blobs.workplace(cache.root) as place:
                for number, blob in enumerate(wanted, 1):
                    reason = self._one(mirror, blob, cache, place / "fetched")
                    if reason is not None:
                        reasons[blob.file] = reason
                    self._progress(number, len(wanted))
        finally:
            mirror.close()
        return reasons

    def _one(self, mirror: mirrors.Mirror, blob: Blob, cache: Cache, place: Path) -> str | None:
        url = mirrors.address(self._template, file=blob.file, store=blob.store, sha256=blob.sha256)
        try:
            with files.refusals(f"cannot write {blob.file}"):
                if not mirror.fetch(url, place, blob.size):
                    return "not there"
            cache.keep(blob, place)
        except OfflineError:
            raise
        except RemoteError as error:
            return error.message
        except IntegrityError:
            return f"refused: {blobs.fault(blob, place)}"
        return None


class Packages:
    """The distribution and the package index, as apt and pip are configured: the versions of the lock, by name.

    pip is asked by the Python of `closure`, unpacked from packages that lie in the cache or were fetched just now.
    """

    def __init__(self, closure: Closure, announce: Callable[[str], None]) -> None:
        self._closure, self._announce = closure, announce
        self.shown = "apt and pip"

    def gather(self, wanted: Sequence[Blob], cache: Cache) -> dict[str, str]:
        """Fetches each file and keeps it if it is the right one; the reason for each, by name, that is not kept.

        Raises:
            StorageError: if the cache cannot be written.
        """
        debs = [blob for blob in wanted if blob.file.endswith(".deb")]
        wheels = [blob for blob in wanted if blob.file.endswith(".whl")]
        with blobs.workplace(cache.root) as place:
            reasons: dict[str, str] = {}
            if debs:
                self._announce(f"apt is asked for {len(debs)} packages")
                reasons |= self._debs(debs, cache, place / "debs")
            if wheels:
                self._announce(f"pip is asked for {len(wheels)} wheels")
                reasons |= self._wheels(wheels, cache, place)
        return reasons

    def _debs(self, wanted: Sequence[Blob], cache: Cache, place: Path) -> dict[str, str]:
        place.mkdir()
        refusal = ""
        try:
            apt.require()
            apt.download([f"{blob.name}={blob.version}" for blob in wanted], place)
        except MissingToolError as error:
            return dict.fromkeys((blob.file for blob in wanted), error.message)
        except ToolError as error:
            refusal = error.message
            if len(wanted) > 1:  # one that is gone takes the others with it
                middle = len(wanted) // 2
                return self._debs(wanted[:middle], cache, place / "a") | self._debs(wanted[middle:], cache, place / "b")
        there = {package.name: package.path for package in debian_packages.find(place)}
        return _keep_all(wanted, there, cache, refusal)

    def _wheels(self, wanted: Sequence[Blob], cache: Cache, place: Path) -> dict[str, str]:
        interpreter = self._interpreter(cache, place)
        if interpreter is None:
            reason = f"no Python {self._closure.python} to ask which wheels fit"
            return dict.fromkeys((blob.file for blob in wanted), reason)
        there, refusal = _ask_pip(interpreter, wanted, place / "wheels")
        if refusal and len(wanted) > 1:  # one that is gone takes the others with it
            parts = (_ask_pip(interpreter, [blob], place / f"wheel-{n}") for n, blob in enumerate(wanted))
            kept = (_keep_all([blob], found, cache, why) for blob, (found, why) in zip(wanted, parts, strict=True))
            return {file: reason for part in kept for file, reason in part.items()}
        return _keep_all(wanted, there, cache, refusal)

    def _interpreter(self, cache: Cache, place: Path) -> Path | None:
        """The Python of the lock, or one of its version that is installed."""
        version, unpacked = self._closure.python, place / "unpacked"
        paths = [cache.path(blob) for blob in self._closure.debs]
        try:
            for path in paths:
                if path is not None:
                    debian_packages.unpack(debian_packages.read(path), unpacked)
            return bare_python.wrapper(place, unpacked, self._closure.loader, version)
        except (InvalidFileError, ToolError):
            found = process.which(f"python{version}")
            return Path(found) if found is not None else None


def _ask_pip(interpreter: Path, wanted: Sequence[Blob], place: Path) -> tuple[dict[str, Path], str]:
    """The wheels that pip found, by name, and why it did not find all."""
    place.mkdir()
    pins = (Pin(name=blob.name, version=blob.version, sha256=(blob.sha256,)) for blob in wanted)
    file = place / "pins.txt"
    file.write_text("".join(f"{pin.line}\n" for pin in pins), encoding="utf-8")
    try:
        pip.download(interpreter, Selection(files=(file,), alone=True, hashes=True), place)
    except ResearchError as error:
        return {}, error.message
    by_file = {path.name: path for path in place.glob("*.whl")}
    return {blob.name: by_file[blob.file] for blob in wanted if blob.file in by_file}, ""


def _keep_all(wanted: Sequence[Blob], there: Mapping[str, Path], cache: Cache, refusal: str) -> dict[str, str]:
    """Keeps what was fetched, by package; why not, by file."""
    told = ((blob.file, _kept(blob, there.get(blob.name), cache, refusal)) for blob in wanted)
    return {file: reason for file, reason in told if reason is not None}


def _kept(blob: Blob, path: Path | None, cache: Cache, refusal: str) -> str | None:
    """Keeps a file that was fetched; why not, or None."""
    if path is None:
        return refusal or "not there"
    wrong = blobs.fault(blob, path)
    if wrong is not None:
        return f"refused: {wrong}"
    cache.keep(blob, path)
    return None
