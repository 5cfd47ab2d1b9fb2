"""Starting a run, and finding the one that this process is part of."""

from __future__ import annotations

import os
import sys
import time

from entrenar_research.client import ending, lineage, places, record, surroundings, values
from entrenar_research.client.event_log import EventLog
from entrenar_research.client.handle import Run
from entrenar_research.client.slots import SlotLog
from entrenar_research.client.surroundings import Exports
from entrenar_research.errors import StorageError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from entrenar_research.client.port import Storage

__all__ = ["Run", "current_run", "start_run"]
_DEFAULT = "script"


def start_run(
    experiment: str | None = None,
    *,
    params: Mapping[str, Any] | None = None,
    tags: Iterable[str] = (),
    parents: Iterable[Any] = (),
    study: str | os.PathLike[str] | None = None,
    storage: Storage | None = None,
    trial: Mapping[str, Any] | None = None,
) -> Run:
    """Starts a run of `experiment` (default: the name of the script) in the study around the working directory.

    In a process that `entrenar-research run` or another run has started, it is that run, and this process adds to it.
    `parents` are `(run, relationship)` or `(run, relationship, role)`. With a `storage` of its own (`MemoryStorage()`)
    there is neither study nor file. With `study` it is a run of its own in any case; `trial` is for `er.Sweep`.

    Raises:
        NotAStudyError: if there is no study here.
        UsageError: if a name, parameter, tag or parent is not what it should be; nothing was begun then.
        StorageError: if the file system refuses.
    """
    said = _Said(params, tags, parents)
    said.trial = dict(trial or {})
    run: Run | None
    if storage is not None:
        run = _in_storage(storage, _name(experiment), said)
    else:
        run = _inherited(said) if study is None else None
        run = run or _in_study(study, _name(experiment), said)
    ending.opened(run)
    return run


def current_run() -> Run:
    """The run that is open in this process, or that this process was started in: the same handle every time.

    Raises:
        UsageError: if there is none.
    """
    run = ending.current()
    if run is None:
        run = _inherited(_Said(None, (), ()))
        if run is None:
            raise UsageError(
                "there is no run: this process has not started one, and none was handed to it",
                hint='start one with start_run("name"), or run the script with `entrenar-research run NAME`',
            )
        ending.opened(run)
    return run


class _Said:
    """What was said at the start, checked before anything is made."""

    def __init__(self, params: Mapping[str, Any] | None, tags: Iterable[str], parents: Iterable[Any]) -> None:
        self.params: dict[str, Any] = {}
        self.tags: list[str] = []
        self.parents: list[dict[str, str]] = []
        self.trial: dict[str, Any] = {}
        if not params and not tags and not parents:
            return
        self.params = values.plain(params or {}, "params")
        self.tags = [values.name(tag, "tag") for tag in ([tags] if isinstance(tags, str) else tags)]
        self.parents = lineage.parents(parents)

    def say(self, run: Run) -> None:
        """Says it to the run."""
        if self.params:
            run.log_params(self.params)
        for tag in self.tags:
            run.add_tag(tag)
        for parent in self.parents:
            run.add_parent(**parent)


def _name(experiment: str | None) -> str:
    if experiment is not None:
        return experiment
    file = getattr(sys.modules.get("__main__"), "__file__", None) or _DEFAULT
    stem = os.path.splitext(os.path.basename(file))[0]  # noqa: PTH119, PTH122 - pathlib is slow to import
    letters = [c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in stem]
    return "".join(letters).lstrip("-_")[:64] or _DEFAULT


def _handle(log: SlotLog, run_id: str, directory: str | None, said: _Said) -> Run:
    """The handle of a run, with its log open and what was said at the start in it.

    Raises:
        StorageError: if it cannot be.
    """
    try:
        log.open()
    except OSError as error:
        log.storage.close()
        raise places.refused(f"cannot make the log of run {run_id}", error) from error
    exports = Exports(log.trace)
    exports.span(log.root.id)
    run = Run(log, exports, run_id=run_id, experiment=log.root.name, directory=directory)
    said.say(run)
    return run


def _log(storage: Storage, experiment: str) -> SlotLog:
    trace, parent = surroundings.incoming() or (os.urandom(16).hex(), None)
    return SlotLog(storage, experiment, trace, parent)


def _in_storage(storage: Storage, experiment: str, said: _Said) -> Run:
    values.experiment(experiment)
    return _handle(_log(storage, experiment), places.new_id(experiment, time.time_ns()), None, said)


def _inherited(said: _Said) -> Run | None:
    """The run that the environment names, unless this process has put it there itself."""
    directory = places.inherited()
    if directory is None or ending.owned(directory):
        return None
    run_id = os.path.basename(directory)  # noqa: PTH119 - pathlib is slow to import
    experiment = run_id.partition("-")[2].rpartition("-")[0]
    return _handle(_log(EventLog(directory), experiment), run_id, directory, said)


def _in_study(study: str | os.PathLike[str] | None, experiment: str, said: _Said) -> Run:
    root = places.find_study(study)
    began = time.time_ns()
    run_id, directory = places.make_directory(root, experiment, began)
    try:
        run = _handle(_log(EventLog(directory), experiment), run_id, directory, said)
    except StorageError:
        places.remove(directory)
        raise
    try:
        fields = record.begin(directory, run_id, experiment, began, run.trace_id)
        run.own({**fields, "trial": said.trial} if said.trial else fields)
    except OSError as error:
        run.finish("failed")
        places.remove(directory)
        raise places.refused(f"cannot write the record of run {run_id}", error) from error
    return run
