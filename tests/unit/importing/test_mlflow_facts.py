import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.foreign import mlflow_facts as facts
from entrenar_research.core.foreign.import_naming import experiment_name
from entrenar_research.store.study_files import check_name

POINTS = st.lists(
    st.tuples(st.integers(0, 2**40), st.floats(allow_nan=False), st.integers(-(2**40), 2**40)), max_size=20
)


@given(POINTS)
def test_a_file_of_lines_at_once_is_as_line_by_line(points: list[tuple[int, float, int]]) -> None:
    lines = [f"{time} {value} {step}" for time, value, step in points]
    found = facts.columns("".join(f"{line}\n" for line in lines).encode())
    assert found is not None
    assert list(zip(*found, strict=True)) == [(step, value, time * 10**6) for time, value, step in points]
    each = [facts.line(line) for line in lines]
    assert [(int(item.step), item.value, item.time) for item in each] == list(zip(*found, strict=True))


@pytest.mark.parametrize(
    "data", [b"1 2\n", b"1 2 3 4\n", b"1 x 3\n", b"a 1 1\n", b"1 2 3.5\n", b"1 2\n3 4 5 6\n", b"\n", b"\xff\xfe"]
)
def test_what_is_of_another_form_is_left_to_the_careful_reader(data: bytes) -> None:
    assert facts.columns(data) is None


@pytest.mark.parametrize("word", ["nan", "inf", "-inf", "1e309", "NaN", "Infinity"])
def test_values_that_are_no_finite_number(word: str) -> None:
    found = facts.columns(f"1 {word} 3".encode())
    assert found is not None
    assert not math.isfinite(found[1][0])
    assert repr(found[1]) == repr([facts.line(f"1 {word} 3").value])


def test_lines_of_older_and_newer_versions() -> None:
    assert facts.line("1500000000 0.5") == facts.Line(1_500_000_000 * 10**9, 0.5, "0", -1)
    assert facts.line("1500000000000 0.5").time == 1_500_000_000 * 10**9
    assert facts.line("1500000000000 0.5 7 data abc").more == 2
    assert facts.line("1 0.5 1.5").step == "1.5"
    for text in ("", "1", "1 2 3 4", "1 x 3", "x 1 3"):
        with pytest.raises(ValueError):
            facts.line(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", 0.1), ("12", 12), ("-3", -3), ("1e-05", 1e-05), ("True", True), ("False", False),
        ("1e5", "1e5"), ("007", "007"), ("1.0", 1.0), ("1.10", "1.10"), ("nan", "nan"), ("", ""), ("None", "None"),
        ("9" * 30, "9" * 30), ("1_000", "1_000"), ("+1", "+1"), ("true", "true"),
    ],
)  # fmt: skip
def test_parameters_become_numbers_only_where_nothing_is_lost(text: str, value: object) -> None:
    found = facts.param(text)
    assert (found, type(found)) == (value, type(value))


@given(st.text(max_size=40) | st.floats().map(str) | st.integers().map(str))
def test_a_parameter_can_always_be_had_back(text: str) -> None:
    assert str(facts.param(text)) == text


def test_tags_go_to_their_places() -> None:
    found = facts.sort_tags(
        {
            "mlflow.user": "ada", "mlflow.source.name": "/home/ada/train.py", "mlflow.source.git.commit": "c0ffee",
            "mlflow.source.git.repoURL": "https://x/ada", "mlflow.runName": "n", "mlflow.note.content": "text",
            "mlflow.parentRunId": "p", "mlflow.databricks.notebookPath": "/Users/ada@x", "mlflow.new": "?", "own": "v",
        }
    )  # fmt: skip
    assert found.kept == ["notes=text", "name=n", "own=v"]
    assert (found.parent, found.commit, found.program, found.unmapped) == ("p", "c0ffee", "train.py", ["mlflow.new"])
    assert found.personal == {
        "user name", "directory of the script", "address of the repository", "mlflow.databricks.notebookPath",
    }  # fmt: skip


@given(st.text(max_size=100))
def test_any_name_becomes_that_of_an_experiment(text: str) -> None:
    assert check_name(experiment_name(text, "mlflow"), "experiment")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("LoRA rank", "LoRA-rank"),
        ("Übung/1", "Ubung-1"),
        ("模型", "other"),
        ("", "other"),
        ("--x--", "x"),
        ("a" * 99, "a" * 64),
    ],
)
def test_names_of_experiments(text: str, name: str) -> None:
    assert experiment_name(text, "other") == name
