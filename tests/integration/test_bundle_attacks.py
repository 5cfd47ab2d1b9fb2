"""Bundles that were damaged, rewritten, or made to hurt: nothing of them is believed, unpacked or run."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from entrenar_research import workspace
from entrenar_research.core.zips import canonical_zip
from entrenar_research.models.verdict import Verdict
from tests.conftest import World
from tests.integration.checking import Flipped, check_bundle, check_unpacked, flips, names, passes, verdicts

METADATA = "ro-crate-metadata.json"
RESULT = "experiments/line/result/metrics.json"


@pytest.fixture(autouse=True)
def _environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)


def members(bundle: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(bundle) as archive:
        return {item.filename: archive.read(item) for item in archive.infolist()}


def spans(bundle: Path) -> Iterator[tuple[str, int, int]]:
    """Where each member lies: its name, the byte its header begins at, the byte after its content."""
    with zipfile.ZipFile(bundle) as archive:
        for item in archive.infolist():
            header = canonical_zip.local_header_size(item.filename.encode(), item.file_size)
            yield item.filename, item.header_offset, item.header_offset + header + item.file_size


def test_a_flip_in_any_member_is_found_and_the_member_named(tiny_bundle: Path) -> None:
    assert passes(check_bundle(tiny_bundle))
    whole = tiny_bundle.read_bytes()
    for name, first, last in spans(tiny_bundle):
        for place, mask in flips(whole[first:last], 6, name):
            with Flipped(tiny_bundle, first + place, mask):
                report = check_bundle(tiny_bundle)
            assert names(report, name) or names(report, "archive structure"), (name, place, mask)
    assert tiny_bundle.read_bytes() == whole
    assert passes(check_bundle(tiny_bundle))


def test_a_flip_anywhere_in_the_archive_is_found(tiny_bundle: Path) -> None:
    """Also in its directory and its end record, which belong to no file."""
    whole = tiny_bundle.read_bytes()
    listing = max(last for _, _, last in spans(tiny_bundle))
    places = [*range(0, listing, 499), *range(listing, len(whole), 23)]
    for place in places:
        with Flipped(tiny_bundle, place, 1 + place % 255):
            assert not passes(check_bundle(tiny_bundle)), place
    assert passes(check_bundle(tiny_bundle))


@pytest.mark.parametrize("name", [RESULT, "dvc.lock", "history.bundle"])
def test_the_command_line_names_the_member_and_runs_nothing(name: str, tiny_bundle: Path, world: World) -> None:
    (first, last) = next(span[1:] for span in spans(tiny_bundle) if span[0] == name)
    with Flipped(tiny_bundle, last - 3):
        done = world.tool("verify", tiny_bundle, "--replay", "--format", "json", cwd=tiny_bundle.parent, status=1)
    assert first < last - 3
    report = json.loads(done.stdout)
    assert name in {item["subject"] for item in report["findings"] if item["verdict"] == "broken"}
    assert "replay" not in {item["area"] for item in report["findings"]}
    assert report["notes"] == ["the bundle is damaged: its content was not unpacked, its code not run"]


@pytest.fixture
def unpacked(tiny_bundle: Path, tmp_path: Path) -> Path:
    """The bundle as another program unpacks it."""
    with zipfile.ZipFile(tiny_bundle) as archive:
        archive.extractall(tmp_path / "unpacked")
    return tmp_path / "unpacked"


def test_a_flip_in_any_file_of_an_unpacked_bundle_is_found(unpacked: Path) -> None:
    assert passes(check_unpacked(unpacked))
    for path in sorted(path for path in unpacked.rglob("*") if path.is_file() and path.stat().st_size):
        subject = path.relative_to(unpacked).as_posix()
        if subject == METADATA:
            continue
        for place, mask in flips(path.read_bytes(), 4, subject):
            with Flipped(path, place, mask):
                report = check_unpacked(unpacked)
            assert names(report, subject), (subject, place, mask)
    assert passes(check_unpacked(unpacked))


def test_the_metadata_of_an_unpacked_bundle_is_never_taken_for_checked(unpacked: Path) -> None:
    """Nothing in a directory vouches for it: the verdict is `unknown`, with the digest to compare."""
    found = [item for item in check_unpacked(unpacked).findings if item.subject == METADATA]
    assert [item.verdict for item in found] == [Verdict.UNKNOWN]
    assert hashlib.sha256((unpacked / METADATA).read_bytes()).hexdigest() in found[0].detail


@pytest.mark.parametrize("change", ["missing", "extra", "link"])
def test_an_unpacked_bundle_with_other_files_is_found(change: str, unpacked: Path) -> None:
    path = unpacked / RESULT
    if change == "extra":
        path = path.with_name("more.json")
        path.write_text("{}")
    else:
        path.unlink()
    if change == "link":
        path.symlink_to("/etc/hostname")
    assert names(check_unpacked(unpacked), path.relative_to(unpacked).as_posix())


def rewrite(bundle: Path, change: Callable[[dict[str, bytes]], object]) -> None:
    """Packs a changed bundle as a careful forger would: our layout, metadata with the new sizes and digests."""
    files = members(bundle)
    change(files)
    document = json.loads(files.pop(METADATA))
    described = {item["@id"]: item for item in document["@graph"]}
    for name, data in files.items():
        item = described.get(name)
        if item is not None:
            item["contentSize"], item["sha256"] = str(len(data)), hashlib.sha256(data).hexdigest()
    for name in set(described) - set(files):
        if described[name].get("@type") == "File":
            document["@graph"].remove(described[name])
            for item in document["@graph"]:
                for key, value in item.items():
                    if isinstance(value, list):
                        item[key] = [link for link in value if link != {"@id": name}]
    packed = [(METADATA, json.dumps(document).encode()), *sorted(files.items())]
    body, directory = bytearray(), bytearray()
    for name, data in packed:
        crc = zlib.crc32(data)
        directory += canonical_zip.central_header(name.encode(), len(data), crc, len(body))
        body += canonical_zip.local_header(name.encode(), len(data), crc) + data
    end = canonical_zip.end_records(len(packed), len(directory), len(body))
    bundle.write_bytes(bytes(body + directory + end))


def test_a_forgers_bundle_is_whole_as_a_bundle(tiny_bundle: Path) -> None:
    """The control for what follows: packing anew without changing anything passes."""
    rewrite(tiny_bundle, lambda files: None)
    report = check_bundle(tiny_bundle)
    assert {item.verdict for item in report.findings if item.area != "replay"} == {Verdict.IDENTICAL}


@pytest.mark.parametrize("name", [RESULT, "data/points.csv", "dvc.lock", "golden_traces/line/line.json", "study.yaml"])
def test_digests_that_were_recomputed_do_not_help_a_forger(name: str, tiny_bundle: Path) -> None:
    def forge(files: dict[str, bytes]) -> None:
        files[name] = files[name].replace(b"0", b"1", 1) if b"0" in files[name] else files[name].lower()

    rewrite(tiny_bundle, forge)
    report = check_bundle(tiny_bundle, replay=True)
    assert verdicts(report, "bundle")[tiny_bundle.name] is Verdict.IDENTICAL
    assert names(report, name)
    assert verdicts(report, "replay") == {"all": Verdict.UNKNOWN}


def test_without_its_history_nobody_vouches_for_a_bundle(tiny_bundle: Path, world: World) -> None:
    rewrite(tiny_bundle, lambda files: files.pop("history.bundle"))
    report = check_bundle(tiny_bundle)
    assert verdicts(report, "signatures") == {"history": Verdict.UNKNOWN}
    signers = tiny_bundle.parent / "signers"
    signers.write_bytes(members(tiny_bundle)["keys/allowed_signers"])
    assert not passes(check_bundle(tiny_bundle, trusted=signers))


def test_a_history_of_another_study_does_not_fit(tiny_bundle: Path, world: World, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    world.run("git", "init", "-q", cwd=other)
    (other / "a").write_text("a")
    world.run("git", "add", "a", cwd=other)
    world.run("git", "commit", "-q", "-m", "a", cwd=other)
    world.run("git", "bundle", "create", "-q", other / "h", "HEAD", "--all", cwd=other)
    rewrite(tiny_bundle, lambda files: files.update({"history.bundle": (other / "h").read_bytes()}))
    assert names(check_bundle(tiny_bundle), "missing; it is committed")


def test_a_history_with_replaced_objects_shows_what_was_committed(
    tiny: Path, tiny_bundle: Path, world: World, tmp_path: Path
) -> None:
    """`git replace` would show another commit under the same name, signature and all."""

    def git(*words: str | Path) -> str:
        return world.run("git", *words, cwd=tiny).stdout.strip()

    before = git("rev-parse", "HEAD")
    (tiny / "study.yaml").write_text((tiny / "study.yaml").read_text().replace("A line", "A lie"))
    git("commit", "-q", "-a", "-m", "Forged")
    git("replace", before, "HEAD")
    git("reset", "-q", "--soft", before)
    assert git("show", "HEAD:study.yaml").startswith("title: A lie")
    git("bundle", "create", "-q", tmp_path / "h", "HEAD", "--all")
    forged = {"history.bundle": (tmp_path / "h").read_bytes(), "study.yaml": (tiny / "study.yaml").read_bytes()}
    rewrite(tiny_bundle, lambda files: files.update(forged))
    assert names(check_bundle(tiny_bundle), "study.yaml")


def foreign(bundle: Path, extra: dict[str, bytes], *, without: str = "", method: int = zipfile.ZIP_STORED) -> None:
    """Packs the bundle anew with another program, some members more or less."""
    files = {name: data for name, data in members(bundle).items() if name != without}
    with zipfile.ZipFile(bundle, "w", method) as archive:
        for name, data in {**files, **extra}.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("extra.txt", b"more"),
        ("../escaped.txt", b"out"),
        ("/tmp/escaped.txt", b"out"),
        ("experiments/../../escaped.txt", b"out"),
        ("experiments/line/bomb.csv", bytes(64 << 20)),
    ],
)
def test_members_that_do_not_belong_are_named_and_nothing_is_unpacked(
    name: str, data: bytes, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(type(workspace.bundle_format("ro-crate")), "extract", never)
    foreign(tiny_bundle, {name: data}, method=zipfile.ZIP_DEFLATED)
    report = check_bundle(tiny_bundle, replay=True)
    assert names(report, name)
    assert not (tiny_bundle.parent.parent / "escaped.txt").exists()
    assert not Path("/tmp/escaped.txt").exists()


@pytest.mark.parametrize("name", [RESULT, METADATA, "history.bundle"])
def test_a_missing_member_is_named(name: str, tiny_bundle: Path) -> None:
    foreign(tiny_bundle, {}, without=name)
    assert names(check_bundle(tiny_bundle), name)


def test_a_bomb_that_the_metadata_vouches_for_is_not_inflated(tiny_bundle: Path) -> None:
    """32 KiB that unpack to 32 MiB of zeros, listed with true size and digest."""
    bomb = bytes(32 << 20)
    rewrite(tiny_bundle, lambda files: files.update({RESULT: bomb}))
    foreign(tiny_bundle, {}, method=zipfile.ZIP_DEFLATED)
    assert tiny_bundle.stat().st_size < 1 << 20
    report = check_bundle(tiny_bundle)
    assert any(item.subject == RESULT and "not unpacked" in item.detail for item in report.wanting)


def test_a_link_out_of_the_study_is_not_bundled(tiny: Path, world: World, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("not for others")
    (tiny / "data/link").symlink_to(secret)
    world.run("git", "add", "-f", "data/link", cwd=tiny)
    world.run("git", "commit", "-q", "-m", "Link", cwd=tiny)
    done = world.tool("bundle", "-o", tmp_path / "out.crate.zip", cwd=tiny, status=2)
    assert "data/link" in done.stderr
    assert "leaves the study" in done.stderr
    assert not (tmp_path / "out.crate.zip").exists()


def test_a_link_inside_the_study_is_bundled_as_the_file_it_leads_to(tiny: Path, world: World, tmp_path: Path) -> None:
    target = tmp_path / "out.crate.zip"
    (tiny / "data/link").symlink_to("points.csv")
    world.run("git", "add", "-f", "data/link", cwd=tiny)
    world.run("git", "commit", "-q", "-m", "Link", cwd=tiny)
    world.tool("bundle", "-o", target, cwd=tiny)
    assert {item.verdict for item in check_bundle(target, replay=True).findings} == {Verdict.IDENTICAL}
    rewrite(target, lambda files: files.update({"data/link": b"1,2\n"}))
    assert names(check_bundle(target), "data/link")


@pytest.mark.parametrize("place", ["experiments/line/result/link", "data/points.csv"])
def test_a_link_out_of_the_study_is_named_where_a_run_has_its_files(place: str, tiny: Path, world: World) -> None:
    path = tiny / place
    outside = tiny.parent / "outside"
    if path.exists():
        shutil.copyfile(path, outside)
        path.unlink()
    else:
        outside.write_text("x")
    path.symlink_to(outside)
    done = world.tool("verify", "--no-replay", "--format", "json", cwd=tiny, status=1)
    wanting = [item for item in json.loads(done.stdout)["findings"] if item["verdict"] == "broken"]
    assert any(place in item["detail"] and "leaves the study" in item["detail"] for item in wanting)


def test_programs_of_a_bundle_can_be_run_though_it_keeps_no_modes(tiny: Path, world: World, tmp_path: Path) -> None:
    script = tiny / "experiments/copy/copy.sh"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\ncp data/points.csv "$ENTRENAR_RESULT/points.csv"\n')
    script.chmod(0o755)
    (script.parent / "experiment.yaml").write_text(
        "command: ./experiments/copy/copy.sh\ncode: [experiments/copy/copy.sh]\ninputs: [data/points.csv]\n"
    )
    (script.parent / ".gitignore").write_text("/result\n")
    world.tool("experiment", "sync", "copy", cwd=tiny)
    world.tool("run", "copy", "--quiet", cwd=tiny)
    world.tool("seal", "experiment", "copy", "-m", "First", cwd=tiny)
    world.tool("bundle", "-o", tmp_path / "copy.crate.zip", cwd=tiny)
    report = check_bundle(tmp_path / "copy.crate.zip", replay=True)
    assert verdicts(report, "replay")["experiments/copy/result/points.csv"] is Verdict.IDENTICAL
    assert {item.verdict for item in report.findings} == {Verdict.IDENTICAL}
