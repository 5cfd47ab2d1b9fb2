"""Where a file may be asked for: what writes one makes no directory for it, and says so before any work is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import World

WRITERS = [
    ("golden", "check", "line", "--junit"),
    ("golden", "check", "line", "--markdown"),
    ("trace", "check", "line", "--junit"),
    ("trace", "check", "line", "--markdown"),
    ("trace", "export", "line", "--csv"),
    ("trace", "export", "line", "--chrome"),
    ("cite", "-o"),
    ("lineage", "graph", "--format", "text", "--out"),
    ("runs", "plot", "--metric", "loss", "--out"),
    ("models", "allow", "data/points.csv", "--reason", "A test.", "--out"),
    ("bundle", "-o"),
]
ENDINGS = {"plot": ".svg", "bundle": ".crate.zip"}


def files_of(study: Path) -> list[Path]:
    """All but the disposable ones."""
    return [path for path in sorted(study.rglob("*")) if ".entrenar" not in path.parts]


def told(world: World, study: Path, words: tuple[str, ...], place: str) -> str:
    ending = next((ending for word, ending in ENDINGS.items() if word in words), ".txt")
    before = files_of(study)
    done = world.tool(*words, f"{place}{ending}", cwd=study, status=2)
    assert files_of(study) == before
    assert done.stdout == ""
    return done.stderr.replace(ending, "")


@pytest.mark.parametrize("words", WRITERS, ids=" ".join)
def test_no_directory_is_made_for_a_file(world: World, tiny: Path, words: tuple[str, ...]) -> None:
    error = "error: no where/x: there is no directory no where\nhint: make it first: mkdir -p 'no where'\n"
    assert told(world, tiny, words, "no where/x") == error
    error = "error: study.yaml/x: study.yaml is a file, expected a directory\n"
    assert told(world, tiny, words, "study.yaml/x") == error


def test_a_name_of_the_shell_s_is_written_to(world: World, tiny: Path) -> None:
    said = world.tool("cite", "--format", "bibtex", "-o", "/dev/stdout", cwd=tiny).stdout
    assert said.startswith("@")
    assert Path("/dev/stdout").is_symlink()
