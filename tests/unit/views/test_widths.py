"""Texts take as many columns as a terminal gives them, and are cut between what it draws, not within."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from entrenar_research.views.terminal.tables import flat
from entrenar_research.views.terminal.widths import clusters, cut, visible, width

SAMPLES = {
    "": 0,
    "plain": 5,
    "日本語": 6,
    "ﾃｽﾄ": 3,
    "e\u0301te\u0301": 3,
    "각": 2,
    "\u1100\u1161\u11a8": 2,
    "مرحبا": 5,
    "שָׁלוֹם": 4,
    "👩‍👩‍👧‍👦": 2,
    "👍🏽": 2,
    "🇩🇪🇫🇷": 4,
    "❤️": 2,
    "1️⃣": 2,
    "a\u200bb": 2,
    "soft\xadhyphen": 11,
}


@pytest.mark.parametrize(("text", "columns"), SAMPLES.items())
def test_samples(text: str, columns: int) -> None:
    assert width(text) == columns


@pytest.mark.parametrize("text", [text for text in SAMPLES if "\xad" not in text])
def test_rich_counts_the_same(text: str) -> None:
    if cell_len("👩‍👩‍👧‍👦") != 2:
        pytest.skip("this version of rich does not know joined emoji")
    assert cell_len(text) == width(text)


@given(st.text())
def test_clusters_are_the_text(text: str) -> None:
    found = list(clusters(text))
    assert "".join(cluster for cluster, _ in found) == text
    assert all(cluster and 0 <= columns <= 2 for cluster, columns in found)
    assert width(text) == sum(columns for _, columns in found)


@given(st.text(), st.integers(0, 30))
def test_what_is_cut_fits_and_is_the_beginning(text: str, columns: int) -> None:
    found = cut(text, columns)
    assert width(found) <= columns
    if width(text) <= columns:
        assert found == text
    elif columns:
        assert found.endswith("…")
        assert text.startswith(found.removesuffix("…"))


@given(st.text(), st.integers(4, 30))
def test_no_room_is_wasted_and_no_mark_is_torn_off(text: str, columns: int) -> None:
    found = cut(text, columns)
    if found == text:
        return
    kept = found.removesuffix("…")
    assert width(found) >= columns - 2
    following = text[len(kept)]
    assert not unicodedata.combining(following) or not kept


@given(st.text())
def test_nothing_commands_the_terminal(text: str) -> None:
    for letter in visible(text):
        assert letter in "\t\n" or unicodedata.category(letter) != "Cc"
        assert letter not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    assert "\n" not in flat(text)
    assert "\t" not in flat(text)
