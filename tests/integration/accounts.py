"""A second account on the machine, for tests of what another user can do with what was handed over."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest


class Account:
    """A temporary account: commands of it get its HOME, a PATH, and not one other variable."""

    def __init__(self, name: str, home: Path) -> None:
        self.name, self.home = name, home
        self._entry = pwd.getpwnam(name)

    def give(self, source: Path, name: str) -> Path:
        """A copy of a file or directory in the account's home, owned by it."""
        target = self.home / name
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copyfile(source, target)
        self.own(target)
        return target

    def own(self, top: Path) -> None:
        """Changes the owner of everything."""
        for path in (top, *top.rglob("*")):
            os.chown(path, self._entry.pw_uid, self._entry.pw_gid, follow_symlinks=False)

    def run(
        self, *argv: str | Path, cwd: Path | None = None, status: int = 0, within: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program as this account; asserts its exit status. `within` is what its command line begins with."""
        path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        ids = (f"--reuid={self._entry.pw_uid}", f"--regid={self._entry.pw_gid}", "--clear-groups")
        done = subprocess.run(
            ["setpriv", *ids, "env", "-i", f"HOME={self.home}", f"PATH={path}", *within, *map(str, argv)],
            cwd=cwd or self.home, capture_output=True, text=True, check=False, timeout=300, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == status, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def tool(self, *words: str | Path, cwd: Path | None = None, status: int = 0) -> str:
        """Runs `entrenar-research`; what it printed."""
        return self.run("entrenar-research", *words, cwd=cwd, status=status).stdout

    def verdicts(self, *words: str | Path, cwd: Path | None = None) -> dict[str, set[str]]:
        """What `verify` says, by area."""
        report = json.loads(self.tool("verify", *words, "--format", "json", cwd=cwd))
        found: dict[str, set[str]] = {}
        for item in report["findings"]:
            found.setdefault(item["area"], set()).add(item["verdict"])
        return found


@contextlib.contextmanager
def made() -> Iterator[Account]:
    """An account that is there for the block, and removed after it."""
    if os.geteuid() != 0:
        pytest.skip("needs root: makes another account")
    for program in ("useradd", "userdel", "setpriv"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    name = f"reader{os.getpid()}"
    home = Path(tempfile.mkdtemp(prefix="reader-"))
    subprocess.run(["useradd", "--no-create-home", "--home-dir", home, name], check=True, capture_output=True)
    try:
        account = Account(name, home)
        account.own(home)
        tool = Path(sys.executable).with_name("entrenar-research")
        seen = subprocess.run(["setpriv", f"--reuid={name}", "--clear-groups", "test", "-x", tool], check=False)
        if seen.returncode != 0:
            pytest.skip(f"another account may not execute {tool}")
        yield account
    finally:
        subprocess.run(["userdel", name], check=True, capture_output=True)
        shutil.rmtree(home)
