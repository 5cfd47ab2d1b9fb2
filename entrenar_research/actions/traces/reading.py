"""Reading any trace: our documents, packed or not, logs of strace and renacer, runs and golden traces of a study."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Final

import msgspec

from entrenar_research.actions.traces import files as trace_files
from entrenar_research.core.traces import document as trace_document
from entrenar_research.core.traces import figures, normalisation
from entrenar_research.core.traces import summary as trace_summary
from entrenar_research.core.traces.logs import renacer_log, strace_form, strace_log
from entrenar_research.core.traces.logs.strace_form import Form
from entrenar_research.core.traces.normalisation import Step
from entrenar_research.core.traces.summary import SummaryRow
from entrenar_research.errors import IntegrityError, UsageError
from entrenar_research.models.documented import DocumentedExit, TraceDocument
from entrenar_research.models.measured import Measured
from entrenar_research.models.trace import Trace
from entrenar_research.store import files
from entrenar_research.store.golden_files import GoldenFiles
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from entrenar_research.core.traces.storing.packed import Stored

_RENACER: Final = re.compile(rb'"format"\s*:\s*"' + renacer_log.FORMAT.encode() + b'"')
_OURS: Final = re.compile(rb'\s*\{\s*"schema"\s*:')
_HEAD: Final = 1 << 16
_LARGE: Final = 4 << 20  # from here on counting is worth the time that it takes to begin
_PIECE: Final = 2 << 20
FORMS: Final = (
    "a document of `trace record`, a packed trace, a log of strace (`-o`), or what `renacer --format json` printed"
)
"""What can be read, in words."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A trace that was read: `name` can be that of a file; `measured` where untraced repetitions came with it."""

    name: str
    document: TraceDocument
    measured: Measured | None = None


def load(what: str, *, study: StudyFiles | None) -> Loaded:
    """The trace `what`: a file, or in a study the name of a golden trace, a run or an experiment (its last good run).

    Raises:
        UsageError: if there is nothing of that name, or it has no trace.
        IntegrityError: if it is damaged, empty or no trace.
        StorageError: if it cannot be read.
    """
    path = Path(what)
    if path.is_dir() and study is None:
        raise UsageError(f"{what} is a directory, expected a file: {FORMS}")
    if path.exists() and not path.is_dir():
        document = decode(_bytes(path), path.name)
        return Loaded(name=_file_name(path), document=document, measured=_beside(path, document))
    if study is None:
        raise UsageError(f"{what}: no such file", hint=f"expected {FORMS}; runs have names only inside a study")
    if what in GoldenFiles(study.root).names():
        return _golden(study, what)
    run = RunFiles(study.root).resolve(what)
    return Loaded(name=run.id, document=trace_files.load(RunFiles(study.root).directory(run.id), run.id))


class Summed(msgspec.Struct, frozen=True, kw_only=True):
    """The summary of a trace: its rows, what is wrong with it or not known, and how it is stored where it is packed.

    `timed` is whether the time spent in calls is known.
    """

    name: str
    rows: tuple[SummaryRow, ...]
    timed: bool
    problems: tuple[str, ...] = ()
    stored: Stored | None = None


def summarise(what: str, *, study: StudyFiles | None) -> Summed:
    """The summary of the trace `what`, as `load` finds it, without reading more of it than is needed.

    Raises:
        UsageError: if there is nothing of that name, or it has no trace.
        IntegrityError: if it is damaged, empty or no trace.
        StorageError: if it cannot be read.
    """
    path = Path(what)
    if path.exists() and not path.is_dir():
        data, name = _bytes(path), _file_name(path)
        return _summed(data, name, path.name)
    if study is not None and what not in GoldenFiles(study.root).names():
        run = RunFiles(study.root).resolve(what)
        data = trace_files.read(RunFiles(study.root).directory(run.id), run.id)
        return _summed(data, run.id, f"runs/{run.id}/{trace_files.DOCUMENT}")
    found = load(what, study=study)
    return _of_document(found.name, found.document)


def _summed(data: bytes, name: str, shown: str) -> Summed:
    if data.startswith(trace_files.PACKED):
        from entrenar_research.core.traces.storing import packed  # with numpy: only where a trace is packed

        rows = packed.summary_of(data, shown)
        timed = any(row.microseconds for row in rows)
        problems = packed.problems_of(data, shown)
        return Summed(name=name, rows=rows, timed=timed, problems=problems, stored=packed.stored_of(data, shown))
    if _OURS.match(data) or _RENACER.search(data[-_HEAD:]) or _RENACER.search(data):
        return _of_document(name, decode(data, shown))
    return (_counted(data, name) if len(data) > _LARGE else None) or _read_through(data, name, shown)


def _counted(data: bytes, name: str) -> Summed | None:
    """The summary of a long log of strace, if it is of a form that can be counted without reading."""
    from entrenar_research.core.traces.logs import strace_counts  # with numpy: only for long logs

    form = strace_form.detect(data[:_HEAD].decode("ascii", "backslashreplace"))
    if form is None or not strace_counts.countable(form):
        return None
    count = strace_counts.Count()
    for start in range(0, len(data), _PIECE):
        count.take(data[start : start + _PIECE])
    if count.doubtful or not count.rows():
        return None
    problems = [f"{count.unreadable} lines are unreadable"] if count.unreadable else []
    problems += ["the last line is cut off"] if count.cut else []
    timed = any(row.microseconds for row in count.rows())
    return Summed(name=name, rows=count.rows(), timed=timed, problems=tuple(problems))


def _read_through(data: bytes, name: str, shown: str) -> Summed:
    trace = _strace(data, shown)[0]
    timed = any(call.duration is not None for call in trace.calls)
    return Summed(name=name, rows=trace_summary.summarise(trace), timed=timed, problems=trace.problems)


def _of_document(name: str, found: TraceDocument) -> Summed:
    timed = any(call.took is not None for call in found.calls)
    return Summed(name=name, rows=trace_summary.of_document(found), timed=timed, problems=found.problems)


def decode(data: bytes, name: str) -> TraceDocument:
    """The document in, or of the log in, the bytes of the file `name`.

    Raises:
        IntegrityError: if they are damaged, empty or nothing that can be read.
    """
    if data.startswith(trace_files.PACKED):
        return trace_files.unpack(data, name)
    if _OURS.match(data):
        return trace_document.decode(data, name)
    if _RENACER.search(data):
        read = renacer_log.parse(data.decode("utf-8", "backslashreplace"), name)
        found = of_trace(read.trace, version=read.version, timed=False)
        return msgspec.structs.replace(found, exit=DocumentedExit(status=read.status, signal=None))
    trace, form = _strace(data, name)
    return of_trace(trace, version=None, timed=form.stamp != "none")


def _strace(data: bytes, name: str) -> tuple[Trace, Form]:
    if not data.strip():
        raise IntegrityError(f"{name}: the file is empty, expected {FORMS}")
    text = data.decode("ascii", "backslashreplace")
    form = strace_form.detect(text)
    if form is None:
        raise IntegrityError(f"{name}: no trace, it begins {text[:60]!r}", hint=f"expected {FORMS}")
    return strace_log.parse(text, name, command=None, level="full", form=form), form


def of_trace(trace: Trace, *, version: str | None, timed: bool) -> TraceDocument:
    """The document of a trace from elsewhere: names are given to homes and temporary places only.

    A trace that is not `timed` has stand-ins for times, by which its calls are ordered: in the document all are 0.
    """
    steps = normalisation.normalised_steps(trace, replacements={})
    stand_in = Step("", trace_document.beginning(trace), 0.0)  # a log of calls none of which the lines tell
    found = trace_document.document(trace, steps or (stand_in,), version=version, replacements={})
    if not steps:
        found = msgspec.structs.replace(found, lines=(), counts={}, trace_id=normalisation.trace_id(()))
    return found if timed else _untimed(found)


def _untimed(found: TraceDocument) -> TraceDocument:
    replace = msgspec.structs.replace
    return replace(
        found,
        ends=tuple(replace(end, at=0) for end in found.ends),
        lines=tuple(replace(line, began=0) for line in found.lines),
        calls=tuple(replace(call, began=0) for call in found.calls),
    )


def _golden(study: StudyFiles, name: str) -> Loaded:
    golden = GoldenFiles(study.root)
    record, path = golden.load(name), golden.document(name)
    shown = f"{golden.relative(name)}/{path.name}"
    if not path.is_file():
        raise UsageError(f"{shown} is missing", hint=f"fetch it with `dvc pull {shown}` or `dvc checkout {shown}`")
    found = trace_document.decode(_bytes(path), shown)
    if (found.trace_id, found.counts) != (record.trace_id, record.calls):
        raise IntegrityError(f"{golden.relative(name)}/golden.yaml is not the record of {shown}")
    return Loaded(name=name, document=found, measured=record.measured)


def _beside(path: Path, document: TraceDocument) -> Measured | None:
    """The repetitions in `<name>_summary.txt` beside `<name>.json`; its table has to be that of the trace."""
    beside = path.with_name(f"{path.stem}_summary.txt")
    if path.suffix != ".json" or not beside.is_file():
        return None
    text = _bytes(beside).decode("utf-8", "replace")
    rows = trace_summary.parse_summary(figures.table_of(text), beside.name)
    if {row.name: row.calls for row in rows} != Counter(call.name for call in document.calls):
        raise IntegrityError(
            f"{beside.name} is not the summary of {path.name}: other calls in number", hint="record the trace again"
        )
    return figures.measured_of(text, beside.name)


def _file_name(path: Path) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", path.name.split(".")[0] or path.name).strip("._-") or "trace"


def _bytes(path: Path) -> bytes:
    with files.refusals(f"cannot read {path}"):
        return path.read_bytes()
