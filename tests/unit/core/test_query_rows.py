from __future__ import annotations

import datetime
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.querying import rows
from entrenar_research.core.querying.views import VIEWS
from entrenar_research.models.run import RunRecord

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
RECORD = st.dictionaries(st.sampled_from([*RunRecord.__struct_fields__, "code_quality"]), JSON)
KINDS: dict[str, Any] = {
    "VARCHAR": str,
    "JSON": str,
    "DOUBLE": float,
    "BIGINT": int,
    "BOOLEAN": bool,
    "TIMESTAMP": datetime.datetime,
    "VARCHAR[]": list,
    "MAP(VARCHAR, DOUBLE)": list,
}


@given(RECORD)
def test_whatever_is_in_a_record_fits_the_columns(record: dict[str, Any]) -> None:
    for view in VIEWS:
        if not rows.of_records(view.name):
            continue
        for row in rows.rows(view.name, "run", record):
            assert row[0] == "run"
            assert len(row) == len(view.columns), view.name
            for column, value in zip(view.columns, row, strict=True):
                fitted = rows.fitted(column.type, value)
                assert fitted is None or isinstance(fitted, KINDS[column.type]), (view.name, column, value)


@pytest.mark.parametrize(
    ("kind", "value", "fitted"),
    [
        ("DOUBLE", "Infinity", math.inf),
        ("DOUBLE", "-Infinity", -math.inf),
        ("DOUBLE", "1.5", None),
        ("DOUBLE", True, None),
        ("DOUBLE", 10**400, math.inf),
        ("BIGINT", 2**63, None),
        ("BIGINT", -(2**63), -(2**63)),
        ("BIGINT", True, None),
        ("BOOLEAN", 1, None),
        ("TIMESTAMP", "2026-01-01T02:00:00+02:00", datetime.datetime(2026, 1, 1)),  # noqa: DTZ001 - UTC, unsaid
        ("TIMESTAMP", "yesterday", None),
        ("VARCHAR", ["a", 1], '["a", 1]'),
        ("VARCHAR[]", "no list", None),
    ],
)
def test_values_fit_or_are_left_out(kind: str, value: Any, fitted: Any) -> None:
    assert rows.fitted(kind, value) == fitted


def test_nan_is_a_number() -> None:
    assert math.isnan(rows.fitted("DOUBLE", "NaN"))
