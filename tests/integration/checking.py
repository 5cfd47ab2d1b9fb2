"""Verifying in this process, for tests that do it hundreds of times."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

from entrenar_research import workspace
from entrenar_research.actions.verifying import verify
from entrenar_research.models.verdict import Report, Verdict


def means(*, replay: bool = False, trusted: Path | None = None) -> verify.Means:
    """What a verification is carried out with; without replay unless asked for."""
    return verify.Means(
        runner=workspace.runner("host"),
        environment=dict(os.environ),
        signer=workspace.signer(),
        replay=replay,
        trusted=trusted,
    )


def check(study: Path, *, replay: bool = False, trusted: Path | None = None) -> Report:
    """A study, verified."""
    return verify.verify_study(study, means(replay=replay, trusted=trusted))


def check_bundle(bundle: Path, *, replay: bool = False, trusted: Path | None = None) -> Report:
    """A bundle, verified."""
    return verify.verify_bundle(bundle, workspace.bundle_format("ro-crate"), means(replay=replay, trusted=trusted))


def check_unpacked(directory: Path) -> Report:
    """An unpacked bundle, verified."""
    return verify.verify_unpacked(directory, workspace.inspect_unpacked(directory), means())


def passes(report: Report) -> bool:
    """Whether nothing is different or broken: what the exit code says."""
    return not report.wanting


def names(report: Report, thing: str) -> bool:
    """Whether a finding that makes the verification fail is about `thing`, or says so in words."""
    return any(thing in finding.subject or thing in finding.detail for finding in report.wanting)


def verdicts(report: Report, area: str) -> dict[str, Verdict]:
    """The verdicts of one area by subject."""
    return {finding.subject: finding.verdict for finding in report.findings if finding.area == area}


def flips(data: bytes, count: int, seed: str) -> Iterator[tuple[int, int]]:
    """Positions and masks: the first byte, the last, some between; first the lowest bit, then any."""
    chance = random.Random(seed)
    places = {0, len(data) - 1} if data else set()
    while len(places) < min(count, len(data)):
        places.add(chance.randrange(len(data)))
    for place in sorted(places):
        yield place, 1 if chance.random() < 0.5 else chance.randrange(1, 256)


class Flipped:
    """While it lasts, one byte of a file is another; size, inode and times are what they were."""

    def __init__(self, path: Path, place: int, mask: int = 1) -> None:
        self.path, self.place, self.mask = path, place, mask
        self._before = path.stat()

    def __enter__(self) -> None:
        self._turn()
        assert self._status(self.path.stat()) == self._status(self._before)

    def __exit__(self, *_: object) -> None:
        self._turn()

    def _turn(self) -> None:
        self.path.chmod(self._before.st_mode | 0o200)
        with self.path.open("r+b", buffering=0) as stream:
            stream.seek(self.place)
            (byte,) = stream.read(1)
            stream.seek(self.place)
            stream.write(bytes([byte ^ self.mask]))
        self.path.chmod(self._before.st_mode)
        os.utime(self.path, ns=(self._before.st_atime_ns, self._before.st_mtime_ns))

    @staticmethod
    def _status(status: os.stat_result) -> tuple[int, int, int, int]:
        return status.st_size, status.st_mtime_ns, status.st_ino, status.st_mode
