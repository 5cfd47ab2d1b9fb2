"""`trace compare`: how alike the behaviour of two traces is, and where they part first."""

from __future__ import annotations

import argparse
from pathlib import Path

from entrenar_research.actions.traces import checking
from entrenar_research.actions.traces import comparing as action
from entrenar_research.errors import EXIT_DONE, EXIT_MISSING_TOOL, EXIT_WANTING
from entrenar_research.views.terminal import compared as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

MORE = (
    "The verdict is PASS, WARN or FAIL; INSUFFICIENT where a trace is empty, incomplete or was made at another level. "
    "The exit status is 0 for PASS and WARN, 1 for FAIL, 3 for INSUFFICIENT. What is compared, and how strictly, is "
    "said by [semantic_equivalence] in renacer.toml."
)
EXAMPLES = ("trace compare before.json after.json", "trace compare line last --policy strict.toml")
_EXITS = {"PASS": EXIT_DONE, "WARN": EXIT_DONE, "FAIL": EXIT_WANTING, "INSUFFICIENT": EXIT_MISSING_TOOL}


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `trace compare`."""
    parser.add_argument("expected", metavar="A", help="the trace to hold against: a file, a run, or a golden trace")
    parser.add_argument("found", metavar="B", help="the trace that is compared with it")
    parser.add_argument("--policy", metavar="FILE", help="how strictly (default: renacer.toml of the study, or here)")
    parser.add_argument(
        "--traced-times", action="store_true", help="compare the times of the traces where none were measured untraced"
    )
    parser.add_argument(
        "--format", choices=("table", "json"), default="table", help="a table for people (default) or json for programs"
    )


def execute(args: argparse.Namespace) -> int:
    """Compares."""
    here = Workspace.maybe()
    root = here.root if here is not None else Path.cwd()
    policy = checking.policy(root, args.policy).semantic_equivalence
    compared = action.compare(
        args.expected,
        args.found,
        policy,
        root=root,
        study=here.files if here is not None else None,
        traced_times=args.traced_times,
    )
    screen = Screen()
    if args.format == "json":
        screen.json(compared)
    else:
        view.draw(screen, compared.expected, compared.found, compared.equivalence)
        if compared.caution is not None:
            screen.line(f"note: {compared.caution}", "doubt")
    return _EXITS[compared.equivalence.verdict]
