"""What every importer promises. A new file in `importers/` is found and held to it: `foreign` makes its files."""

import contextlib
import importlib
import json
import pkgutil
import random
import shutil
from pathlib import Path

import pytest

from entrenar_research import importers, workspace
from entrenar_research.actions.runs import importing
from entrenar_research.actions.runs.importing import Report, Request
from entrenar_research.errors import UsageError
from entrenar_research.importers.port import Importer
from entrenar_research.models.verdict import Verdict
from entrenar_research.store import sums
from entrenar_research.store.logged import points
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles
from tests.unit.importing.foreign import HOST, START, USER, WRITERS

MEMBERS = sorted(module.name for module in pkgutil.iter_modules(importers.__path__) if module.name != "port")


@pytest.fixture(params=MEMBERS)
def member(request: pytest.FixtureRequest) -> Importer:
    found: Importer = importlib.import_module(f"{importers.__name__}.{request.param}").IMPORTER
    assert found.name == request.param
    return found


@pytest.fixture
def study(tmp_path: Path) -> StudyFiles:
    (tmp_path / "study").mkdir()
    return StudyFiles(tmp_path / "study")


@pytest.fixture
def theirs(member: Importer, tmp_path: Path) -> Path:
    return WRITERS[member.name](tmp_path / "theirs")


def bring_in(study: StudyFiles, member: Importer, place: Path, **options: object) -> Report:
    others = [workspace.importer(name) for name in MEMBERS if name != member.name]
    request = Request(place, **options)  # type: ignore[arg-type]
    return importing.bring_in(study, member, request, tool="test", others=others)


def tree(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_there_are_members() -> None:
    assert {"mlflow", "tensorboard", "wandb"} <= set(MEMBERS)


def test_a_run_comes_in_whole_and_the_source_is_left_as_it_was(
    member: Importer, study: StudyFiles, theirs: Path
) -> None:
    before = tree(theirs)
    report = bring_in(study, member, theirs)
    assert tree(theirs) == before
    assert report.whole
    [run] = report.imported
    record = RunFiles(study.root).load(str(run.run))
    directory = RunFiles(study.root).directory(record.id)
    assert (record.imported, record.runner, record.status) == (run.origin, "import", "completed")
    assert record.id.startswith(f"20231114T221320000Z-{record.experiment}-")
    assert record.started == "2023-11-14T22:13:20.000Z"
    read = points.points(directory, "loss")
    assert list(map(int, read.steps)) == [0, 1, 2]
    assert [int(time) for time in read.times] == [(START + step) * 10**9 for step in range(3)]
    assert [float(value) for value in read.values] == pytest.approx([1, 1 / 2, 1 / 3], rel=1e-7)
    assert {item.verdict for item in sums.check(directory, record.id, area="runs")} == {Verdict.IDENTICAL}
    assert [path.name for path in (study.state / "importing").iterdir()] == ["lock"]


def test_the_same_directory_again_brings_nothing_new(member: Importer, study: StudyFiles, theirs: Path) -> None:
    [run] = bring_in(study, member, theirs).imported
    before = tree(study.root / "runs")
    again = bring_in(study, member, theirs)
    assert (again.imported, again.known, again.changed, again.whole) == ((), {run.origin: run.run}, {}, True)
    assert tree(study.root / "runs") == before


def test_a_moved_directory_is_known_again(member: Importer, study: StudyFiles, theirs: Path, tmp_path: Path) -> None:
    [run] = bring_in(study, member, theirs).imported
    shutil.copytree(theirs, tmp_path / "elsewhere" / "copy")
    again = bring_in(study, member, tmp_path / "elsewhere" / "copy")
    assert (again.imported, again.known) == ((), {run.origin: run.run})


def test_a_run_that_has_gone_on_is_named(member: Importer, study: StudyFiles, theirs: Path) -> None:
    [run] = bring_in(study, member, theirs).imported
    for path in theirs.rglob("*"):
        if path.is_file() and (path.name == "loss" or "tfevents" in path.name or path.suffix == ".wandb"):
            path.write_bytes(path.read_bytes() + b"1700000009000 0.5 9\n")
    again = bring_in(study, member, theirs)
    assert (again.imported, again.changed, again.whole) == ((), {run.origin: run.run}, False)


def test_a_dry_run_reads_everything_and_writes_nothing(member: Importer, study: StudyFiles, theirs: Path) -> None:
    report = bring_in(study, member, theirs, dry_run=True)
    [run] = report.imported
    assert (run.run, run.points, run.series, report.dry_run) == (None, 3, 1, True)
    assert list(study.root.iterdir()) == []


def test_an_empty_directory_is_refused_with_what_was_looked_for(
    member: Importer, study: StudyFiles, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(
        UsageError, match=rf"no runs of {member.name}: looked for .+; found an empty directory"
    ) as caught:
        bring_in(study, member, empty)
    assert member.looks_for in caught.value.message
    with pytest.raises(UsageError, match="no such directory"):
        bring_in(study, member, tmp_path / "absent")
    (empty / "notes.txt").write_text("x")
    with pytest.raises(UsageError, match=r"found notes\.txt$"):
        bring_in(study, member, empty)
    with pytest.raises(UsageError, match=rf"notes\.txt: no runs of {member.name}: "):
        bring_in(study, member, empty / "notes.txt")
    assert list(study.root.iterdir()) == []


@pytest.mark.parametrize("other", MEMBERS)
def test_the_directory_of_another_tracker_is_recognised(
    member: Importer, other: str, study: StudyFiles, tmp_path: Path
) -> None:
    if other == member.name:
        return
    place = WRITERS[other](tmp_path / "theirs")
    with pytest.raises(UsageError) as caught:
        bring_in(study, member, place)
    assert caught.value.hint == f"it holds runs of {other}: `entrenar-research import {other} {place}`"


def test_no_name_of_a_person_or_machine_comes_in(member: Importer, study: StudyFiles, theirs: Path) -> None:
    report = bring_in(study, member, theirs)
    assert [item for run in report.imported for item in run.omissions if item.kind == "personal"]
    for name in (HOST, USER, USER.split(".")[0] + "."):
        for path, data in tree(study.root / "runs").items():
            assert name.encode() not in data, path
        assert name not in json.dumps([run.omissions for run in report.imported], default=str)


def test_the_experiment_may_be_named(member: Importer, study: StudyFiles, theirs: Path) -> None:
    [run] = bring_in(study, member, theirs, experiment="mine").imported
    assert RunFiles(study.root).load(str(run.run)).experiment == "mine"
    with pytest.raises(UsageError, match="experiment name 'a b'"):
        bring_in(study, member, theirs, experiment="a b")


def test_damage_is_named_and_the_rest_imported(member: Importer, study: StudyFiles, theirs: Path) -> None:
    for path in theirs.rglob("*"):
        if path.is_file() and (path.name == "loss" or "tfevents" in path.name or path.suffix == ".wandb"):
            path.write_bytes(path.read_bytes()[:-7] if path.name != "loss" else path.read_bytes() + b"1 x")
    report = bring_in(study, member, theirs)
    [run] = report.imported
    assert not report.whole
    assert len(run.damaged) == 1
    assert "byte " in run.damaged[0]
    assert run.points == (2 if member.name == "tensorboard" else 3)
    record = RunFiles(study.root).load(str(run.run))
    assert f"import: {run.damaged[0]}" in record.warnings


def test_a_link_that_leads_out_is_not_followed(
    member: Importer, study: StudyFiles, theirs: Path, tmp_path: Path
) -> None:
    outside = WRITERS[member.name](tmp_path / "outside")
    target = next(
        path for path in sorted(outside.rglob("*")) if path.is_dir() and any(p.is_file() for p in path.iterdir())
    )
    inside = next(
        path for path in sorted(theirs.rglob("*")) if path.is_dir() and any(p.is_file() for p in path.iterdir())
    )
    (inside.parent / f"{inside.name}-link").symlink_to(target)
    report = bring_in(study, member, theirs)
    assert len(report.imported) == 1
    assert not report.whole
    [problem] = report.problems
    assert "symbolic link" in problem
    assert str(tmp_path) not in problem


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_bytes_are_it_ends_well(member: Importer, seed: int, study: StudyFiles, theirs: Path) -> None:
    """Bytes are flipped, cut off, doubled and replaced in any file; then everything that can be read is imported."""
    source = random.Random(f"{member.name} {seed}")
    paths = sorted(path for path in theirs.rglob("*") if path.is_file())
    for _ in range(25):
        path = source.choice(paths)
        before = path.read_bytes()
        data = bytearray(before)
        for _ in range(source.choice([1, 1, 3, 20])):
            at = source.randrange(len(data)) if data else 0
            change = source.randrange(4)
            if change == 0 and data:
                data[at] = source.randrange(256)
            elif change == 1:
                data[at:at] = source.randbytes(source.randrange(20))
            elif change == 2:
                del data[at : at + source.randrange(20)]
            else:
                data[at:at] = data[max(at - 40, 0) : at]
        path.write_bytes(bytes(data))
        with contextlib.suppress(UsageError):
            bring_in(study, member, theirs, dry_run=True)
        path.write_bytes(before)
    with contextlib.suppress(UsageError):
        bring_in(study, member, theirs)
    for record in RunFiles(study.root).records():
        assert (
            sums.check(RunFiles(study.root).directory(record.id), record.id, area="runs")[0].verdict
            is Verdict.IDENTICAL
        )
