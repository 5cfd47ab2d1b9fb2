"""The contract of the storage port, held by every storage there is and by the example in the port's own text."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from entrenar_research.client import event_log, liveness, port, reading
from entrenar_research.client.event_log import EventLog
from entrenar_research.client.handle import Run
from entrenar_research.client.memory import MemoryStorage
from entrenar_research.client.run import start_run

Make = Callable[[], port.Storage]


def example() -> port.Storage:
    """The worked example of the port, as it stands there."""
    assert port.__doc__ is not None
    _, found, after = port.__doc__.partition("    class Pages:\n")
    names: dict[str, type[port.Storage]] = {}
    exec(textwrap.dedent(found + after.partition("\n`start_run(")[0]), names)  # noqa: S102
    return names["Pages"]()


@pytest.fixture(params=["file", "memory", "example"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    makers: dict[str, Make] = {"file": lambda: EventLog(str(tmp_path)), "memory": MemoryStorage, "example": example}
    return makers[request.param]


def test_there_is_room_of_zeros(make: Make) -> None:
    storage = make()
    room = storage.append(100)
    assert len(room) >= 100
    assert storage.read() == bytes(len(room))
    storage.close()


def test_more_room_keeps_what_was_written_before_and_after(make: Make) -> None:
    storage = make()
    first = storage.append(64)
    size = len(first)
    first[:5] = b"first"
    second = storage.append(size + 1)
    assert len(second) >= 2 * size + 1
    second[size : size + 6] = b"second"
    first[5:9] = b"late"
    assert storage.read()[:9] == bytes(second[:9]) == b"firstlate"
    assert storage.read()[size : size + 6] == b"second"
    storage.close()


def test_sealing_cuts_off(make: Make) -> None:
    storage = make()
    room = storage.append(100)
    room[:3] = b"abc"
    del room
    storage.seal(3)
    assert storage.read() == b"abc"
    storage.close()
    assert storage.read() == b"abc"


def test_a_child_has_a_log_of_its_own(make: Make) -> None:
    parent = make()
    parent.append(8)[:6] = b"parent"
    child = make().child()
    child.append(8)[:5] = b"child"
    assert parent.read().startswith(b"parent")
    assert child.read().startswith(b"child")
    child.close()
    parent.close()


def test_an_artifact_is_kept(make: Make, tmp_path: Path) -> None:
    storage = make()
    where = storage.keep("plots/a.bin", [b"one", b"", b"two"])
    if isinstance(storage, EventLog):
        assert (tmp_path / where).read_bytes() == b"onetwo"
    elif isinstance(storage, MemoryStorage):
        assert storage.artifacts == {"plots/a.bin": b"onetwo"}
    storage.close()


def test_the_same_client_logs_to_it(make: Make) -> None:
    storage = make()
    run = start_run("fuzz", storage=storage)
    for step in range(100_000):
        run.log_metric("coverage", step / 2)
    log = reading.parse(storage.read())
    assert log.points("coverage") == [(step, step / 2) for step in range(100_000)]
    assert not log.damaged
    run.finish()


# --- what only files do ---------------------------------------------------------------------------------------------


def test_a_file_grows_in_doubling_pieces(tmp_path: Path) -> None:
    storage = EventLog(str(tmp_path))
    sizes = [len(storage.append(32)) for _ in range(8)]
    assert [size >> 20 for size in sizes] == [1, 2, 4, 8, 16, 32, 48, 64]
    blocks = Path(storage.path).stat().st_blocks * 512
    assert blocks >= sizes[-1], "the file is sparse: a full disk would kill the process"
    storage.close()


def test_a_sealed_file_is_as_long_as_was_said(tmp_path: Path) -> None:
    storage = EventLog(str(tmp_path))
    storage.append(32)[:4] = b"kept"
    storage.seal(4)
    storage.close()
    assert Path(storage.path).read_bytes() == b"kept"


def test_a_file_is_locked_until_it_is_closed(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "a"
    storage = EventLog(str(run))
    assert not liveness.alive(run)
    storage.append(32)
    path = Path(storage.path)
    assert path.name.startswith(f"{os.getpid()}-")
    assert liveness.held(path)
    assert liveness.alive(run)
    storage.seal(0)
    assert liveness.held(path)
    storage.close()
    assert not liveness.held(path)
    assert not liveness.alive(run)


def test_an_artifact_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    storage = EventLog(str(tmp_path))
    storage.keep("a", [b"old"])

    def broken() -> object:
        yield b"new"
        raise OSError(5, "gone")

    with pytest.raises(OSError, match="gone"):
        storage.keep("a", broken())  # type: ignore[arg-type]
    assert [path.name for path in (tmp_path / "artifacts").iterdir()] == ["a"]
    assert (tmp_path / "artifacts" / "a").read_bytes() == b"old"


def test_without_fallocate_zeros_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: int) -> None:
        raise OSError(95, os.strerror(95))

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    storage = EventLog(str(tmp_path))
    assert len(storage.append(32)) == event_log.FIRST
    assert Path(storage.path).stat().st_blocks * 512 >= event_log.FIRST
    storage.close()


@pytest.mark.parametrize(("room", "pieces"), [(1 << 19, [1 << 19]), (6000, [4096]), (4095, [])])
def test_less_is_taken_where_not_all_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, pieces: list[int]
) -> None:
    real = os.posix_fallocate

    def small(descriptor: int, start: int, size: int) -> None:
        if start + size > room:
            raise OSError(28, os.strerror(28))
        real(descriptor, start, size)

    monkeypatch.setattr(os, "posix_fallocate", small)
    storage = EventLog(str(tmp_path))
    assert [len(storage.append(32)) for _ in pieces] == pieces
    with pytest.raises(OSError, match="No space left"):
        storage.append(32)
    storage.close()


def test_memory_has_a_capacity() -> None:
    storage = MemoryStorage(capacity=100)
    assert len(storage.append(60)) == 60
    with pytest.raises(OSError, match="No space left"):
        storage.append(60)
    assert len(storage.append(40)) == 100


def test_nothing_is_taken_for_alive_that_is_not_there(tmp_path: Path) -> None:
    assert not liveness.held(tmp_path / "absent.events")
    assert not liveness.alive(tmp_path / "runs" / "absent")


def test_a_machine_is_a_digest() -> None:
    name = liveness.machine()
    assert name == liveness.machine()
    assert len(name) == len("sha256:") + 16
    assert os.uname().nodename not in name


def test_a_machine_without_an_id_goes_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(liveness, "_MACHINE_ID", str(tmp_path / "absent"))
    without = liveness.machine()
    (tmp_path / "id").write_text("abc\n")
    monkeypatch.setattr(liveness, "_MACHINE_ID", str(tmp_path / "id"))
    assert liveness.machine() == "sha256:ba7816bf8f01cfea"
    assert without != liveness.machine()


def test_a_run_has_a_name() -> None:
    run = start_run("fuzz", storage=MemoryStorage())
    assert isinstance(run, Run)
    assert repr(run) == f"<Run {run.id}>"
    run.finish()
    assert repr(run) == f"<Run {run.id} (ended)>"
