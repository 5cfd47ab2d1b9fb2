"""Write the last commit, its data and its history as one file that a stranger can check with `verify`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from entrenar_research import registry, workspace
from entrenar_research.actions import bundle as action
from entrenar_research.errors import UsageError
from entrenar_research.views.terminal.screen import Screen, size
from entrenar_research.workspace import Workspace

EXAMPLES = ("bundle -o ../study.crate.zip",)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `bundle`."""
    names = registry.names("bundles")
    parser.add_argument("--format", default="ro-crate", choices=names, help="what to write (default: ro-crate)")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="the file to write; its name ends in .crate.zip",
    )


def execute(args: argparse.Namespace) -> int:
    """Writes the bundle and says what is in it."""
    here = Workspace()
    form = workspace.bundle_format(args.format)
    if not args.output.name.endswith(form.suffix):
        raise UsageError(f"{args.output}: expected a name that ends in {form.suffix}")
    screen = Screen()
    with screen.progress("bundling") as update:
        written, left_out = action.bundle(here.files, here.git, form, args.output, tool=workspace.TOOL, progress=update)
    screen.line(f"wrote {args.output}: {written.files} files, {size(written.size)}", "good")
    screen.line(f"{written.digest} of its metadata, which determines every byte of it")
    if left_out:
        shown = ", ".join(left_out[:3]) + (f" and {len(left_out) - 3} more" if len(left_out) > 3 else "")
        Screen(sys.stderr).line(f"note: left out, since no commit holds them: {shown}", "doubt")
    return 0
