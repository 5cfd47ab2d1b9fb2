"""Results on disk, held against each other: links are not followed."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrenar_research.actions.reproducing import comparing


@pytest.fixture
def results(tmp_path: Path) -> tuple[Path, Path]:
    """Two results with the same file."""
    for name in ("one", "other"):
        (tmp_path / name / "below").mkdir(parents=True)
        (tmp_path / name / "below" / "same.txt").write_text("same")
    return tmp_path / "one", tmp_path / "other"


@pytest.mark.parametrize("target", ["/etc/hostname", "below/same.txt", "below", "nowhere"])
def test_links_are_what_they_point_at(results: tuple[Path, Path], target: str) -> None:
    one, other = results
    for place in results:
        (place / "link").symlink_to(target)
    assert comparing.differences(one, other) == ()
    (other / "link").unlink()
    (other / "link").symlink_to("elsewhere")
    [found] = comparing.differences(one, other)
    assert (found.file, found.one, found.other) == ("link", f"a link to {target}", "a link to elsewhere")


def test_a_link_to_the_same_bytes_is_no_file(results: tuple[Path, Path]) -> None:
    one, other = results
    (one / "x").write_text("same")
    (other / "x").symlink_to("below/same.txt")
    [found] = comparing.differences(one, other)
    assert (found.one, found.other) == ("a file", "a link to below/same.txt")


def test_a_directory_that_is_a_link_in_one_of_them(results: tuple[Path, Path]) -> None:
    one, other = results
    (other / "below").rename(other / "moved")
    (other / "below").symlink_to("moved")
    assert {item.file for item in comparing.differences(one, other)} == {
        "below", "below/same.txt", "moved/same.txt"
    }  # fmt: skip
