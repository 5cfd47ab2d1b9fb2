from __future__ import annotations

import datetime
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenar_research.core import recipe
from entrenar_research.errors import UsageError
from entrenar_research.models.run import Environment, FileDigest, RunRecord

PARAMS = {"lr": 1e-4, "flag": True, "none": None, "two words": "a b", "deep": {"n": 3, "list": [1, 2]}}


def expand(command: str, *, seed: int | None = 7, params_file: str | None = "p.yaml") -> list[str]:
    return recipe.expand(
        command, result="r", params_file=params_file, seed=seed, params=recipe.dotted(PARAMS)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("python a.py", ["python", "a.py"]),
        ("x ${result} ${params} ${seed}", ["x", "r", "p.yaml", "7"]),
        ("x --out=${result}/m --s${seed}${seed}", ["x", "--out=r/m", "--s77"]),
        ("x ${params.lr} ${params.flag} ${params.none} ${params.deep.n}", ["x", "0.0001", "true", "", "3"]),
        ("x ${params.deep.list}", ["x", "[1, 2]"]),
        ("x '${params.two words}'", ["x", "a b"]),
        ("x \"a b\" 'c d' e\\ f ''", ["x", "a b", "c d", "e f", ""]),
        (
            "x $HOME $(ls) `ls` * > y | z ; & {}",
            ["x", "$HOME", "$(ls)", "`ls`", "*", ">", "y", "|", "z", ";", "&", "{}"],
        ),
        ("x $", ["x", "$"]),
    ],
)
def test_a_command_becomes_words_without_a_shell(command: str, words: list[str]) -> None:
    assert expand(command) == words


@pytest.mark.parametrize(
    ("command", "message", "hint"),
    [
        ("x ${reslt}", "command: no placeholder named 'reslt'", "result"),
        ("x ${params.deep}", "command: no placeholder named 'params.deep'", "params.deep.n"),
        ("x ${}", "command: no placeholder named ''", "there is"),
        ("x ${HOME}", "command: no placeholder named 'HOME'", "there is"),
        ("x 'y", 'command "x \'y": no closing quotation', ""),
        ("  ", "the command is empty", ""),
    ],
)
def test_what_cannot_be_expanded_is_named(command: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        expand(command)
    assert caught.value.message == message
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("place", ["seed", "params"])
def test_a_placeholder_for_what_is_not_declared_is_unknown(place: str) -> None:
    with pytest.raises(UsageError, match=f"no placeholder named '{place}'"):
        expand(f"x ${{{place}}}", seed=None, params_file=None)


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_the_words_of_a_command_survive_its_line(words: list[str]) -> None:
    words = [word.replace("${", "$") for word in words]
    assert expand(recipe.command_line(words)) == words


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["x", "${result}", "--lr=${params.lr}", "-s${seed}"], "x ${result} --lr=${params.lr} -s${seed}"),
        (["x", "--a=b c", "}'", ""], "x '--a=b c' '}'\"'\"'' ''"),
        (["x", "${params.two words}", "${result}/it's"], "x '${params.two words}' '${result}/it'\"'\"'s'"),
        (["x", "$HOME", "${result}*"], "x '$HOME' '${result}*'"),
    ],
)
def test_placeholders_stand_bare_where_they_can(words: list[str], line: str) -> None:
    assert recipe.command_line(words) == line
    assert expand(line) == [
        word.replace("${result}", "r").replace("${params.lr}", "0.0001").replace("${seed}", "7")
        .replace("${params.two words}", "a b") for word in words
    ]  # fmt: skip


def item(path: str, digest: str) -> FileDigest:
    return FileDigest(path=path, digest=f"sha256:{digest * 64}", md5="0", size=1)


OLD = RunRecord(
    id="1",
    experiment="e",
    status="completed",
    tool="t",
    runner="host",
    started="2025-01-01T00:00:00.000Z",
    command="python a.py",
    seed=1,
    params={"lr": 0.1, "deep": {"n": 1, "gone": 2}, "layers": [1, 2]},
    code=(item("a.py", "a"),),
    inputs=(item("data/x", "b"), item("data/y", "c")),
    environment=Environment(
        program="python",
        python="3.11.2",
        packages={"numpy": "1.26.4", "scipy": "1.14"},
        packages_scope="loaded",
        variables={"TZ": "UTC"},
    ),
)

CHANGES: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({}, ()),
    ({"id": "2", "started": "later", "duration": 3.0, "git": None, "tool": "u"}, ()),
    ({"command": "python b.py"}, ("command: python a.py -> python b.py",)),
    ({"seed": 2}, ("seed: 1 -> 2",)),
    ({"seed": None}, ("seed: 1 -> None",)),
    (
        {"params": {"lr": 0.2, "deep": {"n": 1, "new": None}, "layers": [1, 2, 3]}},
        (
            "parameter deep.gone: 2 -> absent",
            "parameter deep.new: absent -> None",
            "parameter layers: [1, 2] -> [1, 2, 3]",
            "parameter lr: 0.1 -> 0.2",
        ),
    ),
    ({"code": (item("a.py", "d"),)}, ("code a.py: aaaaaaaaaaaa -> dddddddddddd",)),
    (
        {"code": (item("b.py", "a"),)},
        ("code a.py: aaaaaaaaaaaa -> absent", "code b.py: absent -> aaaaaaaaaaaa"),
    ),
    ({"inputs": (item("data/y", "c"),)}, ("input data/x: bbbbbbbbbbbb -> absent",)),
    ({"inputs": (item("data/x", "b"), item("data/y", "e"))}, ("input data/y: cccccccccccc -> eeeeeeeeeeee",)),
    ({"inputs": (item("data/y", "c"), item("data/x", "b"))}, ()),
]  # fmt: skip
SURROUNDINGS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"python": "3.12.0"}, ("environment: Python 3.11.2 -> 3.12.0",)),
    ({"packages": {"numpy": "2.0"}}, ("environment numpy: 1.26.4 -> 2.0", "environment scipy: 1.14 -> absent")),
    ({"packages": {"numpy": "1.26.4", "scipy": "1.14", "new": "1"}}, ()),
    ({"variables": {"TZ": "CET", "LC_ALL": "C"}}, ("environment LC_ALL: absent -> C", "environment TZ: UTC -> CET")),
]


@pytest.mark.parametrize(("changes", "words"), CHANGES)
def test_every_change_has_its_words(changes: dict[str, Any], words: tuple[str, ...]) -> None:
    new = msgspec.structs.replace(OLD, **changes)
    assert recipe.differences(OLD, new) == words
    assert (recipe.digest(OLD) == recipe.digest(new)) == (not words)


@pytest.mark.parametrize(("changes", "words"), SURROUNDINGS)
def test_every_change_of_the_environment_has_its_words(changes: dict[str, Any], words: tuple[str, ...]) -> None:
    assert OLD.environment is not None
    new = msgspec.structs.replace(OLD, environment=msgspec.structs.replace(OLD.environment, **changes))
    assert recipe.differences(OLD, new) == words
    assert recipe.digest(OLD) != recipe.digest(new)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, False),
        (1, True, False),
        ("1", 1, False),
        ("true", True, False),
        (math.nan, math.nan, True),
        (math.inf, -math.inf, False),
    ],
)
def test_values_of_another_type_are_other_values(one: Any, other: Any, same: bool) -> None:
    first, second = (msgspec.structs.replace(OLD, params={"a": value}) for value in (one, other))
    assert (recipe.differences(first, second) == ()) is same
    assert (recipe.digest(first) == recipe.digest(second)) is same


def test_a_date_read_from_params_is_the_one_that_was_recorded() -> None:
    now = msgspec.structs.replace(OLD, params={"day": datetime.date(2001, 2, 3)})
    recorded = msgspec.structs.replace(OLD, params={"day": "2001-02-03"})
    assert recipe.differences(recorded, now) == ()
    assert recipe.digest(recorded) == recipe.digest(now)


def test_nested_parameters_have_dotted_names() -> None:
    nested = {"a": {"b": {"c": 1}, "d": [{"e": 2}]}, "empty": {}, "f": None}
    assert recipe.dotted(nested) == {"a.b.c": 1, "a.d": [{"e": 2}], "empty": {}, "f": None}
