import contextlib
import hashlib
import os
import stat
import zipfile
from pathlib import Path

import pytest

from entrenar_research.bundles.port import Content, Written
from entrenar_research.bundles.ro_crate import FORMAT, inspect_directory
from entrenar_research.core.crates import paths
from entrenar_research.errors import StorageError, UsageError
from entrenar_research.models.verdict import Finding, Verdict
from tests.unit.bundles import sample
from tests.unit.bundles.sample import files_below, wanting

METADATA, PREVIEW = paths.METADATA, paths.PREVIEW


def test_unpacking_gives_plain_files_back(crate: tuple[Content, Path, Written], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    FORMAT.extract(crate[1], out)
    found = files_below(out)
    assert {path: found[path] for path in sample.FILES} == sample.FILES
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o644 for path in out.rglob("*") if path.is_file())
    assert not any(path.is_symlink() for path in out.rglob("*"))


def test_an_occupied_directory_is_left_alone(little: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("here")
    with pytest.raises(UsageError, match="expected an empty directory"):
        FORMAT.extract(little, tmp_path)
    assert files_below(tmp_path) == {"mine": b"here"}


def test_a_full_disk_stops_unpacking_and_leaves_nothing(tiny_disk: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.crate.zip"
    FORMAT.write(sample.small(a=os.urandom(300_000)), target)
    with pytest.raises(StorageError, match="No space left on device"):
        FORMAT.extract(target, tiny_disk / "out")
    assert not list(tiny_disk.iterdir())


@pytest.fixture
def unpacked(little: Path, tmp_path: Path) -> Path:
    with zipfile.ZipFile(little) as archive:
        archive.extractall(tmp_path / "unpacked")
    return tmp_path / "unpacked"


def verdicts(findings: tuple[Finding, ...]) -> dict[str, Verdict]:
    return {finding.subject: finding.verdict for finding in findings}


def test_an_unpacked_crate_is_checked_but_its_metadata_has_no_anchor(unpacked: Path) -> None:
    assert verdicts(inspect_directory(unpacked)) == {
        "unpacked": Verdict.IDENTICAL,
        METADATA: Verdict.UNKNOWN,
    }


def test_a_digest_from_elsewhere_anchors_the_metadata(unpacked: Path) -> None:
    digest = "sha256:" + hashlib.sha256((unpacked / METADATA).read_bytes()).hexdigest()
    found = verdicts(inspect_directory(unpacked, metadata_digest=digest))
    assert set(found.values()) == {Verdict.IDENTICAL}
    other = inspect_directory(unpacked, metadata_digest="sha256:" + "0" * 64)
    assert [item.subject for item in wanting(other)] == [METADATA]


def test_what_was_changed_in_the_directory_is_named(unpacked: Path) -> None:
    (unpacked / "a.txt").write_bytes(b"hellO")
    (unpacked / "b.bin").write_bytes(b"")
    (unpacked / "empty").unlink()
    (unpacked / "new").mkdir()
    (unpacked / "new" / "file").write_bytes(b"")
    (unpacked / "link").symlink_to("/etc/passwd")
    found = {item.subject: item.detail for item in wanting(inspect_directory(unpacked))}
    assert found.keys() == {"a.txt", "b.bin", "empty", "new/file", "link"}
    assert "its bytes were changed" in found["a.txt"]
    assert "found 0 bytes, expected 2" in found["b.bin"]
    assert "missing" in found["empty"]
    assert "not listed" in found["new/file"]
    assert "symbolic link" in found["link"]


def test_a_directory_without_metadata_is_no_crate(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "absent"):
        assert [item.subject for item in wanting(inspect_directory(place))] == [METADATA]
    (tmp_path / METADATA).symlink_to("/dev/zero")
    assert wanting(inspect_directory(tmp_path))


def test_inspection_writes_nothing(little: Path, unpacked: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (*unpacked.rglob("*"), little.parent, unpacked)}
    FORMAT.inspect(little)
    inspect_directory(unpacked)
    with contextlib.suppress(FileNotFoundError):
        assert before == {path: path.stat().st_mtime_ns for path in before}
