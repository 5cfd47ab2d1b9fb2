"""What SQL can ask about runs: the views, their columns, what they mean.

The one description of them: the database is made from it, `runs query --schema` prints it, and the table in
docs/querying.md is held against it by a test.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Type = Literal["VARCHAR", "DOUBLE", "BIGINT", "BOOLEAN", "TIMESTAMP", "JSON", "VARCHAR[]", "MAP(VARCHAR, DOUBLE)"]


class Column(msgspec.Struct, frozen=True):
    """A column: its name, its DuckDB type, what it holds."""

    name: str
    type: Type
    meaning: str


class View(msgspec.Struct, frozen=True):
    """A view: its name, what a row is, its columns."""

    name: str
    meaning: str
    columns: tuple[Column, ...]


_RUN = Column("run_id", "VARCHAR", "the run")
_FAILURES = (
    _RUN,
    Column("error_code", "VARCHAR", "what went wrong, such as OOM_HOST"),
    Column("category", "VARCHAR", "resource, config, data, model, infra, code, interrupted, unknown"),
    Column("diagnostic", "VARCHAR", "what happened, in words"),
    Column("remediation", "VARCHAR", "what to do about it"),
    Column("exception", "VARCHAR", "the type of the exception"),
    Column("stack", "VARCHAR", "the stack trace"),
    Column("evidence", "VARCHAR[]", "what the classification rests on"),
)

VIEWS: tuple[View, ...] = (
    View(
        "runs",
        "one row a run",
        (
            _RUN,
            Column("experiment", "VARCHAR", "the experiment"),
            Column("status", "VARCHAR", "pending, running, completed, failed, cancelled, lost"),
            Column("started", "TIMESTAMP", "when it began (UTC)"),
            Column("ended", "TIMESTAMP", "when it ended (UTC)"),
            Column("duration", "DOUBLE", "seconds"),
            Column("params", "JSON", "all parameters, nested as they were given"),
            Column("metrics", "MAP(VARCHAR, DOUBLE)", "what each metric came to, as `value` in summaries"),
            Column("seed", "BIGINT", "the seed"),
            Column("command", "VARCHAR", "the command as declared"),
            Column("runner", "VARCHAR", "what carried it out; `script` for one that ran by itself"),
            Column("exit_status", "BIGINT", "exit status of the command"),
            Column("signal", "BIGINT", "the signal that ended it"),
            Column("failure", "VARCHAR", "why it failed, in one line"),
            Column("recipe", "VARCHAR", "digest of what went in"),
            Column("result", "VARCHAR", "digest of what came out"),
            Column("git_commit", "VARCHAR", "the commit it started from"),
            Column("dirty", "BOOLEAN", "whether there were uncommitted changes"),
            Column("python", "VARCHAR", "version of Python"),
            Column("user_seconds", "DOUBLE", "processor time in the program"),
            Column("system_seconds", "DOUBLE", "processor time in the kernel"),
            Column("peak_memory", "BIGINT", "bytes"),
            Column("points", "BIGINT", "points logged"),
            Column("lost_points", "BIGINT", "points that could not be recorded"),
            Column("trace_id", "VARCHAR", "W3C trace id of its spans"),
            Column("recovered", "TIMESTAMP", "when a run that was cut off was sealed (UTC)"),
            Column("imported", "VARCHAR", "what it was imported from"),
        ),
    ),
    View(
        "params",
        "one row a parameter; a nested one has a dotted name, such as lora_config.rank",
        (
            _RUN,
            Column("name", "VARCHAR", "dotted name"),
            Column("value", "VARCHAR", "as text; lists as JSON"),
            Column("number", "DOUBLE", "as a number, if it is one"),
        ),
    ),
    View(
        "metrics",
        "one row a logged point",
        (
            _RUN,
            Column("name", "VARCHAR", "the metric"),
            Column("step", "BIGINT", "its step"),
            Column("value", "DOUBLE", "its value; NaN and infinities are values"),
            Column("time", "TIMESTAMP", "when it was logged (UTC)"),
            Column("span_id", "VARCHAR", "the span it was logged in"),
            Column("process", "VARCHAR", "the process that logged it"),
        ),
    ),
    View(
        "summaries",
        "one row a metric of a run: those logged and those declared",
        (
            _RUN,
            Column("name", "VARCHAR", "the metric"),
            Column("value", "DOUBLE", "what it came to: `declared` if there is one, else `last`"),
            Column("declared", "DOUBLE", "read from the outputs, as the experiment declares"),
            Column("last", "DOUBLE", "the value logged last"),
            Column("last_step", "BIGINT", "its step"),
            Column("min", "DOUBLE", "the lowest value logged, NaN left out"),
            Column("max", "DOUBLE", "the highest value logged, NaN left out"),
            Column("points", "BIGINT", "how many points were logged"),
        ),
    ),
    View(
        "spans",
        "one row a span",
        (
            _RUN,
            Column("span_id", "VARCHAR", "16 hex digits"),
            Column("parent_id", "VARCHAR", "the span around it"),
            Column("name", "VARCHAR", "its name"),
            Column("started", "TIMESTAMP", "UTC"),
            Column("ended", "TIMESTAMP", "UTC; NULL if it never ended"),
            Column("duration", "DOUBLE", "seconds"),
            Column("failed", "BOOLEAN", "whether it ended with an exception"),
            Column("attributes", "JSON", "its attributes"),
            Column("process", "VARCHAR", "the process it was in"),
        ),
    ),
    View(
        "calls",
        "one row a system call of a traced run",
        (
            _RUN,
            Column("process", "BIGINT", "the number of the process"),
            Column("thread", "BIGINT", "the number of the thread that made it"),
            Column("began", "DOUBLE", "seconds since the trace began"),
            Column("took", "DOUBLE", "seconds, waiting included; NULL where the tracer gave none"),
            Column("name", "VARCHAR", "such as openat"),
            Column("arguments", "VARCHAR", "decoded, with names for places and without contents"),
            Column("result", "VARCHAR", "what it returned"),
            Column("error", "VARCHAR", "the errno name, such as ENOENT, if it failed"),
            Column("span_id", "VARCHAR", "the innermost span around it; NULL outside of all spans"),
        ),
    ),
    View(
        "span_calls",
        "one row a span of a traced run, and one with no `span_id` for the calls outside of all",
        (
            _RUN,
            Column("span_id", "VARCHAR", "16 hex digits"),
            Column("name", "VARCHAR", "its name"),
            Column("index", "BIGINT", "its attribute `index`, if it has one"),
            Column("attributes", "JSON", "its attributes"),
            Column("calls", "BIGINT", "how many calls were made in it and in the spans within it"),
            Column("own_calls", "BIGINT", "those of no span within"),
            Column("errors", "BIGINT", "how many of the calls failed"),
            Column("seconds", "DOUBLE", "spent in the calls, waiting included, threads added up"),
            Column("read", "BIGINT", "bytes that calls read"),
            Column("written", "BIGINT", "bytes that calls wrote"),
            Column("metrics", "MAP(VARCHAR, DOUBLE)", "the value that each metric had last in it"),
        ),
    ),
    View("failures", "one row a run whose failure was classified", _FAILURES),
    View("failure_context", "the same as failures", _FAILURES),
    View(
        "lineage",
        "one row a parent of a run",
        (
            _RUN,
            Column("parent", "VARCHAR", "the run it came from"),
            Column("relationship", "VARCHAR", "fine_tuned_from, distilled_from, ..."),
            Column("role", "VARCHAR", "the parent's part: teacher, base, ..."),
            Column("lamport", "BIGINT", "Lamport time of the run"),
            Column("parent_lamport", "BIGINT", "Lamport time of the parent"),
        ),
    ),
    View(
        "artifacts",
        "one row a file that a run kept",
        (
            _RUN,
            Column("path", "VARCHAR", "in the run's directory"),
            Column("kind", "VARCHAR", "file or model"),
            Column("digest", "VARCHAR", "sha256:..."),
            Column("size", "BIGINT", "bytes"),
            Column("bypass", "VARCHAR", "the signed statement that allowed a model in an unsafe format"),
        ),
    ),
    View(
        "files",
        "one row a code file, input or output of a run",
        (
            _RUN,
            Column("role", "VARCHAR", "code, input or output"),
            Column("path", "VARCHAR", "in the study"),
            Column("digest", "VARCHAR", "sha256:..."),
            Column("size", "BIGINT", "bytes"),
        ),
    ),
    View(
        "packages",
        "one row a package that a run loaded, or had installed",
        (_RUN, Column("name", "VARCHAR", "the package"), Column("version", "VARCHAR", "its version")),
    ),
    View("tags", "one row a tag of a run", (_RUN, Column("tag", "VARCHAR", "the tag"))),
    View(
        "warnings",
        "one row a warning of a run",
        (_RUN, Column("position", "BIGINT", "1 is the first"), Column("warning", "VARCHAR", "its text")),
    ),
    View(
        "trials",
        "one row a run of a sweep",
        (
            _RUN,
            Column("sweep", "VARCHAR", "the sweep"),
            Column("number", "BIGINT", "the trial's number"),
            Column("retry_of", "BIGINT", "the trial that it repeats"),
        ),
    ),
    View(
        "plans",
        "one row a planned quantity of a run",
        (
            _RUN,
            Column("quantity", "VARCHAR", "what was planned"),
            Column("planned", "DOUBLE", "bytes or seconds"),
            Column("actual", "DOUBLE", "bytes or seconds"),
            Column("percent", "DOUBLE", "(actual - planned) / planned * 100"),
            Column("rating", "VARCHAR", "green, amber or red"),
            Column("amber_above", "DOUBLE", "percent"),
            Column("red_above", "DOUBLE", "percent"),
        ),
    ),
    View(
        "etas",
        "one row a prediction of the time left",
        (
            _RUN,
            Column("position", "BIGINT", "1 is the first"),
            Column("predicted", "DOUBLE", "seconds"),
            Column("actual", "DOUBLE", "seconds"),
            Column("error", "DOUBLE", "seconds"),
            Column("percent", "DOUBLE", "the error in percent"),
            Column("gain", "DOUBLE", "of the Kalman filter"),
            Column("uncertainty", "DOUBLE", "one standard deviation, seconds"),
        ),
    ),
    View(
        "hardware",
        "one row a run whose machine is recorded",
        (
            _RUN,
            Column("architecture", "VARCHAR", "such as x86_64"),
            Column("system", "VARCHAR", "the operating system"),
            Column("cpu", "VARCHAR", "its model"),
            Column("cores", "BIGINT", "processors"),
            Column("memory", "BIGINT", "bytes"),
            Column("gpus", "VARCHAR[]", "their models"),
        ),
    ),
    View(
        "code_quality",
        "one row a run whose record has a `code_quality`; empty where none has",
        (
            _RUN,
            Column("grade", "VARCHAR", "A is best"),
            Column("mutation_score", "DOUBLE", "percent of mutants killed"),
            Column("coverage", "DOUBLE", "percent of lines covered"),
        ),
    ),
)
NAMED: dict[str, View] = {view.name: view for view in VIEWS}
