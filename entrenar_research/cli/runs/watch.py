"""`runs watch`."""

from __future__ import annotations

import argparse
import time

from entrenar_research.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_WANTING, UsageError
from entrenar_research.store.logged import following
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.views.terminal.watching import Watch
from entrenar_research.workspace import Workspace

MORE = (
    "On a terminal it draws the metrics as they come; in a pipe every new point and warning is a line. Only files are "
    "read, so the run does not notice. It ends when the run ends: exit code 0 if that is completed, otherwise 1."
)
EXAMPLES = ("runs watch", "runs watch line --interval 5")
_SHARE = 4
"""Of so many parts of the time at most one is spent reading, however much was logged."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `runs watch`."""
    parser.add_argument(
        "run", nargs="?", metavar="RUN",
        help="its id, a unique part of it, or an experiment (default: the run under way, or the newest)",
    )  # fmt: skip
    parser.add_argument("--interval", type=float, default=1.0, metavar="S", help="look every S seconds (default: 1)")


def execute(args: argparse.Namespace) -> int:
    """Follows a run until it ends."""
    if not 0.01 <= args.interval <= 86400:
        raise UsageError(f"--interval {args.interval:g}: expected seconds, from 0.01 to a day")
    root = Workspace().root
    follower = following.Follower(root, following.chosen(root, args.run))
    watch = Watch(Screen())
    try:
        while True:
            began = time.monotonic()
            news = follower.look()
            watch.show(news)
            if news.over:
                break
            time.sleep(max(args.interval, _SHARE * (time.monotonic() - began)))
    except KeyboardInterrupt:  # nothing was changed, and there is nothing to say
        return EXIT_INTERRUPTED
    watch.end(news)
    return EXIT_DONE if news.status == "completed" else EXIT_WANTING
