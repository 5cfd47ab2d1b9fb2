"""`golden promote`: make the trace of a run golden, if every gate lets it pass."""

from __future__ import annotations

import argparse

from entrenar_research.actions import golden as action
from entrenar_research.cli.golden import means
from entrenar_research.cli.parsing import add_format, add_runner, add_tracer
from entrenar_research.errors import EXIT_DONE, EXIT_WANTING
from entrenar_research.store.run_files import RunFiles
from entrenar_research.views.terminal import golden as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

MORE = (
    "The run needs a full trace: `trace: full` in its declaration, or `run NAME --trace full --force`. It is repeated, "
    "traced and untraced, in scratch copies; then every gate is asked, and nothing is written if one refuses."
)
EXAMPLES = ("golden promote line --as line", "golden promote line --as line --repeat 10 --replace")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `golden promote`."""
    parser.add_argument("run", metavar="RUN", help="a run, or an experiment (its last good run)")
    parser.add_argument("--as", dest="name", required=True, metavar="NAME", help="what to call the golden trace")
    parser.add_argument(
        "--repeat",
        type=int,
        default=action.REPETITIONS,
        metavar="N",
        help=f"repetitions, traced and untraced each (default: {action.REPETITIONS}; statistics need 5)",
    )
    add_tracer(parser, "default, and the only one: what the run was traced with")
    add_runner(parser, "default, and the only one: what made the run")
    parser.add_argument("--replace", action="store_true", help="replace the golden trace of that name")
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Promotes."""
    here = Workspace()
    screen = Screen()
    run = RunFiles(here.root).resolve(args.run)
    with screen.progress("repeating") as update:
        able = means.here(update, args.tracer, args.runner)
        found = action.promote(here.files, run, args.name, means=able, repeat=args.repeat, replace=args.replace)
    if args.format == "json":
        screen.json(found)
    else:
        view.draw_promotion(screen, found)
    return EXIT_DONE if found.written else EXIT_WANTING
