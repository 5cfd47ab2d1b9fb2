"""The views as DuckDB tables, and putting rows into them by way of Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from entrenar_research.core.querying.views import View


def create(connection: Any, view: View, name: str) -> None:
    """Makes an empty table with the columns of a view."""
    columns = ", ".join(f'"{column.name}" {column.type}' for column in view.columns)
    connection.execute(f"CREATE TABLE {name} ({columns})")


def append(connection: Any, view: View, name: str, columns: Sequence[Sequence[Any]]) -> None:
    """Adds rows, given as the columns of the view; moments are datetimes, or microseconds since 1970."""
    import pyarrow

    arrays = [pyarrow.array(values, _kind(column.type)) for column, values in zip(view.columns, columns, strict=True)]
    connection.register("incoming", pyarrow.table(arrays, names=[column.name for column in view.columns]).to_reader())
    connection.execute(f"INSERT INTO {name} SELECT * FROM incoming")  # noqa: S608 - names of our own
    connection.unregister("incoming")


def _kind(kind: str) -> Any:
    import pyarrow

    kinds = {
        "VARCHAR": pyarrow.string(),
        "JSON": pyarrow.string(),
        "DOUBLE": pyarrow.float64(),
        "BIGINT": pyarrow.int64(),
        "BOOLEAN": pyarrow.bool_(),
        "TIMESTAMP": pyarrow.timestamp("us"),
        "VARCHAR[]": pyarrow.list_(pyarrow.string()),
        "MAP(VARCHAR, DOUBLE)": pyarrow.map_(pyarrow.string(), pyarrow.float64()),
    }
    return kinds[kind]
