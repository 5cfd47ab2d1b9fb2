"""Render the study's citation. It is printed, or with --write put into the file that the format is known by."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from entrenar_research import registry, workspace
from entrenar_research.store import output_files
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

EXAMPLES = ("cite --format bibtex", "cite --write")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cite`."""
    names = registry.names("citations")
    parser.add_argument("--format", default="cff", choices=names, help="what to write (default: cff)")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("-o", "--output", type=Path, metavar="FILE", help="write it to FILE")
    place.add_argument(
        "--write", action="store_true", help="write it to its usual file in the study (CITATION.cff ...)"
    )


def execute(args: argparse.Namespace) -> int:
    """Renders and prints or writes."""
    here = Workspace()
    form = workspace.citation(args.format)
    text = form.render(here.files.study())
    target = here.root / form.file_name if args.write else args.output
    if target is None:
        sys.stdout.write(text)
        return 0
    output_files.write(target, text)
    Screen().line(f"wrote {target.name if args.write else target}", "good")
    return 0
