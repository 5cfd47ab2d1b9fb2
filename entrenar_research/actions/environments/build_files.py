"""The files by which Nix builds: a study has copies of the tool's own, byte for byte, so that derivations are equal.

The client, what a script imports to log to its run, is among them: a folder that counts as one. So what a toolchain is
made of is the study's own, and another version of the tool changes none of it until somebody asks for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from entrenar_research.store import files

State = Literal["same", "written", "replaced", "changed", "absent"]
_NAMES: Final = ("*.nix", "*.sh", "*.py", "seed")
_TOP: Final = "flake.nix"
_WITH_NIXPKGS: Final = "nixpkgs/flake.nix"
CLIENT: Final = "nix/entrenar_research"
"""Where a study has the client; where the client is developed, Nix takes it from the top."""
_CLIENT_FILES: Final = ("__init__.py", "errors.py", "client/*.py")


class BuildFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file, or the client: as the tool has it (`same`), `absent`, `changed`, or what was done about it.

    `path` is relative to the study.
    """

    path: str
    state: State


def names(source: Path) -> tuple[str, ...]:
    """The files that are copied, relative to a study; `source` is where the tool keeps them."""
    found = sorted({path.name for pattern in _NAMES for path in source.glob(pattern) if path.is_file()} - {_TOP})
    return (_TOP, *(f"nix/{name}" for name in (*found, _WITH_NIXPKGS)))


def compare(root: Path, source: Path) -> tuple[BuildFile, ...]:
    """How the files of the study at `root` stand to those of the tool.

    Raises:
        StorageError: if one cannot be read.
    """
    found = [BuildFile(path=name, state=_state(root, source, name)) for name in names(source)]
    if not (root / "entrenar_research" / "client").is_dir():
        found.append(BuildFile(path=CLIENT, state=_client_state(root, source)))
    return tuple(found)


def refresh(root: Path, source: Path, *, replace: bool) -> tuple[BuildFile, ...]:
    """Writes what is absent, and with `replace` what is changed; otherwise that is only told.

    Raises:
        StorageError: if the file system refuses.
    """
    done = []
    for item in compare(root, source):
        state = item.state
        if state == "absent" or (state == "changed" and replace):
            if item.path == CLIENT:
                _write_client(root, source)
            else:
                _copy(_original(source, item.path), root / item.path)
            state = "written" if state == "absent" else "replaced"
        done.append(BuildFile(path=item.path, state=state))
    return tuple(done)


def changed(found: Sequence[BuildFile]) -> tuple[str, ...]:
    """The files that are not as the tool has them."""
    return tuple(item.path for item in found if item.state in ("changed", "absent"))


def _state(root: Path, source: Path, name: str) -> State:
    with files.refusals(f"cannot read {name}"):
        if not (root / name).is_file():
            return "absent"
        return "same" if (root / name).read_bytes() == _original(source, name).read_bytes() else "changed"


def client(source: Path) -> dict[str, Path]:
    """The files of the client by their names in its package, and where the tool has them."""
    package = source.parent if source.name == "_nix" else source.parent / "entrenar_research"
    found = sorted(path for pattern in _CLIENT_FILES for path in package.glob(pattern))
    return {path.relative_to(package).as_posix(): path for path in found}


def _client_state(root: Path, source: Path) -> State:
    place = root / CLIENT
    with files.refusals(f"cannot read {CLIENT}"):
        if not place.is_dir():
            return "absent"
        if place.is_symlink():
            return "changed"
        found = {path.relative_to(place).as_posix(): path for path in place.rglob("*.py")}
        wanted = client(source)
        same = found.keys() == wanted.keys() and all(
            found[name].read_bytes() == path.read_bytes() for name, path in wanted.items()
        )
        return "same" if same else "changed"


def _write_client(root: Path, source: Path) -> None:
    """Every file of the client; what another version had besides goes.

    A folder of it that is a link is replaced: what lies elsewhere is somebody else's.
    """
    wanted = client(source)
    with files.refusals(f"cannot replace a link in {CLIENT}"):
        for folder in (root / CLIENT, *(root / CLIENT / name for name in _folders(wanted))):
            if folder.is_symlink():
                folder.unlink()
    for name, path in wanted.items():
        _copy(path, root / CLIENT / name)
    with files.refusals(f"cannot tidy {CLIENT}"):
        for path in (root / CLIENT).rglob("*.py"):
            if path.relative_to(root / CLIENT).as_posix() not in wanted:
                path.unlink()


def _folders(wanted: Iterable[str]) -> set[str]:
    return {name.rpartition("/")[0] for name in wanted} - {""}


def _copy(original: Path, target: Path) -> None:
    mode = 0o755 if original.stat().st_mode & 0o100 else 0o644
    files.write_atomically(target, original.read_bytes(), mode=mode)


def _original(source: Path, name: str) -> Path:
    """Where the tool keeps a file: all of them in one folder when installed, the flake above it in a checkout."""
    own = source / name.removeprefix("nix/")
    return own if own.is_file() else source.parent / name
