"""Declare experiments: from one observed run of a command, or by hand.

An experiment is a directory experiments/NAME with an experiment.yaml that says which command is run, on what, and
what comes of it. dvc.yaml has a stage for each.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from entrenar_research import workspace
from entrenar_research.actions import experiment_add as action
from entrenar_research.cli import asking
from entrenar_research.cli.parsing import add_format, add_runner, add_tracer, add_verb, add_verbs
from entrenar_research.errors import EXIT_DONE, EXIT_WANTING, UsageError
from entrenar_research.models.equivalence import Violation
from entrenar_research.store import study_files
from entrenar_research.store.dvc_files import DvcFiles
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `experiment`."""
    verbs = add_verbs(parser)
    add = add_verb(
        verbs,
        "add",
        "declare an experiment from one observed run of its command",
        more="The command is run once. What it read becomes code and inputs, its options become parameters, what it "
        "wrote becomes outputs, and that run becomes the first one. You see the declaration and are asked before "
        "anything is written; the data it read is put under DVC.",
        examples=(
            "experiment add line -- python train.py --rate 0.05",
            "experiment add line --dry-run -- python train.py --rate 0.05",
            "experiment add line --yes -- python train.py --out '${result}'",
        ),
    )
    add.usage = "entrenar-research experiment add [options] NAME -- COMMAND [ARGUMENT ...]"
    add.add_argument("name", metavar="NAME", help="letters, digits, - and _; its directory is experiments/NAME")
    add.add_argument("--yes", action="store_true", help="write it without asking")
    add.add_argument(
        "--dry-run", action="store_true", help="run the command, show the declaration, leave nothing behind"
    )
    add.add_argument("--no-infer", action="store_true", help="declare the bare command without running it")
    add.add_argument("--quiet", action="store_true", help="do not show what the command prints")
    add_tracer(add)
    add.set_defaults(words=[])
    add_format(add_verb(verbs, "list", "the experiments of this study"))
    show = add_verb(verbs, "show", "one declaration, and where dvc.yaml differs from it")
    show.add_argument("name", metavar="NAME", help="the experiment")
    add_format(show)
    sync = add_verb(verbs, "sync", "write the stage of dvc.yaml from the declaration")
    sync.add_argument("name", metavar="NAME", help="the experiment")
    related = add_verb(
        verbs,
        "relations",
        "run variants of an experiment and test the relations that it declares",
        more="Each variant is run in a scratch copy: the study is not touched, and no run is recorded. The exit code "
        "is 1 if a relation does not hold; one declared with `severity: warning` is only told.",
        examples=("experiment relations line", "experiment relations line --runner nix"),
    )
    related.add_argument("name", metavar="NAME", help="the experiment")
    add_runner(related)
    add_format(related)


def execute(args: argparse.Namespace) -> int:
    """Adds, lists, shows, syncs or tests."""
    here = Workspace()
    return {"add": _add, "list": _list, "show": _show, "sync": _sync, "relations": _relations}[args.verb](args, here)


def _add(args: argparse.Namespace, here: Workspace) -> int:
    words = args.words
    if not words:
        raise UsageError(
            "the command is missing",
            hint=f"entrenar-research experiment add {args.name} -- python train.py --lr 0.1",
        )
    if not args.yes and not args.dry_run and not asking.interactive():
        raise UsageError(
            "there is nobody to ask whether the declaration is right; nothing was run",
            hint="give --yes to write it unseen, or --dry-run to look only",
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
    means = here.means(screen.line, args.tracer)
    with action.observed(here.files, args.name, words, means, echo=not args.quiet) as found:
        _draw(screen, found.proposal)
        if args.dry_run or not _agreed(args):
            return _left(screen)
        record = action.adopt(here.files, found, means)
    screen.line(f"declared {args.name}; its first run is {record.id}", "good")
    return 0


def _agreed(args: argparse.Namespace) -> bool:
    return args.yes or asking.confirm("Write this?")


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
    for note in proposal.notes:
        screen.line(f"note: {note}", "doubt")
    for call in proposal.network:
        screen.line(f"warning: the command used the network: {call}", "bad")


def _list(args: argparse.Namespace, here: Workspace) -> int:
    experiments = here.files.experiments()
    screen = Screen()
    if args.format == "json":
        screen.json(experiments)
    elif not experiments:
        screen.line("no experiments yet: `entrenar-research experiment add NAME -- COMMAND` declares one")
    else:
        rows = [[item.name, item.declaration.trace, item.declaration.description or ""] for item in experiments]
        screen.table(["experiment", "trace", "description"], rows)
    return 0


def _show(args: argparse.Namespace, here: Workspace) -> int:
    experiment = here.files.experiment(args.name)
    drift = DvcFiles(here.root).drift(experiment)
    if args.format == "json":
        Screen().json({"name": experiment.name, "declaration": experiment.declaration, "drift": drift})
        return 0
    sys.stdout.write(study_files.declaration_text(experiment.declaration))
    screen = Screen(sys.stderr)
    for words in drift:
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


def _relations(args: argparse.Namespace, here: Workspace) -> int:
    from entrenar_research.actions import relations  # runs things: not for those who list and show

    means = relations.Means(
        runner=workspace.runner_here(args.runner),
        environment=dict(os.environ),
        tool=workspace.TOOL,
        started=workspace.now().isoformat(timespec="milliseconds"),
    )
    screen = Screen()
    with screen.progress("testing relations") as update:
        judged = relations.examine(here.files, args.name, means, progress=update)
    critical = any(item.severity == "critical" for one in judged for item in one.violations)
    if args.format == "json":
        screen.json(judged)
        return EXIT_WANTING if critical else EXIT_DONE
    for one in judged:
        screen.line(f"{one.relation}: {'does not hold' if one.violations else 'holds'}", _style(one.violations))
        for item in one.violations:
            screen.line(f"  {item.severity}: expected {item.expected}, found {item.actual}")
    return EXIT_WANTING if critical else EXIT_DONE


def _style(violations: Sequence[Violation]) -> str:
    severities = {item.severity for item in violations}
    return "bad" if "critical" in severities else "doubt" if severities else "good"
