from __future__ import annotations

import sys
from pathlib import Path

import pytest

from entrenar_research.core.tracking.curves import Curve, Panel
from entrenar_research.errors import MissingToolError
from entrenar_research.store.querying import engine
from entrenar_research.views import plots


@pytest.mark.parametrize("package", ["duckdb", "pyarrow"])
def test_sql_names_the_extra_that_it_needs(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingToolError) as caught:
        engine.ask(tmp_path, list, "SELECT 1")
    assert package in caught.value.message
    assert caught.value.hint == "pip install 'entrenar-research[query]'"


def test_drawing_names_the_extra_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    panel = Panel(metric="m", names=("a",), curves=(Curve(run="a", metric="m", xs=[0], ys=[1.0]),))
    with pytest.raises(MissingToolError) as caught:
        plots.svg([panel], mark="m")
    assert caught.value.hint == "pip install 'entrenar-research[plots]'"
