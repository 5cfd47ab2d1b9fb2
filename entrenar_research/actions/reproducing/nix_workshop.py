"""Rebuilding by Nix: the derivation of the experiment, built and checked; what is varied is part of another one."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from entrenar_research.actions.hermetic import jobs
from entrenar_research.actions.reproducing import hook, surroundings
from entrenar_research.actions.reproducing.port import Built
from entrenar_research.actions.reproducing.workshop import Means
from entrenar_research.actions.running import recipes
from entrenar_research.core.nix import strings
from entrenar_research.core.reproducing.clues import Circumstances
from entrenar_research.core.reproducing.factors import Alteration, Here
from entrenar_research.errors import ToolError, UsageError
from entrenar_research.models.experiment import Experiment
from entrenar_research.models.hermetic import Data, HermeticJob, HermeticJobs
from entrenar_research.models.reproduction import Outcome, Rebuild
from entrenar_research.store import closure_file, files, nar
from entrenar_research.store.hashing import Hasher
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools import execution, nix

_HOOK: Final = ".reproduce-hook"
_ONLY_VARIABLES: Final = "the sandbox of Nix has this always the same"
_UNSEEN: Final = 3600.0
"""Seconds before its registration in which a path that was in the store already may have been built."""
_FAILED: Final = re.compile(r"failed with exit code (\d+)|failed due to signal (\d+)")


@contextmanager
def opened(study: StudyFiles, experiment: Experiment, means: Means) -> Iterator[NixWorkshop]:
    """A workshop in the study's Nix store, where what was built stays, as after any build.

    Raises:
        MissingToolError: if Nix is absent or too old.
        UsageError: if the study has no lock, or a declared file is missing.
    """
    nix.require()
    closure_file.read(study.root)
    scratch = Path(os.path.realpath(tempfile.mkdtemp(prefix="entrenar-reproduce-")))
    try:
        yield NixWorkshop(study, experiment, means, scratch)
    finally:
        files.remove_tree(scratch)


class NixWorkshop:
    """Builds a derivation for each alteration once, and from then on checks it (`nix-build --check`)."""

    tells = False

    def __init__(self, study: StudyFiles, experiment: Experiment, means: Means, scratch: Path) -> None:
        self.runner = means.runner.name
        self._study, self._name, self._scratch = study, experiment.name, scratch
        self._tool = nix.Nix(study.state / "nix", nix.default_store(means.environment))
        ingredients = recipes.gather(study, experiment, Hasher(study.root))
        self._job = jobs.job(study, experiment, ingredients, jobs.tracked_files(study))
        pins = closure_file.read(study.root).pins
        cpus = experiment.declaration.plan.cpus
        self.here = Here(
            threads=cpus or 1, cpu=0, features=tuple(pins.get("NPY_DISABLE_CPU_FEATURES", "").split()),
            machine=platform.machine(),
        )  # fmt: skip
        (scratch / "hook").mkdir()
        shutil.copyfile(hook.__file__, scratch / "hook" / "sitecustomize.py")
        self._seed(self._job.data, study.root)
        self._count = 0
        self._steps = surroundings.Steps()

    def refuses(self, alteration: Alteration) -> str | None:
        """Why this cannot be altered in the sandbox, or None: variables can, and what the hook does."""
        within = msgspec.structs.replace(alteration, variables={}, hook={}, memory=False, backwards=False)
        if "hold" in alteration.hook.values():  # what the launcher would hold besides is beyond reach here
            within = msgspec.structs.replace(within, launcher={})
        return None if within == Alteration() else _ONLY_VARIABLES

    def rebuild(
        self, name: str, alteration: Alteration, changed: Iterable[str] = (), *, watched: bool = False
    ) -> Built:
        """Builds, or checks what was built.

        Raises:
            ToolError: if Nix cannot build.
            KeyboardInterrupt: if the person stops it.
        """
        del watched  # nothing comes out of the sandbox but the result
        self._count += 1
        jobs_file = self._scratch / f"jobs-{self._count}.json"
        whole = HermeticJobs(schema=jobs.SCHEMA, experiments={self._name: self._altered(alteration)})
        files.write_atomically(jobs_file, msgspec.json.encode(whole))
        out = self._out_path(jobs_file)
        was_there = out in self._tool.is_valid([out])
        self._steps.take()
        began, clock = time.monotonic(), time.time()
        status, said = self._build(jobs_file, check=was_there and self._count > 1)
        seconds = time.monotonic() - began
        lasted = (clock, clock + seconds)
        if was_there and self._count == 1:
            registered = float(self._registered(out))
            lasted = (registered - _UNSEEN, registered)
        kept = self._scratch / "kept" / str(self._count)
        detail = ""
        if status == nix.NOT_REPRODUCED:
            self._keep(self._tool.physical(f"{out}.check"), kept)
            files.remove_tree(self._tool.physical(f"{out}.check"))
        elif status == 0:
            self._keep(self._tool.physical(out), kept)
        else:
            detail = _reason(said)
        outcome: Outcome = "failed" if detail else "reference"
        return Built(
            rebuild=Rebuild(name=name, outcome=outcome, changed=tuple(changed), detail=detail, seconds=seconds),
            circumstances=Circumstances(began=lasted[0], ended=lasted[1], temporary=("/build",), study="/build/study"),
            result=None if detail else kept,
        )

    def _altered(self, alteration: Alteration) -> HermeticJob:
        variables = {name: value for name, value in alteration.variables.items() if value is not None}
        data = self._job.data
        if alteration.hook:
            item = Data(path=_HOOK, store="reproduce-hook", nar=nar.directory_hash(self._scratch / "hook"))
            self._tool.add_directory(item.store, self._scratch / "hook")
            data = (*data, item)
            variables |= {"PYTHONPATH": f"/build/study/{_HOOK}", hook.VARIABLE: json.dumps(dict(alteration.hook))}
        environment = {**self._job.environment, **variables}
        return msgspec.structs.replace(self._job, environment=environment, data=data)

    def _seed(self, data: Iterable[Data], root: Path) -> None:
        """Puts the data of the experiment into the store: the derivation knows it by its digest."""
        for item in data:
            add = self._tool.add_file if item.nar is None else self._tool.add_directory
            add(item.store, root / item.path)

    def _given(self, jobs_file: Path) -> list[str]:
        return ["--arg", "jobs", f"builtins.fromJSON (builtins.readFile {strings.literal(str(jobs_file))})"]

    def _out_path(self, jobs_file: Path) -> str:
        expression = str(self._study.root / "nix")
        found = self._tool.run(
            ["nix-instantiate", "--eval", "--json", expression, *self._given(jobs_file),
             "-A", f"experiments.{self._name}.outPath"],
        )  # fmt: skip
        path: str = json.loads(found.text)
        return path

    def _registered(self, out: str) -> int:
        item: dict[str, Any] = self._tool.info([out])[out]
        return int(item.get("registrationTime") or time.time())

    def _build(self, jobs_file: Path, *, check: bool) -> tuple[int, str]:
        options = ["--check", "--keep-failed"] if check else []
        said = self._scratch / "nix.log"
        outcome = execution.execute(
            self._tool.command(
                ["nix-build", str(self._study.root / "nix"), "--no-out-link", *options, *self._given(jobs_file),
                 "-A", f"experiments.{self._name}"]
            ),
            cwd=self._scratch,
            env={**self._tool.environment(), "TMPDIR": str(self._scratch)},
            stdout=self._scratch / "nix.out",
            stderr=said,
        )  # fmt: skip
        if outcome.interrupted:
            raise KeyboardInterrupt
        return outcome.exit_status, said.read_text(encoding="utf-8", errors="replace")

    def _keep(self, built: Path, kept: Path) -> None:
        with files.refusals("cannot keep a result"):
            shutil.copytree(built, kept, symlinks=True, copy_function=shutil.copyfile)
            for directory, _, _ in os.walk(kept):
                Path(directory).chmod(0o755)


def _reason(said: str) -> str:
    """Why a build failed; where Nix did not come to it, that is an error of its own.

    Raises:
        ToolError: if nothing was executed.
    """
    lines = [line for line in said.splitlines() if line.strip()]
    if found := _FAILED.search(said):
        how = f"ended with exit status {found[1]}" if found[1] else f"was killed by signal {found[2]}"
        last = [line.strip().removeprefix("> ") for line in lines if line.strip().startswith("> ")][-1:]
        return f"the command {how}{': ' + last[0] if last else ''}"
    if "missing-in-the-store" in said:
        raise UsageError(
            "the Nix store lacks files of the lock", hint="put them there with `entrenar-research env seed`"
        )
    raise ToolError("Nix cannot build: " + "; ".join(line.strip() for line in lines[-3:]))
