"""Builds by Nix whose command is carried out on another processor, by the user-mode emulator of QEMU.

The derivation is the experiment's own: the same builder, files and environment. Only the command is another: the
emulator stands before it, and Nix is told to let the emulator and its libraries into the sandbox.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from entrenar_research.core.nix import closure_lock
from entrenar_research.tools import nix
from tests import hermetic

PROGRAM = "qemu-x86_64"
UNPINNED = {"OPENBLAS_CORETYPE": "", "NPY_DISABLE_CPU_FEATURES": "", "GLIBC_TUNABLES": ""}
"""What an experiment declares that wants the processor to choose the code."""


def require() -> str:
    """The emulator; without it a test is skipped, and in continuous integration it fails."""
    found = shutil.which(PROGRAM)
    return found if found is not None else hermetic.lacking(f"{PROGRAM} (package qemu-user) is not installed")


class Builder:
    """Builds experiments of `root`, which has no files of Nix itself, into a store."""

    def __init__(self, base: Path, store: Path, root: Path, experiments: Mapping[str, Any]) -> None:
        self._base, self._root, self._experiments = base, root, experiments
        self.tool = nix.Nix(base / "conf", store)
        self._python = f"{self._build('toolchain.environment').text}/bin/python3"

    def build(self, name: str, kind: str | None = None, environment: Mapping[str, str] | None = None) -> str:
        """The NAR digest of the result, on a processor of this kind; without one, on the one that is here."""
        done = self.attempt(name, kind, environment)
        assert done.status == 0, done.stderr.decode()
        return str(self.tool.info([done.text])[done.text]["narHash"])

    def attempt(self, name: str, kind: str | None = None, environment: Mapping[str, str] | None = None) -> Any:
        """A build, however it ends."""
        job = dict(self._experiments[name])
        job["environment"] = {**job.get("environment", {}), **(environment or {})}
        options = []
        if kind is not None:
            program = require()
            said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
            job["environment"]["EMULATOR"] = said.splitlines()[0]  # another one is to be tried again
            job["command"] = [f"/emulator/{PROGRAM}", "-cpu", kind, self._python, *job["command"][1:]]
            options = ["--option", "sandbox-paths", " ".join(_places(program))]
        jobs = self._base / f"{name}-{kind}.json"
        jobs.write_text(json.dumps({"experiments": {name: job}}))
        text = f"builtins.fromJSON (builtins.readFile {json.dumps(str(jobs))})"
        return self._build(f"experiments.{name}", "--arg", "jobs", text, *options, check=False)

    def _build(self, attribute: str, *words: str, check: bool = True) -> Any:
        study = hermetic.PLACE / "study"
        lock = f"builtins.fromJSON (builtins.readFile {json.dumps(str(study / closure_lock.FILE))})"
        return self.tool.run(
            ["nix-build", str(study / "nix"), "--no-out-link", "--arg", "root", str(self._root), "--arg", "lock", lock,
             *words, "-A", attribute],
            check=check,
            timeout=None,
        )  # fmt: skip


def _places(program: str) -> list[str]:
    """The emulator and the libraries that it needs, as places in the sandbox and what lies there."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    libraries = sorted(set(re.findall(r"(?<!\S)(/\S+)", said)))
    if not libraries and "statically linked" not in said and "not a dynamic" not in said:
        pytest.fail(f"what {program} needs is not known: {said}")
    return [f"/emulator/{PROGRAM}={program}", *(f"{path}={Path(path).resolve()}" for path in libraries)]
