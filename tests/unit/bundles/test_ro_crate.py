import contextlib
import fcntl
import hashlib
import os
import signal
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrenar_research.bundles.port import Content, Member, Written
from entrenar_research.bundles.ro_crate import FORMAT, inspect_directory
from entrenar_research.core import crate_check, crate_paths
from entrenar_research.errors import IntegrityError, StorageError, UsageError
from entrenar_research.models.study import Person, Study
from entrenar_research.models.verdict import Finding, Verdict
from entrenar_research.store import checksums, zip_writing
from entrenar_research.store.meter import Meter
from tests.unit.bundles import sample

METADATA, PREVIEW = crate_paths.METADATA, crate_paths.PREVIEW


@pytest.fixture(scope="module")
def crate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Content, Path, Written]:
    """The sample study, bundled once."""
    directory = tmp_path_factory.mktemp("crate")
    content = sample.content(directory / "study")
    target = directory / "study.crate.zip"
    return content, target, FORMAT.write(content, target)


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crate so small that all of it can be damaged."""
    target = tmp_path_factory.mktemp("little") / "little.crate.zip"
    FORMAT.write(sample.small(a__txt=b"hello", b__bin=b"\0\1", empty=b""), target)
    return target


def wanting(findings: tuple[Finding, ...]) -> list[Finding]:
    return [finding for finding in findings if finding.verdict.wanting]


def rewritten(source: Path, target: Path, data: bytes) -> Path:
    del source
    target.write_bytes(data)
    return target


def files_below(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


# --- writing


def test_what_was_written_is_whole(crate: tuple[Content, Path, Written]) -> None:
    content, target, written = crate
    data = target.read_bytes()
    assert written == Written(
        path=target,
        digest=f"sha256:{hashlib.sha256(data).hexdigest()}",
        size=len(data),
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
    assert crate_paths.shown(path).split("\\")[0] in caught.value.message
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
    planned = [zip_writing.Planned("a", place, sums)]
    with (
        (tmp_path / "z").open("wb+", buffering=0) as stream,
        pytest.raises(IntegrityError, match="a: it changed"),
    ):
        zip_writing.write_archive(stream.fileno(), planned, Meter(None, 5))


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
    if any(crate_paths.path_problem(path) for path in members) or list(crate_paths.collisions(members)):
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


# --- refusals of the file system


def test_a_target_in_no_directory_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write a\.crate\.zip"):
        FORMAT.write(sample.small(a=b"1"), tmp_path / "absent" / "a.crate.zip")


def test_a_directory_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "a.crate.zip"
    target.mkdir()
    with pytest.raises(StorageError, match="directory of that name"):
        FORMAT.write(sample.small(a=b"1"), target)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("needs root and the right to mount a tmpfs")
    yield place
    subprocess.run(["umount", str(place)], check=True)


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


# --- damage


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
    target = rewritten(little, tmp_path / "cut.crate.zip", little.read_bytes()[:length])
    assert wanting(FORMAT.inspect(target))
    with pytest.raises(IntegrityError):
        FORMAT.extract(target, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_truncation_names_what_was_cut(little: Path, tmp_path: Path) -> None:
    whole = little.read_bytes()
    place = whole.index(b"b.bin\0") + 6
    found = wanting(FORMAT.inspect(rewritten(little, tmp_path / "cut.crate.zip", whole[:place])))
    assert [item.subject for item in found] == ["b.bin", "empty", PREVIEW, "archive structure"]
    assert "cut off" in found[0].detail


@pytest.mark.parametrize("place", ["front", "end", "middle"])
def test_added_bytes_are_found(place: str, little: Path, tmp_path: Path) -> None:
    whole = little.read_bytes()
    data = {"front": b"#!" + whole, "end": whole + b"\0", "middle": whole[:2000] + b"x" + whole[2000:]}[place]
    assert wanting(FORMAT.inspect(rewritten(little, tmp_path / "more.crate.zip", data)))
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
    target = rewritten(little, tmp_path / "bad.crate.zip", bytes(whole))
    assert wanting(FORMAT.inspect(target))
    with pytest.raises(IntegrityError):
        FORMAT.extract(target, tmp_path / "never")
    assert not (tmp_path / "never").exists()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_other_file_is_no_crate(tmp_path: Path, data: bytes) -> None:
    target = rewritten(tmp_path, tmp_path / "junk.crate.zip", data)
    assert wanting(FORMAT.inspect(target))


def test_what_is_not_there_or_no_file_is_a_finding(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("absent", "pipe", "."):
        assert wanting(FORMAT.inspect(tmp_path / name))


# --- archives from other hands


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
    found = wanting(FORMAT.inspect(rewritten(target, target, bytes(data))))
    assert [(item.subject, "encrypted" in item.detail) for item in found] == [("a.txt", True)]


def test_a_nul_in_a_name_is_found(little: Path, tmp_path: Path) -> None:
    target = repacked(little, tmp_path / "a.zip")
    data = target.read_bytes().replace(b"a.txt", b"a\0.tx", 10)
    found = wanting(FORMAT.inspect(rewritten(target, target, data)))
    assert any("\0" not in item.subject and "control character" in item.detail for item in found)


def test_a_bomb_is_not_inflated(little: Path, tmp_path: Path) -> None:
    """A member that claims little and is large, and one that claims to be large."""
    target = repacked(little, tmp_path / "a.zip", {"a.txt": bytes(50 << 20)}, method=zipfile.ZIP_DEFLATED)
    data = bytearray(target.read_bytes())
    entry = data.rindex(b"a.txt") - 46
    data[entry + 24 : entry + 28] = (5).to_bytes(4, "little")
    lying = rewritten(target, tmp_path / "b.zip", bytes(data))
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
        archive.writestr(METADATA, b" " * (crate_check.LARGEST_METADATA + 1))
    found = wanting(FORMAT.inspect(target))
    assert {item.subject for item in found} == {METADATA}


def test_members_that_share_bytes_are_found(little: Path, tmp_path: Path) -> None:
    target = repacked(little, tmp_path / "a.zip")
    data = bytearray(target.read_bytes())
    first, second = data.rindex(b"a.txt") - 46, data.rindex(b"b.bin") - 46
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    found = wanting(FORMAT.inspect(rewritten(target, target, bytes(data))))
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


# --- unpacking


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


# --- an unpacked crate


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
