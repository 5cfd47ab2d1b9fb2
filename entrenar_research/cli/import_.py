"""Bring in the runs that MLflow, W&B (offline) or TensorBoard recorded in a directory: every point, with its time.

Their packages are not needed. What has no place here is listed, names of people and machines are left out, and a
run that was imported before is not imported again. docs/importing.md says what becomes of what.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from entrenar_research import registry, workspace
from entrenar_research.actions.runs import importing as action
from entrenar_research.cli.parsing import add_format
from entrenar_research.errors import EXIT_DONE, EXIT_WANTING
from entrenar_research.views.terminal import imports as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

EXAMPLES = ("import mlflow mlruns", "import wandb . --experiment lora", "import tensorboard logs --dry-run")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `import`."""
    parser.add_argument("tracker", metavar="FROM", choices=registry.names("importers"),
                        help=f"who recorded them: {', '.join(registry.names('importers'))}")  # fmt: skip
    parser.add_argument("place", metavar="DIR", type=Path, help="the directory they are in")
    parser.add_argument("--experiment", metavar="NAME", help="the experiment they go to (default: as theirs is called)")
    parser.add_argument("--dry-run", action="store_true", help="read everything and say what would be imported")
    parser.add_argument("--no-artifacts", action="store_true", help="leave out the files that the runs kept")
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Imports and says what became of what; 1 if something could not be imported or is damaged."""
    here = Workspace()
    request = action.Request(
        place=args.place, experiment=args.experiment, dry_run=args.dry_run, artifacts=not args.no_artifacts
    )
    others = [workspace.importer(name) for name in registry.names("importers") if name != args.tracker]
    screen = Screen()
    with screen.progress("importing") as update:
        report = action.bring_in(
            here.files,
            workspace.importer(args.tracker),
            request,
            tool=workspace.TOOL,
            others=others,
            progress=update,
        )
    if args.format == "json":
        screen.json(report)
    else:
        view.draw(screen, report)
    return EXIT_DONE if report.whole else EXIT_WANTING
