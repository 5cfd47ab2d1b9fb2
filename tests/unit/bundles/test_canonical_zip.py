import contextlib
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.zips import canonical_zip, zip_directory
from entrenar_research.core.zips.zip_directory import Claim, DirectoryError

SIZES = st.one_of(st.integers(0, 1 << 40), st.sampled_from([0xFFFF, 0xFFFFFFFE, 0xFFFFFFFF, 0x100000000]))
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1, max_size=20)


@given(NAMES, SIZES, st.integers(0, 0xFFFFFFFF), SIZES)
def test_an_entry_is_read_as_it_was_written(name: str, size: int, crc: int, offset: int) -> None:
    entry = canonical_zip.central_header(name.encode(), size, crc, offset)
    (claim,) = zip_directory.parse(entry, 1)
    assert claim == Claim(name, 0x0800, 0, crc, size, size, offset, 3, 0o100644 << 16)
    assert not claim.directory
    assert not claim.encrypted
    assert claim.special is None


@given(NAMES, SIZES, st.integers(0, 0xFFFFFFFF))
def test_a_local_header_has_the_length_it_was_given(name: str, size: int, crc: int) -> None:
    raw = name.encode()
    assert len(canonical_zip.local_header(raw, size, crc)) == canonical_zip.local_header_size(raw, size)


@pytest.mark.parametrize(
    ("count", "size", "offset", "large"),
    [
        (1, 46, 30, False),
        (0xFFFE, 5, 5, False),
        (0xFFFF, 5, 5, True),
        (70_000, 9, 9, True),
        (1, 9, 0xFFFFFFFF, True),
        (1, 9, 0xFFFFFFFE, False),
    ],
)
def test_end_records_are_large_only_where_they_must_be(count: int, size: int, offset: int, large: bool) -> None:
    end = canonical_zip.end_records(count, size, offset)
    assert len(end) == (98 if large else 22)
    found = zip_directory.find_end(end, offset + size + len(end))
    assert (found.count, found.size, found.offset) == (count, size, offset)


def test_python_reads_the_layout_with_many_members() -> None:
    names = canonical_zip.order((f"{number:05d}" for number in range(66_000)), "00007")
    body = b"".join(canonical_zip.local_header(name.encode(), 0, 0) for name in names)
    place = 0
    entries = []
    for name in names:
        entries.append(canonical_zip.central_header(name.encode(), 0, 0, place))
        place += canonical_zip.local_header_size(name.encode(), 0)
    directory = b"".join(entries)
    data = body + directory + canonical_zip.end_records(len(names), len(directory), place)
    assert len(data) == canonical_zip.archive_size((name, 0) for name in names)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == names
        assert names[0] == "00007"
        assert archive.read("65999") == b""


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(DirectoryError):
        zip_directory.find_end(data + b"PK\x05\x06" + data[:18], len(data) * 2)
    with contextlib.suppress(DirectoryError):
        zip_directory.parse(b"PK\x01\x02" + data, 1)


@pytest.mark.parametrize(
    ("attributes", "said"),
    [(0o120777 << 16, "symbolic link"), (0o010644 << 16, "special file"), (0o100644 << 16, None), (0, None)],
)
def test_the_kind_of_a_member_is_read_from_its_mode(attributes: int, said: str | None) -> None:
    assert Claim("a", 0, 0, 0, 0, 0, 0, 3, attributes).special == said


def test_flags_of_encryption_are_seen() -> None:
    assert Claim("a", 1, 0, 0, 0, 0, 0, 3, 0).encrypted
