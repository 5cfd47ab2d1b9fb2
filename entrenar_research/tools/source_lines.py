"""Lines of source code in programs and libraries, from the debugging information in them (DWARF, with pyelftools).

The line tables are those of DWARF 2 to 5 (https://dwarfstd.org/, section 6.2); programs built without `-g` have none.
"""

from __future__ import annotations

import os
import posixpath
from bisect import bisect_right
from pathlib import Path
from typing import Any, Final

_ELF: Final = b"\x7fELF"


def is_native(path: Path) -> bool:
    """Whether a file is a program or library in machine code."""
    try:
        with path.open("rb") as stream:
            return stream.read(4) == _ELF
    except OSError:
        return False


class DebugLines:
    """The lines of every file that is asked for, read once."""

    def __init__(self) -> None:
        self._tables: dict[str, _Table | None] = {}

    def of(self, file: str, place: int) -> tuple[str, int] | None:
        """Source file and line of what stands before `place` in a program; None where that is not known."""
        if file not in self._tables:
            self._tables[file] = _table(file)
        table = self._tables[file]
        return table.of(place) if table is not None else None


class _Table:
    """The line table of a file: where rows begin (addresses), and what is there (None where a sequence ends)."""

    def __init__(self, segments: list[tuple[int, int, int]], rows: list[tuple[int, tuple[str, int] | None]]) -> None:
        self._segments = segments
        self._addresses = [address for address, _ in rows]
        self._lines = [line for _, line in rows]

    def of(self, place: int) -> tuple[str, int] | None:
        # A stack holds where a call goes on: the call itself is what stands before.
        for offset, size, address in self._segments:
            if offset <= place - 1 < offset + size:
                at = bisect_right(self._addresses, place - 1 - offset + address)
                return self._lines[at - 1] if at else None
        return None


def _table(file: str) -> _Table | None:
    from elftools.common.exceptions import DWARFError, ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with open(file, "rb") as stream:
            elf: Any = ELFFile(stream)
            if not elf.has_dwarf_info(strict=True):
                return None
            segments = [
                (segment["p_offset"], segment["p_filesz"], segment["p_vaddr"])
                for segment in elf.iter_segments("PT_LOAD")
            ]
            return _Table(segments, _rows(elf.get_dwarf_info(follow_links=False)))
    except (OSError, ELFError, DWARFError, KeyError, IndexError, ValueError, AttributeError):
        return None  # what is no ELF file, or has debugging information of a kind that cannot be read


def _rows(dwarf: Any) -> list[tuple[int, tuple[str, int] | None]]:
    found: dict[int, tuple[str, int] | None] = {}
    for unit in dwarf.iter_CUs():
        program = dwarf.line_program_for_CU(unit)
        if program is None:
            continue
        directory = unit.get_top_DIE().attributes.get("DW_AT_comp_dir")
        files = _files(program, os.fsdecode(directory.value) if directory is not None else "")
        for entry in program.get_entries():
            state = entry.state
            if state is None:
                continue
            if state.end_sequence:
                found.setdefault(state.address, None)
            else:
                found[state.address] = (files.get(state.file, "?"), state.line)
    return sorted(found.items(), key=lambda row: row[0])


def _files(program: Any, directory: str) -> dict[int, str]:
    """The source files of a unit by number: from 0 in DWARF 5, before from 1, with the unit's own directory as 0."""
    header = program.header
    modern = header["version"] >= 5
    folders = [os.fsdecode(raw) for raw in header["include_directory"]]
    if not modern:
        folders.insert(0, directory)
    names: dict[int, str] = {}
    for number, entry in enumerate(header["file_entry"], 0 if modern else 1):
        folder = folders[entry["dir_index"]] if entry["dir_index"] < len(folders) else ""
        whole = posixpath.join(directory, folder, os.fsdecode(entry["name"]))
        names[number] = posixpath.normpath(whole)
    return names
