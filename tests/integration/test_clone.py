"""A clone with its data from a DVC remote is as good as the original, and as strict."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from entrenar_research.models.verdict import Verdict
from tests.conftest import World
from tests.integration.checking import Flipped, check, flips, names, passes, verdicts

RESULT = "experiments/line/result"
TAGS = {"tag experiment/line/v1", "tag golden/line/v1"}
CLASSES = (
    f"{RESULT}/metrics.json", f"{RESULT}/curve.csv", "data/points.csv", "data/points.csv.dvc", "dvc.lock",
    "experiments/line/train.py", "runs/*/run.yaml", "runs/*/SHA256SUMS", "runs/*/trace/calls.trace",
    "golden_traces/line/line.json", "golden_traces/line/golden.yaml", "keys/allowed_signers", "study.yaml",
)  # fmt: skip


@pytest.fixture(scope="module")
def pulled(_shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the sealed study, its data fetched from a DVC remote; made once."""
    base = tmp_path_factory.mktemp("cloned")
    world = World(_shared / "home")
    shutil.copytree(_shared / "tiny", base / "origin", symlinks=True)
    world.run("dvc", "remote", "add", "-q", "-d", "store", str(base / "store"), cwd=base / "origin")
    world.run("git", "commit", "-q", "-a", "-m", "Where the data is", cwd=base / "origin")
    world.run("dvc", "push", "-q", cwd=base / "origin")
    world.run("git", "clone", "-q", base / "origin", base / "clone", cwd=base)
    world.run("dvc", "pull", "-q", cwd=base / "clone")
    shutil.rmtree(base / "origin")
    return base / "clone"


@pytest.fixture
def clone(pulled: Path, tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)
    shutil.copytree(pulled, tmp_path / "of another name", symlinks=True)
    return tmp_path / "of another name"


def test_a_clone_verifies_tags_and_replay_included(clone: Path, world: World) -> None:
    report = check(clone, replay=True)
    assert {finding.verdict for finding in report.findings} == {Verdict.IDENTICAL}
    assert set(verdicts(report, "signatures")) == TAGS
    assert f"{RESULT}/metrics.json" in verdicts(report, "replay")
    assert "up to date" in world.run("dvc", "repro", cwd=clone).stdout
    assert "up to date" in world.tool("run", "line", cwd=clone).stdout


def test_a_clone_without_its_data_is_found_wanting_and_told_how_to_get_it(clone: Path, world: World) -> None:
    (clone / "data/points.csv").unlink()
    shutil.rmtree(clone / RESULT)
    report = check(clone)
    found = verdicts(report, "data")
    assert (found["data/points.csv"], found[f"{RESULT}/metrics.json"]) == (Verdict.BROKEN, Verdict.BROKEN)
    assert names(report, "dvc pull")
    world.run("dvc", "checkout", "-q", cwd=clone)
    assert passes(check(clone))


@pytest.mark.parametrize("pattern", CLASSES)
def test_a_flip_in_a_clone_is_found_and_the_file_named(pattern: str, clone: Path) -> None:
    (path,) = clone.glob(pattern)
    subject = path.relative_to(clone).as_posix()
    for place, mask in flips(path.read_bytes(), 3, pattern):
        with Flipped(path, place, mask):
            report = check(clone)
        assert names(report, subject), (place, mask, report.wanting)
    assert passes(check(clone))


def test_a_flip_in_what_the_clone_fetched_of_the_tags_is_found(clone: Path) -> None:
    """A clone has its references packed; its objects are loose or packed, as Git likes."""
    references = clone / ".git/packed-refs"
    text = references.read_text()
    place = text.index("refs/tags/experiment") - 10
    another_digit, no_digit = 2 if text[place] in "af" else 1, 0x40
    with Flipped(references, place, another_digit):
        assert names(check(clone), "tag experiment/line/v1")
    with Flipped(references, place, no_digit):
        assert names(check(clone), "unexpected line in .git/packed-refs")
    for path in sorted((clone / ".git/objects").rglob("*.pack")):
        with Flipped(path, path.stat().st_size // 2):
            assert names(check(clone), path.name)
    assert passes(check(clone))


def test_a_clone_without_tags_says_that_nobody_vouches(clone: Path, world: World) -> None:
    """It passes, with the word `unknown`; not if the reader has said whose signature there has to be."""
    world.run("git", "tag", "-d", "experiment/line/v1", "golden/line/v1", cwd=clone)
    report = check(clone)
    assert passes(report)
    assert verdicts(report, "signatures") == {"line": Verdict.UNKNOWN, "golden_traces/line": Verdict.UNKNOWN}
    strict = check(clone, trusted=clone / "keys/allowed_signers")
    assert verdicts(strict, "signatures") == {"line": Verdict.BROKEN, "golden_traces/line": Verdict.BROKEN}


def test_a_flip_in_the_remote_does_not_get_past_dvc_or_verify(clone: Path, pulled: Path, world: World) -> None:
    store = clone.parent / "store"
    shutil.copytree(pulled.parent / "store", store)
    world.run("dvc", "remote", "modify", "--local", "store", "url", str(store), cwd=clone)
    digest = (clone / "data/points.csv.dvc").read_text().split("md5: ")[1].split()[0]
    (stored,) = store.rglob(digest[2:])
    shutil.rmtree(clone / ".dvc/cache")
    (clone / "data/points.csv").unlink()
    with Flipped(stored, 3):
        world.run("dvc", "pull", "-q", "data/points.csv", cwd=clone, status=None)
    assert names(check(clone), "data/points.csv")
