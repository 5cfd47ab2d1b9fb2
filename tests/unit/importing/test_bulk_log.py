from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.client import reading
from entrenar_research.errors import StorageError
from entrenar_research.importers.port import Curve
from entrenar_research.store.logged import bulk_log

SERIES = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=80),
    st.lists(st.tuples(st.integers(0, 2**63 - 1), st.floats(), st.integers(0, 2**63 - 1)), max_size=5),
    max_size=5,
)
NOTE = {"kind": "artifact", "path": "artifacts/é", "digest": "sha256:0", "size": 1, "artifact_kind": "file"}


@given(SERIES)
def test_what_was_written_is_read_by_the_client(
    tmp_path_factory: pytest.TempPathFactory, series: dict[str, list[tuple[int, float, int]]]
) -> None:
    path = tmp_path_factory.mktemp("log") / "events" / "import.events"
    curves = {name: Curve() for name in series}
    for name, rows in series.items():
        for row in rows:
            curves[name].add(*row)
    bulk_log.write(path, 5, curves, [NOTE])
    log = reading.read(path)
    assert (log.damaged, log.closed, log.started, log.notes, log.process) == ([], True, 5, [NOTE], "import")
    assert sorted(log.keys.values()) == sorted(series)
    names = [log.keys[ref] for ref in log.refs]
    read = [(name, s, repr(v), t) for name, s, v, t in zip(names, log.steps, log.values, log.times, strict=True)]
    assert read == [(name, s, repr(v), t) for name, rows in series.items() for s, v, t in rows]


def test_many_points(tmp_path: Path) -> None:
    curve = Curve()
    curve.extend(range(200_000), map(float, range(200_000)), range(200_000))
    bulk_log.write(tmp_path / "import.events", 0, {"x": curve}, [])
    log = reading.read(tmp_path / "import.events")
    assert list(log.steps) == list(range(200_000))
    assert log.damaged == []


def test_a_log_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "import.events").write_bytes(b"")
    with pytest.raises(StorageError, match=r"cannot write import\.events"):
        bulk_log.write(tmp_path / "import.events", 0, {}, [])
