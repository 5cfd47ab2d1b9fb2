"""Rebuild an experiment in scratch places, compare the results byte for byte, and say why they differ.

First nothing is varied. If the rebuilds agree, everything that must make no difference is varied: the place of the
study, the temporary directory, home and user, host name, clock, modification times, umask, order of directories, CPU
kernels, hash seed, threads, locale and time zone; all at once, and where that makes a difference one by one.

Nothing of the study is changed. The exit code is 0 if all results are identical, 1 if not.
"""

from __future__ import annotations

import argparse
import sys

from entrenar_research.actions.reproducing import reproduce
from entrenar_research.actions.reproducing.inquiry import Asked
from entrenar_research.actions.reproducing.workshop import Means
from entrenar_research.cli.parsing import add_format, add_runner
from entrenar_research.core.reproducing import factors
from entrenar_research.errors import EXIT_DONE, EXIT_WANTING
from entrenar_research.views.terminal import reproduction as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

EXAMPLES = ("reproduce line", "reproduce line --times 10 --vary none", "reproduce line --vary hash,order,threads")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `reproduce`."""
    parser.add_argument("name", metavar="NAME", help="the experiment")
    parser.add_argument(
        "--times", type=int, default=2, metavar="N", help="how often to rebuild with nothing varied (default: 2)"
    )
    parser.add_argument(
        "--vary",
        metavar="FACTOR,...",
        help=f"what to vary: {', '.join(factors.BY_NAME)}, or a group: {', '.join(factors.GROUPS)} (default: all)",
    )
    parser.add_argument("--explain", action="store_true", help="vary one by one from the start, also what is identical")
    add_runner(parser)
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Rebuilds and shows what came of it."""
    here = Workspace()
    text = args.format == "text"
    screen = Screen(sys.stdout if text else sys.stderr)
    asked = Asked(
        times=args.times,
        vary=None if args.vary is None else factors.chosen(args.vary),
        explain=args.explain,
    )
    known = here.means(lambda reason: None, runner_name=args.runner)
    means = Means(runner=known.runner, environment=known.environment, now=known.now, tool=known.tool)
    with screen.progress(f"rebuilding {args.name}") as update:
        found = reproduce.reproduce(here.files, args.name, asked, means, update)
    if text:
        view.draw(screen, found)
    else:
        Screen().json(view.plain(found))
    return EXIT_DONE if found.identical else EXIT_WANTING
