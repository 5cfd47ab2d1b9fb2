"""The way through the house on a small study: each command for real."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import World


def test_sealed_study_verifies_with_replay(world: World, tiny: Path) -> None:
    report = json.loads(world.tool("verify", "--format", "json", cwd=tiny).stdout)
    assert report["passed"]
    assert set(report["counts"]) == {"identical"}
    replayed = {item["subject"] for item in report["findings"] if item["area"] == "replay"}
    assert replayed == {
        "experiments/line/result/curve.csv",
        "experiments/line/result/metrics.json",
        "line: loss",
        "line: weight",
    }


def test_moved_study_is_up_to_date_for_dvc_and_for_us(world: World, tiny: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "of another name"
    moved.parent.mkdir()
    tiny.rename(moved)
    assert "up to date" in world.run("dvc", "repro", cwd=moved).stdout
    assert "up to date" in world.tool("run", "line", cwd=moved).stdout
    assert "up to date" in world.tool("status", cwd=moved).stdout
    assert world.run("git", "status", "--short", cwd=moved).stdout == ""


def test_golden_trace_is_the_same_again(world: World, tiny: Path) -> None:
    assert "same as a fresh run" in world.tool("golden", "check", cwd=tiny).stdout


def test_golden_check_shows_the_first_divergence(world: World, tiny: Path) -> None:
    code = tiny / "experiments/line/train.py"
    code.write_text(code.read_text().replace("print(f", 'open(os.path.join(out, "extra"), "w").close()\nprint(f'))
    done = world.tool("golden", "check", "line", cwd=tiny, status=1)
    assert "differs from a fresh run" in done.stdout
    assert "extra" in done.stdout


def test_bundle_verifies_without_the_repository(world: World, tiny_bundle: Path, tmp_path: Path) -> None:
    apart = tmp_path / "apart"
    apart.mkdir()
    done = world.tool("verify", tiny_bundle, "--replay", "--format", "json", cwd=apart)
    report = json.loads(done.stdout)
    assert set(report["counts"]) == {"identical"}
    assert {"bundle", "data", "evidence", "history", "signatures", "replay"} == {
        item["area"] for item in report["findings"]
    }


def test_code_of_a_bundle_is_not_run_without_consent(world: World, tiny_bundle: Path) -> None:
    report = json.loads(world.tool("verify", tiny_bundle, "--format", "json", cwd=tiny_bundle.parent).stdout)
    replay = [item for item in report["findings"] if item["area"] == "replay"]
    assert [(item["verdict"], item["detail"]) for item in replay] == [("unknown", "not replayed: no consent")]


def test_bundle_is_the_same_twice_and_from_a_clone(world: World, tiny: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.crate.zip"
    world.tool("bundle", "-o", again, cwd=tiny)
    assert again.read_bytes() == tiny_bundle.read_bytes()
