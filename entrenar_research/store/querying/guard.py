"""What a statement is and what it touches, by DuckDB's own parser; whatever does more than read views is refused.

Three locks lie on a query: this one refuses by the parsed statement, by lists of what is known to be harmless; the
connection that carries it out may open no file but the study's Parquet files of points and spans, and no setting may
be changed; and it runs in a transaction that may only read. The second one cannot hold a COPY inside of WITH onto one
of those Parquet files, nor a function that takes an address of memory: there this one stands alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from entrenar_research.core.querying.views import NAMED
from entrenar_research.core.sweeps import suggest
from entrenar_research.errors import UsageError

_STATEMENTS = "one SELECT, WITH, EXPLAIN, DESCRIBE, SUMMARIZE or SHOW"
_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
# Functions in the place of a table that make rows out of nothing or out of a value. All others are refused: among
# them are those that read files, run SQL from text, write profiles, or take addresses of memory.
_FUNCTIONS = frozenset(
    {"range", "generate_series", "unnest", "json_each", "json_tree", "repeat", "repeat_row", "summary"}
)
_OF_SQL = ("Binder", "Catalog", "Conversion", "Out of Range", "Parameter Not Allowed", "Parser", "Permission", "Syntax")
_SCHEMAS = frozenset({"main", "information_schema"})


class Statement(msgspec.Struct, frozen=True):
    """A statement that only reads: its text, the views it names, whether it is an EXPLAIN."""

    text: str
    views: frozenset[str]
    explains: bool


def check(connection: Any, sql: str) -> Statement:
    """The one statement in `sql`; `connection` is a DuckDB connection whose errors are JSON.

    Raises:
        UsageError: if it is none, more than one, cannot be parsed, or does more than read the views.
    """
    import duckdb

    try:
        sql.encode()
    except UnicodeEncodeError as error:
        raise UsageError("the statement is not UTF-8 text") from error
    try:
        found = [item for item in connection.extract_statements(sql) if item.query.strip()]
    except duckdb.Error as error:
        raise said(error, sql) from error
    if not found:
        raise UsageError("there is no SQL statement", hint='for example: runs query "SELECT * FROM runs"')
    kind = str(found[0].type).rpartition(".")[2].upper()
    if len(found) > 1:
        raise UsageError(f"found {len(found)} statements, expected {_STATEMENTS}", hint="run them one by one")
    explains = kind == "EXPLAIN"
    if kind != "SELECT" and not explains:
        raise UsageError(
            f"the statement is {_named(kind)}, expected {_STATEMENTS}: `runs query` only reads", hint=_hint(kind)
        )
    inner = _explained(sql) if explains else sql
    return Statement(text=_body(sql), views=_views(connection, inner, sql), explains=explains)


def _body(sql: str) -> str:
    """The statement without what may follow it: semicolons, comments."""
    import duckdb

    data, end = sql.encode(), 0
    tokens = [*duckdb.tokenize(sql), (len(data), None)]
    for (at, kind), (following, _) in pairwise(tokens):
        if not str(kind).endswith("comment") and data[at:following].strip() != b";":
            end = following
    return data[:end].decode().rstrip()


def _named(kind: str) -> str:
    return {"MULTI": "a PIVOT", "LOAD": "INSTALL or LOAD"}.get(kind, kind)


def _hint(kind: str) -> str:
    if kind == "MULTI":
        return "write the columns out: FROM (PIVOT ... ON ... IN (...) USING ...)"
    if kind in ("COPY", "EXPORT"):
        return "`--format csv` writes what a SELECT finds, for a file of yours"
    return "the runs are what is in runs/: SQL changes nothing there"


def _explained(sql: str) -> str:
    """What follows EXPLAIN, its options left out; blanks in their place, so that positions stay."""
    import duckdb

    data = sql.encode()
    tokens = [(at, kind) for at, kind in duckdb.tokenize(sql) if not str(kind).endswith("comment")]
    words = [data[at:following] for (at, _), (following, _) in pairwise([*tokens, (len(data), None)])]
    index, depth = 1, 0
    while index < len(words):
        word = words[index].split()[0].upper() if words[index].split() else b""
        depth += word.startswith(b"(") - (depth > 0 and word.startswith(b")"))
        if depth == 0 and not word.startswith(b")") and word not in (b"ANALYZE", b"VERBOSE"):
            break
        index += 1
    begin = tokens[index][0] if index < len(tokens) else len(data)
    return (b" " * begin + data[begin:]).decode()


def _views(connection: Any, sql: str, shown: str) -> frozenset[str]:
    """The views that a SELECT names.

    Raises:
        UsageError: if it does more than read them.
    """
    (text,) = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    tree = json.loads(text)
    if tree["error"]:
        if "position" in tree:
            raise UsageError(placed(tree["error_message"], shown, int(tree["position"])))
        raise UsageError(f"the statement is not {_STATEMENTS}: `runs query` only reads", hint=_hint(""))
    parts = list(_parts(tree["statements"]))
    for part in parts:
        _refuse_writing(part)
        _refuse_function(part, shown)
    own = {str(part["key"]).casefold() for part in parts if "key" in part and "value" in part}
    return frozenset(name for part in parts for name in _named_view(part, own, shown))


def _parts(tree: Any) -> Iterator[dict[str, Any]]:
    pending = [tree]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            yield part
            pending += part.values()
        elif isinstance(part, list):
            pending += part


def _refuse_writing(part: dict[str, Any]) -> None:
    kind = str(part.get("type", ""))
    if kind.endswith("_NODE") and kind not in _NODES:
        word = kind.removesuffix("_NODE").removesuffix("_QUERY")
        raise UsageError(f"found {word} inside of the statement: `runs query` only reads", hint=_hint(word))


def _refuse_function(part: dict[str, Any], sql: str) -> None:
    if part.get("type") != "TABLE_FUNCTION":
        return
    name = str(part.get("function", {}).get("function_name", ""))
    if name.casefold() not in _FUNCTIONS:
        message = f"the function {name} is not for queries over runs"
        raise UsageError(
            placed(message, sql, int(part.get("query_location", -1))),
            hint="ask the views; `runs query --schema` lists them",
        )


def _named_view(part: dict[str, Any], own: set[str], sql: str) -> Iterator[str]:
    kind = part.get("type")
    if kind == "SHOW_REF":
        name = str(part.get("table_name", "")).strip('"')
        if part.get("show_type") == "SHOW" and name.casefold() in NAMED:
            yield name.casefold()
        return
    if kind != "BASE_TABLE":
        return
    name = str(part.get("table_name", ""))
    schema = ".".join(str(part[key]) for key in ("catalog_name", "schema_name") if part.get(key))
    if schema.casefold() == "information_schema" or (name.casefold() in own and not schema):
        return
    if (schema and schema.casefold() not in _SCHEMAS) or name.casefold() not in NAMED:
        full = f"{schema}.{name}" if schema else name
        known = [*NAMED, *sorted(own)]
        error = suggest.unknown("view", full, known)
        raise UsageError(placed(error.message, sql, int(part.get("query_location", -1))), hint=error.hint)
    yield name.casefold()


def is_about_sql(error: Exception) -> bool:
    """Whether DuckDB's error is about a statement, rather than about what it read."""
    return any(f'"exception_type":"{kind}"' in str(error) for kind in _OF_SQL)


def said(error: Exception, sql: str, known: Sequence[str] = ()) -> UsageError:
    """DuckDB's error about `sql` as ours, with its place; `known` are the columns that there are."""
    text = str(error)
    try:
        found = json.loads(text[text.index("{") :])
        message = str(found["exception_message"])
    except (ValueError, KeyError, TypeError):
        return UsageError(f"SQL: {str(error).partition(chr(10))[0]}")
    first = message.partition("\n")[0]
    position = int(found.get("position", -1))
    if found.get("error_subtype") == "COLUMN_NOT_FOUND":
        own = suggest.unknown("column", str(found.get("name", "")), list(dict.fromkeys(known)))
        return UsageError(placed(own.message, sql, position), hint=own.hint)
    close = suggest.closest(str(found.get("name", "")), str(found.get("candidates", "")).split(","))
    hint = f"did you mean `{close[0]}`?" if close and found.get("error_subtype") == "MISSING_ENTRY" else None
    if found.get("exception_type") == "Permission":
        first, hint = f"SQL may not reach files: {first}", "ask the views; `runs query --schema` lists them"
    return UsageError(placed(first.rstrip("!."), sql, position), hint=hint)


def placed(message: str, sql: str, position: int) -> str:
    """A message with line and column of the byte at `position` (none if negative), the line, and a mark below it."""
    data = sql.encode()
    if not 0 <= position <= len(data):
        return f"SQL: {message}"
    before = data[:position].decode(errors="replace")
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    text = (sql.split("\n") or [""])[line - 1]
    if len(text) > 120:  # the part of a long line around it
        begin = max(0, column - 60)
        text, mark = text[begin : begin + 120], column - 1 - begin
    else:
        mark = column - 1
    return f"SQL, line {line}, column {column}: {message}\n  {text}\n  {' ' * mark}^"
