"""No command needs a network: all of this happens in a network namespace that has not even a loopback in use."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import World
from tests.integration import job

_CONNECT = "import socket; socket.create_connection(('127.0.0.1', 9), 1)"


@pytest.fixture(scope="module")
def alone() -> tuple[str, ...]:
    """What puts a command where there is no network."""
    unshare = shutil.which("unshare")
    for words in ((unshare, "--net"), (unshare, "--map-root-user", "--net")):
        if (
            unshare is not None
            and subprocess.run([*map(str, words), "true"], check=False, capture_output=True).returncode == 0
        ):
            return tuple(map(str, words))
    pytest.skip("needs a network namespace (unshare --net)")


def test_there_is_no_network_there(alone: tuple[str, ...], world: World, tmp_path: Path) -> None:
    done = subprocess.run([*alone, sys.executable, "-c", _CONNECT], check=False, capture_output=True, text=True)
    assert done.returncode != 0
    assert "Network is unreachable" in done.stderr


def test_the_whole_job_from_init_to_the_readers_verify(alone: tuple[str, ...], world: World, tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    job.carry_out(job.newcomer(tmp_path / "ada", world), tmp_path, within=alone)
    grace = job.newcomer(tmp_path / "grace", world)
    for words in job.READER:
        done = grace.run(*alone, "entrenar-research", *words, "--format", "json", cwd=tmp_path)
        report = json.loads(done.stdout)
        assert set(report["counts"]) == {"identical"}
        assert "replay" in {item["area"] for item in report["findings"]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("status",), "up to date"),
        (("doctor",), "git"),
        (("verify",), "nothing is different or broken"),
        (("run", "line"), "up to date"),
        (("run", "line", "--force"), "completed"),
        (("runs", "list"), "line"),
        (("golden", "check"), "same as a fresh run"),
        (("cite", "--format", "bibtex"), "Lovelace"),
        (("keys", "show"), "SHA256:"),
        (("prove", "line"), "proven"),
        (("attest", "line"), "identical with host"),
        (("completion", "bash"), "complete"),
        (("experiment", "sync", "line"), ""),
        (("--help",), "verify"),
    ],
)
def test_every_other_command(
    words: tuple[str, ...], said: str, alone: tuple[str, ...], world: World, tiny: Path
) -> None:
    assert said in world.run(*alone, "entrenar-research", *words, cwd=tiny).stdout


def test_dvc_on_a_study(alone: tuple[str, ...], world: World, tiny: Path) -> None:
    assert "up to date" in world.run(*alone, "dvc", "repro", cwd=tiny).stdout
    before = (tiny / "dvc.lock").read_bytes()
    world.run(*alone, "dvc", "repro", "--force", "line", cwd=tiny)
    assert (tiny / "dvc.lock").read_bytes() == before
