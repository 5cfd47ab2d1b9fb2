"""The runner bwrap: no network, and nothing can be written to but the result, the run and a place for scratch files."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from entrenar_research.runners.bwrap import RUNNER
from entrenar_research.runners.port import Ended, Job
from tests.conftest import World


@pytest.fixture
def place(tmp_path: Path) -> Path:
    reason = RUNNER.unavailable({})
    if reason is not None:
        pytest.skip(reason)
    for name in ("study", "writable"):
        (tmp_path / name).mkdir()
    return tmp_path


def execute(place: Path, program: str) -> tuple[Ended, str]:
    """How a Python program ends that may write to `writable`, and the last line of its complaints."""
    ended = RUNNER.execute(
        Job(
            argv=[sys.executable, "-S", "-c", program],
            directory=place / "study",
            environment={"PATH": os.environ["PATH"]},
            stdout=place / "out",
            stderr=place / "err",
            writable=(place / "writable",),
        )
    )
    return ended, ((place / "err").read_text().splitlines() or [""])[-1]


def test_there_is_no_network(place: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        ended, said = execute(place, f"import socket; socket.create_connection({server.getsockname()!r})")
    assert ended.exit_status == 1
    assert said.startswith("ConnectionRefusedError")


@pytest.mark.parametrize("where", ["study/x", "beside"])
def test_elsewhere_nothing_can_be_written(place: Path, where: str) -> None:
    ended, said = execute(place, f"open({str(place / where)!r}, 'w')")
    assert (ended.exit_status, said.partition(":")[0]) == (1, "OSError")
    assert "Read-only file system" in said
    assert not (place / where).exists()


def test_its_own_places_can_be_written(place: Path) -> None:
    program = (
        f"import os; open({str(place / 'writable' / 'x')!r}, 'w').write('here')\n"
        "path = os.path.join(os.environ['TMPDIR'], 'scratch-of-a-test'); open(path, 'w').write('x'); print(path)"
    )
    ended, said = execute(place, program)
    assert (ended.exit_status, said) == (0, "")
    assert (place / "writable" / "x").read_text() == "here"
    assert not Path((place / "out").read_text().strip()).exists()


def test_a_run_in_it_is_recorded_as_such(place: Path, tiny: Path, world: World) -> None:
    world.tool("run", "line", "--runner", "bwrap", "--force", "--quiet", cwd=tiny)
    newest = max((tiny / "runs").glob("*/run.yaml"))
    assert "\nrunner: bwrap\n" in newest.read_text()
    shown = world.tool("verify", "--format", "json", cwd=tiny, status=None).stdout
    assert '"different"' not in shown
