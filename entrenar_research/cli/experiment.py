"""Declare experiments. `experiment add NAME -- COMMAND` runs the command once, observes what it reads and writes, and
proposes the declaration (experiments/NAME/experiment.yaml) and the stage of dvc.yaml that go with it.
"""

from __future__ import annotations

import argparse
import sys

import msgspec

from entrenar_research.actions import experiment_add as action
from entrenar_research.cli import asking
from entrenar_research.errors import UsageError
from entrenar_research.store import study_files
from entrenar_research.store.dvc_files import DvcFiles
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `experiment`."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="add|list|show|sync")
    add = verbs.add_parser("add", help="declare an experiment from one observed run of its command")
    add.add_argument("name", metavar="NAME")
    add.add_argument("--yes", action="store_true", help="write it without asking")
    add.add_argument(
        "--dry-run", action="store_true", help="run the command, show the declaration, leave nothing behind"
    )
    add.add_argument("--no-infer", action="store_true", help="declare the bare command without running it")
    add.add_argument("--quiet", action="store_true", help="do not show what the command prints")
    add.set_defaults(words=[])
    add.usage = "entrenar-research experiment add [options] NAME -- COMMAND [ARGUMENT ...]"
    listing = verbs.add_parser("list", help="the experiments of this study")
    listing.add_argument("--format", choices=("text", "json"), default="text")
    show = verbs.add_parser("show", help="one declaration, and where dvc.yaml differs from it")
    show.add_argument("name", metavar="NAME")
    sync = verbs.add_parser("sync", help="write the stage of dvc.yaml from the declaration")
    sync.add_argument("name", metavar="NAME")


def execute(args: argparse.Namespace) -> int:
    """Adds, lists, shows or syncs."""
    here = Workspace()
    return {"add": _add, "list": _list, "show": _show, "sync": _sync}[args.verb](args, here)


def _add(args: argparse.Namespace, here: Workspace) -> int:
    words = args.words
    if not words:
        raise UsageError(
            "the command is missing",
            hint=f"entrenar-research experiment add {args.name} -- python train.py --lr 0.1",
        )
    screen = Screen()
    if args.no_infer:
        proposal = action.declare(here.files, args.name, words)
        _draw(screen, proposal)
        if args.dry_run or not _agreed(args):
            return _left(screen)
        action.write(here.files, proposal)
        screen.line(
            f"declared {args.name}; complete experiments/{args.name}/experiment.yaml, then `experiment sync`",
            "good",
        )
        return 0
    means = here.means(screen.line)
    with action.observed(here.files, args.name, words, means, echo=not args.quiet) as found:
        _draw(screen, found.proposal)
        if args.dry_run or not _agreed(args):
            return _left(screen)
        record = action.adopt(here.files, found, means)
    screen.line(f"declared {args.name}; its first run is {record.id}", "good")
    return 0


def _agreed(args: argparse.Namespace) -> bool:
    if args.yes:
        return True
    if not asking.interactive():
        raise UsageError(
            "there is nobody to confirm this", hint="give --yes to write it, or --dry-run to look only"
        )
    return asking.confirm("Write this?")


def _left(screen: Screen) -> int:
    screen.line("nothing was written", "quiet")
    return 0


def _draw(screen: Screen, proposal: action.Proposal) -> None:
    screen.line(f"# {proposal.experiment.file}", "strong")
    screen.line(proposal.declaration_text.rstrip())
    if proposal.params:
        screen.line(f"# {proposal.experiment.directory}/params.yaml", "strong")
        for key, value in proposal.params.items():
            screen.line(f"{key}: {value}")
    screen.line("# dvc.yaml", "strong")
    screen.line(proposal.stage_text.rstrip())
    for path in proposal.data:
        screen.line(f"{path} will be put under DVC", "quiet")
    for call in proposal.network:
        screen.line(f"warning: the command used the network: {call}", "bad")


def _list(args: argparse.Namespace, here: Workspace) -> int:
    experiments = here.files.experiments()
    screen = Screen()
    if args.format == "json":
        screen.line(msgspec.json.encode(experiments).decode())
    elif not experiments:
        screen.line("no experiments yet: `entrenar-research experiment add NAME -- COMMAND` declares one")
    else:
        rows = [
            [item.name, item.declaration.trace, item.declaration.description or ""] for item in experiments
        ]
        screen.table(["experiment", "trace", "description"], rows)
    return 0


def _show(args: argparse.Namespace, here: Workspace) -> int:
    experiment = here.files.experiment(args.name)
    sys.stdout.write(study_files.declaration_text(experiment.declaration))
    screen = Screen(sys.stderr)
    for words in DvcFiles(here.root).drift(experiment):
        screen.line(f"warning: {words}", "doubt")
    return 0


def _sync(args: argparse.Namespace, here: Workspace) -> int:
    experiment = here.files.experiment(args.name)
    drift = DvcFiles(here.root).drift(experiment)
    DvcFiles(here.root).write_stage(experiment)
    screen = Screen()
    for words in drift:
        screen.line(words)
    screen.line(f"dvc.yaml says what {experiment.file} declares", "good")
    return 0
