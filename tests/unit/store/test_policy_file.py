"""`renacer.toml`: both reports' files as they are, and every mistake with its line."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.errors import InvalidFileError
from entrenar_research.models.policy import TracePolicy
from entrenar_research.store import policy_file
from entrenar_research.store.policy_file import parse
from entrenar_research.store.toml_lines import Lines
from entrenar_research.store.toml_lines import Path as Place
from tests.report_policies import SCRIPTING, SECTIONS, TRAINING


def test_the_training_report_s_file_loads_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "renacer.toml").write_text(TRAINING + SECTIONS)
    found = policy_file.load(tmp_path)
    first, budget, memory, god, loop, strict = found.assertions
    assert (first.name, first.max_duration_ms, first.line) == ("training_iteration_latency", 2000, 2)
    assert (budget.max_spans, budget.fail_on_violation, budget.line) == (10_000, True, 8)
    assert (memory.max_bytes, memory.tracking_mode) == (1 << 31, "allocations")
    assert (god.pattern, god.threshold, god.fail_on_violation) == ("GodProcess", 0.8, False)
    assert (loop.pattern, loop.threshold) == ("TightLoop", 0.7)
    assert (strict.enabled, strict.line) == (False, 35)
    assert found.lamport_clock.env_var == "RENACER_LAMPORT_CLOCK"
    assert (found.compression.algorithm, found.compression.level) == ("rle", None)
    assert found.semantic_equivalence.expected_speedup_max == 10.0
    assert (found.otlp.endpoint, found.otlp.service_name) == ("http://localhost:4317", "entrenar")
    assert (found.ci.fail_fast, found.ci.export_path) == (True, "target/renacer-reports")


def test_the_scripting_report_s_file_loads_as_it_is() -> None:
    found = parse(SCRIPTING, "renacer.toml")
    limits = [item.max_duration_ms or item.max_spans or item.max_bytes or item.threshold for item in found.assertions]
    assert limits == [500, 2000, 524_288_000, 0.8, 0.7, 100]
    assert found.ci == TracePolicy().ci


def test_a_study_without_a_file_has_the_defaults(tmp_path: Path) -> None:
    assert policy_file.load(tmp_path) == TracePolicy()
    assert parse("", "renacer.toml") == TracePolicy()


def test_both_names_of_the_clock_are_known() -> None:
    for name in ("RENACER_LOGICAL_CLOCK", "RENACER_LAMPORT_CLOCK"):
        assert parse(f'[lamport_clock]\nenv_var = "{name}"', "x").lamport_clock.env_var == name


def test_an_anti_pattern_without_a_threshold_has_the_default_one() -> None:
    text = '[[assertion]]\nname = "a"\ntype = "anti_pattern"\npattern = "ThreadImbalance"\n'
    assert parse(text, "x").assertions[0].threshold == 0.8


SPAN = '[[assertion]]\nname = "a"\ntype = "span_count"\nmax_spans = 5\n'
PATTERN = '[[assertion]]\nname = "a"\ntype = "anti_pattern"\npattern = "TightLoop"\n'
MISTAKES = [
    ("a = [1, 2\nb = 3", 2, "not valid TOML"),
    ("[ci]\nfail_fast = true\nfail_fast = false\n", 3, "not valid TOML"),
    ("# x\n\nname = ", 3, "not valid TOML"),
    ("\n[compresion]\n", 2, "unknown section `compresion`"),
    ("[ci]\nfail_fast = true\n\n[ci.more]\nx = 1", 4, "unknown key `more` of [ci]"),
    ("speed = 3", 1, "unknown key `speed`"),
    ("[ci]\n# a note\nfail_fats = true", 3, "unknown key `fail_fats` of [ci]"),
    ("ci = 3", 1, "expected a section"),
    ('[ci]\n\nfail_fast = "yes"', 3, "`fail_fast` is 'yes', expected true or false"),
    ('[ci]\nexport_format = "xml"', 2, "unknown export_format `xml`"),
    ('[ci]\nexport_path = "../up"', 2, "expected a path below"),
    ('[ci]\nexport_path = "/abs"', 2, "expected a path below"),
    ('[compression]\nalgorithm = "gzip"', 2, "unknown algorithm `gzip`"),
    ('[compression]\nalgorithm = "zstd"\nlevel = 23', 3, "expected a level from 1 to 22 for zstd"),
    ('[compression]\nalgorithm = "lz4"\nlevel = 10', 3, "expected a level from 1 to 9 for lz4"),
    ("[compression]\nlevel = 0", 2, "expected a level from 1 to 22"),
    ("[compression]\nlevel = true", 2, "expected a whole number"),
    ("[compression]\nmin_file_size_kb = -1", 2, "expected 0 or more"),
    ("[semantic_equivalence]\nmin_confidence = 1.5", 2, "expected a number from 0 to 1"),
    ("[semantic_equivalence]\nmin_confidence = nan", 2, "expected a number from 0 to 1"),
    ("[semantic_equivalence]\nexpected_speedup_min = 2\nexpected_speedup_max = 1", 3, "at least expected_speedup_min"),
    ('[lamport_clock]\nenv_var = "CLOCK"', 2, "RENACER_LOGICAL_CLOCK or RENACER_LAMPORT_CLOCK"),
    ('[otlp]\nendpoint = "localhost"', 2, "expected an address"),
    ('[otlp]\nservice_name = " "', 2, "expected text that is not empty"),
    ('[assertion]\nname = "a"', 1, "no list of tables"),
    ('[[assertion]]\ntype = "span_count"\nmax_spans = 1', 1, "has no `name`"),
    ('\n[[assertion]]\nname = "a"\nmax_spans = 1', 2, "has no `type`"),
    ('[[assertion]]\nname = 3\ntype = "span_count"', 2, "`name` is 3, expected text"),
    ('[[assertion]]\nname = "a"\ntype = "span_counts"', 3, "unknown type of assertion `span_counts`"),
    ('[[assertion]]\nname = "a"\ntype = "span_count"', 1, "of type span_count has no `max_spans`"),
    (SPAN + "max_bytes = 3", 5, "unknown key `max_bytes` of an assertion of type span_count"),
    (SPAN.replace("5", "-5"), 4, "`max_spans` is -5, expected 0 or more"),
    (SPAN.replace("5", "5.5"), 4, "expected a whole number"),
    (SPAN + "enabled = 1", 5, "expected true or false"),
    (SPAN + 'span_name_pattern = "open["', 5, "no regular expression"),
    (SPAN + "\n" + SPAN, 7, "is there already, at line 1"),
    (PATTERN.replace("TightLoop", "TigthLoop"), 4, "`pattern` is 'TigthLoop', expected one of GodProcess"),
    (PATTERN + "threshold = 80", 5, "expected a number from 0 to 1"),
    (PATTERN + "threshold = 0.5\nprocess_name_pattern = '(?P<'", 6, "no regular expression"),
    ('[[assertion]]\nname = "a"\ntype = "critical_path"\nmax_duration_ms = inf', 4, "expected 0 or more"),
    ('[[assertion]]\nname = "a"\ntype = "custom"\nexpression = "calls <"', 4, "is no expression"),
    ('[[assertion]]\nname = "a"\ntype = "custom"\nexpression = "cals < 3"', 4, "unknown name `cals`"),
    ('[[assertion]]\nname = "a"\ntype = "memory_usage"\nmax_bytes = 1\ntracking_mode = "virtual"', 5,
     "unknown tracking_mode `virtual`"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "words"), MISTAKES)
def test_a_mistake_is_told_with_its_line_and_what_to_do(text: str, line: int, words: str) -> None:
    with pytest.raises(InvalidFileError) as caught:
        parse(text, "renacer.toml")
    assert caught.value.message.startswith(f"renacer.toml, line {line}: "), caught.value.message
    assert words in caught.value.message
    assert caught.value.hint


def test_what_was_meant_is_suggested() -> None:
    with pytest.raises(InvalidFileError) as caught:
        parse("[ci]\nfail_fats = true", "renacer.toml")
    assert caught.value.hint == "did you mean `fail_fast`?"


def test_lists_without_end_are_refused() -> None:
    with pytest.raises(InvalidFileError, match="nested too deeply"):
        parse("a = " + "[" * 3000 + "]" * 3000, "renacer.toml")


AWKWARD = '''\
"a b" = "x # not a comment [no]"
many = """
[not]
x = 1 \\"""
""" # [a] comment
raw = \'\'\'
[[nor]]\'\'\'
list = [ # one
  1, [2,
  3], { z = "}", y.w = 1 },
]
[t.'u.v']
k = 1

  [[rows]]
n = 1
[[rows]]
[rows.inner]
k = 2
[[rows.deep]]
m = 1
[[rows.deep]]
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a b",), 1),
        (("many",), 2),
        (("raw",), 6),
        (("list", 0), 9),
        (("list", 1, 1), 10),
        (("list", 2, "y", "w"), 10),
        (("t", "u.v"), 12),
        (("t", "u.v", "k"), 13),
        (("rows",), 15),
        (("rows", 0, "n"), 16),
        (("rows", 1), 17),
        (("rows", 1, "inner", "k"), 19),
        (("rows", 1, "deep", 0, "m"), 21),
        (("rows", 1, "deep", 1), 22),
        (("rows", 1, "nowhere"), 17),
    ],
)
def test_everything_has_its_line(path: Place, line: int) -> None:
    tomllib.loads(AWKWARD)
    assert Lines(AWKWARD).of(path) == line


KEYS = st.one_of(st.from_regex(r"[a-z0-9_-]{1,5}", fullmatch=True), st.just('"a.b #["'), st.just("'q'"))
VALUES = st.sampled_from(
    ['"x # ["', "'[t]'", "1", "true", "[1, [2],\n 3] # c", '"""\n[a]\nb = 1"""', "'''\n'''", "-1.5e3"]
)


PAIRS = st.lists(st.tuples(KEYS, VALUES), max_size=4, unique_by=lambda pair: pair[0].strip("'"))


@given(st.lists(st.tuples(KEYS, PAIRS), max_size=5))
def test_lines_of_generated_files(tables: list[tuple[str, list[tuple[str, str]]]]) -> None:
    """Every table and key is said to stand where it was written."""
    lines: list[str] = []
    expected: list[tuple[Place, int]] = []
    seen: dict[str, int] = {}
    for name, pairs in tables:
        plain = name.strip("'\"")
        place = seen[plain] = seen.get(plain, -1) + 1
        lines.append(f"[[{name}]] # [no]")
        expected.append(((plain, place), len("\n".join(lines).split("\n"))))
        for key, value in pairs:
            lines.append(f"{key} = {value}")
            expected.append(((plain, place, key.strip("'\"")), len("\n".join(lines[:-1]).split("\n")) + 1))
    text = "\n".join(lines)
    tomllib.loads(text)
    found = Lines(text)
    assert [(path, found.of(path)) for path, _ in expected] == expected
