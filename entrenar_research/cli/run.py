"""Run an experiment: execute its command, observe it, record everything, and put the result in place.

Nothing is executed if the last good run used the same command, parameters, code, inputs and environment and its
result is still there. A failed or interrupted run is recorded and leaves the last good result untouched.
"""

from __future__ import annotations

import argparse
import os
import sys

from entrenar_research.actions.running.attempt import Options
from entrenar_research.actions.running.run import Ran
from entrenar_research.cli.parsing import add_format, add_runner, add_tracer
from entrenar_research.errors import EXIT_DONE
from entrenar_research.store import params_file
from entrenar_research.views.terminal import runs as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

EXAMPLES = ("run line", "run line --set rate=0.1 --set steps=50", "run line --strict --quiet", "run line --runner nix")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `run`."""
    parser.add_argument("name", metavar="NAME", help="the experiment")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a parameter in the params file first; repeat for each",
    )
    parser.add_argument("--force", action="store_true", help="run although nothing changed")
    parser.add_argument(
        "--strict", action="store_true", help="fail if it reads what is undeclared, or uses the network"
    )
    parser.add_argument("--fix", action="store_true", help="declare what it was seen to read")
    parser.add_argument(
        "--trace",
        metavar="LEVEL",
        choices=("none", "observe", "full"),
        help="look as closely as this, not as declared: none, observe (files, processes, network), full (every call)",
    )
    add_tracer(parser)
    add_runner(parser)
    parser.add_argument("--source", action="store_true", help="a full trace also says from where its calls come")
    parser.add_argument("--quiet", action="store_true", help="do not show what the command prints")
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Runs the experiment and shows what came of it."""
    here = Workspace()
    text = args.format == "text"
    screen = Screen(sys.stdout if text else sys.stderr)
    options = Options(
        assignments=dict(params_file.parse_assignment(item) for item in args.set),
        force=args.force,
        strict=args.strict,
        fix=args.fix,
        trace=args.trace,
        source=args.source,
        under_dvc=os.environ.get("DVC_STAGE") == args.name,
        echo=text and not args.quiet,
    )
    ran = here.run(
        args.name,
        options,
        announce=lambda reason: screen.line(f"{args.name}: {reason}", "quiet"),
        tracer=args.tracer,
        runner=args.runner,
    )
    if text:
        view.draw_run(screen, ran, here.files.experiment(args.name))
    else:
        Screen().json(_plain(ran))
    return EXIT_DONE


def _plain(ran: Ran) -> dict[str, object]:
    return {"up_to_date": not ran.reasons, "reasons": ran.reasons, "drift": ran.drift, "run": ran.record}
