"""What a bundle format is. To add one, write `bundles/<name>.py` that ends in `FORMAT: BundleFormat = ...`.

A bundle is one file that carries a study to a stranger: every file, its digest, who made it and which runs
produced what. Writing the same content twice gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from entrenar_research.models.experiment import Experiment
from entrenar_research.models.run import RunRecord
from entrenar_research.models.study import Study
from entrenar_research.models.verdict import Finding

Progress = Callable[[int, int], None]
"""Called with (done, total); the default does nothing."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A file to put in: `path` in the bundle (relative, `/`-separated) and where its bytes are now.

    `digest` (`sha256:<hex>`) is checked against the bytes where the caller already knows it.
    """

    path: str
    source: Path | bytes
    digest: str | None = None


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What goes into a bundle. `date` (ISO 8601, UTC) is the study's last commit or run, never the clock."""

    study: Study
    experiments: tuple[Experiment, ...]
    runs: tuple[RunRecord, ...]
    members: tuple[Member, ...]
    date: str
    tool: str


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that was written and checked.

    `digest` (`sha256:<hex>`) determines every byte of it: that of the file, or of the part of it that holds the
    digests of all the rest.
    """

    path: Path
    digest: str
    size: int
    files: int


class BundleFormat(Protocol):
    """Writes, checks and opens one kind of bundle."""

    name: str
    suffix: str

    def write(self, content: Content, target: Path, *, progress: Progress | None = None) -> Written:
        """Writes `target` atomically (a temporary file beside it, fsync, rename).

        Raises:
            IntegrityError: if the bundle would not pass this format's own check; nothing is written.
            StorageError: if the file system refuses; `target` is left as it was.
        """
        ...

    def inspect(self, bundle: Path, *, progress: Progress | None = None) -> tuple[Finding, ...]:
        """Every member against what the bundle says of it, and the container's own structure.

        Never raises for damage: damage is a finding that names the member. Never writes anything.
        """
        ...

    def extract(self, bundle: Path, directory: Path) -> None:
        """Unpacks into the empty `directory`; refuses paths that leave it, links, and decompression bombs.

        Raises:
            IntegrityError: naming the member that is refused.
        """
        ...
