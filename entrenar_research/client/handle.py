"""The handle of a run: what a training script says things to."""

from __future__ import annotations

import os
import sys
import time

from entrenar_research.client import artifacts, ending, lineage, places, record, surroundings, values
from entrenar_research.client.spans import Span
from entrenar_research.client.surroundings import Exports
from entrenar_research.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Any, Self

    from entrenar_research.client.progress import Tracked
    from entrenar_research.client.slots import SlotLog

_STATUSES = ("completed", "failed", "cancelled")


class Run:
    """A run that is under way. `id`, `experiment` and `trace_id` name it; `log_metric` logs a number.

    It is a context manager: an exception makes it failed, Ctrl-C cancelled, and goes on its way.
    """

    __slots__ = (
        *("_began", "_directory", "_exports", "_log", "_owned", "_said", "_study"),
        *("experiment", "id", "log_metric", "trace_id"),
    )

    def __init__(self, log: SlotLog, exports: Exports, *, run_id: str, experiment: str, directory: str | None) -> None:
        self.id, self.experiment, self.trace_id = run_id, experiment, log.trace
        self.log_metric = log.log_metric
        self._log, self._exports, self._directory = log, exports, directory
        self._study = directory.rpartition("/")[0].rpartition("/")[0] if directory is not None else None
        self._owned: dict[str, Any] | None = None
        self._said: dict[str, Any] = {"params": {}, "tags": [], "warnings": [], "artifacts": {}, "parents": []}
        self._began = time.monotonic_ns()

    @property
    def directory(self) -> Path | None:
        """`runs/<id>` of the study; None for a run in memory."""
        from pathlib import Path  # takes longer to import than all of the client

        return Path(self._directory) if self._directory is not None else None

    @property
    def span_id(self) -> str:
        """The W3C span id of the active span; a run is a span itself."""
        return self._log.active.id

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Logs several numbers of one step.

        Raises:
            UsageError: as `log_metric`; those before the wrong one are logged.
        """
        for key, value in metrics.items():
            self.log_metric(key, value, step)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Adds parameters: text, numbers, truth values, None, and lists and dicts of those.

        Raises:
            UsageError: if a name or value is something else; then none is added.
        """
        for name, value in values.plain(params, "params").items():
            self._log.note("param", {"name": name, "value": value})
            self._said["params"][name] = value

    def add_tag(self, tag: str) -> None:
        """Adds a word to find the run by.

        Raises:
            UsageError: if it is empty, over-long or has control characters.
        """
        if values.name(tag, "tag") not in self._said["tags"]:
            self._log.note("tag", {"value": str(tag)})
            self._said["tags"].append(str(tag))

    def add_warning(self, text: str) -> None:
        """Writes down that something was not as it should be, though the run goes on.

        Raises:
            UsageError: if it is not text.
        """
        found = values.text(text, "a warning")
        self._log.note("warning", {"text": found, "time": places.moment(time.time_ns())})
        self._said["warnings"].append(found)

    def add_parent(self, run: str | Run, relationship: str, role: str | None = None) -> None:
        """Names a run that this one came from, for instance `add_parent(teacher, "distilled_from", "teacher")`.

        Raises:
            UsageError: if the relationship is not one of `lineage.RELATIONSHIPS`.
        """
        found = lineage.parent(run, relationship, role)
        self._log.note("parent", found)
        self._said["parents"].append(found)

    def log_eta(self, predicted: float, actual: float) -> None:
        """Writes down a prediction of a duration and what it was, in seconds.

        Raises:
            UsageError: if one of them is no number.
        """
        found = {"predicted": values.number(predicted, "predicted"), "actual": values.number(actual, "actual")}
        self._log.note("eta", found)

    def span(self, name: str, **attributes: Any) -> Span:
        """A part of the run, to be used with `with`: what is logged in it belongs to it.

        Raises:
            UsageError: if the name or an attribute cannot be written down.
        """
        return Span(
            self._log, self._exports, values.name(name, "name of a span"), values.plain(attributes, "attributes")
        )

    def track(self, iterable: Iterable[Any], total: int | None = None) -> Tracked:
        """Iterates and predicts how long it will still take; `total` where the iterable has no length.

        What was predicted after a quarter, a half and three quarters is logged with what it took then.
        """
        from entrenar_research.client.progress import Tracked

        return Tracked(iterable, total, lambda fields: self._log.note("eta", fields))

    def log_artifact(self, source: str | os.PathLike[str] | bytes, name: str | None = None) -> str:
        """Keeps a copy of a file, or bytes, under a name (default: the file's own); where it is in the run.

        Raises:
            UsageError: if there is no such file, or the name leads elsewhere.
            StorageError: if there is no space for it.
        """
        if isinstance(source, bytes | bytearray | memoryview):
            return self._kept(artifacts.keep(self._log.storage, artifacts.relative_name(name), [bytes(source)], "file"))
        path = artifacts.source_path(source)
        chosen = artifacts.relative_name(os.path.basename(path) if name is None else name)  # noqa: PTH119
        return self._kept(artifacts.keep(self._log.storage, chosen, artifacts.chunks_of(path), "file"))

    def log_model(
        self,
        name: str,
        tensors: Mapping[str, Any] | str | os.PathLike[str] | bytes,
        *,
        metadata: Mapping[str, str] | None = None,
        bypass: str | os.PathLike[str] | None = None,
    ) -> str:
        """Keeps a model as SafeTensors: arrays or tensors by name, or a file that is one already; where it is.

        `bypass` is a signed statement that allows one file of another format, by its digest; see `model_files`.

        Raises:
            UsageError: if it is no SafeTensors, or in a format that can run code when it is read.
            StorageError: if there is no space for it.
        """
        from entrenar_research.client import model_files

        notes = model_files.keep(self._log.storage, name, tensors, metadata=metadata, bypass=bypass, study=self._study)
        return [self._kept(note) for note in notes][-1]

    def _kept(self, note: dict[str, Any]) -> str:
        self._log.note("artifact", note)
        self._said["artifacts"][note["path"]] = note
        return str(note["path"])

    # --- the end ---------------------------------------------------------------------------------------------------

    def finish(self, status: str = "completed") -> None:
        """Ends the run as `completed`, `failed` or `cancelled`. A second time does nothing.

        Raises:
            UsageError: for another status.
        """
        if status not in _STATUSES:
            raise UsageError(f"a run ends as {', '.join(_STATUSES)}, not {status!r}", hint="the default is completed")
        self._end(status, None)

    def abandon(self, failure: str) -> None:
        """Ends the run as failed without an exception: `failure` says why."""
        self._end("failed", failure)

    def fail(self, error: BaseException) -> None:
        """Ends the run because of an exception: as cancelled for Ctrl-C, else as failed, with its type and stack."""
        if self._log.ended:
            return
        name, *bases = [_type_name(kind) for kind in type(error).__mro__[:-1]]  # without object
        message = values.writable(_message(error).replace(f"{self._study}{os.sep}", ""))
        if isinstance(error, KeyboardInterrupt):
            self._end("cancelled", "interrupted")
            return
        stack = values.writable(ending.stack_text(error, self._study))
        note: dict[str, Any] = {"exception": name, "bases": bases, "message": message, "stack": stack}
        if isinstance(error, OSError) and isinstance(error.errno, int):
            note["errno"] = error.errno
        self._log.note("failure", note)
        self._end("failed", f"{name}: {message}" if message else name)

    def _end(self, status: str, failure: str | None) -> None:
        if self._log.ended:
            return
        duration = (time.monotonic_ns() - self._began) / 1e9
        problem: OSError | None = None
        points = 0
        if self._log.begun:
            self._log.note("end", {"status": status})
        try:
            points = self._log.finish(failed=status != "completed")
        except OSError as error:
            problem = error
        if self._owned is not None:
            try:
                record.close(self._owned, self._said, self._log, status, failure, duration, points)
            except OSError as error:
                problem = error
        self._log.storage.close()
        self._exports.restore()
        ending.finished(self)
        self._complain(problem)

    def _complain(self, problem: OSError | None) -> None:
        """Says once, on stderr, what could not be kept. It is too late to raise: the training has been done."""
        said = []
        if self._log.lost:
            reason = os.strerror(self._log.lost_errno) if self._log.lost_errno else "no room"
            said.append(f"{self._log.lost} points or notes could not be kept: {reason}")
        if problem is not None:
            remedy = "`entrenar-research runs recover` completes it"
            said.append(f"its end could not be written: {problem.strerror or problem}; {remedy}")
        if said and sys.stderr is not None:
            sys.stderr.write("".join(f"entrenar-research: run {self.id}: {words}\n" for words in said))

    def owns(self, directory: str) -> bool:
        """Whether this process writes `run.yaml` in that directory."""
        return self._owned is not None and self._directory == directory

    def own(self, fields: dict[str, Any]) -> None:
        """Makes this process the one that writes `run.yaml`, with these fields, and says so to its children.

        Raises:
            OSError: if the file system refuses.
        """
        record.open_record(fields, self._said)
        self._owned = fields
        if self._study is not None:
            self._exports.put(surroundings.STUDY, self._study)
            self._exports.put(surroundings.RUN, f"{places.RUNS}/{self.id}")

    def forked(self) -> None:
        """Called in a process that was just forked: `run.yaml` is its parent's affair."""
        self._owned = None
        self._log.fork()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        if error is None or (isinstance(error, SystemExit) and error.code in (None, 0, False)):
            self.finish()
        elif isinstance(error, SystemExit):
            self.abandon(f"the script ended with exit status {error.code if isinstance(error.code, int) else 1}")
        else:
            self.fail(error)

    def __repr__(self) -> str:
        return f"<Run {self.id}{' (ended)' if self._log.ended else ''}>"


def _type_name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as other:  # noqa: BLE001 - whatever a foreign __str__ raises
        return f"(its message could not be had: {type(other).__name__})"
