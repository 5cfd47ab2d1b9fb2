"""Git's reference files and the padding of its objects, read to the byte."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.store import git_files

ID, OTHER = "1" * 40, "2" * 40
HEADER = "# pack-refs with: peeled fully-peeled sorted \n"
PACKED = f"{HEADER}{ID} refs/heads/main\n{OTHER} refs/tags/experiment/line/v1\n^{ID}\n"


def tag(directory: Path, data: bytes) -> Path:
    path = directory / "refs/tags/experiment/line/v1"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return directory


@pytest.mark.parametrize("data", [f"{ID}\n", "a" * 64 + "\n", "ref: refs/tags/other\n"])
def test_a_loose_reference_as_git_writes_it_is_in_order(data: str, tmp_path: Path) -> None:
    found = git_files.references(tag(tmp_path, data.encode()))
    assert (found.tags, found.odd) == (frozenset({"experiment/line/v1"}), ())


@pytest.mark.parametrize("data", ["", ID, f"{ID}\r", f"{ID} \n", "A" * 40 + "\n", f"{ID}\n\n", "g" * 40 + "\n"])
def test_any_other_is_odd(data: str, tmp_path: Path) -> None:
    ((subject, detail),) = git_files.references(tag(tmp_path, data.encode())).odd
    assert subject == "tag experiment/line/v1"
    assert "object id" in detail


def test_packed_references_are_listed(tmp_path: Path) -> None:
    (tmp_path / "packed-refs").write_text(PACKED)
    found = git_files.references(tmp_path)
    assert found.tags == {"experiment/line/v1"}
    assert found.peeled == {"refs/tags/experiment/line/v1": ID}
    assert found.odd == ()


@pytest.mark.parametrize("text", ["", HEADER, PACKED.removeprefix(HEADER), PACKED.replace(" sorted", "")])
def test_other_writers_of_packed_references_are_accepted(text: str, tmp_path: Path) -> None:
    (tmp_path / "packed-refs").write_text(text)
    odd = git_files.references(tmp_path).odd
    assert odd == (() if text else (("packed-refs", "its last line is cut off"),))


@given(place=st.integers(0, len(PACKED) - 1), mask=st.integers(1, 255))
def test_a_changed_byte_changes_what_is_seen(tmp_path_factory: pytest.TempPathFactory, place: int, mask: int) -> None:
    directory = tmp_path_factory.mktemp("refs")
    (directory / "packed-refs").write_text(PACKED)
    before = git_files.references(directory)
    data = bytearray(PACKED.encode())
    data[place] ^= mask
    (directory / "packed-refs").write_bytes(data)
    after = git_files.references(directory)
    branch = len(HEADER) <= place < PACKED.index(OTHER)
    tag_id = PACKED.index(OTHER) <= place < PACKED.index(OTHER) + 40
    assert after != before or ((branch or tag_id) and chr(data[place]) in "0123456789abcdef") or branch


def stored(directory: Path, data: bytes) -> tuple[Path, str]:
    name = "ab" + "c" * 38
    path = directory / "objects" / name[:2] / name[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return directory, name


@pytest.mark.parametrize("level", [-1, 0, 1, 6, 9])
def test_what_compressors_write_is_padded_with_zeros(level: int, tmp_path: Path) -> None:
    chance = random.Random(level)
    for size in (0, 1, 30, 500, 70_000 if level == 0 else 3000):
        for alphabet in (b"a", b"tree parent\n 0123456789abcdef", bytes(range(256))):
            content = bytes(chance.choices(alphabet, k=size))
            assert not git_files.padded_oddly(*stored(tmp_path, zlib.compress(content, level)))


def test_every_flip_that_leaves_the_content_alone_is_seen(tmp_path: Path) -> None:
    """Text that deflates, then noise that is stored: there is padding in the middle and at the end."""
    chance = random.Random(1)
    packer = zlib.compressobj(1)
    noise = chance.randbytes(200)
    data = packer.compress(b"type commit\n" * 9) + packer.flush(zlib.Z_SYNC_FLUSH) + packer.compress(noise)
    data += packer.flush()
    content = b"type commit\n" * 9 + noise
    harmless = 0
    for place in range(len(data)):
        for bit in range(8):
            other = bytearray(data)
            other[place] ^= 1 << bit
            unpacker = zlib.decompressobj()
            try:
                same = unpacker.decompress(bytes(other)) == content and unpacker.eof
            except zlib.error:
                same = False
            if same and not data[place] & (1 << bit):
                harmless += 1
                assert git_files.padded_oddly(*stored(tmp_path, bytes(other))), (place, bit)
    assert harmless >= 2


def test_what_is_no_loose_object_is_not_judged(tmp_path: Path) -> None:
    assert not git_files.padded_oddly(tmp_path, ID)
    assert not git_files.padded_oddly(*stored(tmp_path, b"not compressed"))
    assert not git_files.padded_oddly(*stored(tmp_path, b""))
