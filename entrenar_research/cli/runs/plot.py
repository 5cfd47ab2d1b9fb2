"""`runs plot`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from entrenar_research.errors import UsageError
from entrenar_research.store import output_files
from entrenar_research.workspace import Workspace

if TYPE_CHECKING:
    from entrenar_research.core.tracking.curves import Panel
    from entrenar_research.models.run import RunRecord

MORE = """\
Without --out the curves are drawn here. The kind of picture goes by the name of the file: .svg, .png, or .html (a page
that needs nothing else). A file that is there is replaced if it is such a plot, any other only with --force. NaN and
infinities are gaps. However many points there are, no spike is left out.
"""
EXAMPLES = (
    "runs plot --metric loss",
    "runs plot crdz m3as --metric loss --smooth 0.9 --out loss.svg",
    "runs plot lora-rank --metric loss --metric accuracy --x time --out curves.html",
)
_KINDS = (".svg", ".png", ".html")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `runs plot`."""
    parser.add_argument(
        "runs", metavar="RUN", nargs="*", help="runs, or experiments for all of theirs (default: every run)"
    )
    parser.add_argument("--metric", action="append", default=[], metavar="NAME", help="a metric; repeat for more")
    parser.add_argument("--x", choices=("step", "time"), default="step", help="what the x axis is (default: step)")
    parser.add_argument(
        "--smooth", type=float, default=0.0, metavar="WEIGHT", help="moving average, from 0 (none) to below 1"
    )
    parser.add_argument("--log", action="store_true", help="logarithmic y axis")
    parser.add_argument("--last", type=int, default=10, metavar="N", help="of an experiment the last N (10; 0: all)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write FILE.svg, FILE.png or FILE.html")
    parser.add_argument("--force", action="store_true", help="replace FILE whatever it is")


def execute(args: argparse.Namespace) -> int:
    """Draws curves."""
    from entrenar_research.actions.runs import plotting
    from entrenar_research.views.terminal import curves as view
    from entrenar_research.views.terminal.screen import Screen

    if not 0 <= args.smooth < 1:
        raise UsageError(f"--smooth: found {args.smooth:g}, expected a weight from 0 to below 1, such as 0.9")
    if args.last < 0:
        raise UsageError(f"--last: found {args.last}, expected 0 (all) or more")
    if args.out is not None and args.out.suffix.lower() not in _KINDS:
        raise UsageError(f"--out {args.out}: expected a name that ends in {', '.join(_KINDS)}")
    if args.out is not None:
        output_files.refuse(args.out)
    root, metrics = Workspace().root, list(dict.fromkeys(args.metric))
    choice = plotting.choose(root, args.runs, metrics, args.last)
    panels, notes = plotting.panels(root, choice.runs, metrics, across=args.x, smooth=args.smooth, log=args.log)
    for words in (*choice.notes, *notes):
        Screen(sys.stderr).line(f"note: {words}", "quiet")
    screen = Screen()
    if args.out is None:
        for panel in panels:
            drawn = panel.smooth or panel.curves
            view.draw(screen, panel.metric, drawn, panel.names, across=panel.across, log=args.log)
        return 0
    data = _picture(args, panels, choice.runs)
    replaced = plotting.write(args.out, data, force=args.force)
    screen.line(f"{'replaced' if replaced else 'wrote'} {args.out}", "good")
    return 0


def _picture(args: argparse.Namespace, panels: tuple[Panel, ...], runs: tuple[RunRecord, ...]) -> bytes:
    from entrenar_research.actions.runs.plotting import MARK
    from entrenar_research.views import plot_page, plots

    kind = args.out.suffix.lower()
    if kind == ".png":
        return plots.png(panels, mark=MARK, log=args.log)
    if kind == ".svg":
        return plots.svg(panels, mark=MARK, log=args.log)
    picture = plots.svg(panels, mark=MARK, log=args.log, ink="currentColor")
    drawn = {curve.run for panel in panels for curve in panel.curves}
    title = ", ".join(panel.metric for panel in panels)
    shown = [run for run in runs if run.id in drawn]
    return plot_page.page(title, picture, shown, [panel.metric for panel in panels], MARK)
