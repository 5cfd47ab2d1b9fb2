import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from entrenar_research.bundles.ro_crate import FORMAT
from entrenar_research.core.crates import checking, paths
from entrenar_research.errors import IntegrityError
from entrenar_research.models.verdict import Verdict
from tests.unit.bundles import sample
from tests.unit.bundles.sample import wanting

METADATA, PREVIEW = paths.METADATA, paths.PREVIEW


def rewritten(target: Path, data: bytes) -> Path:
    target.write_bytes(data)
    return target


def repacked(
    source: Path,
    target: Path,
    changes: Mapping[str, bytes | None] | None = None,
    *,
    method: int = zipfile.ZIP_STORED,
) -> Path:
    """The members of a crate packed anew by Python, some replaced, added, or (None) left out."""
    wanted: dict[str, bytes | None] = {}
    with zipfile.ZipFile(source) as archive:
        wanted |= {name: archive.read(name) for name in archive.namelist()}
    wanted |= changes or {}
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in wanted.items():
            if data is not None:
                archive.writestr(name, data)
    return target


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_crate_packed_anew_has_good_files_and_a_foreign_structure(method: int, little: Path, tmp_path: Path) -> None:
    good, bad = FORMAT.inspect(repacked(little, tmp_path / "a.zip", method=method))
    assert good.verdict is Verdict.IDENTICAL
    assert bad.subject == "archive structure"
    assert "another program packed it anew" in bad.detail
    with pytest.raises(IntegrityError, match="another program"):
        FORMAT.extract(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "subject", "said"),
    [
        ({"a.txt": b"hellO"}, "a.txt", "its bytes were changed"),
        ({"a.txt": b"hello!"}, "a.txt", "claims 6 bytes, expected 5"),
        ({"a.txt": None}, "a.txt", "missing"),
        ({"new.txt": b"1"}, "new.txt", "not listed"),
        ({"../evil": b"1"}, "../evil", "leaves the bundle"),
        ({"/evil": b"1"}, "/evil", "leaves the bundle"),
        ({"x/../../evil": b"1"}, "x/../../evil", "leaves the bundle"),
        ({"..\\evil": b"1"}, "..\\evil", "backslash"),
        ({"C:evil": b"1"}, "C:evil", "drive letter"),
        ({"a.txt/": b""}, "a.txt/", "a directory, where the metadata lists a file"),
    ],
)
def test_a_changed_crate_is_found_and_the_member_named(
    changes: dict[str, bytes | None], subject: str, said: str, little: Path, tmp_path: Path
) -> None:
    target = repacked(little, tmp_path / "a.zip", changes)
    found = {item.subject: item.detail for item in wanting(FORMAT.inspect(target))}
    assert said in found[subject]
    with pytest.raises(IntegrityError):
        FORMAT.extract(target, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _with_info(source: Path, target: Path, info: zipfile.ZipInfo, data: bytes) -> Path:
    """A crate with one more member, described by hand."""
    repacked(source, target, {info.filename: None})
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr(info, data)
    return target


def test_a_symbolic_link_is_found(little: Path, tmp_path: Path) -> None:
    info = zipfile.ZipInfo("a.txt")
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    target = _with_info(little, tmp_path / "a.zip", info, b"/etc/passwd")
    (found,) = [item for item in wanting(FORMAT.inspect(target)) if item.subject == "a.txt"]
    assert "symbolic link" in found.detail


def test_a_name_that_is_there_twice_is_found(little: Path, tmp_path: Path) -> None:
    target = repacked(little, tmp_path / "a.zip")
    with zipfile.ZipFile(target, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a.txt", b"hello")
    assert any("two members" in item.detail for item in wanting(FORMAT.inspect(target)))


def test_an_encrypted_member_is_found(little: Path, tmp_path: Path) -> None:
    target = repacked(little, tmp_path / "a.zip")
    data = bytearray(target.read_bytes())
    entry = data.rindex(b"a.txt") - 46
    data[entry + 8] |= 1
    found = wanting(FORMAT.inspect(rewritten(target, bytes(data))))
    assert [(item.subject, "encrypted" in item.detail) for item in found] == [("a.txt", True)]


def test_a_nul_in_a_name_is_found(little: Path, tmp_path: Path) -> None:
    target = repacked(little, tmp_path / "a.zip")
    data = target.read_bytes().replace(b"a.txt", b"a\0.tx", 10)
    found = wanting(FORMAT.inspect(rewritten(target, data)))
    assert any("\0" not in item.subject and "control character" in item.detail for item in found)


def test_a_bomb_is_not_inflated(little: Path, tmp_path: Path) -> None:
    """A member that claims little and is large, and one that claims to be large."""
    target = repacked(little, tmp_path / "a.zip", {"a.txt": bytes(50 << 20)}, method=zipfile.ZIP_DEFLATED)
    data = bytearray(target.read_bytes())
    entry = data.rindex(b"a.txt") - 46
    data[entry + 24 : entry + 28] = (5).to_bytes(4, "little")
    lying = rewritten(tmp_path / "b.zip", bytes(data))
    said = {path: {item.subject: item.detail for item in wanting(FORMAT.inspect(path))} for path in (target, lying)}
    assert "expected 5" in said[target]["a.txt"]
    assert "more than the 5 bytes" in said[lying]["a.txt"]


def test_an_honest_looking_bomb_is_not_inflated_either(tmp_path: Path) -> None:
    source = tmp_path / "a.crate.zip"
    FORMAT.write(sample.small(zeros=bytes(50 << 20)), source)
    target = repacked(source, tmp_path / "a.zip", method=zipfile.ZIP_DEFLATED)
    (found,) = wanting(FORMAT.inspect(target))
    assert (found.subject, "not unpacked" in found.detail) == ("zeros", True)


def test_metadata_that_would_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    target = tmp_path / "a.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(METADATA, b" " * (checking.LARGEST_METADATA + 1))
    found = wanting(FORMAT.inspect(target))
    assert {item.subject for item in found} == {METADATA}


def test_members_that_share_bytes_are_found(little: Path, tmp_path: Path) -> None:
    target = repacked(little, tmp_path / "a.zip")
    data = bytearray(target.read_bytes())
    first, second = data.rindex(b"a.txt") - 46, data.rindex(b"b.bin") - 46
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    found = wanting(FORMAT.inspect(rewritten(target, bytes(data))))
    assert any("shares bytes" in item.detail for item in found)


def test_a_listing_that_leaves_the_directory_is_refused(little: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(little) as archive:
        metadata = archive.read(METADATA)
    changed = metadata.replace(b'"a.txt"', b'"../a.txt"')
    target = repacked(little, tmp_path / "a.zip", {METADATA: changed, "a.txt": None, "../a.txt": b"hello"})
    assert any(item.subject == "../a.txt" for item in wanting(FORMAT.inspect(target)))
    with pytest.raises(IntegrityError, match=r"\.\./a\.txt"):
        FORMAT.extract(target, tmp_path / "deep" / "out")
    assert not (tmp_path / "a.txt").exists()
