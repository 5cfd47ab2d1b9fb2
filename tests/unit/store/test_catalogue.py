"""The catalogue is a cache over files that are the truth: whatever happens to either, the list is right."""

from __future__ import annotations

import fcntl
import json
import math
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrenar_research.client import liveness
from entrenar_research.models.tracking import Holder, Series
from entrenar_research.store.catalogue import database, looks, reading
from entrenar_research.store.catalogue.catalogue import Catalogue
from entrenar_research.store.catalogue.filter import Request
from entrenar_research.store.run_files import RunFiles
from tests.runs_on_disk import listed, new_study, put, record, run_id, statuses

CACHE = ".entrenar/catalogue.sqlite"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return new_study(tmp_path / "study")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if all that was written so far had been written long ago."""
    monkeypatch.setattr(looks, "clock", lambda place: time.time_ns() + 10**11)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that are read from now on."""
    found: list[str] = []
    really = reading.read

    def noted(root: str, name: str, now: int) -> reading.Reading | None:
        found.append(name)
        return really(root, name, now)

    monkeypatch.setattr(reading, "read", noted)
    return found


def three(study: Path) -> list[str]:
    for number in range(3):
        put(study, record(number, metrics={"loss": number / 4}))
    return [run_id(number) for number in range(3)]


def test_a_study_without_runs(study: Path) -> None:
    assert listed(study) == []
    assert not (study / ".entrenar").exists()
    (study / "runs").mkdir()
    assert listed(study) == []
    (study / "runs").rmdir()
    (study / "runs").write_text("no directory")
    assert listed(study) == []


def test_closed_runs_are_read_once(study: Path, read: list[str], later: None) -> None:
    ids = three(study)
    assert listed(study) == ids
    assert sorted(read) == ids
    read.clear()
    assert listed(study, sort="loss:desc") == ids[::-1]
    new = put(study, record(7)).name
    assert listed(study) == [*ids, new]
    assert read == [new]


def test_runs_is_not_even_listed_when_nothing_changed(
    study: Path, later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = three(study)
    listed(study)
    monkeypatch.setattr(looks, "listing", lambda runs: pytest.fail("listed again"))
    assert listed(study) == ids


def test_what_changes_within_the_granularity_of_the_clock_is_seen(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = three(study)
    coarse = f"1:1:{time.time_ns()}:{time.time_ns()}"
    monkeypatch.setattr(looks, "print_of", lambda directory: coarse)
    assert listed(study) == ids
    assert listed(study) == ids
    new = put(study, record(7)).name
    assert listed(study) == [*ids, new]


def test_a_faithful_copy_appears_although_it_sets_the_times_back(study: Path, tmp_path: Path, later: None) -> None:
    ids = three(study)
    other = new_study(tmp_path / "other")
    copied = put(other, record(1, "elsewhere"))
    before = (study / "runs").stat()
    assert listed(study) == ids
    shutil.copytree(copied, study / "runs" / copied.name)
    os.utime(study / "runs", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (study / "runs").stat().st_mtime_ns == before.st_mtime_ns
    assert listed(study) == sorted([*ids, copied.name])


def test_removed_runs_vanish(study: Path, later: None) -> None:
    ids = three(study)
    assert listed(study) == ids
    shutil.rmtree(study / "runs" / ids[1])
    assert listed(study) == [ids[0], ids[2]]
    connection = sqlite3.connect(study / CACHE)
    for table in ("documents", "params", "metrics"):
        query = f"SELECT count(*) FROM {table} WHERE run = ?"  # noqa: S608
        assert connection.execute(query, (ids[1],)).fetchone() == (0,)
    connection.close()


def test_a_record_that_goes_and_comes_while_its_directory_stays(study: Path, later: None) -> None:
    ids = three(study)
    assert listed(study) == ids
    place = study / "runs" / ids[1] / "run.yaml"
    place.rename(study / "kept.yaml")
    assert listed(study) == [ids[0], ids[2]]
    assert listed(study) == [ids[0], ids[2]]
    (study / "kept.yaml").rename(place)
    assert listed(study) == ids


def test_a_run_that_was_replaced_is_read_again(study: Path, read: list[str], later: None) -> None:
    ids = three(study)
    listed(study)
    read.clear()
    shutil.rmtree(study / "runs" / ids[1])
    put(study, record(1, metrics={"loss": 9.0}))
    assert listed(study, where=["loss>5"]) == [ids[1]]
    assert read == [ids[1]]


def test_a_closed_record_that_was_edited_is_shown_as_it_is(study: Path, later: None) -> None:
    ids = three(study)
    listed(study)
    place = study / "runs" / ids[1] / "run.yaml"
    place.write_text(place.read_text().replace("status: completed", "status: failed"))
    assert statuses(study)[ids[1]] == "failed"


def test_a_study_that_was_copied_is_not_read_again(study: Path, read: list[str], tmp_path: Path, later: None) -> None:
    ids = three(study)
    listed(study)
    read.clear()
    shutil.copytree(study, tmp_path / "copy")
    assert listed(tmp_path / "copy") == ids
    assert read == []


def test_a_copy_under_way(study: Path, later: None) -> None:
    ids = three(study)
    listed(study)
    place = study / "runs" / run_id(9)
    place.mkdir()
    source = study / "runs" / ids[0]
    text = (source / "run.yaml").read_text().replace(ids[0], run_id(9))
    for part in ("SHA256SUMS", "stdout.txt"):
        (place / part).write_text("")
        assert listed(study) == ids
    (place / "run.yaml").write_text("")
    assert listed(study) == ids
    (place / "run.yaml").write_text(text[: text.index("tool:")])
    assert listed(study) == [*ids, run_id(9)]
    assert statuses(study)[run_id(9)] == "damaged"
    (place / "run.yaml").write_text(text)
    assert statuses(study)[run_id(9)] == "completed"


Ruin = Callable[[Path], None]


def overwrite(data: bytes) -> Ruin:
    def overwritten(path: Path) -> None:
        path.write_bytes(data)

    return overwritten


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def scribble(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xff" * (path.stat().st_size - 4096))


def of_another_version(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE metrics")
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def without_a_table(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE metrics")
    connection.close()


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "ruin",
    [
        Path.unlink, overwrite(b""), overwrite(b"this is no database" * 1000), truncate, scribble, of_another_version,
        without_a_table, a_directory,
    ],
    ids=["deleted", "empty", "rubbish", "truncated", "scribbled", "another-version", "a-table-gone", "directory"],
)  # fmt: skip
def test_a_ruined_cache_is_made_again(ruin: Ruin, study: Path, later: None) -> None:
    ids = three(study)
    assert listed(study) == ids
    ruin(study / CACHE)
    assert listed(study, sort="loss:desc", where=["loss>=0"]) == ids[::-1]
    assert listed(study, sort="loss") == ids


def test_a_cache_that_is_ruined_or_removed_while_it_is_open(study: Path) -> None:
    ids = three(study)
    catalogue = Catalogue(study)
    catalogue.refresh()
    scribble(study / CACHE)
    assert catalogue.select(Request(sort="loss")).ids == ids
    new = put(study, record(5, metrics={"loss": 5.0})).name
    (study / CACHE).unlink()
    catalogue.refresh()
    assert catalogue.select(Request(sort="loss")).ids == [*ids, new]
    catalogue.close()
    assert (study / CACHE).is_file()


def test_a_cache_that_somebody_holds_is_done_without(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = three(study)
    listed(study)
    monkeypatch.setattr(database, "_WAIT_SECONDS", 0.05)
    holder = sqlite3.connect(study / CACHE, isolation_level=None)
    for hold in ("BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"):
        holder.execute(hold)
        new = put(study, record(len(ids))).name
        ids.append(new)
        assert listed(study) == ids
        holder.execute("ROLLBACK")
    holder.close()


def test_a_record_that_cannot_be_read_hides_no_other(study: Path) -> None:
    ids = three(study)
    (study / "runs" / ids[1] / "run.yaml").write_text("schema: 1\nstatus: done\n")
    other = put(study, record(4, "other"))
    (other / "run.yaml").write_bytes(b"\xff\xfe")
    found = statuses(study)
    assert found == {ids[0]: "completed", ids[1]: "damaged", ids[2]: "completed", other.name: "damaged"}
    assert listed(study, experiment="line") == ids, "the id says which experiment it was"
    catalogue = Catalogue(study)
    catalogue.refresh()
    damage = catalogue.select(Request()).damage
    expected = "expected one of: cancelled, completed, failed, lost, pending, running"
    assert damage[ids[1]] == f"runs/{ids[1]}/run.yaml, line 2: `status`: invalid value 'done', {expected}"
    assert damage[other.name] == f"runs/{other.name}/run.yaml: not UTF-8 text (byte 0)"
    assert [name for name, _ in catalogue.documents()] == [ids[0], ids[2]]
    catalogue.close()


def test_a_record_of_another_run_says_so(study: Path) -> None:
    ids = three(study)
    shutil.copytree(study / "runs" / ids[0], study / "runs" / run_id(8))
    catalogue = Catalogue(study)
    catalogue.refresh()
    listing = catalogue.select(Request(columns=["run", "status"]))
    assert listing.rows[-1] == [run_id(8), "damaged"]
    assert listing.damage == {run_id(8): f"runs/{run_id(8)}/run.yaml: `id`: it is the record of another run, {ids[0]}"}
    catalogue.close()


def test_a_newer_schema_is_shown_as_far_as_it_can_be_read(study: Path) -> None:
    place = study / "runs" / run_id(0)
    place.mkdir(parents=True)
    (place / "run.yaml").write_text(
        f"schema: 7\nid: {run_id(0)}\nexperiment: line\nstatus: completed\nstarted: 2027-01-01T00:00:00Z\n"
        "duration: [1, 2]\nmetrics: {loss: 0.5}\nnew: {a: 1}\n"
    )
    catalogue = Catalogue(study)
    catalogue.refresh()
    listing = catalogue.select(Request(columns=["experiment", "status", "took", "loss"]))
    assert listing.rows == [["line", "completed", None, 0.5]]
    assert listing.newer == {run_id(0): 7}
    assert "written by a newer version (schema 7, known 1)" in listing.damage[run_id(0)]
    ((_, document),) = catalogue.documents()
    assert json.loads(document)["new"] == {"a": 1}
    catalogue.close()


def test_statuses_are_as_they_really_are(study: Path) -> None:
    here, elsewhere = Holder(machine=liveness.machine(), process=1), Holder(machine="sha256:0", process=1)
    open_run = put(study, record(1, status="running", holder=here), closed=False)
    far_away = put(study, record(2, status="running", holder=elsewhere), closed=False)
    recovered = put(study, record(3, status="lost", recovered="2026-01-02T00:00:00Z"))
    lost = put(study, record(4, status="lost"))
    ended = put(study, record(5), closed=False)
    log = open_run / "events" / "1-aaaa.events"
    log.parent.mkdir()
    log.touch()
    with log.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        expected = {open_run.name: "running", far_away.name: "running", recovered.name: "recovered"}
        expected |= {lost.name: "lost", ended.name: "completed"}
        assert statuses(study) == expected
        assert statuses(study) == expected
    assert statuses(study) == {**expected, open_run.name: "lost"}
    catalogue = Catalogue(study)
    catalogue.refresh()
    assert catalogue.cut_off() == (1, 1)
    documents = {name: json.loads(document) for name, document in catalogue.documents()}
    assert documents[open_run.name]["status"] == "lost"
    assert [name for name, _ in catalogue.documents(status="recovered")] == [recovered.name]
    assert len(list(catalogue.documents(status="lost"))) == 3
    catalogue.close()


def test_a_run_that_ends_while_it_is_looked_at_is_not_taken_for_lost(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(study, record(1, status="running"), closed=False)

    def nobody(root: str, name: str) -> bool:
        if not RunFiles(study).closed(name):
            RunFiles(study).close(record(1))
        return False

    monkeypatch.setattr(looks, "alive", nobody)
    assert statuses(study) == {run_id(1): "completed"}


def test_runs_that_ended_unsealed_are_not_read_again_until_they_are_sealed(
    study: Path, read: list[str], later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [put(study, record(number), closed=False).name for number in range(3)]
    assert listed(study) == ids
    read.clear()
    with monkeypatch.context() as patched:
        patched.setattr(looks, "look", lambda directory: pytest.fail(f"looked into {directory}"))
        catalogue = Catalogue(study)
        catalogue.refresh()
        assert catalogue.cut_off() == (0, 3)
        catalogue.close()
    RunFiles(study).close(record(1))
    assert listed(study) == ids
    assert read == [ids[1]]
    catalogue = Catalogue(study)
    assert catalogue.cut_off() == (0, 2)
    catalogue.close()


def test_numbers_that_neither_json_nor_sqlite_has(study: Path) -> None:
    series = {"x": Series(points=2, last=math.inf, last_step=2**63, lowest=1.0, highest=math.inf)}
    put(study, record(0, metrics={"nan": math.nan}, series=series, seed=2**70, params={"big": 10**400}))
    catalogue = Catalogue(study)
    catalogue.refresh()
    ((_, document),) = catalogue.documents()
    found = json.loads(document)
    assert found["metrics"] == {"nan": "NaN"}
    assert found["series"]["x"]["last"] == "Infinity"
    assert found["params"] == {"big": 10**400}
    ((not_a_number, infinite, big),) = catalogue.select(Request(columns=["nan", "x", "big"])).rows
    assert math.isnan(not_a_number)
    assert infinite == math.inf
    assert big == 10**400
    catalogue.close()


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["open", "close", "remove", "damage", "list"]), st.integers(0, 4)), max_size=25
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(operations=OPERATIONS)
def test_kept_up_to_date_it_is_as_built_from_nothing(operations: list[tuple[str, int]], tmp_path: Path) -> None:
    study = new_study(tmp_path / str(time.monotonic_ns()))
    runs = RunFiles(study)
    for number, (what, which) in enumerate(operations):
        place = runs.directory(run_id(which))
        if what == "open" and not place.exists():
            put(study, record(which, status="running", params={"n": number}), closed=False)
        elif what == "close" and place.exists() and not runs.closed(place.name):
            runs.close(record(which, metrics={"n": float(number)}))
        elif what == "remove" and place.exists():
            shutil.rmtree(place)
        elif what == "damage" and place.exists():
            (place / "run.yaml").write_text(f"# {number}\n[")
        elif what == "list":
            listed(study)
    kept = everything(study)
    (study / CACHE).unlink(missing_ok=True)
    assert kept == everything(study)
    shutil.rmtree(study)


def everything(study: Path) -> dict[str, list[tuple[object, ...]]]:
    catalogue = Catalogue(study)
    catalogue.refresh()
    catalogue.select(Request())
    found = {
        table: sorted(catalogue.connection.execute(f"SELECT * FROM {table}"))  # noqa: S608
        for table in ("params", "metrics", "documents", "empty")
    }
    query = "SELECT id, settled, sealed, alive, status, shown, damage, looked FROM entries ORDER BY id"
    found["entries"] = catalogue.connection.execute(query).fetchall()
    catalogue.close()
    return found
