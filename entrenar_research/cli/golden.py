"""Golden traces: the behaviour of an experiment, promoted from a run, that later runs are held against."""

from __future__ import annotations

import argparse
import os

from entrenar_research import workspace
from entrenar_research.actions import golden as action
from entrenar_research.cli.parsing import add_format, add_verb, add_verbs
from entrenar_research.errors import EXIT_DONE, EXIT_WANTING
from entrenar_research.store.golden_files import GoldenFiles
from entrenar_research.store.run_files import RunFiles
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `golden`."""
    verbs = add_verbs(parser)
    promote = add_verb(
        verbs,
        "promote",
        "make the trace of a run golden",
        more="The run needs a full trace: `trace: full` in its declaration, or `run NAME --trace full --force`.",
        examples=("golden promote line --as line",),
    )
    promote.add_argument("run", metavar="RUN", help="a run, or an experiment (its last good run)")
    promote.add_argument("--as", dest="name", required=True, metavar="NAME", help="what to call the golden trace")
    promote.add_argument("--replace", action="store_true", help="replace the golden trace of that name")
    check = add_verb(verbs, "check", "trace the experiment anew and compare; exit 1 at the first divergence")
    check.add_argument("name", nargs="?", metavar="NAME", help="the golden trace (default: all of them)")
    check.add_argument("--run", metavar="RUN", help="compare a recorded run instead of a fresh one")
    listing = add_verb(verbs, "list", "the golden traces of this study")
    for verb in (check, listing):
        add_format(verb)


def execute(args: argparse.Namespace) -> int:
    """Promotes, checks or lists."""
    here = Workspace()
    return {"promote": _promote, "check": _check, "list": _list}[args.verb](args, here)


def _promote(args: argparse.Namespace, here: Workspace) -> int:
    run = RunFiles(here.root).resolve(args.run)
    record = action.promote(here.files, run, args.name, now=workspace.now(), tool=workspace.TOOL, replace=args.replace)
    Screen().line(f"golden trace {record.name}: {record.total} calls of run {record.run}", "good")
    return EXIT_DONE


def _check(args: argparse.Namespace, here: Workspace) -> int:
    golden = GoldenFiles(here.root)
    names = [args.name] if args.name else list(golden.names())
    screen = Screen()
    if not names:
        screen.line("no golden traces yet: `entrenar-research golden promote RUN --as NAME` makes one")
        return EXIT_DONE
    checked = []
    with screen.progress("tracing") as update:
        for index, name in enumerate(names):
            update(index, len(names))
            checked.append(_check_one(args, here, name))
    if args.format == "json":
        screen.json(checked)
    else:
        for item in checked:
            same = item.comparison.same
            screen.line(
                f"{item.name}: {'same as' if same else 'differs from'} {item.against}",
                "good" if same else "bad",
            )
            screen.line("".join(f"  {line}\n" for line in item.words.splitlines()).rstrip("\n"))
    return EXIT_DONE if all(item.comparison.same for item in checked) else EXIT_WANTING


def _check_one(args: argparse.Namespace, here: Workspace, name: str) -> action.Checked:
    if args.run is not None:
        return action.check_run(here.files, name, RunFiles(here.root).resolve(args.run))
    return action.check_again(
        here.files,
        name,
        runner=workspace.runner("host"),
        tracer=workspace.tracer("strace"),
        environment=dict(os.environ),
    )


def _list(args: argparse.Namespace, here: Workspace) -> int:
    golden = GoldenFiles(here.root)
    records = [golden.load(name) for name in golden.names()]
    screen = Screen()
    if args.format == "json":
        screen.json(records)
    elif not records:
        screen.line("no golden traces yet: `entrenar-research golden promote RUN --as NAME` makes one")
    else:
        rows = [[item.name, item.experiment, str(item.total), item.run, item.trace_id[:19]] for item in records]
        screen.table(["name", "experiment", "calls", "run", "trace"], rows, right=(2,))
    return EXIT_DONE
