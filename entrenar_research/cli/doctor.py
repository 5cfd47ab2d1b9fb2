"""What is installed here, what each is for, and how to get what is missing. Exit code 0 if the main job can run."""

from __future__ import annotations

import argparse
from pathlib import Path

from entrenar_research import workspace
from entrenar_research.actions import doctor as action
from entrenar_research.cli.parsing import add_format
from entrenar_research.errors import EXIT_DONE, EXIT_MISSING_TOOL
from entrenar_research.tools.git import Git
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `doctor`."""
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Looks and reports."""
    here = Workspace.maybe()
    git = here.git if here else Git(Path.cwd())
    tools = action.examine(git, workspace.every_tracer(), workspace.signer(), workspace.key_path())
    lacking = [tool.name for tool in tools if tool.needed and tool.found is None]
    screen = Screen()
    if args.format == "json":
        screen.json({"ready": not lacking, "tools": tools})
        return EXIT_MISSING_TOOL if lacking else EXIT_DONE
    rows, styles = [], []
    for tool in tools:
        state = "ok" if tool.found else ("missing" if tool.needed else "absent")
        rows.append([tool.name, state, tool.purpose, tool.found or tool.remedy])
        styles.append("good" if tool.found else "bad" if tool.needed else "doubt")
    screen.table(["what", "state", "for", "found, or how to get it"], rows, styles=styles, styled=1)
    if lacking:
        screen.line(f"the main job cannot run: {', '.join(lacking)}", "bad")
        return EXIT_MISSING_TOOL
    screen.line("the main job can run", "good")
    return EXIT_DONE
