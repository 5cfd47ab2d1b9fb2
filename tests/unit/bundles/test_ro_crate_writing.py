import fcntl
import hashlib
import os
import signal
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrenar_research.bundles.port import Content, Member, Written
from entrenar_research.bundles.ro_crate import FORMAT, inspect_directory
from entrenar_research.core.crates import paths
from entrenar_research.errors import IntegrityError, StorageError
from entrenar_research.models.study import Person, Study
from entrenar_research.models.verdict import Verdict
from entrenar_research.store import checksums
from entrenar_research.store.meter import Meter
from entrenar_research.store.zips import writing
from tests.unit.bundles import sample
from tests.unit.bundles.sample import files_below, wanting

METADATA, PREVIEW = paths.METADATA, paths.PREVIEW


def test_what_was_written_is_whole(crate: tuple[Content, Path, Written]) -> None:
    content, target, written = crate
    with zipfile.ZipFile(target) as archive:
        metadata = archive.read(METADATA)
    assert written == Written(
        path=target,
        digest=f"sha256:{hashlib.sha256(metadata).hexdigest()}",
        size=target.stat().st_size,
        files=len(sample.FILES) + 2,
    )
    (finding,) = FORMAT.inspect(target)
    assert finding.verdict is Verdict.IDENTICAL
    assert finding.subject == "study.crate.zip"
    assert finding.detail.startswith(f"{len(content.members) + 2} files, ")


def test_the_layout_is_fixed(crate: tuple[Content, Path, Written]) -> None:
    with zipfile.ZipFile(crate[1]) as archive:
        infos = archive.infolist()
        assert infos[0].filename == METADATA
        rest = [info.filename for info in infos[1:]]
        assert rest == sorted(rest, key=str.encode)
        assert set(rest) == {*sample.FILES, PREVIEW}
        for info in infos:
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            assert info.compress_type == zipfile.ZIP_STORED
            assert info.external_attr == (stat.S_IFREG | 0o644) << 16
            assert not info.extra
        for name, data in sample.FILES.items():
            assert archive.read(name) == data


def test_the_same_content_gives_the_same_bytes(crate: tuple[Content, Path, Written], tmp_path: Path) -> None:
    content = sample.content(tmp_path / "elsewhere")
    content = msgspec.structs.replace(content, members=tuple(reversed(content.members)))
    assert FORMAT.write(content, tmp_path / "again.crate.zip").digest == crate[2].digest


def test_progress_is_told_in_bytes_up_to_the_end(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    (tmp_path / "big").write_bytes(bytes(9 << 20))
    content = msgspec.structs.replace(sample.small(), members=(Member(path="big", source=tmp_path / "big"),))
    target = tmp_path / "a.crate.zip"
    FORMAT.write(content, target, progress=lambda done, total: told.append((done, total)))
    assert len(told) >= 3
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] >= 9 << 20
    told.clear()
    FORMAT.inspect(target, progress=lambda done, total: told.append((done, total)))
    assert len(told) >= 3
    assert told[-1][0] == told[-1][1] == target.stat().st_size


@pytest.mark.parametrize(
    "path", ["../a", "/a", "a/../b", "a\\b", "C:a", "a\0", "a//b", "", METADATA, PREVIEW, "a\udcff"]
)
def test_a_path_that_cannot_be_bundled_is_named(path: str, tmp_path: Path) -> None:
    content = msgspec.structs.replace(sample.small(), members=(Member(path=path, source=b""),))
    with pytest.raises(IntegrityError) as caught:
        FORMAT.write(content, tmp_path / "a.crate.zip")
    assert paths.shown(path).split("\\")[0] in caught.value.message
    assert not list(tmp_path.iterdir())


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    content = msgspec.structs.replace(sample.small(), members=(Member(path="a", source=b"1"),) * 2)
    with pytest.raises(IntegrityError, match="two members"):
        FORMAT.write(content, tmp_path / "a.crate.zip")


def test_a_file_that_is_not_as_recorded_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"now")
    member = Member(path="data/a", source=tmp_path / "a", digest="sha256:" + "0" * 64)
    with pytest.raises(IntegrityError, match="data/a was changed: found sha256:"):
        FORMAT.write(msgspec.structs.replace(sample.small(), members=(member,)), tmp_path / "a.crate.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("kind", ["absent", "directory", "pipe"])
def test_a_member_that_is_no_file_is_named(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "thing"
    if kind == "directory":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    content = msgspec.structs.replace(sample.small(), members=(Member(path="x/thing", source=place),))
    with pytest.raises((IntegrityError, StorageError), match="x/thing"):
        FORMAT.write(content, tmp_path / "a.crate.zip")


@pytest.mark.parametrize(
    "study",
    [
        Study(title="No authors", authors=(), license="MIT"),
        Study(title="Bad ORCID", authors=(Person(family="X", orcid="0000-0002-1825-0098"),), license="MIT"),
        Study(title="No licence", authors=(Person(family="X"),), license=""),
        Study(title="", authors=(Person(family="X"),), license="MIT"),
        Study(title="Twice", authors=(Person(family="X", orcid="0000-0002-1825-0097"),) * 2, license="MIT"),
    ],
)
def test_a_crate_that_would_not_be_valid_is_not_written(study: Study, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="would not be valid"):
        FORMAT.write(msgspec.structs.replace(sample.small(), study=study), tmp_path / "a.crate.zip")
    assert not list(tmp_path.iterdir())


def test_a_bad_date_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="ISO 8601"):
        FORMAT.write(msgspec.structs.replace(sample.small(), date="today"), tmp_path / "a.crate.zip")


@pytest.mark.parametrize("change", [b"longer than before", b"shrt!", b"other"])
def test_a_file_that_changes_between_hash_and_copy_is_refused(change: bytes, tmp_path: Path) -> None:
    place = tmp_path / "a"
    place.write_bytes(b"first")
    sums = checksums.of_file(("a", place))
    place.write_bytes(change)
    planned = [writing.Planned("a", place, sums)]
    with (
        (tmp_path / "z").open("wb+", buffering=0) as stream,
        pytest.raises(IntegrityError, match="a: it changed"),
    ):
        writing.write_archive(stream.fileno(), planned, Meter(None, 5))


def test_large_files_and_many_files_take_the_same_way(tmp_path: Path) -> None:
    """More files than one process hashes, and one larger than any buffer."""
    (tmp_path / "large").write_bytes(bytes(range(256)) * 20_000)
    (tmp_path / "one").write_bytes(b"1")
    members = [Member(path="large", source=tmp_path / "large")]
    members += [Member(path=f"many/{number}", source=tmp_path / "one") for number in range(2100)]
    content = msgspec.structs.replace(sample.small(), members=tuple(members))
    target = tmp_path / "a.crate.zip"
    FORMAT.write(content, target)
    assert [finding.verdict for finding in FORMAT.inspect(target)] == [Verdict.IDENTICAL]
    FORMAT.extract(target, tmp_path / "out")
    assert (tmp_path / "out" / "large").read_bytes() == (tmp_path / "large").read_bytes()
    assert len(list((tmp_path / "out" / "many").iterdir())) == 2100


@pytest.mark.slow
def test_more_members_than_the_old_format_counts(tmp_path: Path) -> None:
    members = tuple(Member(path=f"{number:05d}", source=b"") for number in range(65_600))
    target = tmp_path / "a.crate.zip"
    FORMAT.write(msgspec.structs.replace(sample.small(), members=members), target)
    assert not wanting(FORMAT.inspect(target))
    with zipfile.ZipFile(target) as archive:
        assert len(archive.namelist()) == 65_602


PARTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1, max_size=12)
PATHS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(PATHS, st.binary(max_size=300), max_size=6))
def test_any_names_and_contents_come_back(tmp_path: Path, members: dict[str, bytes]) -> None:
    if any(paths.path_problem(path) for path in members) or list(paths.collisions(members)):
        return
    target, out = tmp_path / "a.crate.zip", tmp_path / f"out{time.monotonic_ns()}"
    given_members = tuple(Member(path=path, source=data) for path, data in members.items())
    FORMAT.write(msgspec.structs.replace(sample.small(), members=given_members), target)
    assert [finding.verdict for finding in FORMAT.inspect(target)] == [Verdict.IDENTICAL]
    FORMAT.extract(target, out)
    found = files_below(out)
    assert found.keys() == {*members, METADATA, PREVIEW}
    assert all(found[path] == data for path, data in members.items())
    assert not wanting(inspect_directory(out))


def test_a_target_in_no_directory_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write a\.crate\.zip"):
        FORMAT.write(sample.small(a=b"1"), tmp_path / "absent" / "a.crate.zip")


def test_a_directory_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "a.crate.zip"
    target.mkdir()
    with pytest.raises(StorageError, match="directory of that name"):
        FORMAT.write(sample.small(a=b"1"), target)


def test_a_full_disk_leaves_the_old_bundle(tiny_disk: Path) -> None:
    target = tiny_disk / "a.crate.zip"
    FORMAT.write(sample.small(a=b"1"), target)
    before = target.read_bytes()
    with pytest.raises(StorageError, match="No space left on device") as caught:
        FORMAT.write(sample.small(a=os.urandom(300_000)), target)
    assert caught.value.hint
    assert target.read_bytes() == before
    assert [path.name for path in tiny_disk.iterdir()] == ["a.crate.zip"]


def test_a_killed_writer_leaves_the_old_bundle_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    target = tmp_path / "a.crate.zip"
    FORMAT.write(sample.small(a=b"1"), target)
    before = target.read_bytes()
    pipe_program = f"""
import os, sys, time
from pathlib import Path
from entrenar_research.store import part_files
with part_files.replacing(Path({str(target)!r})) as descriptor:
    os.write(descriptor, b"half of it")
    sys.stdout.write("written\\n")
    sys.stdout.flush()
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", pipe_program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    (left,) = tmp_path.glob(".*.part")
    assert left.name == f".a.crate.zip.{process.pid}.part"
    assert target.read_bytes() == before
    FORMAT.write(sample.small(a=b"2"), target)
    assert [path.name for path in tmp_path.iterdir()] == ["a.crate.zip"]
    assert not wanting(FORMAT.inspect(target))


def test_part_files_of_the_living_and_of_others_stay(tmp_path: Path) -> None:
    dead = subprocess.run(["true"], check=True, capture_output=True)
    del dead
    alive = tmp_path / f".a.crate.zip.{os.getppid()}.part"
    other = tmp_path / ".b.crate.zip.999999999.part"
    locked = tmp_path / ".a.crate.zip.999999998.part"
    stale = tmp_path / ".a.crate.zip.999999997.part"
    for path in (alive, other, locked, stale):
        path.write_bytes(b"")
    with locked.open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        FORMAT.write(sample.small(a=b"1"), tmp_path / "a.crate.zip")
    assert {path.name for path in tmp_path.iterdir()} == {alive.name, other.name, locked.name, "a.crate.zip"}


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FORMAT.write(sample.small(a=bytes(9 << 20)), tmp_path / "a.crate.zip", progress=stop)
    assert not list(tmp_path.iterdir())
