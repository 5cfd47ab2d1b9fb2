"""The files by which Nix builds: a study has copies of the tool's own, byte for byte, so that derivations are equal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from entrenar_research.store import files

State = Literal["same", "written", "replaced", "changed", "absent"]
_NAMES: Final = ("*.nix", "*.sh", "*.py", "seed")
_TOP: Final = "flake.nix"


class BuildFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file, relative to the study: as the tool has it (`same`), `absent`, `changed`, or what was done about it."""

    path: str
    state: State


def names(source: Path) -> tuple[str, ...]:
    """The files that are copied, relative to a study; `source` is where the tool keeps them."""
    found = sorted({path.name for pattern in _NAMES for path in source.glob(pattern) if path.is_file()} - {_TOP})
    return (_TOP, *(f"nix/{name}" for name in found))


def compare(root: Path, source: Path) -> tuple[BuildFile, ...]:
    """How the files of the study at `root` stand to those of the tool.

    Raises:
        StorageError: if one cannot be read.
    """
    return tuple(BuildFile(path=name, state=_state(root, source, name)) for name in names(source))


def refresh(root: Path, source: Path, *, replace: bool) -> tuple[BuildFile, ...]:
    """Writes what is absent, and with `replace` what is changed; otherwise that is only told.

    Raises:
        StorageError: if the file system refuses.
    """
    done = []
    for item in compare(root, source):
        state = item.state
        if state == "absent" or (state == "changed" and replace):
            original = _original(source, item.path)
            mode = 0o755 if original.stat().st_mode & 0o100 else 0o644
            files.write_atomically(root / item.path, original.read_bytes(), mode=mode)
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


def _original(source: Path, name: str) -> Path:
    """Where the tool keeps a file: all of them in one folder when installed, the flake above it in a checkout."""
    own = source / Path(name).name
    return own if own.is_file() else source.parent / name
