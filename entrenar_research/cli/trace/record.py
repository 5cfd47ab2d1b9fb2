"""`trace record`: run a command and write down its system calls."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from entrenar_research import workspace
from entrenar_research.actions.traces import recording as action
from entrenar_research.cli.parsing import PROGRAM, add_tracer
from entrenar_research.errors import EXIT_INTERRUPTED, UsageError
from entrenar_research.tools import passthrough
from entrenar_research.views.terminal.screen import Screen

MORE = (
    "Its threads and children are traced as well. The command keeps its streams; it ends as it would alone, by status "
    "or by signal, and so does this. Written are NAME.json with every call and NAME_summary.txt."
)
EXAMPLES = (
    "trace record -- python train.py",
    "trace record --source --repeat 5 -- python train.py",
    "trace record --as load --level observe -o traces -- python load.py",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `trace record`."""
    parser.usage = f"{PROGRAM} trace record [options] -- COMMAND [ARGUMENT ...]"
    parser.add_argument("--as", dest="name", metavar="NAME", help="its name (default: the program's)")
    parser.add_argument("-o", "--output", metavar="DIR", default=".", help="where to write it (default: here)")
    add_tracer(parser)
    parser.add_argument(
        "--level", choices=("observe", "full"), default="full", help="files, processes and network, or every call"
    )
    parser.add_argument("--source", action="store_true", help="also from where in the program: NAME_source.json")
    parser.add_argument(
        "--repeat", type=int, default=0, metavar="N", help="then run it N times untraced, for times without the tracer"
    )
    parser.add_argument("--replace", action="store_true", help="write over a trace of that name")
    parser.set_defaults(words=[])


def execute(args: argparse.Namespace) -> int:
    """Records; ends as the command did."""
    if not args.words:
        raise UsageError("the command is missing", hint=f"{PROGRAM} trace record -- python train.py")
    asked = action.Asked(
        name=args.name or action.default_name(args.words),
        directory=Path(args.output),
        level=args.level,
        source=args.source,
        repeat=args.repeat,
        replace=args.replace,
    )
    done = action.record(args.words, asked, tracers=workspace.tracers(args.tracer), environment=dict(os.environ))
    found, screen = done.document, Screen(sys.stderr)
    doubt = "" if found.complete else f"; incomplete: {'; '.join(found.problems)}"
    screen.line(f"{found.recorded} calls in {done.files[0]}{doubt}", "good" if found.complete else "doubt")
    if done.stopped is not None:
        screen.line(f"the repetitions were stopped by {done.stopped.name}: the trace is kept without them", "doubt")
        if done.stopped is signal.SIGINT:
            return EXIT_INTERRUPTED
    ended_by = done.stopped or -done.status
    if ended_by > 0:
        sys.stdout.flush()
        passthrough.die_of(ended_by)
    return done.status
