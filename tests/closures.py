"""Real and small closure locks for tests: the files that `make setup` fetched, and a directory of tiny ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from entrenar_research.errors import MissingToolError
from entrenar_research.models.closure import Closure
from entrenar_research.store import blobs, closure_file
from entrenar_research.store.blobs import Cache
from entrenar_research.tools import nix

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("nix/closure.lock.json", ".entrenar/fresh.lock.json")
PIP = ROOT / ".venv-setup" / "bin"


def need_nix() -> None:
    """Skips where Nix is absent or too old."""
    try:
        nix.require()
    except MissingToolError as error:
        pytest.skip(error.message)


def fetched(locks: tuple[str, str] = LOCKS) -> tuple[Path, Closure, Cache]:
    """A lock whose files all lie in the cache: the committed one, else the one of the day; skips without."""
    cache = blobs.cache(os.environ)
    for name in locks:
        if (ROOT / name).is_file():
            closure = closure_file.read_file(ROOT / name, name)
            if all(cache.path(blob) is not None for blob in closure.blobs):
                return ROOT / name, closure, cache
    pytest.skip(f"the files of {locks[0]} are not in {cache.root}: `make setup` fetches them")


def laid_out(directory: Path) -> Closure:
    """The files of that lock under their names in a directory; skips without."""
    _, closure, cache = fetched()
    directory.mkdir(parents=True)
    for blob in closure.blobs:
        shutil.copyfile(cache.root / blob.sha256, directory / blob.file)
    return closure


def deb(
    directory: Path, name: str, files: dict[str, bytes], *, version: str = "1.0", depends: str = "",
    architecture: str = "amd64", compression: str = "xz",
) -> Path:  # fmt: skip
    """A Debian package made by dpkg-deb; skips where there is none."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("needs dpkg-deb")
    tree = directory / f"tree-{name}"
    (tree / "DEBIAN").mkdir(parents=True)
    control = f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: A <a@example.org>\n"
    control += f"Depends: {depends}\n" if depends else ""
    (tree / "DEBIAN" / "control").write_text(control + "Description: small\n")
    for path, data in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(data)
        (tree / path).chmod(0o755 if "bin/" in path else 0o644)
    target = directory / f"{name}_{version.replace(':', '%3a')}_{architecture}.deb"
    subprocess.run(
        ["dpkg-deb", f"-Z{compression}", "--root-owner-group", "-b", tree, target], check=True, capture_output=True
    )
    shutil.rmtree(tree)
    return target


def wheel(
    directory: Path, name: str, *, version: str = "1.0", requires: str = "", files: dict[str, str] | None = None
) -> Path:
    """A wheel of pure Python."""
    directory.mkdir(parents=True, exist_ok=True)
    stem = f"{name.replace('-', '_')}-{version}"
    path = directory / f"{stem}-py3-none-any.whl"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += f"Requires-Dist: {requires}\n" if requires else ""
    members = {
        **(files or {f"{name.replace('-', '_')}.py": "value = 1\n"}),
        f"{stem}.dist-info/METADATA": metadata,
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{member},,\n" for member in members) + f"{stem}.dist-info/RECORD,,\n"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in {**members, f"{stem}.dist-info/RECORD": record}.items():
            archive.writestr(zipfile.ZipInfo(member), text)
    return path
