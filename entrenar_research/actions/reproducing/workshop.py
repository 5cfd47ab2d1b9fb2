"""Rebuilding on this machine: scratch copies of the study that are alike in everything but what is varied."""

from __future__ import annotations

import datetime
import json
import os
import platform
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from entrenar_research.actions.reproducing import hook, surroundings
from entrenar_research.actions.reproducing.port import Built, Note
from entrenar_research.actions.running import recipes
from entrenar_research.actions.verifying import replay, scratch_copy
from entrenar_research.core import pins, recipe
from entrenar_research.core.reproducing.clues import Circumstances
from entrenar_research.core.reproducing.factors import Alteration, Here
from entrenar_research.core.tracking import handover, quantities
from entrenar_research.errors import UsageError
from entrenar_research.models.experiment import Experiment
from entrenar_research.models.reproduction import Outcome, Rebuild
from entrenar_research.models.run import RunRecord
from entrenar_research.runners.port import Ended, Job, Runner
from entrenar_research.store import files, run_files
from entrenar_research.store.hashing import Hasher
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.staging import Staging
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools import launcher, python

_USUAL: Final = "usual"
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a file system in memory, that is what it is for
_PATIENCE: Final = 60.0
"""Seconds, and `_TIMES` as long as the first: what an altered rebuild gets where nothing is planned."""
_TIMES: Final = 10


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What rebuilds are carried out with."""

    runner: Runner
    environment: Mapping[str, str]
    now: Callable[[], datetime.datetime]
    tool: str


@contextmanager
def opened(study: StudyFiles, experiment: Experiment, means: Means) -> Iterator[HostWorkshop]:
    """A workshop on this machine; nothing is left of it at the end.

    Raises:
        UsageError: if a declared file or the program is missing.
        StorageError: if there is no space.
    """
    scratch = Path(os.path.realpath(tempfile.mkdtemp(prefix="entrenar-reproduce-")))
    memory: list[Path] = []
    try:
        yield HostWorkshop(study, experiment, means, scratch, memory)
    finally:
        for place in (scratch, *memory):
            files.remove_tree(place)


class HostWorkshop:
    """Executes the command in copies made from one copy; `memory` is told of places outside of `scratch`."""

    tells = True

    def __init__(
        self, study: StudyFiles, experiment: Experiment, means: Means, scratch: Path, memory: list[Path]
    ) -> None:
        self.runner = means.runner.name
        self._study, self._experiment, self._means = study, experiment, means
        self._scratch, self._memory = scratch, memory
        ingredients = recipes.gather(study, experiment, Hasher(study.root))
        self._record = _drafted(experiment, ingredients, means)
        named = self._record.argv[0]
        program = python.resolve(named, means.environment, directory=study.root)
        if program is None:
            raise UsageError(f"command not found: {named} (declared in {experiment.file})")
        self._program = os.path.join(study.root, program) if python.is_python(program) else program
        cpus = experiment.declaration.plan.cpus
        self.here: Here = surroundings.here(cpus or 1, self._program, platform.machine())
        self._pristine = scratch / "pristine"
        scratch_copy.copy_study(study, self._pristine, scratch_copy.needed(study, experiment))
        self._beside = scratch / "beside"
        self._beside.mkdir()
        for source in (hook.__file__, launcher.__file__):
            shutil.copyfile(source, self._beside / Path(source).name)
        (self._beside / "hook").mkdir()
        (self._beside / Path(hook.__file__).name).rename(self._beside / "hook" / "sitecustomize.py")
        self._count = 0
        self._longest = 0.0
        self._steps = surroundings.Steps()
        self._bare = means.runner.name == "host"
        self._spaces_tried = False
        self._no_spaces: str | None = None

    def refuses(self, alteration: Alteration) -> str | None:
        """Why this cannot be altered here, or None."""
        if "host" not in alteration.launcher:
            return None
        return self._spaces()

    def _spaces(self) -> str | None:
        """Why the command cannot have a host name and file systems of its own here, or None: a trial tells."""
        if self._spaces_tried:
            return self._no_spaces
        ended = self._means.runner.execute(
            Job(
                argv=[*self._launched({"host": "trial", "bind": [[str(self._beside)] * 2]}), "true"],
                directory=self._beside,
                environment=dict(self._means.environment),
                stdout=self._scratch / "stdout.txt",
                stderr=self._scratch / "stderr.txt",
            )
        )
        self._spaces_tried = True
        self._no_spaces = None if ended.exit_status == 0 else self._judge(ended)[1]
        return self._no_spaces

    def rebuild(
        self, name: str, alteration: Alteration, changed: Iterable[str] = (), *, watched: bool = False
    ) -> Built:
        """Executes the experiment in a fresh copy.

        Raises:
            KeyboardInterrupt: if the person stops it.
            StorageError: if there is no space.
        """
        self._count += 1
        area = self._scratch / (alteration.place or _USUAL)
        root = area / "study"
        real = self._laid_out(root, alteration)
        notes = self._beside / f"notes-{self._count}"
        self._steps.take()
        began, clock = time.monotonic(), time.time()
        ended = self._execute(root, real, alteration, notes if watched else None)
        seconds = time.monotonic() - began
        outcome, detail = self._judge(ended)
        kept = self._scratch / "kept" / str(self._count)
        if outcome == "reference":
            self._keep(real, kept)
        files.remove_tree(area)
        if real != root:
            files.remove_tree(real.parent)
        self._longest = max(self._longest, seconds)
        return Built(
            rebuild=Rebuild(name=name, outcome=outcome, changed=tuple(changed), detail=detail, seconds=seconds),
            circumstances=Circumstances(
                began=clock, ended=clock + seconds, study=str(root), processes=ended.processes,
                temporary=(str(self._temporary(alteration)),),
            ),
            result=kept if outcome == "reference" else None,
            notes=_read_notes(notes),
        )  # fmt: skip

    def _laid_out(self, root: Path, alteration: Alteration) -> Path:
        """The copy of the study: where its files really lie; `root` is where the command will see them."""
        real = root
        if alteration.memory and self._bare and self._spaces() is None and self._fits():
            real = Path(tempfile.mkdtemp(prefix=f"entrenar-reproduce-{os.getpid()}-", dir=_MEMORY)) / "study"
            self._memory.append(real.parent)
        with files.refusals("cannot make the scratch copy"):
            root.mkdir(parents=True)
            real.mkdir(exist_ok=True)
            paths = sorted(path.relative_to(self._pristine) for path in self._pristine.rglob("*"))
            for path in reversed(paths) if alteration.backwards else paths:
                source, target = self._pristine / path, real / path
                if source.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
                shutil.copymode(source, target)
            for path in reversed(paths):  # directories after what is in them
                os.utime(real / path, (alteration.stamp, alteration.stamp))
            (real / self._result).mkdir(parents=True)
            files.remove_tree(RunFiles(real).directory(self._record.id))
            RunFiles(real).open(self._record)
            for directory in (self._temporary(alteration), self._home(alteration)):
                if directory is not None:
                    files.remove_tree(directory)
                    directory.mkdir(parents=True)
        return real

    def _fits(self) -> bool:
        """Whether memory has room for the copy: a quarter of it at most."""
        if not os.access(_MEMORY, os.W_OK):
            return False
        needed = sum(path.stat().st_size for path in self._pristine.rglob("*") if path.is_file())
        return needed < shutil.disk_usage(_MEMORY).free / 4

    @property
    def _result(self) -> str:
        """Where the command writes, relative to the study: as in a run."""
        return Staging(Path(".entrenar"), self._record.id).result.as_posix()

    def _temporary(self, alteration: Alteration) -> Path:
        return self._beside / (alteration.temporary or "tmp")

    def _home(self, alteration: Alteration) -> Path | None:
        return None if alteration.home is None else self._beside / alteration.home

    def _execute(self, root: Path, real: Path, alteration: Alteration, notes: Path | None) -> Ended:
        argv = recipe.expand(
            self._record.command,
            result=self._result,
            params_file=self._experiment.declaration.params,
            seed=self._record.seed,
            params=recipe.dotted(recipe.declared_params(self._record)),
        )
        argv[0] = self._program
        settings: dict[str, object] = dict(alteration.launcher)
        if not self._bare:  # a runner may have its own idea of this one
            settings["variables"] = {"TMPDIR": str(self._temporary(alteration))}
        bound = [[str(real), str(root)]] if real != root else []
        if settings.pop("entropy", None) and self._spaces() is None:
            bound += surroundings.entropy(self._beside)
        if bound:
            settings["bind"] = bound
        job = Job(
            argv=[*self._launched(settings), *argv] if settings else argv,
            directory=root,
            environment=self._variables(root, alteration, notes),
            stdout=self._scratch / "stdout.txt",
            stderr=self._scratch / "stderr.txt",
            halt=self._limit(altered=alteration != Alteration()),
            writable=self._writable(root),
        )
        ended = self._means.runner.execute(job)
        if ended.interrupted:
            raise KeyboardInterrupt
        return ended

    def _launched(self, settings: Mapping[str, object]) -> list[str]:
        return launcher.command(str(self._beside), settings)

    def _variables(self, root: Path, alteration: Alteration, notes: Path | None) -> dict[str, str]:
        """The same for all rebuilds, but for what is altered."""
        given = self._means.environment
        found: dict[str, str | None] = {
            **handover.without(given),
            **pins.pinned(self._experiment.declaration.plan.cpus),
            "TMPDIR": str(self._temporary(alteration)),
            **handover.variables(
                study=str(root),
                run=RunFiles(root).directory(self._record.id).relative_to(root).as_posix(),
                result=self._result,
                trace_id=self._record.trace_id or "",
            ),
            **alteration.variables,
        }
        home = self._home(alteration)
        if home is not None:  # packages of the person's own are found all the same
            packages = given.get("PYTHONUSERBASE") or os.path.join(given.get("HOME", "/"), ".local")
            found |= {"HOME": str(home), "PYTHONUSERBASE": packages}
        if alteration.hook or notes is not None:
            theirs = given.get("PYTHONPATH")
            ours = str(self._beside / "hook")
            told = {**alteration.hook, "notes": str(notes) if notes is not None else ""}
            found |= {
                "PYTHONPATH": f"{ours}{os.pathsep}{theirs}" if theirs else ours,
                hook.VARIABLE: json.dumps({key: value for key, value in told.items() if value}),
            }
        return {name: value for name, value in found.items() if value is not None}

    def _limit(self, *, altered: bool) -> Callable[[], str | None]:
        """How long a rebuild may take: what is planned, or for an altered one a multiple of what the others took."""
        plan = self._experiment.declaration.plan
        seconds = None
        if plan.time is not None:
            seconds = quantities.in_seconds(plan.time) * (1 + plan.red / 100)
        elif altered and self._longest:
            seconds = _PATIENCE + _TIMES * self._longest
        began = time.monotonic()

        def over() -> str | None:
            if seconds is None or time.monotonic() - began < seconds:
                return None
            return f"it was stopped after {seconds:.0f} s"

        return over

    def _writable(self, root: Path) -> tuple[Path, ...]:
        """Where the command writes: its result, its run, outputs at fixed places, and what lies beside the copy."""
        outputs = self._experiment.declaration.outputs
        places = {(root / item.source).parent for item in outputs if not isinstance(item, str)}
        for place in places:
            place.mkdir(parents=True, exist_ok=True)
        run = RunFiles(root).directory(self._record.id)
        return (root / self._result, run, self._beside, *sorted(places))

    def _judge(self, ended: Ended) -> tuple[Outcome, str]:
        if ended.halted is not None:
            return "failed", ended.halted
        if ended.exit_status == 0:
            return "reference", ""
        said = (self._scratch / "stderr.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        if ended.exit_status == launcher.REFUSED and said and said[0].startswith(launcher.MARK):
            return "left out", said[0].removeprefix(launcher.MARK)
        how = f"was killed by {ended.signal}" if ended.signal else f"ended with exit status {ended.exit_status}"
        return "failed", f"the command {how}{': ' + said[0] if said else ''}"

    def _keep(self, root: Path, kept: Path) -> None:
        replay.collect(self._experiment, root, root / self._result)
        with files.refusals("cannot keep a result"):
            kept.parent.mkdir(exist_ok=True)
            shutil.move(root / self._result, kept)


def _drafted(experiment: Experiment, ingredients: recipes.Ingredients, means: Means) -> RunRecord:
    """What the command may read of its run: the same for all rebuilds."""
    declaration = experiment.declaration
    argv = recipe.expand(
        declaration.command, result=experiment.result, params_file=declaration.params, seed=declaration.seed,
        params=recipe.dotted(ingredients.params),
    )  # fmt: skip
    now = means.now()
    return RunRecord(
        id=run_files.new_id(experiment.name, now),
        experiment=experiment.name,
        status="running",
        tool=means.tool,
        runner=means.runner.name,
        started=now.isoformat(),
        command=declaration.command,
        argv=tuple(argv),
        seed=declaration.seed,
        params=ingredients.params,
        trace_id=secrets.token_hex(16),
    )


def _read_notes(path: Path) -> frozenset[Note]:
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return frozenset()
    return frozenset(Note(*line.split("\t", 1)) for line in lines if "\t" in line)
