"""Ways to talk to the tool: in this process (quick), and on a terminal of its own (as a person does)."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from entrenar_research.cli import front
from tests.conftest import World

_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class Said:
    """What a command said and how it ended."""

    status: int
    out: str
    err: str = ""

    @property
    def complaint(self) -> tuple[str, str]:
        """The error and the hint, without their first words; there is nothing else on standard error."""
        match = re.fullmatch(r"error: (.*?)(?:\nhint: (.*))?\n", self.err, re.DOTALL)
        assert match is not None, self.err
        return match[1], match[2] or ""


Door = Callable[..., Said]
Terminal = Callable[..., Said]


@pytest.fixture
def door(world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Door]:
    """Runs `entrenar-research` with these words in `cwd`, in this process."""
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)
    before = signal.getsignal(signal.SIGTERM)

    def call(*words: str, cwd: Path, env: dict[str, str] | None = None) -> Said:
        monkeypatch.chdir(cwd)
        for name, value in (env or {}).items():
            monkeypatch.setenv(name, value)
        capfd.readouterr()
        status = front.enter([str(word) for word in words])
        said = capfd.readouterr()
        assert "not yours" not in said.err, said.err
        return Said(status, said.out, said.err)

    yield call
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def terminal(world: World) -> Terminal:
    """Runs a program on a pseudo-terminal; `answers` are (prompt, reply) in the order in which they come."""

    def call(
        *words: str | Path,
        cwd: Path,
        answers: Sequence[tuple[str, str]] = (),
        env: dict[str, str] | None = None,
        columns: int = 100,
    ) -> Said:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        environment = {**world.environment, "TERM": "xterm-256color", **(env or {})}
        argv = [str(word) for word in words]
        child = subprocess.Popen(
            argv, cwd=cwd, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no threads here
        )  # fmt: skip
        os.close(slave)
        try:
            text = _converse(master, list(answers))
            return Said(child.wait(timeout=_SECONDS), text)
        finally:
            child.kill()
            child.wait()
            os.close(master)

    return call


def _converse(master: int, answers: list[tuple[str, str]]) -> str:
    seen = read = b""
    while True:
        ready, _, _ = select.select([master], [], [], _SECONDS)
        assert ready, f"silence; waiting for {answers}; so far: {seen!r}"
        try:
            data = os.read(master, 1 << 16)
        except OSError as error:
            if error.errno != errno.EIO:  # the other end is closed
                raise
            data = b""
        if not data:
            assert not answers, f"never asked: {answers}; said: {seen!r}"
            return seen.decode("utf-8", "replace").replace("\r\n", "\n")
        seen, read = seen + data, read + data
        if answers and answers[0][0].encode() in read:
            os.write(master, answers.pop(0)[1].encode())
            read = b""


@pytest.fixture
def nobody(tmp_path: Path) -> list[str]:
    """The words that run a command as an account without rights, which can look into `tmp_path`; needs root."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    for place in (tmp_path, *tmp_path.parents):
        if place.name.startswith(("test_", "popen-", "pytest-")):  # what pytest made
            place.chmod(0o755)
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


def tree(root: Path) -> dict[str, bytes]:
    """Every file of a study with its content, and every directory; without caches of the tool and of Git."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if name.startswith((".entrenar", ".git/", ".dvc/tmp")):
            continue
        if path.is_symlink():
            found[name] = str(path.readlink()).encode()
        else:
            found[name] = b"" if path.is_dir() else path.read_bytes()
    return found
