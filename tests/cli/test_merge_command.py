"""`lineage merge`: two real copies of a study, both continued, become one without losing or mixing up anything."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from entrenar_research.client.run import start_run
from entrenar_research.models.run import RunRecord
from entrenar_research.models.tracking import Lineage, Parent
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.yaml_text import dump
from tests.cli.conftest import Door
from tests.conftest import World

KILLED = """\
import os, shutil, signal, sys
from pathlib import Path
from entrenar_research.actions.runs import merging
from entrenar_research.store import files
from entrenar_research.store.foreign import run_copies
from entrenar_research.store.study_files import StudyFiles

ours, theirs, out = map(Path, sys.argv[1:])
left = 0

def counted(function):
    def call(*given, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*given, **named)
    return call

# Before every step that changes something: a directory or file made, copied, put in place, deleted.
run_copies.stage, run_copies.damage = counted(run_copies.stage), counted(run_copies.damage)
run_copies.shutil.copy2 = counted(run_copies.shutil.copy2)
run_copies.put, run_copies.settle = counted(run_copies.put), counted(run_copies.settle)
files.remove_tree = counted(files.remove_tree)
files.write_atomically = counted(files.write_atomically)

def merged(study, steps):
    global left
    child = os.fork()
    if not child:
        left = steps
        merging.merge(StudyFiles(study), StudyFiles(theirs), prefer="theirs")
        os._exit(0)
    return os.waitpid(child, 0)[1]

for step in range(200):
    shutil.copytree(ours, out / f"killed-{step}", symlinks=True, ignore=shutil.ignore_patterns(".git"))
    if merged(out / f"killed-{step}", step) != signal.SIGKILL:
        break
    shutil.copytree(out / f"killed-{step}", out / f"again-{step}", symlinks=True)
    assert merged(out / f"again-{step}", 999) == 0
print(step)
"""


def tree(directory: Path) -> dict[str, str]:
    """Every file with its digest; locks and caches, which are nobody's, left out."""
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and ".git/" not in f"{path}/" and ".entrenar" not in path.parts
    }


def ids(study: Path) -> set[str]:
    return set(RunFiles(study).ids())


def whole(world: World, study: Path) -> None:
    """Every run that is there is whole, by a program that is not ours."""
    for run in sorted(study.glob("runs/*")):
        world.run("sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS", cwd=run)


@pytest.fixture(scope="session")
def _continued(_shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two copies of the sealed study: in each the experiment was run again, with other parameters."""
    base = tmp_path_factory.mktemp("continued")
    world = World(_shared / "home")
    for name, steps in (("ours", 30), ("theirs", 40)):
        shutil.copytree(_shared / "tiny", base / name, symlinks=True)
        world.tool("run", "line", "--set", f"steps={steps}", "--quiet", cwd=base / name)
    return base


Copies = tuple[Path, Path]


@pytest.fixture
def copies(_continued: Path, tmp_path: Path) -> Copies:
    shutil.copytree(_continued, tmp_path / "both", symlinks=True)
    return tmp_path / "both" / "ours", tmp_path / "both" / "theirs"


@pytest.fixture
def same(tiny: Path, tmp_path: Path) -> Copies:
    """Two copies of the sealed study, neither continued."""
    shutil.copytree(tiny, tmp_path / "theirs", symlinks=True)
    return tiny, tmp_path / "theirs"


def closed(study: Path, run_id: str, *, parents: tuple[str, ...] = (), text: str = "", lamport: int = 0) -> str:
    lineage = Lineage(
        parents=tuple(Parent(run=run, relationship="fine_tuned_from") for run in parents), lamport=lamport
    )
    record = RunRecord(
        id=run_id,
        experiment="other",
        status="completed",
        tool="entrenar-research 0",
        runner="script",
        started="2026-11-20T08:00:00.000Z",
        lineage=lineage if parents else None,
    )
    runs = RunFiles(study)
    directory = runs.open(record)
    if text:
        (directory / "stdout.txt").write_text(text)
    runs.close(record)
    return run_id


ONE, TWO = "20261120T080000001Z-other-aaaa", "20261120T080000002Z-other-bbbb"


def test_both_went_on(door: Door, world: World, copies: Copies) -> None:
    ours, theirs = copies
    mine, yours = (max(ids(study)) for study in copies)
    before, there = tree(ours), tree(theirs)

    dry = door("lineage", "merge", theirs, "--dry-run", cwd=ours)
    assert dry.status == 1
    assert (
        dry.out
        == f"""\
would be copied: {yours}
line: two concurrent results: neither comes from the other
  ours:   {mine}
  theirs: {yours}
  next: `--prefer ours` or `--prefer theirs` decides
1 run would be taken from the other copy
"""
    )
    assert tree(ours) == before

    done = door("lineage", "merge", theirs, cwd=ours)
    assert done.status == 1
    assert done.out == dry.out.replace("would be ", "")
    assert ids(ours) == ids(theirs) | {mine}
    whole(world, ours)
    new = {path for path in tree(ours) if path not in before}
    assert new == {path for path in there if path.startswith(f"runs/{yours}/")}  # runs/ only
    assert {path: tree(ours)[path] for path in before} == before

    after = tree(ours)
    again = door("lineage", "merge", theirs, cwd=ours)
    assert again.status == 1  # still undecided
    assert again.out.endswith("no new run in the other copy\n")
    assert tree(ours) == after
    assert tree(theirs) == there
    assert not (ours / ".entrenar/merge").exists()


def test_preferring_ours_changes_no_result(door: Door, copies: Copies) -> None:
    ours, theirs = copies
    before = tree(ours / "experiments")
    said = door("lineage", "merge", theirs, "--prefer", "ours", cwd=ours)
    assert (
        f"line: ours counts, {max(ids(ours) - ids(theirs))}: neither comes from the other; you prefer ours" in said.out
    )
    # By the clock the other run is the last one, and `status` compares with that: one run more settles it.
    assert (said.status, "next: `entrenar-research run line`" in said.out) == (1, True)
    assert tree(ours / "experiments") == before
    assert door("run", "line", "--quiet", cwd=ours).status == 0
    settled = door("lineage", "merge", theirs, "--prefer", "ours", cwd=ours)
    assert (settled.status, "next:" in settled.out) == (0, False)


def test_preferring_theirs_takes_their_result_over(door: Door, world: World, copies: Copies) -> None:
    ours, theirs = copies
    said = door("lineage", "merge", theirs, "--prefer", "theirs", cwd=ours)
    assert said.status == 1
    params = "experiments/line/params.yaml"
    assert f"next: the parameters of line differ: bring {params} over with Git, then merge again" in said.out
    shutil.copyfile(theirs / params, ours / params)
    said = door("lineage", "merge", theirs, "--prefer", "theirs", cwd=ours)
    assert said.status == 0
    assert "its result is in place now, and in dvc.lock" in said.out
    assert tree(ours / "experiments/line/result") == tree(theirs / "experiments/line/result")
    assert (ours / "dvc.lock").read_text() == (theirs / "dvc.lock").read_text()
    world.run("dvc", "status", "--quiet", cwd=ours)
    assert door("run", "line", cwd=ours).out.startswith("line is up to date")
    after = tree(ours)
    assert door("lineage", "merge", theirs, cwd=ours).out == "no new run in the other copy\n"
    assert tree(ours) == after


def test_the_same_result_needs_no_decision(door: Door, world: World, same: Copies) -> None:
    ours, theirs = same
    for study in same:
        world.tool("run", "line", "--force", "--quiet", cwd=study)
    said = door("lineage", "merge", theirs, cwd=ours)
    assert said.status == 0
    assert said.out.endswith("\n1 run taken from the other copy\n")
    assert door("lineage", "merge", ours, cwd=theirs).status == 0
    assert ids(ours) == ids(theirs)
    assert len(ids(ours)) == 3


def test_the_history_of_one_copy_has_the_other(door: Door, world: World, copies: Copies, tiny: Path) -> None:
    """A copy that has stayed where it was does not hold up the one that went on, in either direction."""
    ours, _ = copies
    behind = tiny
    said = door("lineage", "merge", behind, cwd=ours)
    assert said.status == 0
    why = "it was made here after the other one: the Git history here has that in dvc.lock"
    assert said.out == f"line: ours counts, {max(ids(ours))}: {why}\nno new run in the other copy\n"
    said = door("lineage", "merge", ours, cwd=behind)
    assert "theirs counts" in said.out
    assert "it was made there after the other one" in said.out
    assert "next: `--prefer theirs` takes it over, or `entrenar-research run line` makes it anew" in said.out


def test_merged_both_ways_the_runs_are_the_same(door: Door, copies: Copies) -> None:
    ours, theirs = copies
    door("lineage", "merge", theirs, cwd=ours)
    door("lineage", "merge", ours, cwd=theirs)
    assert tree(ours / "runs") == tree(theirs / "runs")


def test_json(door: Door, copies: Copies) -> None:
    ours, theirs = copies
    found = json.loads(door("lineage", "merge", theirs, "--format", "json", cwd=ours).out)
    assert found["copied"] == sorted(ids(theirs) & ids(ours) - {min(ids(ours))})
    assert found["experiments"][0]["choice"] == "concurrent"
    assert (found["conflicts"], found["left_out"], found["replaced"]) == ([], [], [])


def test_two_different_runs_of_one_id(door: Door, same: Copies) -> None:
    ours, theirs = same
    closed(ours, ONE, text="one\n")
    closed(theirs, ONE, text="other\n")
    closed(theirs, TWO)
    before = tree(ours)
    said = door("lineage", "merge", theirs, cwd=ours)
    assert said.status == 1
    assert said.out == (
        f"conflict: {ONE}: closed in both copies, with different stdout.txt\nnothing was changed: 1 conflict\n"
    )
    assert tree(ours) == before


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda run: (run / "run.yaml").write_text((run / "run.yaml").read_text() + "#\n"), "run.yaml: found sha256:"),
        (lambda run: (run / "extra").write_text("x"), "extra: not listed in"),
        (lambda run: (run / "stdout.txt").unlink(), "stdout.txt: missing"),
        (lambda run: (run / "link").symlink_to("/etc/passwd"), "link: expected a file or a directory, found a link"),
        (lambda run: (run / "SHA256SUMS").write_text("x\n"), "SHA256SUMS, line 1: expected"),
        (lambda run: (run / "run.yaml").write_text("id: [\n"), "cannot be read there"),
    ],
)
def test_a_damaged_run_is_not_taken(
    door: Door, same: Copies, spoil: Callable[[Path], object], told: str
) -> None:  # fmt: skip
    ours, theirs = same
    closed(theirs, ONE)
    closed(theirs, TWO, text="text\n")
    spoil(theirs / "runs" / TWO)
    before = tree(ours)
    said = door("lineage", "merge", theirs, cwd=ours)
    assert said.status == 1
    assert said.out.startswith(f"conflict: {TWO}: ")
    assert told in said.out
    assert tree(ours) == before
    assert not (ours / ".entrenar/merge").exists()


def test_runs_that_together_make_a_cycle(door: Door, same: Copies) -> None:
    ours, theirs = same
    closed(ours, ONE, parents=(TWO,), lamport=1)
    closed(theirs, TWO, parents=(ONE,), lamport=1)
    before = tree(ours)
    said = door("lineage", "merge", theirs, cwd=ours)
    assert said.out.startswith(f"conflict: {ONE}: comes from itself: {ONE} -> {TWO} -> {ONE}\n")
    assert tree(ours) == before


def test_open_runs_are_left_out_and_named(door: Door, same: Copies) -> None:
    ours, theirs = same
    alive = start_run("alive", study=theirs)
    dead = start_run("dead", study=theirs)
    dead.log_metric("loss", 1.0)
    shutil.copytree(theirs / "runs" / dead.id, theirs / "runs" / "aside")
    dead.finish()
    shutil.rmtree(theirs / "runs" / dead.id)
    (theirs / "runs" / "aside").rename(theirs / "runs" / dead.id)  # as a crash would have left it
    said = door("lineage", "merge", theirs, cwd=ours)
    assert said.status == 0
    assert said.out == (
        f"left out: {alive.id}: still running there\n"
        f"left out: {dead.id}: open there: `entrenar-research runs recover {dead.id}` seals it\n"
        "no new run in the other copy\n"
    )
    assert door("runs", "recover", cwd=theirs).status == 0
    assert f"copied: {dead.id}" in door("lineage", "merge", theirs, cwd=ours).out
    alive.finish()


def test_a_run_that_was_copied_while_it_went_on(door: Door, world: World, same: Copies) -> None:
    """Recovered in the copy, completed where it ran: the whole one counts, in both directions."""
    ours, theirs = same
    run = start_run("long", study=theirs)
    run.log_metric("loss", 1.0)
    shutil.copytree(theirs / "runs" / run.id, ours / "runs" / run.id)
    run.log_metric("loss", 0.5)
    run.finish()
    for study in same:
        assert door("runs", "recover", cwd=study).status == 0
    assert RunFiles(ours).load(run.id).status == "lost"
    finished = tree(theirs / "runs" / run.id)
    assert door("lineage", "merge", ours, cwd=theirs).out == "no new run in the other copy\n"
    assert tree(theirs / "runs" / run.id) == finished
    said = door("lineage", "merge", theirs, cwd=ours)
    assert said.out == (
        f"replaced by theirs: {run.id}: recovered here, completed there\n1 run taken from the other copy\n"
    )
    assert tree(ours / "runs" / run.id) == finished
    whole(world, ours)
    assert door("lineage", "merge", theirs, cwd=ours).out == "no new run in the other copy\n"


def test_not_a_copy(door: Door, world: World, tiny: Path, tmp_path: Path) -> None:
    world.tool("init", tmp_path / "other", "--title", "Other", "--author", "A B", "--license", "MIT", cwd=tmp_path)
    message, hint = door("lineage", "merge", tmp_path / "other", cwd=tiny).complaint
    assert message == (
        f"{tmp_path / 'other'} is no copy of this study: no commit, no run and not the description are the same"
    )
    assert hint == "merge a clone of this study, or a copy of its directory"
    assert (
        door("lineage", "merge", ".", cwd=tiny)
        .complaint[0]
        .endswith("is this study itself: expected another copy of it")
    )
    assert door("lineage", "merge", tmp_path / "nowhere", cwd=tiny).status == 2
    assert "not inside a study" in door("lineage", "merge", tmp_path, cwd=tiny).complaint[0]


def test_a_clone(door: Door, world: World, tiny: Path, tmp_path: Path) -> None:
    """A clone has what is committed; the result it lacks is no obstacle, its runs are."""
    world.run("git", "clone", "-q", tiny, tmp_path / "clone", cwd=tmp_path)
    closed(tmp_path / "clone", ONE)
    said = door("lineage", "merge", tmp_path / "clone", cwd=tiny)
    assert (said.status, said.out) == (0, f"copied: {ONE}\n1 run taken from the other copy\n")


def test_a_full_disk(door: Door, same: Copies, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = same
    closed(theirs, ONE)
    before = tree(ours)
    with monkeypatch.context() as patch:

        def full(*given: object, **named: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patch.setattr(shutil, "copy2", full)
        message, hint = door("lineage", "merge", theirs, cwd=ours).complaint
    assert "No space left on device" in message
    assert hint == "free some space, then run the same command again: nothing was lost"
    assert tree(ours) == before
    assert door("lineage", "merge", theirs, cwd=ours).status == 0
    assert ONE in ids(ours)
    assert not (ours / ".entrenar/merge").exists()


def test_killed_before_every_step(world: World, copies: Copies, tmp_path: Path) -> None:
    """At no step does a kill leave a run in part, and what is left to do is done by the same command."""
    ours, theirs = copies
    shutil.copyfile(theirs / "experiments/line/params.yaml", ours / "experiments/line/params.yaml")
    # Children come first by id; one replaces what a crash has left here.
    first, second = "20261120T080000009Z-other-cccc", "20261120T080000000Z-other-dddd"
    closed(theirs, first)
    closed(theirs, second, parents=(first,), lamport=1)
    lost = RunRecord(
        id=first, experiment="other", status="running", tool="", runner="script", started="2026-11-20T08:00:00.000Z"
    )  # fmt: skip
    directory = RunFiles(ours).directory(first)
    directory.mkdir()
    (directory / "run.yaml").write_text(dump(lost))
    wanted = tree(theirs / "runs")
    before, here = ids(ours), tree(ours / "experiments/line/result")
    there = tree(theirs / "experiments/line/result")
    steps = int(world.run(sys.executable, "-c", KILLED, ours, theirs, tmp_path, cwd=tmp_path).stdout)
    assert 20 < steps < 199
    for step in range(steps):
        killed, again = tmp_path / f"killed-{step}", tmp_path / f"again-{step}"
        for run in (ids(killed) - before) | ({first} if RunFiles(killed).closed(first) else set()):
            assert tree(killed / "runs" / run) == tree(theirs / "runs" / run), step
        assert not RunFiles(killed).closed(second) or RunFiles(killed).closed(first), step  # parents come first
        assert tree(killed / "experiments/line/result") in (here, there), step
        assert {path: digest for path, digest in tree(again / "runs").items() if path in wanted} == wanted, step
        assert (again / "dvc.lock").read_text() == (theirs / "dvc.lock").read_text(), step
        assert not (again / ".entrenar/merge").exists(), step
