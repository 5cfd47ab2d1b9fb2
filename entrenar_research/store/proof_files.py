"""What is signed about a run, in its directory: `proof.intoto.jsonl`, and `attestations/` with a file for each."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from entrenar_research.errors import IntegrityError, StorageError
from entrenar_research.store import files

PROOF = "proof.intoto.jsonl"
ATTESTATIONS = "attestations"
_NAME = re.compile(r"(?P<key>[0-9a-f]{16})-(?P<number>[1-9][0-9]{0,5})\.intoto\.jsonl")
_PART = re.compile(r"\..*\.part")


class ProofFiles:
    """The signed statements in the run directory `directory`; `shown` is its path in the study."""

    def __init__(self, directory: Path, shown: str) -> None:
        self.directory, self.shown = directory, shown

    @property
    def proof(self) -> str:
        """The path of the proof in the study."""
        return f"{self.shown}/{PROOF}"

    def lines(self) -> tuple[bytes, ...]:
        """The lines of the proof, without their ends; none if there is no proof.

        Raises:
            IntegrityError: if it is no file, or its last line is cut off.
            StorageError: if it cannot be read.
        """
        data = _read(self.directory / PROOF, self.proof)
        return () if data is None else split(data, self.proof)

    def add(self, line: bytes) -> None:
        """Adds a line to the proof; the file is replaced in one step.

        Raises:
            IntegrityError: if the proof that is there is cut off.
            StorageError: if the file system refuses.
        """
        files.write_atomically(self.directory / PROOF, b"".join(item + b"\n" for item in (*self.lines(), line)))

    def attestations(self) -> tuple[str, ...]:
        """The names of everything in `attestations/`, by key and number; half-written files are left out."""
        with files.refusals(f"cannot read {self.shown}/{ATTESTATIONS}"):
            try:
                found = os.listdir(self.directory / ATTESTATIONS)
            except FileNotFoundError:
                return ()
        return tuple(sorted((name for name in found if not _PART.fullmatch(name)), key=_order))

    def attestation(self, name: str) -> bytes:
        """The one line of an attestation.

        Raises:
            IntegrityError: if its name is none for an attestation, or it does not hold one line.
            StorageError: if it cannot be read.
        """
        shown = f"{self.shown}/{ATTESTATIONS}/{name}"
        if not _NAME.fullmatch(name):
            raise IntegrityError(f"{shown}: no name of an attestation: expected <16 hex digits>-<number>.intoto.jsonl")
        data = _read(self.directory / ATTESTATIONS / name, shown)
        lines = split(data or b"", shown)
        if len(lines) != 1:
            raise IntegrityError(f"{shown}: expected one statement, found {len(lines)}")
        return lines[0]

    def attest(self, key: str, line: bytes) -> str:
        """Adds an attestation by the key whose short fingerprint is `key`: the name of its file.

        Raises:
            StorageError: if the file system refuses.
        """
        matches = (_NAME.fullmatch(name) for name in self.attestations())
        numbers = [int(match["number"]) for match in matches if match is not None and match["key"] == key]
        name = f"{key}-{max(numbers, default=0) + 1}.intoto.jsonl"
        files.write_atomically(self.directory / ATTESTATIONS / name, line + b"\n")
        return name


def key_of(name: str) -> str:
    """The short fingerprint in the name of an attestation."""
    return name.partition("-")[0]


def split(data: bytes, shown: str) -> tuple[bytes, ...]:
    """The lines of a file.

    Raises:
        IntegrityError: if it is empty, or its last line is cut off.
    """
    if not data.endswith(b"\n"):
        raise IntegrityError(f"{shown}: {'its last line is cut off' if data else 'it is empty'}")
    return tuple(data[:-1].split(b"\n"))


def _order(name: str) -> tuple[str, int, str]:
    match = _NAME.fullmatch(name)
    return (match["key"], int(match["number"]), "") if match else ("", 0, name)


def _read(path: Path, shown: str) -> bytes | None:
    """The bytes of a regular file, None if there is none."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise IntegrityError(f"{shown}: expected a file, found a link, a directory, a pipe or a device")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{shown}: cannot be read: {error.strerror}") from error
