"""`trace check`: hold a trace against the assertions of renacer.toml, and look for anti-patterns in it."""

from __future__ import annotations

import argparse
from pathlib import Path

from entrenar_research.actions.traces import checking as action
from entrenar_research.actions.traces import reading
from entrenar_research.cli.parsing import add_format
from entrenar_research.store import output_files
from entrenar_research.views.terminal import checked as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

MORE = (
    "Each assertion comes out as pass, warn, fail, skip or no data. The exit status is 1 if any failed, 3 if none "
    "failed but one has no data, else 0. Where [ci] in renacer.toml has an export_path, a report is left there."
)
EXAMPLES = (
    "trace check train.json",
    "trace check line --policy strict.toml",
    "trace check line --junit checks.xml --markdown checks.md",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `trace check`."""
    parser.add_argument("what", metavar="WHAT", help="a trace file, a run, or a golden trace")
    parser.add_argument("--policy", metavar="FILE", help="the assertions (default: renacer.toml of the study, or here)")
    parser.add_argument("--junit", metavar="FILE", help="write the results as JUnit XML too")
    parser.add_argument("--markdown", metavar="FILE", help="write the results as Markdown too")
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Checks."""
    reports = {form: Path(target) for form in ("junit", "markdown") if (target := getattr(args, form)) is not None}
    for target in reports.values():
        output_files.refuse(target)
    here = Workspace.maybe()
    root = here.root if here is not None else Path.cwd()
    policy = action.policy(root, args.policy)
    found = reading.load(args.what, study=here.files if here is not None else None)
    checked = action.check(found, policy)
    for form, target in reports.items():
        output_files.write(target, action.rendered(checked, form))
    exported = action.export(checked, policy.ci, root)
    screen = Screen()
    if args.format == "json":
        screen.json(checked)
    else:
        view.draw(screen, checked.assertions, checked.patterns, exported=exported)
    return checked.exit
