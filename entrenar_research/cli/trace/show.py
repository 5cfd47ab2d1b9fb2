"""`trace show`: the calls of a trace, all or some of them."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator

import msgspec

from entrenar_research.actions.traces import reading
from entrenar_research.core.sweeps import suggest
from entrenar_research.core.traces.logs import strace_text
from entrenar_research.errors import EXIT_DONE, UsageError
from entrenar_research.models.documented import DocumentedCall, TraceDocument
from entrenar_research.views.terminal import traces
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

MORE = (
    "Filters add up: a call is shown if it passes all of them. --name and --span can be given several times. The form "
    "`strace` is a log as strace writes it, contents left out; `json` is an object a line."
)
EXAMPLES = (
    "trace show train.json --name openat --errors",
    "trace show line --span epoch --limit 20",
    "trace show line --format strace > line.log",
)
_TABLE_ROWS = 100


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `trace show`."""
    parser.add_argument("what", metavar="WHAT", help="a trace file, a run, or a golden trace")
    parser.add_argument("--name", action="append", default=[], metavar="CALL", help="only calls of this name")
    parser.add_argument("--process", type=int, metavar="N", help="only calls of this process or thread")
    parser.add_argument("--span", action="append", default=[], metavar="SPAN", help="only in spans of this name or id")
    parser.add_argument("--errors", action="store_true", help="only calls that failed")
    limit_help = f"the first N of them, 0 for all (default: {_TABLE_ROWS} in a table, else all)"
    parser.add_argument("--limit", type=int, metavar="N", help=limit_help)
    parser.add_argument("--format", choices=("table", "json", "strace"), default="table", help="how to print it")


def execute(args: argparse.Namespace) -> int:
    """Shows."""
    if args.limit is not None and args.limit < 0:
        raise UsageError(f"--limit {args.limit}: expected a number from 0")
    here = Workspace.maybe()
    found = reading.load(args.what, study=here.files if here is not None else None).document
    spans = _span_ids(found, args.span)
    calls = [call for call in found.calls if _passes(call, args, spans)]
    limit = args.limit if args.limit is not None else _TABLE_ROWS * (args.format == "table")
    shown = calls[:limit] if limit else calls
    timed = any(call.began for call in found.calls)
    if args.format == "table":
        screen = Screen()
        traces.show_calls(screen, shown, found.spans, timed=timed)
        if len(shown) < len(calls):
            screen.line(f"{len(calls) - len(shown)} more; --limit 0 shows all", "quiet")
    else:
        ends = found.ends if len(shown) == len(found.calls) else ()
        _write(_json(shown) if args.format == "json" else strace_text.lines(shown, ends, timed=timed))
    for problem in found.problems:
        Screen(sys.stderr).line(f"note: {problem}", "doubt")
    return EXIT_DONE


def _passes(call: DocumentedCall, args: argparse.Namespace, spans: frozenset[str] | None) -> bool:
    return (
        (not args.name or call.name in args.name)
        and (args.process is None or args.process in (call.process, call.thread))
        and (spans is None or call.span in spans)
        and (call.error is not None or not args.errors)
    )


def _span_ids(found: TraceDocument, wanted: list[str]) -> frozenset[str] | None:
    """The spans meant and all within them; None if any will do."""
    if not wanted:
        return None
    known = {span.name for span in found.spans} | {span.id for span in found.spans}
    for word in wanted:
        if word not in known:
            names = sorted({span.name for span in found.spans})
            remedy = "the command logged no spans" if not names else "see `trace summary WHAT --by span`"
            raise suggest.unknown("span", word, names, remedy=remedy)
    chosen: set[str] = set()
    for span in sorted(found.spans, key=lambda span: span.began):
        if span.name in wanted or span.id in wanted or span.parent in chosen:
            chosen.add(span.id)
    return frozenset(chosen)


def _json(calls: list[DocumentedCall]) -> Iterator[str]:
    fields = DocumentedCall.__struct_fields__
    for call in calls:
        yield msgspec.json.encode(dict(zip(fields, msgspec.structs.astuple(call), strict=True))).decode()


def _write(lines: Iterator[str]) -> None:
    while piece := list(itertools.islice(lines, 10_000)):
        sys.stdout.write("\n".join(piece) + "\n")
    sys.stdout.flush()
