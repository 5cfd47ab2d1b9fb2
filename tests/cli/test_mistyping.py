"""Mistyped commands, verbs, options, values and names: what is wrong, and what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrenar_research.core.sweeps import suggest
from tests.cli.conftest import Door

ALL = (
    "there is: doctor, init, keys, experiment, env, run, status, sweep, runs, trace, golden, lineage, models, import,"
    " seal and 9 more"
)

GOLDEN = "promote, check, list, show, diff, retire or ci"


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("rnu", "no command named 'rnu'", "did you mean `run` or `runs`?"),
        ("RUN", "no command named 'RUN'", "did you mean `run`?"),
        ("exp", "no command named 'exp'", "did you mean `experiment`?"),
        ("xyzzy", "no command named 'xyzzy'", ALL),
        ("--hlep", "`entrenar-research` has no option --hlep", "did you mean `--help`?"),
        ("run --hlep", "`run` has no option --hlep", "did you mean `--help`?"),
        ("run line --forse", "`run` has no option --forse", "did you mean `--force`?"),
        ("run line --qqq=1", "`run` has no option --qqq", "see `entrenar-research run --help`"),
        ("run line -x", "`run` has no option -x", "see `entrenar-research run --help`"),
        ("golden check --rnu x", "`golden check` has no option --rnu", "did you mean `--run`?"),
        ("golden --format json check", "`golden` has no option --format", "see `entrenar-research golden --help`"),
        ("golden chekc", f"`golden`: VERB: found 'chekc', expected {GOLDEN}", "did you mean `check`?"),
        ("golden", "`golden` needs VERB", f"VERB is {GOLDEN}; see `entrenar-research golden --help`"),
        ("status --format xml", "`status`: --format: found 'xml', expected text or json",
         "see `entrenar-research status --help`"),
        ("status --format jsn", "`status`: --format: found 'jsn', expected text or json", "did you mean `json`?"),
        ("status --format", "`status`: --format needs a value", "see `entrenar-research status --help`"),
        ("status extra", "`status` takes no further words; found 'extra'", "see `entrenar-research status --help`"),
        ("run", "`run` needs NAME", "see `entrenar-research run --help`"),
        ("runs show", "`runs show` needs RUN", "usage: entrenar-research runs show [-h] [--format {text,json}] RUN"),
        ("run line -- ls", "`run` takes no command after `--`; found ls", "see `entrenar-research run --help`"),
        ("seal line -m x", "`seal`: KIND: found 'line', expected experiment, golden or sweep",
         "see `entrenar-research seal --help`"),
        ("seal experiment line -m -x", "`seal`: -m/--message needs a value",
         "if -x is meant as the value, write it as `--message=-x`"),
        ("keys new --valid-for -1y", "`keys new`: --valid-for needs a value",
         "if -1y is meant as the value, write it as `--valid-for=-1y`"),
        ("cite --format cf", "`cite`: --format: found 'cf', expected bibtex or cff", "did you mean `cff`?"),
        ("-C", "`entrenar-research`: -C needs a value", "see `entrenar-research --help`"),
        ("-C nowhere status", "-C nowhere: No such file or directory; expected a directory", ""),
    ],
)  # fmt: skip
def test_mistyped_words(words: str, message: str, hint: str, door: Door, tmp_path: Path) -> None:
    said = door(*words.split(), cwd=tmp_path)
    assert (said.status, said.out) == (2, "")
    assert said.complaint == (message, hint)


@pytest.mark.parametrize("name", ["lime", "LINE", "line/", "experiments/line", "experiments/line/", "../line", "li ne"])
def test_mistyped_experiments(name: str, door: Door, tiny: Path) -> None:
    said = door("run", name, cwd=tiny)
    assert said.status == 2
    assert said.complaint == (f"no experiment named {name!r}", "did you mean `line`?")


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("run zzz", "no experiment named 'zzz'", "there is: line"),
        ("runs list lien", "no experiment named 'lien'", "did you mean `line`?"),
        ("golden check lien", "no golden trace named 'lien'", "did you mean `line`?"),
        ("seal experiment lien -m x", "no experiment named 'lien'", "did you mean `line`?"),
        ("run line --set rat=1", "experiments/line/params.yaml: no parameter named 'rat'", "did you mean `rate`?"),
        ("run line --set rate", "'rate': expected KEY=VALUE, for example learning_rate=0.5", ""),
        ("init new --template digit --title T", "no template named 'digit'", "did you mean `digits`?"),
        ("bundle -o x.zip", "x.zip: expected a name that ends in .crate.zip", ""),
        ("verify nowhere", "nowhere: no such study or bundle", ""),
    ],
)
def test_mistyped_names_in_a_study(words: str, message: str, hint: str, door: Door, tiny: Path) -> None:
    said = door(*words.split(), cwd=tiny)
    assert said.status == 2
    assert said.complaint == (message, hint)


def test_an_empty_name(door: Door, tiny: Path) -> None:
    assert door("run", "", cwd=tiny).complaint == ("no experiment named ''", "there is: line")
    assert door("", cwd=tiny).complaint == ("no command named ''", ALL)


def test_the_list_is_short_and_says_what_is_left_out() -> None:
    names = [f"experiment-number-{number:03}" for number in range(40)]
    hint = suggest.unknown("experiment", "qqq", names).hint
    assert hint == "there is: " + ", ".join(names[:4]) + " and 36 more"


def test_the_list_of_an_unordered_collection_is_sorted() -> None:
    assert suggest.unknown("thing", "qqq", {"b", "a", "c"}).hint == "there is: a, b, c"
    assert suggest.unknown("thing", "qqq", (), remedy="make one").hint == "make one"
    assert suggest.unknown("thing", "qqq", ()).hint == "there is no thing yet"
