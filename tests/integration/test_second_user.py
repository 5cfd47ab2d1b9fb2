"""A second account on the machine, with nothing of the first one's, checks what it is handed."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import World
from tests.integration import accounts, job
from tests.integration.accounts import Account

OF_A_STUDY = ("data", "evidence", "history", "signatures", "replay")


@pytest.fixture(scope="module")
def reader() -> Iterator[Account]:
    """An account made for these tests, and removed after them."""
    with accounts.made() as account:
        yield account


def test_the_account_is_another_and_has_nothing_of_ours(reader: Account) -> None:
    assert reader.run("id", "-u").stdout.strip() not in ("0", "")
    assert set(reader.run("env").stdout.splitlines()) == {
        f"HOME={reader.home}",
        f"PATH={Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
    }


def test_ten_commands_from_a_script_to_a_strangers_verdict(world: World, reader: Account, tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    ada = job.newcomer(tmp_path / "ada", world)
    said = job.carry_out(ada, tmp_path)
    assert "lr" in said["runs compare"]
    assert "accuracy" in said["runs compare"]
    assert "Four groups" in (tmp_path / "groups/CITATION.cff").read_text()
    reader.give(tmp_path / "groups.crate.zip", "groups.crate.zip")
    for words in job.READER:
        assert "nothing is different or broken" in reader.tool(*words)
    assert len(job.AUTHOR) + len(job.READER) <= 10
    found = reader.verdicts("groups.crate.zip", "--replay")
    assert found == dict.fromkeys(("bundle", *OF_A_STUDY), frozenset({"identical"}))
    shutil.rmtree(tmp_path / "groups")
    study = reader.home / "a clone"
    reader.run("mkdir", study)
    reader.run("python", "-m", "zipfile", "-e", "groups.crate.zip", study)
    assert reader.verdicts(study, "--replay")["replay"] == {"identical"}


def test_a_moved_study_is_the_same_for_its_new_owner(tiny: Path, reader: Account) -> None:
    study = reader.give(tiny, "moved and renamed")
    found = reader.verdicts(cwd=study)
    assert found == dict.fromkeys(OF_A_STUDY, frozenset({"identical"}))
    assert "Data and pipelines are up to date" in reader.run("dvc", "repro", cwd=study).stdout
    assert "up to date" in reader.tool("run", "line", cwd=study)
    assert reader.run("git", "status", "--short", cwd=study).stdout == ""
    assert "same as a fresh run" in reader.tool("golden", "check", cwd=study)


def test_a_rerun_by_the_new_owner_gives_the_same_lock(tiny: Path, reader: Account) -> None:
    study = reader.give(tiny, "rerun")
    before = (study / "dvc.lock").read_bytes()
    reader.run("dvc", "repro", "--force", "line", cwd=study)
    assert (study / "dvc.lock").read_bytes() == before
    reader.tool("run", "line", "--force", "--quiet", cwd=study)
    assert (study / "dvc.lock").read_bytes() == before
    assert len(list((study / "runs").iterdir())) == 3
    assert "replay" in reader.verdicts(cwd=study)


def test_a_study_that_belongs_to_another_is_refused_with_the_way_out(tiny: Path, reader: Account) -> None:
    study = reader.home / "not mine"
    shutil.copytree(tiny, study, symlinks=True)
    study.chmod(0o755)
    done = reader.run("entrenar-research", "verify", study, status=2)
    assert "belongs to another user" in done.stderr
    assert "safe.directory" in done.stderr
    reader.run("git", "config", "--global", "--add", "safe.directory", str(study))
    assert reader.verdicts(study, "--no-replay")["signatures"] == {"identical"}


def test_a_study_that_may_only_be_read_can_be_verified(tiny: Path, reader: Account) -> None:
    study = reader.give(tiny, "read only")
    for path in (study, *study.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        found = reader.verdicts(cwd=study)
        assert found == dict.fromkeys(OF_A_STUDY, frozenset({"identical"}))
    finally:
        for path in (study, *study.rglob("*")):
            path.chmod(path.stat().st_mode | 0o200)


def test_a_file_that_may_not_be_read_is_named(tiny: Path, reader: Account) -> None:
    study = reader.give(tiny, "partly closed")
    (study / "experiments/line/result/curve.csv").chmod(0)
    report = json.loads(reader.tool("verify", "--no-replay", "--format", "json", cwd=study, status=1))
    wanting = {item["subject"]: item["detail"] for item in report["findings"] if item["verdict"] == "broken"}
    assert "cannot be read" in wanting["experiments/line/result/curve.csv"]
