"""What the wheels of a lock are chosen by: requirements, another tool's lock, or what the last runs loaded."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from packaging.utils import canonicalize_name

from entrenar_research.core.nix import python_locks
from entrenar_research.core.nix.python_locks import Pin
from entrenar_research.errors import InvalidFileError, UsageError
from entrenar_research.models.run import RunRecord
from entrenar_research.store import files
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools.pip import Selection

DEFAULTS: Final = ("pylock.toml", "uv.lock", "requirements.txt")
"""What is looked for at the top of a study, the most exact first."""
_OURSELVES: Final = "entrenar-research"
_HOW: Final = "give `--requirements FILE` (requirements.txt, pylock.toml or uv.lock), or run an experiment first"
_LOCKS: Final[Mapping[str, Callable[[Mapping[str, Any], str, Mapping[str, str]], tuple[Pin, ...]]]] = {
    "pylock": python_locks.pylock,
    "uv": python_locks.uv,
}


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """What wheels are chosen by: `file`, or `packages` with versions that were `recorded`; `shown` in words.

    `digest` is that of the file, as `sha256:<hex>`. `left_out` names what was loaded but is not asked for. With
    `alone` nothing is added that the packages of the file need besides.
    """

    shown: str
    file: Path | None = None
    digest: str | None = None
    packages: Mapping[str, str] = {}
    left_out: tuple[str, ...] = ()
    alone: bool = False


def choose(study: StudyFiles, named: Path | None, *, alone: bool = False) -> Chosen:
    """The file that was named, else that of the study, else what the experiments' last runs loaded.

    Raises:
        UsageError: if there is nothing to choose by, or runs contradict each other.
        InvalidFileError: if some of the file's requirements have a hash and others have none.
    """
    path = named or next((study.root / name for name in DEFAULTS if (study.root / name).is_file()), None)
    if path is None:
        return _recorded(study)
    shown = path.name if named is None else str(named)
    text = files.read_text(path, shown=shown)
    if _kind(path) is None:
        bare = python_locks.without_hash(text)
        if bare:
            raise InvalidFileError(
                f"{shown}: some requirements have a hash and these have none: {', '.join(bare[:5])}",
                hint="give every one its --hash=sha256:..., or none",
            )
    digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    return Chosen(shown=shown, file=path.absolute(), digest=digest, alone=alone)


def selection(chosen: Chosen, python: str, scratch: Path) -> Selection:
    """What pip is asked for; `python` is the whole version (`3.11.2`), `scratch` a directory for a file of pins.

    Raises:
        InvalidFileError: if another tool's lock cannot be used.
    """
    if chosen.file is None:
        return Selection(words=tuple(f"{name}=={version}" for name, version in sorted(chosen.packages.items())))
    kind = _kind(chosen.file)
    if kind is None:
        return Selection(files=(chosen.file,), alone=chosen.alone)
    try:
        document = tomllib.loads(files.read_text(chosen.file, shown=chosen.shown))
    except tomllib.TOMLDecodeError as error:
        raise InvalidFileError(f"{chosen.shown}: not TOML: {error}") from error
    pins = _LOCKS[kind](document, chosen.shown, python_locks.markers(python))
    path = scratch / "pins.txt"
    path.write_text("".join(f"{pin.line}\n" for pin in pins), encoding="utf-8")
    return Selection(files=(path,) if pins else (), alone=True, hashes=bool(pins))


def is_empty(wanted: Selection) -> bool:
    """Whether nothing is asked for."""
    said = [file.read_text(encoding="utf-8") for file in wanted.files]
    return not wanted.words and all(
        not line.strip() or line.lstrip().startswith("#") for text in said for line in text.splitlines()
    )


def recorded_python(study: StudyFiles) -> str | None:
    """The Python of the newest good run, such as `3.11`, or None."""
    records = _last_runs(study)
    known = [(record.id, record.environment.python) for record in records if record.environment is not None]
    versions = [python for _, python in sorted(known, key=lambda pair: pair[0]) if python is not None]
    return ".".join(versions[-1].split(".")[:2]) if versions else None


def _kind(path: Path) -> str | None:
    if path.name == "uv.lock":
        return "uv"
    return "pylock" if path.name.startswith("pylock.") and path.suffix == ".toml" else None


def _last_runs(study: StudyFiles) -> tuple[RunRecord, ...]:
    runs = RunFiles(study.root)
    found = (runs.latest(name) for name in study.experiment_names())
    return tuple(record for record in found if record is not None)


def _recorded(study: StudyFiles) -> Chosen:
    loaded = {
        record.experiment: record.environment.packages
        for record in _last_runs(study)
        if record.environment is not None and record.environment.packages_scope == "loaded"
    }
    if not loaded:
        raise UsageError("nothing says which packages the toolchain is to have", hint=_HOW)
    packages: dict[str, tuple[str, str]] = {}
    for experiment, found in loaded.items():
        for name, version in found.items():
            other, run = packages.setdefault(canonicalize_name(name), (version, experiment))
            if other != version:
                raise UsageError(
                    f"the last runs loaded {name} in two versions: {other} ({run}) and {version} ({experiment})",
                    hint="run both with the same packages, or give `--requirements FILE`",
                )
    left_out = tuple(name for name in packages if name == _OURSELVES)
    return Chosen(
        shown=f"what the last runs of {', '.join(loaded)} loaded",
        packages={name: version for name, (version, _) in packages.items() if name not in left_out},
        left_out=left_out,
    )
