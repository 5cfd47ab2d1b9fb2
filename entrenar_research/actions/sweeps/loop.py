"""A sweep whose trials are carried out by a script, in a loop: `er.Sweep`."""

from __future__ import annotations

import datetime
import os
import re
import time as clock
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from entrenar_research.actions.sweeps.claims import Claims, limit_of, open_journal
from entrenar_research.actions.sweeps.pruning import Watch
from entrenar_research.client import ending
from entrenar_research.client.handle import Run
from entrenar_research.client.run import start_run
from entrenar_research.core.sweeps.standing import best
from entrenar_research.core.tracking import handover
from entrenar_research.errors import InvalidFileError, UsageError
from entrenar_research.models.sweep import Aim, Strategy, TrialRecord
from entrenar_research.models.sweep import Sweep as Declared
from entrenar_research.store import study_files, yaml_edit
from entrenar_research.store.files import read_text
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.store.sweeps import journal
from entrenar_research.store.sweeps.declared import SweepFiles
from entrenar_research.store.sweeps.journal import Outcome
from entrenar_research.store.yaml_text import Document, dump

_POLL_SECONDS = 0.2


class Config(dict[str, Any]):
    """The parameters of one trial; `trial` is its number."""

    def __init__(self, params: Mapping[str, Any], trial: int) -> None:
        super().__init__(params)
        self.trial = trial


class Sweep:
    """A search for good parameters, as a loop: every turn is a trial, and gets its parameters.

        sweep = er.Sweep("rank", space={"rank": [8, 16, 32]}, objective="loss", goal="minimize", trials=8)
        for config in sweep:
            with sweep.start_run(config) as run:
                run.log_metric("loss", train(config["rank"]))
        print(sweep.best)

    It is written to `sweeps/<name>/sweep.yaml`, with its trials in a journal beside it: the same script, started
    again, goes on where it was, and several at once share the trials. Without `space` that file is read instead.
    `space`, `strategy`, `pruning` and `time` are what they are in `sweep.yaml`.

    Raises:
        NotAStudyError: if there is no study here.
        UsageError: if something about the search is wrong, or it has trials of another search.
        MissingToolError: if Optuna is not installed.
    """

    def __init__(  # noqa: PLR0913 - each is a part of what a search is
        self,
        name: str,
        *,
        space: Mapping[str, Any] | None = None,
        objective: str | None = None,
        goal: Aim | None = None,
        strategy: Strategy | None = None,
        pruning: Mapping[str, Any] | None = None,
        seed: int | None = None,
        trials: int | None = None,
        time: str | None = None,
        description: str | None = None,
        study: str | os.PathLike[str] | None = None,
    ) -> None:
        self._study = StudyFiles(study_files.find_root(Path(study) if study is not None else Path.cwd()))
        self._places = SweepFiles(self._study)
        if space is not None:
            aim = None if objective is None else _present({"metric": objective, "goal": goal})
            budget = _present({"trials": trials, "time": time}) or None
            wanted = {"description": description, "objective": aim, "strategy": strategy, "pruning": pruning}
            self._write(name, _present({**wanted, "seed": seed, "budget": budget, "space": _plain(space)}))
        self._sweep = self._places.load(name)
        self._limit = limit_of(self._sweep, trials)
        self._claims = Claims(self._study, self._sweep, lambda: datetime.datetime.now(datetime.UTC))
        self._claims.begin()
        self._runs: dict[int, Run] = {}
        self._reported: dict[int, float] = {}

    def _write(self, name: str, wanted: dict[str, Any]) -> None:
        """Writes the declaration; where it is written already, only a larger or smaller budget."""
        text = dump(wanted)
        try:
            mine = self._places.check(name, Document(text, f"er.Sweep({name!r})"))
        except InvalidFileError as error:
            raise UsageError(re.sub(r", line \d+", "", error.message, count=1), hint=error.hint) from error
        path = self._places.directory(name) / "sweep.yaml"
        if not path.is_file():
            self._places.write(name, text)
            return
        there = self._places.load(name)
        if journal.plain(there) == journal.plain(mine):
            before = read_text(path, shown=there.file)
            after = yaml_edit.put(before, there.file, ["budget"], wanted["budget"]) if "budget" in wanted else before
            if after != before:
                self._places.write(name, after)
        elif self._places.journal(name).is_file() and open_journal(self._places, there).begun():
            open_journal(self._places, mine).begin()  # says what is different
        else:
            self._places.write(name, text)

    def __iter__(self) -> Iterator[Config]:
        """The parameters of one trial after the other, until the sweep is done."""
        name, since = self._sweep.name, len(self._claims.journal.trials())
        seconds = self._sweep.seconds
        deadline = None if seconds is None else clock.monotonic() + seconds
        with self._places.at_work(name) as worker:
            try:
                while True:
                    more = deadline is None or clock.monotonic() < deadline
                    claim = self._claims.take(worker, limit=self._limit, since=since, more=more)
                    if claim.trial is not None:
                        yield Config(claim.trial.params, claim.trial.number)
                        self._conclude(claim.trial.number)
                    elif claim.over:
                        return
                    else:
                        clock.sleep(_POLL_SECONDS)
            finally:
                self._claims.cancel(worker)

    def start_run(self, config: Config, *, tags: Sequence[str] = ()) -> Run:
        """The run of a trial: as `er.start_run`, with the trial's parameters. The run we are in is its parent.

        Raises:
            UsageError: if the parameters are not those of a trial of this loop.
        """
        trial = self._under_way(config)
        outer = ending.current()
        parent = outer.id if outer is not None else Path(os.environ.get(handover.RUN, "")).name
        fields: dict[str, Any] = {"sweep": self._sweep.name, "number": trial.number}
        if trial.retry_of is not None:
            fields["retry_of"] = trial.retry_of
        run = start_run(
            self._sweep.declaration.experiment or self._sweep.name,
            params=dict(config),
            tags=tags,
            parents=[(parent, "hyperparameter_search")] if parent else [],
            study=self._study.root,
            trial=fields,
        )
        self._runs[trial.number] = run
        self._claims.journal.name_run(trial.number, run.id)
        return run

    def report(self, config: Config, value: float) -> None:
        """Says what a trial is worth, in place of what its run logged last."""
        self._reported[self._under_way(config).number] = float(value)

    def should_prune(self, config: Config) -> bool:
        """Whether a trial does so badly that it can be ended here; see `pruning`."""
        trial = self._under_way(config)
        run = self._runs.get(trial.number)
        if run is None or run.directory is None:
            return False
        return Watch(self._claims.journal, trial, run.directory).look() is not None

    def _under_way(self, config: Config) -> TrialRecord:
        number = getattr(config, "trial", None)
        trials = self._claims.journal.trials()
        if not isinstance(number, int) or number >= len(trials) or trials[number].status != "running":
            raise UsageError("this is no trial that is under way", hint="pass on what the loop over the sweep gives")
        return trials[number]

    def _conclude(self, number: int) -> None:
        trial = self._claims.journal.trial(number)
        run = self._runs.pop(number, None)
        if run is not None:
            run.finish()
        if number in self._reported:
            outcome = Outcome(status="completed", value=self._reported.pop(number))
        elif run is not None:
            outcome = self._claims.found(trial) or Outcome(status="failed", reason="its run has no readable record")
        else:
            outcome = Outcome(status="failed", reason="the script neither started a run for it nor reported a value")
        self._claims.conclude(trial, outcome)

    @property
    def trials(self) -> tuple[TrialRecord, ...]:
        """Every trial so far."""
        return self._claims.journal.trials()

    @property
    def best(self) -> TrialRecord | None:
        """The best trial so far: its `params`, its `value`, its `run`; None if none is completed."""
        return best(self._sweep, self.trials)

    @property
    def declaration(self) -> Declared:
        """What is searched, and how."""
        return self._sweep


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


def _plain(space: Mapping[str, Any]) -> dict[str, Any]:
    """A space as YAML holds it: every series of values as a list."""
    return {
        str(name): list(item) if not isinstance(item, Mapping) and isinstance(item, Sequence | range) else item
        for name, item in space.items()
    }
