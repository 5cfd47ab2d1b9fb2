"""Help: every command, verb and option explained, readable at every width."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from entrenar_research.cli import front
from tests.cli.conftest import Door

COMMANDS = list(front.COMMANDS)


def parsers(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    found = [parser]
    for action in parser._actions:
        if action.nargs == argparse.PARSER and isinstance(action.choices, dict):
            found += [part for verb in action.choices.values() for part in parsers(verb)]
    return found


def test_commands_come_in_the_order_of_work(door: Door, tmp_path: Path) -> None:
    said = door("help", cwd=tmp_path)
    assert said.status == 0
    groups = re.findall(r"^([a-z ]+):\n((?:  \S.*\n)+)", said.out, re.MULTILINE)
    shown = {title: [line.split()[0] for line in lines.splitlines()] for title, lines in groups}
    assert shown.pop("options") == ["-h,", "-V,", "-C"]
    assert list(shown) == ["begin", "work", "hand over", "besides"]
    order = [name for names in shown.values() for name in names]
    assert order == COMMANDS
    for earlier, later in (("init", "experiment"), ("experiment", "run"), ("run", "seal"), ("seal", "bundle")):
        assert order.index(earlier) < order.index(later)
    assert "exit codes: 0 done, 1 checked and found wanting, 2 usage," in said.out


def test_no_words_at_all_is_a_usage_error_with_help(door: Door, tmp_path: Path) -> None:
    said = door(cwd=tmp_path)
    assert (said.status, said.out) == (2, "")
    assert said.err == door("--help", cwd=tmp_path).out


@pytest.mark.parametrize("name", COMMANDS)
def test_everything_is_explained(name: str) -> None:
    for parser in parsers(front.command_parser(name)):
        assert parser.description, parser.prog
        for action in parser._actions:
            assert action.help or action.nargs == argparse.PARSER, f"{parser.prog} {action.dest}"


@pytest.mark.parametrize("columns", [60, 100, 200])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits(name: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for parser in parsers(front.command_parser(name)):
        text = parser.format_help()
        assert "positional arguments" not in text
        _, _, rest = text.partition("\n\n")  # argparse lays out the usage
        for line in rest.splitlines():
            example = line.startswith("  entrenar-research ")
            assert len(line) <= (120 if example else min(columns, 102)), line


@pytest.mark.parametrize(
    ("words", "same"),
    [
        (["help", "run"], ["run", "--help"]),
        (["-h", "run"], ["run", "-h"]),
        (["help", "golden", "check"], ["golden", "check", "--help"]),
        (["--help"], ["help"]),
    ],
)
def test_ways_to_ask_for_help(words: list[str], same: list[str], door: Door, tmp_path: Path) -> None:
    said = door(*words, cwd=tmp_path)
    assert said.status == 0
    assert said.out.startswith("usage: entrenar-research")
    assert said == door(*same, cwd=tmp_path)


def test_help_for_a_mistyped_command(door: Door, tmp_path: Path) -> None:
    said = door("help", "rnu", cwd=tmp_path)
    assert said.status == 2
    assert said.complaint == ("no command named 'rnu'", "did you mean `run` or `runs`?")


def test_verbs_stand_before_options(door: Door, tmp_path: Path) -> None:
    text = door("golden", "--help", cwd=tmp_path).out
    verbs = re.search(r"^verbs:\n((?: .*\n)+)\noptions:", text, re.MULTILINE)
    assert verbs is not None
    named = re.findall(r"^  (\w+) ", verbs[1], re.MULTILINE)
    assert named == ["promote", "check", "list", "show", "diff", "retire", "ci"]
