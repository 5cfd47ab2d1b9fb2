"""`trace summary`: how often each system call was made, failed, and how long it took."""

from __future__ import annotations

import argparse
import sys

from entrenar_research.actions.traces import reading
from entrenar_research.cli.parsing import add_format
from entrenar_research.core.traces.spans import attribution
from entrenar_research.core.traces.summary import format_summary
from entrenar_research.errors import EXIT_DONE
from entrenar_research.views.terminal import traces
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

MORE = (
    "WHAT is a file (what `trace record` wrote, a packed trace, a log of strace in any of its forms, what `renacer "
    "--format json` printed), or in a study the name of a golden trace, a run, or an experiment: its last good run. "
    "The table is that of `strace -c`, which leaves out calls that never return; here they count."
)
EXAMPLES = ("trace summary train.json", "trace summary strace.log", "trace summary line --by span")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `trace summary`."""
    parser.add_argument("what", metavar="WHAT", help="a trace file, a run, or a golden trace")
    parser.add_argument("--by", choices=("call", "span"), default="call", help="a row a call, or a row a span name")
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Sums up."""
    here = Workspace.maybe()
    study = here.files if here is not None else None
    screen = Screen()
    if args.by == "span":
        found = reading.load(args.what, study=study)
        spans = attribution.by_name(found.document)
        if args.format == "json":
            screen.json({"name": found.name, "spans": spans, "problems": found.document.problems})
            return EXIT_DONE
        traces.show_spans(screen, spans, timed=any(call.took is not None for call in found.document.calls))
        _tell(found.document.problems)
        return EXIT_DONE
    summed = reading.summarise(args.what, study=study)
    if args.format == "json":
        screen.json(summed)
        return EXIT_DONE
    screen.line(format_summary(summed.rows).rstrip("\n"))
    if summed.stored is not None:
        screen.line(f"stored: {summed.stored.words}", "quiet")
    _tell(summed.problems)
    return EXIT_DONE


def _tell(problems: tuple[str, ...]) -> None:
    for problem in problems:
        Screen(sys.stderr).line(f"note: {problem}", "doubt")
