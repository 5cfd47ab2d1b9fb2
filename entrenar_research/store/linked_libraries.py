"""Which libraries programs and libraries ask for (ELF, DT_NEEDED), and which of those are not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from entrenar_research.store import files


def missing(unpacked: Path, python: str) -> tuple[tuple[str, str], ...]:
    """What the programs and libraries of unpacked Debian packages ask for in vain: (library, who asks), sorted.

    Raises:
        StorageError: if a file cannot be read.
    """
    places = [path for path in (unpacked / "lib", unpacked / "usr/lib") if path.is_dir()]
    libraries = [path for place in places for path in place.glob("*-linux-gnu/*.so*") if path.is_file()]
    extensions = unpacked.glob(f"usr/lib/python{python}/lib-dynload/*.so")
    programs = [unpacked / "usr/bin" / name for name in (f"python{python}", "strace")]
    there = {path.name for path in libraries}
    found: dict[str, str] = {}
    for path in (*libraries, *extensions, *(path for path in programs if path.is_file())):
        for name in needed(path):
            if name not in there:
                found.setdefault(name, path.name)
    return tuple(sorted(found.items()))


def needed(path: Path) -> tuple[str, ...]:
    """The libraries that an ELF file asks for; none if it is no such file.

    Raises:
        StorageError: if it cannot be read.
    """
    with files.refusals(f"cannot read {path}"), path.open("rb") as stream:
        try:
            dynamic: Any = ELFFile(stream).get_section_by_name(".dynamic")
            return tuple(tag.needed for tag in dynamic.iter_tags("DT_NEEDED")) if dynamic is not None else ()
        except ELFError:
            return ()


def is_static(path: Path) -> bool:
    """Whether an ELF program asks for no dynamic loader.

    Raises:
        StorageError: if it cannot be read.
    """
    with files.refusals(f"cannot read {path}"), path.open("rb") as stream:
        try:
            return all(segment["p_type"] != "PT_INTERP" for segment in ELFFile(stream).iter_segments())
        except ELFError:
            return False
