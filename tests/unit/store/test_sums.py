from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from entrenar_research.models.verdict import Finding, Verdict
from entrenar_research.store import sums

FILES = {
    "run.yaml": "a",
    "trace/trace.json": "b",
    "odd\nname": "c",
    "back\\slash": "d",
    "x.part": "e",
    "sub/.gitignore": "f",
}


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    directory = tmp_path / "r"
    for path, text in FILES.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)
    (directory / ".gitignore").write_text("ours")
    (directory / "data.dvc").write_text("dvc's")
    (directory / ".run.yaml.123.part").write_text("left by a process that died")
    sums.close(directory)
    return directory


def verdicts(directory: Path) -> dict[str, Verdict]:
    return {item.subject: item.verdict for item in sums.check(directory, "runs/r", area="evidence")}


def test_everything_is_listed_and_sha256sum_agrees(closed: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", sums.NAME], cwd=closed, check=True)
    assert len((closed / sums.NAME).read_text().splitlines()) == len(FILES)
    assert sums.check(closed, "runs/r", area="evidence") == [
        Finding(area="evidence", subject="runs/r", verdict=Verdict.IDENTICAL, detail="6 files as listed in SHA256SUMS")
    ]


@pytest.mark.parametrize("path", FILES)
def test_a_flipped_bit_is_found_and_named(closed: Path, path: str, flip: Callable[[Path, int], None]) -> None:
    flip(closed / path, 0)
    assert verdicts(closed) == {f"runs/r/{path}": Verdict.DIFFERENT}


def test_missing_and_added_files_are_found_and_named(closed: Path) -> None:
    (closed / "trace/trace.json").unlink()
    (closed / "trace/more").touch()
    assert verdicts(closed) == {"runs/r/trace/trace.json": Verdict.BROKEN, "runs/r/trace/more": Verdict.BROKEN}


def test_a_pipe_in_place_of_a_file_is_not_waited_for(closed: Path) -> None:
    (closed / "run.yaml").unlink()
    os.mkfifo(closed / "run.yaml")
    assert verdicts(closed) == {"runs/r/run.yaml": Verdict.BROKEN}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text[:-1], "the last line is cut off"),
        (lambda text: text + "x\n", "line 7: expected `<64 hex digits>  <path>`, found 'x'"),
        (lambda text: text + text.splitlines()[0] + "\n", "line 7: expected"),
        (lambda text: text.replace("  ", " ", 1), "line 1: expected"),
        (lambda text: text.upper(), "line 1: expected"),
    ],
)
def test_a_damaged_list_is_broken(closed: Path, damage: Callable[[str], str], words: str) -> None:
    (closed / sums.NAME).write_text(damage((closed / sums.NAME).read_text()))
    (found,) = sums.check(closed, "runs/r", area="evidence")
    assert (found.subject, found.verdict) == ("runs/r/SHA256SUMS", Verdict.BROKEN)
    assert words in found.detail


def test_without_a_list_nothing_was_checked_unless_there_had_to_be_one(closed: Path) -> None:
    (closed / sums.NAME).unlink()
    assert verdicts(closed) == {"runs/r": Verdict.UNKNOWN}
    (found,) = sums.check(closed, "runs/r", area="evidence", closed=True)
    assert found.verdict is Verdict.BROKEN
