"""Expressions of custom assertions: what they mean, what is refused, and that nothing of them ever runs."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.traces.budgets.expressions import FUNCTIONS, NAMES, ExpressionError, parse


class Known:
    """Numbers by name."""

    def __init__(self, **values: float | None) -> None:
        self._values = values

    def name(self, name: str) -> float | None:
        return self._values.get(name)

    def function(self, function: str, call: str) -> float | None:
        return self._values.get(f"{function}_{call}")


KNOWN = Known(calls=10866, errors=3, wall_ms=144.5, count_read=8, share_getrandom=0.5345, seconds_read=0.25)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("calls < 10000", False),
        ("calls <= 10866 and errors == 3", True),
        ("not calls > 1 or errors != 4", True),
        ('share("getrandom") > 0.5 and count("read") + 2 == 10', True),
        ("0 < errors < 4 <= 4", True),
        ("0 < errors < 3", False),
        ("calls / errors > 3621.9 and calls // errors == 3622 and calls % 2 == 0", True),
        ('-seconds("read") * 1000 == -250', True),
        ("True", True),
        ("not (calls < 1 or False)", True),
        ("1 - 2 - 3 == -4", True),
    ],
)
def test_what_holds(text: str, holds: bool) -> None:
    assert parse(text).evaluate(KNOWN).holds is holds


def test_a_name_without_data_leaves_it_open_whatever_the_others_say() -> None:
    outcome = parse("calls > 1 or rss_bytes < 3").evaluate(KNOWN)
    assert (outcome.holds, outcome.missing, outcome.known) == (None, ("rss_bytes",), {"calls": 10866})
    assert parse('seconds("write") > 1 and calls < 1').evaluate(KNOWN).missing == ('seconds("write")',)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no expression"),
        ("calls", "a number, expected a condition"),
        ("calls and errors", "a number, expected a condition"),
        ("(calls < 1) + 1 > 0", "a condition, expected a number"),
        ("calls < 9 ** 9 ** 9", "not permitted"),
        ("calls < 1 << 99", "not permitted"),
        ("calls < 1e999", "not permitted"),
        ("calls < " + "9" * 900, "not permitted"),
        ("calls < 1j", "not permitted"),
        ("calls.real < 1", "not permitted"),
        ("[calls][0] < 1", "not permitted"),
        ("(lambda: 1)() < 1", "not permitted"),
        ("(x := 1) < 2", "not permitted"),
        ("calls in (1, 2)", "a comparison that is not one of"),
        ("calls is 3", "a comparison that is not one of"),
        ("__import__('os').system('id') < 1", "not permitted"),
        ("__import__('os') < 1", "unknown function `__import__`"),
        ("exit() < 1", "unknown function `exit`"),
        ("count < 1", 'write `count("read")`'),
        ("count('a', 'b') < 1", "the name of one system call"),
        ("count(x='read') < 1", "the name of one system call"),
        ("count(1) < 1", "the name of one system call"),
        ("count('a b') < 1", "the name of one system call"),
        ("calls < 1 && errors < 2", "is no expression"),
        ("(" * 300 + "1" + ")" * 300 + "< 1", "is no expression"),
        ("-" * 500 + "1 < 1", "nested too deeply"),
        ("calls < 1" + " " * 1000, "expected 1000 at most"),
        ("calls < '\0'", "is no expression"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert words in caught.value.message
    assert caught.value.hint


def test_the_other_language_s_signs_are_explained() -> None:
    with pytest.raises(ExpressionError) as caught:
        parse("calls < 1 && errors < 2")
    assert caught.value.hint == "write `and`, `or`, `not` and `!=`"


@pytest.mark.parametrize(
    "text", ["calls / (errors - 3) > 1", "calls % 0 > 1", "1e30 * 1e30 > calls", "1e20 / 1e-20 > 1"]
)
def test_what_cannot_be_worked_out(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse(text).evaluate(KNOWN)


ATOMS = st.one_of(
    st.sampled_from([*NAMES, 'count("read")', 'share("x")', "1", "0", "2.5", "1e29", "True", "calls"]),
    st.integers().map(str),
    st.text(max_size=3),
)
JOINTS = st.sampled_from(
    [
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "**",
        "<",
        "<=",
        "==",
        " and ",
        " or ",
        " not ",
        ",",
        ".",
        "(",
        ")",
        " if ",
        "[",
        "]",
    ]
)


@given(st.lists(st.tuples(ATOMS, JOINTS), max_size=12).map(lambda parts: "".join(a + j for a, j in parts) + "1"))
def test_nothing_but_our_own_error_is_ever_raised(text: str) -> None:
    everything = Known(**dict.fromkeys(NAMES, 3.0), count_read=2.0, share_x=0.5)
    try:
        outcome = parse(text).evaluate(everything)
    except ExpressionError:
        return
    assert outcome.holds in (True, False)


@given(st.text(max_size=200))
def test_any_text_is_an_expression_or_our_own_error(text: str) -> None:
    with contextlib.suppress(ExpressionError):
        assert parse(text).text == text


NUMBERS = st.recursive(
    st.one_of(st.integers(0, 1000).map(str), st.just("calls")),
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
    max_leaves=8,
)


@given(NUMBERS, NUMBERS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
def test_arithmetic_is_python_s(left: str, right: str, sign: str) -> None:
    text = f"{left} {sign} {right}"
    try:
        holds = parse(text).evaluate(Known(calls=7.0)).holds
    except ExpressionError:
        return  # beyond 1e30
    assert holds is eval(text, {"calls": 7.0})  # noqa: S307 - the text is made of numbers and signs here


def test_every_name_is_described_and_usable() -> None:
    for name in NAMES:
        assert parse(f"{name} >= 0").asks() == ((name, None),)
    for name in FUNCTIONS:
        assert parse(f'{name}("read") >= 0').asks() == ((name, "read"),)
