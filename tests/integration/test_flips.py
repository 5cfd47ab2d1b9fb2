"""One byte of anything is changed, with size, times and inode as they were: `verify` fails and names the file."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from entrenar_research.actions.verifying import dvc, files
from entrenar_research.models.verdict import Verdict
from entrenar_research.store import sums
from entrenar_research.store.study_files import StudyFiles
from tests.conftest import World
from tests.integration.checking import Flipped, check, flips, names, passes

CLASSES = {
    "result": "experiments/line/result/*",
    "input": "data/points.csv",
    "code": "experiments/line/*.py",
    "parameters": "experiments/line/params.yaml",
    "declaration": "experiments/line/experiment.yaml",
    "lock": "dvc.lock",
    "stages": "dvc.yaml",
    "pointer": "**/*.dvc",
    "run record": "runs/*/run.yaml",
    "digests": "runs/*/SHA256SUMS",
    "manifests": "runs/*/*.sha256",
    "captured output": "runs/*/stdout.txt",
    "trace": "runs/*/trace/*",
    "golden trace": "golden_traces/line/line.json",
    "golden table": "golden_traces/line/*.txt",
    "golden record": "golden_traces/line/golden.yaml",
    "golden digests": "golden_traces/line/SHA256SUMS",
    "signers": "keys/allowed_signers",
    "description": "study.yaml",
    "citation": "CITATION.cff",
    "other committed": ".git[ai]*",
}
YOUNG = ("result", "input", "code", "parameters", "lock", "pointer", "run record", "digests", "manifests", "trace")


@pytest.fixture(autouse=True)
def _environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def young(tiny: Path, world: World) -> Path:
    """The same study before anything was committed or sealed."""
    shutil.rmtree(tiny / ".git")
    world.run("git", "init", "-q", cwd=tiny)
    return tiny


@pytest.fixture
def packed(tiny: Path, world: World) -> Path:
    """The same study after Git tidied up: references and objects are packed."""
    world.run("git", "gc", "-q", "--prune=now", cwd=tiny)
    assert not list((tiny / ".git/refs/tags").rglob("v1"))
    return tiny


def each(study: Path, kind: str) -> Iterator[Path]:
    found = [path for path in sorted(study.glob(CLASSES[kind])) if path.is_file() and path.stat().st_size]
    found = [path for path in found if ".dvc" not in path.relative_to(study).parts]
    assert found
    yield from found


def try_flips(study: Path, paths: Iterator[Path], count: int) -> None:
    """Every flip is found and the file named; the untouched study passes before and after."""
    assert passes(check(study))
    for path in paths:
        subject = path.relative_to(study).as_posix()
        data = path.read_bytes()
        for place, mask in flips(data, count, subject):
            with Flipped(path, place, mask):
                report = check(study)
            assert names(report, subject), (subject, place, mask, report.wanting)
        assert path.read_bytes() == data
    assert passes(check(study))


@pytest.mark.parametrize("kind", CLASSES)
def test_a_flip_in_a_sealed_study_is_found_and_the_file_named(kind: str, tiny: Path) -> None:
    try_flips(tiny, each(tiny, kind), 4)


@pytest.mark.parametrize("kind", YOUNG)
def test_a_flip_before_anything_is_committed_is_found_too(kind: str, young: Path) -> None:
    try_flips(young, each(young, kind), 3)


@pytest.mark.parametrize("pattern", ["dvc.lock", "data/points.csv.dvc", "golden_traces/line/line.json.dvc"])
def test_every_byte_of_dvcs_files_matters_without_git(pattern: str, tiny: Path) -> None:
    """Also a blank or a line end, of which YAML takes no notice."""
    study = StudyFiles(tiny)
    latest = files.latest_runs(study)
    path = tiny / pattern
    data = path.read_bytes()
    for place, mask in flips(data, len(data), "every byte"):
        with Flipped(path, place, mask):
            findings = dvc.check_dvc(study, latest)
        named = [item for item in findings if item.verdict.wanting and pattern in f"{item.subject} {item.detail}"]
        assert named, (place, mask, data[place : place + 1])
    assert [item.verdict for item in dvc.check_dvc(study, latest)] == [Verdict.IDENTICAL]


@pytest.mark.parametrize("pattern", ["runs/*", "golden_traces/*"])
def test_the_evidence_matters_without_git(pattern: str, tiny: Path) -> None:
    (directory,) = (place for place in tiny.glob(pattern) if place.is_dir())
    shown = directory.relative_to(tiny).as_posix()
    listed = (directory / sums.NAME).read_text().splitlines()
    for path in [directory / line.split("  ")[1] for line in listed] + [directory / sums.NAME]:
        subject = path.relative_to(tiny).as_posix()
        data = path.read_bytes()
        for place, mask in flips(data, 600, subject):
            with Flipped(path, place, mask):
                findings = sums.check(directory, shown, area="")
            assert any(subject in f"{item.subject} {item.detail}" for item in findings if item.verdict.wanting)
    assert [item.verdict for item in sums.check(directory, shown, area="")] == [Verdict.IDENTICAL]


def loose(study: Path, object_id: str) -> Path:
    return study / ".git/objects" / object_id[:2] / object_id[2:]


def git(world: World, study: Path, *words: str) -> str:
    return world.run("git", *words, cwd=study).stdout.strip()


@pytest.mark.parametrize("kind", ["experiment", "golden"])
def test_every_byte_of_a_loose_tag_reference_matters(kind: str, tiny: Path) -> None:
    """Capital letters and other line ends as well, which Git takes for the same."""
    path = tiny / f".git/refs/tags/{kind}/line/v1"
    for place, mask in [*flips(path.read_bytes(), 8, kind), (40, 7), (next(_letters(path)), 0x20)]:
        with Flipped(path, place, mask):
            report = check(tiny)
        assert names(report, f"tag {kind}/line/v1"), (place, mask)
    assert passes(check(tiny))


def _letters(path: Path) -> Iterator[int]:
    return (place for place, byte in enumerate(path.read_bytes()) if chr(byte).isalpha())


@pytest.mark.parametrize("what", ["tag", "commit", "tree"])
def test_a_flip_in_a_loose_object_is_found_and_named(what: str, tiny: Path, world: World) -> None:
    spec = {"tag": "experiment/line/v1", "commit": "experiment/line/v1^{commit}", "tree": "HEAD^{tree}"}[what]
    object_id = git(world, tiny, "rev-parse", spec)
    path = loose(tiny, object_id)
    for place, mask in flips(path.read_bytes(), 10, what):
        with Flipped(path, place, mask):
            report = check(tiny)
        assert names(report, object_id) or names(report, f"{object_id[:2]}/{object_id[2:]}"), (place, mask)
    assert passes(check(tiny))


def test_packed_references_are_read_to_the_byte(packed: Path) -> None:
    path = packed / ".git/packed-refs"
    for place, mask in flips(path.read_bytes(), 40, "packed-refs"):
        with Flipped(path, place, mask):
            report = check(packed)
        named = any(item.subject.startswith(("tag ", "HEAD")) for item in report.wanting)
        assert named or names(report, "packed-refs"), (place, mask, report.wanting)
    assert passes(check(packed))


@pytest.mark.parametrize("suffix", ["pack", "idx"])
def test_a_flip_in_a_pack_is_found_and_named(suffix: str, packed: Path) -> None:
    (path,) = (packed / ".git/objects/pack").glob(f"*.{suffix}")
    for place, mask in flips(path.read_bytes(), 10, suffix):
        with Flipped(path, place, mask):
            report = check(packed)
        assert any(item.area in ("history", "signatures") for item in report.wanting), (place, mask)
        assert names(report, path.stem) or names(report, "object"), (place, mask, report.wanting)
    assert passes(check(packed))


@pytest.mark.parametrize("file", [".git/HEAD", ".git/config", ".git/index"])
def test_a_damaged_repository_is_never_taken_for_none(file: str, tiny: Path) -> None:
    """Without its repository a study passes, with a remark; with a damaged one it must not."""
    (tiny / file).write_bytes(b"\x00" * 30)
    report = check(tiny)
    assert names(report, ".git")
    shutil.rmtree(tiny / ".git")
    assert passes(check(tiny))


def test_git_does_not_see_a_flip_under_the_same_times_and_verify_does(tiny: Path, world: World) -> None:
    """The control of all controls: the flips here are of the kind that the others believe not to be there."""
    old = 1_600_000_000
    for path in tiny.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            os.utime(path, (old, old))
    git(world, tiny, "config", "core.trustctime", "false")
    git(world, tiny, "update-index", "--refresh", "-q")
    assert "up to date" in world.tool("run", "line", cwd=tiny).stdout
    record = next(tiny.glob("runs/*/run.yaml"))
    with Flipped(record, 100), Flipped(tiny / "experiments/line/result/curve.csv", 20):
        assert git(world, tiny, "status", "--short") == ""
        report = check(tiny)
        assert names(report, record.relative_to(tiny).as_posix())
        assert names(report, "experiments/line/result/curve.csv")


@pytest.mark.parametrize("path", ["experiments/line/result/metrics.json", "data/points.csv", "dvc.lock"])
def test_the_command_line_exits_with_1_and_names_the_file(
    path: str, tiny: Path, world: World, flip: Callable[[Path, int], None]
) -> None:
    flip(tiny / path, 7)
    done = world.tool("verify", "--no-replay", "--format", "json", cwd=tiny, status=1)
    report = json.loads(done.stdout)
    assert not report["passed"]
    wanting = [item for item in report["findings"] if item["verdict"] in ("different", "broken")]
    assert path in {item["subject"] for item in wanting}
    assert path in world.tool("verify", "--no-replay", cwd=tiny, status=1).stdout


def test_the_command_line_exits_with_1_for_a_study_that_cannot_be_read(tiny: Path, world: World) -> None:
    (tiny / "study.yaml").write_bytes(b"title: \x00\n")
    done = world.tool("verify", "--no-replay", cwd=tiny, status=1)
    assert "study.yaml" in done.stdout
