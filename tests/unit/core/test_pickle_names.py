"""The names in a pickle, found without unpickling it: the system command in each would leave a mark."""

from __future__ import annotations

import collections
import datetime
import io
import os
import pickle
import pickletools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core import pickle_names


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_names_by_every_protocol(protocol: int, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    value = [Evil(mark), {"posix": "system"}, collections.Counter("ab"), datetime.date(2026, 11, 21), Evil(mark)]
    data = pickle.dumps(value, protocol)
    stream = io.BytesIO(data + b"what follows")
    found = pickle_names.names(stream)
    assert found.whole
    assert {"posix.system", "collections.Counter", "datetime.date"} <= set(found.names)
    assert pickle_names.UNKNOWN not in found.names
    assert stream.read() == b"what follows"
    assert pickle_names.looks_like(data)
    assert not mark.exists()


def test_a_name_whose_parts_come_from_the_memo() -> None:
    """`STACK_GLOBAL` on text that was put away and recalled in the other order."""
    data = (
        b"\x80\x04\x8c\x06system\x94\x8c\x05posix\x9400h\x01h\x00\x93\x8c\x02id\x85R."
    )  # fmt: skip
    pickletools.dis(data, io.StringIO())
    assert pickle_names.names(io.BytesIO(data)).names == ("posix.system",)


def test_a_name_that_is_put_together_is_not_passed_over() -> None:
    """The module's name is the result of a call."""
    inner = b"\x80\x04\x8c\x08builtins\x8c\x03str\x93\x8c\x02os\x85R\x8c\x06system\x93."
    assert pickle_names.names(io.BytesIO(inner)).names == (pickle_names.UNKNOWN, "builtins.str")


def test_cut_off_and_damaged() -> None:
    data = pickle.dumps([Evil(Path("x"))] * 3, 4)
    for end in range(2, len(data)):
        assert not pickle_names.names(io.BytesIO(data[:end])).whole
    assert not pickle_names.looks_like(b"\x80\x09")
    assert not pickle_names.looks_like(b"")


@given(st.binary(max_size=80))
def test_any_bytes_are_read_without_an_accident(data: bytes) -> None:
    found = pickle_names.names(io.BytesIO(data))
    assert all(isinstance(name, str) for name in found.names)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner) | st.frozensets(
            st.integers()
        ),
        max_leaves=10,
    ),
    st.integers(2, 5),
)  # fmt: skip
def test_plain_values_import_only_what_old_protocols_need(value: object, protocol: int) -> None:
    found = pickle_names.names(io.BytesIO(pickle.dumps(value, protocol)))
    assert found.whole
    assert set(found.names) <= {"_codecs.encode", "builtins.frozenset", "__builtin__.frozenset", "__builtin__.bytes"}
