"""RO-Crate 1.1 with the Process Run Crate 0.5 profile, in a zip archive of which every byte is determined.

The metadata comes first and lists every other file with size and SHA-256; the files follow in order, stored.
Equal content gives equal bytes, and any changed byte is found. The rules are in `core/zips/canonical_zip.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from entrenar_research.bundles.port import BundleFormat, Content, Member, Progress, Written
from entrenar_research.core.crates import checking, paths, preview
from entrenar_research.core.crates import metadata as crate_metadata
from entrenar_research.core.crates.files import FileFacts
from entrenar_research.errors import IntegrityError
from entrenar_research.models.verdict import Finding
from entrenar_research.store import checksums, part_files
from entrenar_research.store.meter import Meter
from entrenar_research.store.zips import crate_inspection
from entrenar_research.store.zips.writing import Planned, write_archive


class RoCrate:
    """Writes, checks and opens crates. `progress` is told bytes."""

    name = "ro-crate"
    suffix = ".crate.zip"

    def write(self, content: Content, target: Path, *, progress: Progress | None = None) -> Written:
        """See the port. Each file is hashed, then copied; one that changes in between is refused."""
        planned = _plan(content)
        facts = {item.name: FileFacts(item.checksums.size, item.checksums.sha256) for item in planned}
        metadata = crate_metadata.build(content.study, content.experiments, content.runs, facts, date=content.date)
        _check(metadata, facts)
        planned.insert(0, Planned(paths.METADATA, metadata, checksums.of_bytes(metadata)))
        meter = Meter(progress, sum(item.checksums.size for item in planned))
        with part_files.replacing(target) as descriptor:
            size = write_archive(descriptor, planned, meter)
        meter.finish()
        digest = f"sha256:{planned[0].checksums.sha256}"
        return Written(path=target, digest=digest, size=size, files=len(planned))

    def inspect(self, bundle: Path, *, progress: Progress | None = None) -> tuple[Finding, ...]:
        """See the port."""
        return crate_inspection.inspect_archive(bundle, progress=progress)

    def extract(self, bundle: Path, directory: Path) -> None:
        """See the port. Only what this format writes is unpacked; on the first problem all is undone.

        Raises:
            IntegrityError: naming the member that is refused.
            StorageError: if the file system refuses.
            UsageError: if `directory` is not empty.
        """
        crate_inspection.unpack(bundle, directory)


def inspect_directory(directory: Path, *, metadata_digest: str | None = None) -> tuple[Finding, ...]:
    """A crate that another program has unpacked: every file against the metadata, nothing written.

    `metadata_digest` (`sha256:<hex>`) is that of `ro-crate-metadata.json`, from a source one trusts;
    without it the verdict on that file is `unknown`.
    """
    return crate_inspection.inspect_directory(directory, metadata_digest=metadata_digest)


def _plan(content: Content) -> list[Planned]:
    """The members in order, hashed, with the preview.

    Raises:
        IntegrityError: if a path is not allowed or there twice, or a file is not as the caller says.
        StorageError: if a file cannot be read.
    """
    for member in content.members:
        problem = paths.path_problem(member.path)
        if member.path in (paths.METADATA, paths.PREVIEW):
            problem = "the bundle makes this file itself; leave it out"
        if problem:
            raise IntegrityError(f"cannot bundle {paths.shown(member.path)!r}: {problem}")
    for path, problem in paths.collisions(member.path for member in content.members):
        raise IntegrityError(f"cannot bundle {path!r}: {problem}")
    on_disk = [(item.path, item.source) for item in content.members if isinstance(item.source, Path)]
    known = dict(zip((path for path, _ in on_disk), checksums.of_files(on_disk), strict=True))
    planned = []
    for member in content.members:
        sums = known[member.path] if member.path in known else checksums.of_bytes(_bytes(member))
        _compare(member, sums)
        planned.append(Planned(member.path, member.source, sums))
    listing = [(item.name, item.checksums.size) for item in planned]
    page = preview.page(content.study, content.runs, listing, date=content.date, tool=content.tool)
    planned.append(Planned(paths.PREVIEW, page, checksums.of_bytes(page)))
    return sorted(planned, key=lambda item: item.name)


def _bytes(member: Member) -> bytes:
    return member.source if isinstance(member.source, bytes) else b""


def _compare(member: Member, sums: checksums.Checksums) -> None:
    """A member against the digest that the caller gave.

    Raises:
        IntegrityError: if it is another.
    """
    if member.digest is not None and member.digest != f"sha256:{sums.sha256}":
        found, expected = f"sha256:{sums.sha256[:12]}", member.digest[:19]
        raise IntegrityError(
            f"{member.path} was changed: found {found}..., expected {expected}...",
            hint="restore the file, or record it anew; then bundle again",
        )


def _check(metadata: bytes, facts: Mapping[str, FileFacts]) -> None:
    """Our own checker has the last word before a crate is handed out.

    Raises:
        IntegrityError: naming what it found.
    """
    crate = checking.read_crate(metadata)
    problems = [*crate.problems, *checking.check_members(crate, facts)]
    if len(metadata) > checking.LARGEST_METADATA:
        limit = f"more than {checking.LARGEST_METADATA >> 20} MiB of metadata: bundle fewer files"
        problems.append(checking.Problem(paths.METADATA, limit))
    if problems:
        _refuse(problems)


def _refuse(problems: Sequence[checking.Problem]) -> NoReturn:
    said = "; ".join(f"{item.subject}: {item.detail}" for item in problems[:3])
    more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    raise IntegrityError(f"the crate would not be valid, nothing was written: {said}{more}")


FORMAT: BundleFormat = RoCrate()
