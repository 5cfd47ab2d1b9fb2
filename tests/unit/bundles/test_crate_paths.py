import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.crates import paths as crate_paths


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a/..",
        "./a",
        "a//b",
        "a/",
        "a\\b",
        "..\\x",
        "C:x",
        "c:/x",
        "a\0b",
        "a\nb",
        "a\x1b[31m",
        "a\ud800",
        "x" * 256,
        "é" * 128,
        "a/" * 40_000 + "a",
    ],
)
def test_a_path_that_must_not_be_written_is_refused(path: str) -> None:
    assert crate_paths.path_problem(path)


@pytest.mark.parametrize(
    "path",
    ["a", ".gitignore", "a/b.c", "..a", "a..b/c", "a b", "日本/é#%?&.txt", "x" * 255, "-", "~", "ab:c"],
)
def test_an_ordinary_path_is_not(path: str) -> None:
    assert crate_paths.path_problem(path) is None


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_path_and_its_identifier_stand_for_each_other(path: str) -> None:
    if crate_paths.path_problem(path) is None:
        identifier = crate_paths.to_id(path)
        assert crate_paths.to_path(identifier) == path
        assert identifier.isascii()
        assert not set(identifier) & set(' #?"<>\\')


@pytest.mark.parametrize("identifier", ["#person-1", "https://example.org/a", "mailto:a@b", "urn:x"])
def test_what_is_no_file_has_no_path(identifier: str) -> None:
    assert crate_paths.to_path(identifier) is None


def test_an_encoded_escape_is_decoded_before_it_is_judged() -> None:
    path = crate_paths.to_path("%2e%2e/%2Fetc")
    assert path == "..//etc"
    assert crate_paths.path_problem(path)


@pytest.mark.parametrize(
    ("paths", "guilty"),
    [
        (["a", "b", "a"], {"a"}),
        (["a", "a/b"], {"a"}),
        (["x/y/z", "x/y", "x/q"], {"x/y"}),
        (["a", "ab", "a-b/c"], set()),
    ],
)
def test_collisions_are_named(paths: list[str], guilty: set[str]) -> None:
    assert {path for path, _ in crate_paths.collisions(paths)} == guilty


@given(st.text())
def test_a_shown_name_can_be_printed_on_one_line(text: str) -> None:
    shown = crate_paths.shown(text)
    shown.encode()
    assert not set(shown) & set("\n\r\x1b\x9b\u2028\u202e")
