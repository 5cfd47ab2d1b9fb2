"""Conditions that people write about a trace: `calls < 10000 and share("getrandom") <= 0.5`.

An expression is parsed with Python's grammar and then checked node by node against a list of what is permitted:
numbers, the names and functions below, comparisons, `and`, `or`, `not`, `+ - * / // %`. Nothing of it is ever run as
Python. It has no powers, shifts, attributes or indices; its length and its numbers are bounded.
"""

from __future__ import annotations

import ast
import itertools
import math
import operator
import re
import warnings
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from entrenar_research.core.sweeps import suggest
from entrenar_research.errors import UsageError

NAMES: Final = {
    "calls": "system calls",
    "errors": "system calls that failed",
    "wall_ms": "milliseconds from start to end: the median of the untraced runs, else as traced",
    "syscall_ms": "milliseconds in system calls, over all processes, as traced",
    "peak_bytes": "peak of the bytes allocated with mmap, brk and mremap",
    "rss_bytes": "peak of the resident bytes, untraced",
    "processes": "processes",
    "threads": "threads, the first one of each process among them",
    "bytes_read": "bytes that read calls returned",
    "bytes_written": "bytes that write calls took",
    "spans": "spans that the program logged",
}
"""What an expression may name, and what it stands for."""

FUNCTIONS: Final = {
    "count": "how often this system call was made",
    "seconds": "seconds in this system call, as traced",
    "share": "share of this system call in the time of all, 0 to 1",
}
"""What an expression may ask about one system call, by its name in quotes."""

LENGTH: Final = 1000
_DEPTH: Final = 100
_LARGEST: Final = 1e30
_CALL: Final = re.compile(r"[a-z_][a-z0-9_]*")
_OPERATORS: Final[dict[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARISONS: Final[dict[type[ast.cmpop], Callable[[float, float], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_WRITE: Final = 'for example `calls < 10000 and count("openat") <= 50`'
_DIVIDE: Final = "make several assertions of it"


class ExpressionError(UsageError):
    """An expression that is not one of ours, or that cannot be worked out."""


class Values(Protocol):
    """Where an expression finds the numbers that it names."""

    def name(self, name: str) -> float | None:
        """The value of a name, None without data."""
        ...

    def function(self, function: str, call: str) -> float | None:
        """The value of a function of one system call, None without data."""
        ...


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """`holds` is None where `missing` names have no data; `known` are the others with their values."""

    holds: bool | None
    known: dict[str, float]
    missing: tuple[str, ...] = ()


class Expression:
    """A checked expression."""

    def __init__(self, text: str, body: ast.expr) -> None:
        self.text = text
        self._body = body

    def asks(self) -> tuple[tuple[str, str | None], ...]:
        """The names it uses, and the functions with the call each asks about; in order, each once."""
        found: list[tuple[str, str | None]] = []
        for node in ast.walk(self._body):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                found.append((node.func.id, str(getattr(node.args[0], "value", ""))))
            elif isinstance(node, ast.Name) and node.id in NAMES:
                found.append((node.id, None))
        return tuple(sorted(set(found), key=lambda item: (item[0], item[1] or "")))

    def evaluate(self, values: Values) -> Outcome:
        """Whether it holds for these values. A name without data leaves that open, whatever the others say.

        Raises:
            ExpressionError: if it divides by zero or a number grows beyond 1e30.
        """
        known: dict[str, float] = {}
        missing = []
        for name, call in self.asks():
            value = values.name(name) if call is None else values.function(name, call)
            if value is None:
                missing.append(_shown(name, call))
            else:
                known[_shown(name, call)] = value
        if missing:
            return Outcome(holds=None, known=known, missing=tuple(missing))
        return Outcome(holds=_truth(self._body, known), known=known)


def parse(text: str) -> Expression:
    """The expression in `text`.

    Raises:
        ExpressionError: if it is not one, with the column where that shows.
    """
    if len(text) > LENGTH:
        raise ExpressionError(f"{len(text)} characters, expected {LENGTH} at most", hint=_DIVIDE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python has opinions about `0or 1` that are not ours to pass on
            body = ast.parse(text.strip(), mode="eval").body
        if _too_deep(body):
            raise ExpressionError(f"{_cut(text)!r} is nested too deeply", hint=_DIVIDE)
        if not _is_truth(body):
            raise _refused(body, "a number, expected a condition")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        column = getattr(error, "offset", None)
        where = f" at column {column}" if column else ""
        rust = any(sign in text for sign in ("&&", "||", "!"))
        hint = "write `and`, `or`, `not` and `!=`" if rust else _WRITE
        raise ExpressionError(f"{_cut(text)!r} is no expression{where}", hint=hint) from error
    return Expression(text, body)


def _is_truth(node: ast.expr) -> bool:
    """Checks `node` and tells whether it is a condition; if not, it is a number."""
    match node:
        case ast.BoolOp(values=values):
            _expect(values, truth=True)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            _expect([operand], truth=True)
        case ast.Compare(left=left, ops=ops, comparators=others):
            if not all(type(op) in _COMPARISONS for op in ops):
                raise _refused(node, "a comparison that is not one of < <= > >= == !=")
            _expect([left, *others], truth=False)
        case ast.Constant(value=bool()):
            pass
        case _:
            _check_number(node)
            return False
    return True


def _check_number(node: ast.expr) -> None:
    match node:
        case ast.Constant(value=int() | float() as number) if abs(number) <= _LARGEST:
            pass
        case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=operand):
            _expect([operand], truth=False)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            _expect([left, right], truth=False)
        case ast.Call() | ast.Name():
            _check_word(node)
        case _:
            raise _refused(node, "not permitted in an expression")


def _too_deep(body: ast.expr) -> bool:
    level: list[ast.AST] = [body]
    for _ in range(_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return bool(level)


def _expect(nodes: list[ast.expr], *, truth: bool) -> None:
    for node in nodes:
        if _is_truth(node) != truth:
            kinds = ("a number", "a condition")
            raise _refused(node, f"{kinds[not truth]}, expected {kinds[truth]}")


def _check_word(node: ast.Call | ast.Name) -> None:
    if isinstance(node, ast.Name):
        if node.id in FUNCTIONS:
            raise _refused(node, f'a function: write `{node.id}("read")`')
        if node.id not in NAMES:
            raise _unknown("name", node.id, [*NAMES, *FUNCTIONS])
        return
    if not isinstance(node.func, ast.Name):
        raise _refused(node, "not permitted in an expression")
    if node.func.id not in FUNCTIONS:
        raise _unknown("function", node.func.id, list(FUNCTIONS))
    words = [part.value for part in node.args if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    if len(node.args) != 1 or len(words) != 1 or node.keywords or not _CALL.fullmatch(words[0]):
        raise _refused(node, f'expected the name of one system call in quotes: `{node.func.id}("read")`')


def _unknown(what: str, found: str, known: list[str]) -> ExpressionError:
    close = suggest.unknown(what, found, known)
    return ExpressionError(f"unknown {what} `{_cut(found)}`", hint=close.hint)


def _refused(node: ast.expr, words: str) -> ExpressionError:
    return ExpressionError(f"`{_cut(ast.unparse(node))}` at column {node.col_offset + 1}: {words}", hint=_WRITE)


def _truth(node: ast.expr, known: dict[str, float]) -> bool:
    match node:
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_truth(value, known) for value in values)
        case ast.BoolOp(values=values):
            return any(_truth(value, known) for value in values)
        case ast.UnaryOp(operand=operand):
            return not _truth(operand, known)
        case ast.Compare(left=left, ops=ops, comparators=others):
            numbers = [_number(part, known) for part in (left, *others)]
            return all(_COMPARISONS[type(op)](*pair) for op, pair in zip(ops, itertools.pairwise(numbers), strict=True))
        case _:
            return bool(getattr(node, "value", False))


def _number(node: ast.expr, known: dict[str, float]) -> float:
    match node:
        case ast.UnaryOp(op=op, operand=operand):
            value = _number(operand, known)
            return -value if isinstance(op, ast.USub) else value
        case ast.BinOp(left=left, op=op, right=right):
            return _worked_out(node, _OPERATORS[type(op)], _number(left, known), _number(right, known))
        case ast.Name(id=name):
            return known[name]
        case ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=call)]):
            return known[_shown(name, str(call))]
        case _:
            return float(getattr(node, "value", 0))


def _worked_out(node: ast.expr, work: Callable[[float, float], float], left: float, right: float) -> float:
    try:
        value = work(left, right)
    except ZeroDivisionError as error:
        raise _refused(node, "divides by zero") from error
    if not math.isfinite(value) or abs(value) > _LARGEST:
        raise _refused(node, "the number is too large")
    return value


def _shown(name: str, call: str | None) -> str:
    return name if call is None else f'{name}("{call}")'


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
