import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrenar_research.bundles.ro_crate import FORMAT
from entrenar_research.core.crates import paths
from entrenar_research.errors import IntegrityError
from tests.unit.bundles.sample import wanting

METADATA, PREVIEW = paths.METADATA, paths.PREVIEW


def rewritten(target: Path, data: bytes) -> Path:
    target.write_bytes(data)
    return target


@pytest.mark.slow
def test_every_flipped_byte_is_found_and_the_member_named(little: Path, tmp_path: Path) -> None:
    whole = little.read_bytes()
    assert not wanting(FORMAT.inspect(little))
    places = _owners(little)
    assert len(places) == len(whole)
    target = tmp_path / "flipped.crate.zip"
    for position, owners in enumerate(places):
        data = bytearray(whole)
        data[position] ^= 1 << position % 8
        target.write_bytes(data)
        found = wanting(FORMAT.inspect(target))
        assert found, f"a flip at {position} was not found"
        assert {item.subject for item in found} & owners, f"{position}: expected {owners}, found {found}"
        if position % 11 == 0:
            with pytest.raises(IntegrityError):
                FORMAT.extract(target, tmp_path / "out")
            assert not (tmp_path / "out").exists()


def _owners(path: Path) -> list[set[str]]:
    """For each byte of an archive, whose it is."""
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        owners: list[set[str]] = []
        for info in infos:
            owners += [{info.filename}] * (30 + len(info.filename) + info.file_size)
        for info in infos:
            owners += [{info.filename}] * (46 + len(info.filename))
    return owners + [{"archive structure"}] * 22


@pytest.mark.parametrize("length", [0, 1, 21, 22, 100, 1500, 3000, -1, -22, -23, -100, -400])
def test_a_truncated_archive_is_found(length: int, little: Path, tmp_path: Path) -> None:
    target = rewritten(tmp_path / "cut.crate.zip", little.read_bytes()[:length])
    assert wanting(FORMAT.inspect(target))
    with pytest.raises(IntegrityError):
        FORMAT.extract(target, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_truncation_names_what_was_cut(little: Path, tmp_path: Path) -> None:
    whole = little.read_bytes()
    place = whole.index(b"b.bin\0") + 6
    found = wanting(FORMAT.inspect(rewritten(tmp_path / "cut.crate.zip", whole[:place])))
    assert [item.subject for item in found] == ["b.bin", "empty", PREVIEW, "archive structure"]
    assert "cut off" in found[0].detail


@pytest.mark.parametrize("place", ["front", "end", "middle"])
def test_added_bytes_are_found(place: str, little: Path, tmp_path: Path) -> None:
    whole = little.read_bytes()
    data = {"front": b"#!" + whole, "end": whole + b"\0", "middle": whole[:2000] + b"x" + whole[2000:]}[place]
    assert wanting(FORMAT.inspect(rewritten(tmp_path / "more.crate.zip", data)))
    with pytest.raises(IntegrityError):
        FORMAT.extract(tmp_path / "more.crate.zip", tmp_path / "out")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_a_finding_and_never_an_exception(data: st.DataObject, little: Path, tmp_path: Path) -> None:
    whole = bytearray(little.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(whole)))
        stop = start + data.draw(st.integers(0, 8))
        whole[start:stop] = data.draw(st.binary(max_size=8))
    if bytes(whole) == little.read_bytes():
        return
    target = rewritten(tmp_path / "bad.crate.zip", bytes(whole))
    assert wanting(FORMAT.inspect(target))
    with pytest.raises(IntegrityError):
        FORMAT.extract(target, tmp_path / "never")
    assert not (tmp_path / "never").exists()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_other_file_is_no_crate(tmp_path: Path, data: bytes) -> None:
    target = rewritten(tmp_path / "junk.crate.zip", data)
    assert wanting(FORMAT.inspect(target))


def test_what_is_not_there_or_no_file_is_a_finding(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("absent", "pipe", "."):
        assert wanting(FORMAT.inspect(tmp_path / name))
