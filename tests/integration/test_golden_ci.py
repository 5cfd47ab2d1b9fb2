"""`golden ci`: files are shown or written, never over what somebody changed; the hook refuses a commit for real."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import World

PLACES = {
    "github": ".github/workflows/golden.yml",
    "gitlab": ".gitlab-ci.yml",
    "pre-commit": ".pre-commit-config.yaml",
    "hook": ".git/hooks/pre-commit",
}


@pytest.mark.parametrize("provider", sorted(PLACES))
def test_it_is_shown_then_written_then_left_alone(provider: str, world: World, tiny: Path) -> None:
    place = tiny / PLACES[provider]
    shown = world.tool("golden", "ci", "--provider", provider, cwd=tiny).stdout
    assert not place.exists()
    assert (
        world.tool("golden", "ci", "--provider", provider, "--write", cwd=tiny).stdout == f"wrote {PLACES[provider]}\n"
    )
    assert place.read_text() == shown
    assert os.access(place, os.X_OK) is (provider == "hook")
    again = world.tool("golden", "ci", "--provider", provider, "--write", cwd=tiny)
    assert again.stdout == f"{PLACES[provider]} is up to date\n"
    place.write_text(shown + "# mine\n")
    refused = world.tool("golden", "ci", "--provider", provider, "--write", cwd=tiny, status=2)
    assert f"{PLACES[provider]} is there already, and is not as `golden ci` writes it" in refused.stderr
    assert place.read_text() == shown + "# mine\n"


def test_what_it_wrote_before_is_brought_up_to_date(world: World, tiny: Path) -> None:
    world.tool("golden", "ci", "--provider", "github", "--write", cwd=tiny)
    before = (tiny / PLACES["github"]).read_text()
    assert "-r requirements.txt" not in before
    (tiny / "requirements.txt").write_text("numpy\n")
    done = world.tool("golden", "ci", "--provider", "github", "--write", cwd=tiny)
    assert done.stdout == "wrote .github/workflows/golden.yml\n"
    assert "-r requirements.txt" in (tiny / PLACES["github"]).read_text()


def test_hooks_go_where_git_looks_for_them(world: World, tiny: Path, tmp_path: Path) -> None:
    world.run("git", "config", "core.hooksPath", tmp_path / "hooks", cwd=tiny)
    done = world.tool("golden", "ci", "--provider", "hook", "--write", cwd=tiny)
    assert done.stdout == "wrote pre-commit\n"
    assert os.access(tmp_path / "hooks" / "pre-commit", os.X_OK)


def test_an_unknown_provider_is_refused(world: World, tiny: Path) -> None:
    done = world.tool("golden", "ci", "--provider", "gitub", cwd=tiny, status=2)
    assert "did you mean `github`?" in done.stderr


def test_a_commit_is_refused_when_a_golden_trace_does_not_hold(world: World, tiny: Path) -> None:
    world.tool("golden", "ci", "--provider", "hook", "--write", cwd=tiny)
    head = world.run("git", "rev-parse", "HEAD", cwd=tiny).stdout
    script = tiny / "experiments" / "line" / "train.py"
    honest = script.read_text()
    script.write_text(honest.replace("weight, rows", 'open("data/points.csv.dvc").read()\nweight, rows', 1))
    refused = world.run("git", "commit", "-qam", "One more file is read", cwd=tiny, status=1)
    assert "data/points.csv.dvc" in refused.stdout + refused.stderr
    assert world.run("git", "rev-parse", "HEAD", cwd=tiny).stdout == head
    script.write_text(honest + "# a comment changes no behaviour\n")
    world.run("git", "commit", "-qam", "A comment", cwd=tiny)
    assert world.run("git", "rev-parse", "HEAD~1", cwd=tiny).stdout == head
