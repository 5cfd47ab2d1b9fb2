"""Looking through an archive that is not laid out as ours: what of it can be trusted, member by member.

Nothing is inflated before its claimed size was compared with the metadata, and never past that size.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from entrenar_research.core.crates import paths
from entrenar_research.core.crates.checking import LARGEST_METADATA, Listed, Problem, mismatch
from entrenar_research.core.crates.files import FileFacts
from entrenar_research.core.zips import canonical_zip, zip_directory
from entrenar_research.core.zips.zip_directory import Claim
from entrenar_research.store.zips.reading import STRUCTURE, Archive

MOST_INFLATION: Final = 200
"""How many times its packed size a compressed member may claim to be; above 1 MiB only."""

_HARMLESS = 1 << 20
_PIECE = 1 << 20


class ContentError(Exception):
    """The bytes of a member cannot be had; the message says why."""


def find_metadata(archive: Archive) -> tuple[bytes | None, bool]:
    """The bytes of the metadata, and whether they agree with a checksum in the archive.

    Its local header at the very front is tried first, then the central directory: one of them is right
    unless both were changed, or the bytes themselves.

    Raises:
        OSError: if the archive cannot be read.
    """
    fallback: bytes | None = None
    for claim in _metadata_claims(archive):
        for data in _metadata_readings(archive, claim):
            if zlib.crc32(data) == claim.crc and len(data) == claim.size:
                return data, True
            fallback = fallback or data
    return fallback, False


def _metadata_readings(archive: Archive, claim: Claim) -> Iterator[bytes]:
    """What the metadata may be: as its local header leads to it, and as our layout does."""
    with contextlib.suppress(ContentError):
        yield b"".join(content(archive, claim, LARGEST_METADATA))
    if claim.method == zip_directory.STORED and claim.size <= LARGEST_METADATA:
        start = claim.offset + canonical_zip.local_header_size(claim.name.encode(), claim.size)
        yield archive.read(start, claim.size)


def _metadata_claims(archive: Archive) -> Iterator[Claim]:
    name = paths.METADATA.encode()
    head = archive.read(0, canonical_zip.LOCAL.size + len(name))
    if len(head) == canonical_zip.LOCAL.size + len(name) and head.endswith(name):
        mark, _, flags, method, _, _, crc, packed, size, _, _ = canonical_zip.LOCAL.unpack_from(head)
        if mark == canonical_zip.LOCAL_MARK and size < canonical_zip.FULL_32:
            yield Claim(paths.METADATA, flags, method, crc, packed, size, 0, 3, 0)
    try:
        claims = archive.claims()
    except zip_directory.DirectoryError:
        return
    yield from (claim for claim in claims if claim.name == paths.METADATA)


def content(archive: Archive, claim: Claim, limit: int) -> Iterator[bytes]:
    """The bytes of a member, inflated where needed, at most `limit` of them.

    Raises:
        ContentError: if they cannot be had, are more than `limit`, or are packed suspiciously tight.
        OSError: if the archive cannot be read.
    """
    if claim.encrypted:
        raise ContentError("encrypted: a crate of ours never is")
    if claim.method not in (zip_directory.STORED, zip_directory.DEFLATED):
        raise ContentError(f"packed by method {claim.method}, which this tool does not read")
    if claim.size > limit:
        raise ContentError(f"claims {claim.size} bytes where at most {limit} were expected; not unpacked")
    if claim.size > max(_HARMLESS, MOST_INFLATION * claim.packed):
        raise ContentError(f"claims to unpack from {claim.packed} to {claim.size} bytes; not unpacked")
    head = archive.read(claim.offset, canonical_zip.LOCAL.size)
    if len(head) < canonical_zip.LOCAL.size or not head.startswith(canonical_zip.LOCAL_MARK):
        raise ContentError("there is no local header where the central directory says")
    *_, name_length, extra_length = canonical_zip.LOCAL.unpack(head)
    after = claim.offset + canonical_zip.LOCAL.size
    name = zip_directory.decode_name(archive.read(after, name_length), claim.flags)
    if name != claim.name:
        raise ContentError(f"its local header calls it {paths.shown(name)!r}")
    start = after + name_length + extra_length
    if claim.method == zip_directory.STORED:
        if claim.packed != claim.size:
            raise ContentError(f"stored, with two sizes: {claim.packed} and {claim.size} bytes")
        yield from (bytes(piece) for piece in archive.chunks(start, claim.packed))
    else:
        yield from _inflate(archive, start, claim.packed, limit)


def _inflate(archive: Archive, start: int, packed: int, limit: int) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    total = 0
    try:
        for piece in archive.chunks(start, packed):
            waiting = bytes(piece)
            while waiting:
                data = inflater.decompress(waiting, _PIECE)
                waiting = inflater.unconsumed_tail
                total += len(data)
                if total > limit:
                    raise ContentError(f"unpacks to more than the {limit} bytes expected; stopped there")
                yield data
                if inflater.eof:
                    return
    except zlib.error as error:
        raise ContentError(f"cannot be unpacked: {error}") from error
    raise ContentError("cannot be unpacked: it ends too early")


def survey(archive: Archive, listed: Mapping[str, Listed] | None) -> Iterator[Problem]:
    """Every member against what is `listed` (without it: against its own checksum), and the other way round.

    Raises:
        OSError: if the archive cannot be read.
    """
    try:
        claims = archive.claims()
    except zip_directory.DirectoryError as error:
        yield Problem(STRUCTURE, f"not a zip archive that can be read: {error}")
        return
    yield from _overlaps(claims)
    names = [claim.name for claim in claims if not claim.directory]
    yield from (Problem(paths.shown(name), detail) for name, detail in paths.collisions(names))
    for claim in claims:
        subject = paths.shown(claim.name)
        detail = _shape(claim, listed) or _contents(archive, claim, listed)
        if detail:
            yield Problem(subject, detail)
    if listed is not None:
        present = {claim.name for claim in claims}
        for name in listed:
            if name not in present:
                yield Problem(name, "listed in the metadata, and missing in the archive")


def _overlaps(claims: Sequence[Claim]) -> Iterator[Problem]:
    """Members that share bytes: the trick by which a small archive unpacks to petabytes."""
    ordered = sorted(claims, key=lambda claim: claim.offset)
    for one, other in itertools.pairwise(ordered):
        if other.offset < one.offset + canonical_zip.LOCAL.size + one.packed:
            detail = f"shares bytes of the archive with {paths.shown(one.name)}"
            yield Problem(paths.shown(other.name), detail)


def _shape(claim: Claim, listed: Mapping[str, Listed] | None) -> str | None:
    """What is wrong with a member before its content is looked at."""
    if claim.special:
        return f"a {claim.special}: expected regular files only"
    problem = paths.path_problem(claim.name.removesuffix("/"))
    if problem:
        return problem
    if claim.directory:
        if listed is not None and claim.name.removesuffix("/") in listed:
            return "a directory, where the metadata lists a file"
        return "a directory that carries data" if claim.size else None
    if listed is not None and claim.name not in listed and claim.name != paths.METADATA:
        return "not listed in the metadata"
    return None


def _contents(archive: Archive, claim: Claim, listed: Mapping[str, Listed] | None) -> str | None:
    if claim.directory:
        return None
    expected = (listed or {}).get(claim.name)
    if expected is not None and expected.size is not None and claim.size != expected.size:
        return f"claims {claim.size} bytes, expected {expected.size}"
    sha256, crc, size = hashlib.sha256(), 0, 0
    try:
        for piece in content(archive, claim, claim.size):
            sha256.update(piece)
            crc = zlib.crc32(piece, crc)
            size += len(piece)
    except ContentError as error:
        return str(error)
    if expected is not None:
        wrong = mismatch(expected, FileFacts(size, sha256.hexdigest()))
        if wrong:
            return wrong
    if size != claim.size:
        return f"found {size} bytes, expected {claim.size}"
    return None if crc == claim.crc else "its checksum (crc32) in the archive is not that of its bytes"
