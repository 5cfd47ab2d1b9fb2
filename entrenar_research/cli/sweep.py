"""Search for good parameters: a sweep runs an experiment again and again, each time with others.

A sweep is a directory sweeps/NAME with a sweep.yaml that says what is searched, how, and for how long. Every trial is
a run of its own with a params file of its own; the experiment's params, result and dvc.lock stay as they are.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence

from entrenar_research.actions.sweeps import look, sitting
from entrenar_research.actions.sweeps import new as sweep_new
from entrenar_research.actions.sweeps import work as sweep_work
from entrenar_research.actions.sweeps.sitting import Request, Watcher
from entrenar_research.cli import asking
from entrenar_research.cli.parsing import add_format, add_runner, add_tracer, add_verb, add_verbs
from entrenar_research.errors import EXIT_DONE, UsageError
from entrenar_research.models.sweep import TrialRecord
from entrenar_research.store.sweeps.declared import SweepFiles
from entrenar_research.views.terminal import sweeps as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `sweep`."""
    verbs = add_verbs(parser)
    _configure_new(verbs)
    _configure_run(verbs)
    _configure_work(verbs)
    show = add_verb(verbs, "show", "its trials, how far it is, which is the best")
    show.add_argument("name", metavar="NAME", help="the sweep")
    show.add_argument("--top", type=int, metavar="N", help="only the N best trials, the best first")
    best = add_verb(verbs, "best", "the parameters of the best trial", examples=("sweep best rate --apply",))
    best.add_argument("name", metavar="NAME", help="the sweep")
    best.add_argument("--apply", action="store_true", help="put them into the experiment's params file")
    listing = add_verb(verbs, "list", "the sweeps of this study")
    for verb in (show, best, listing):
        add_format(verb)


def _configure_new(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    new = add_verb(
        verbs,
        "new",
        "write a first sweep.yaml from the parameters of an experiment",
        more="You see it and are asked before it is written. Its ranges are guesses around what the parameters are.",
        examples=("sweep new rate --experiment line",),
    )
    new.add_argument("name", metavar="NAME", help="letters, digits, - and _; its directory is sweeps/NAME")
    new.add_argument("--experiment", required=True, metavar="EXPERIMENT", help="whose parameters are searched")
    new.add_argument("--yes", action="store_true", help="write it without asking")


def _configure_run(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = add_verb(
        verbs,
        "run",
        "carry out its trials, side by side if you like",
        more="Ctrl-C stops it; --resume goes on. Several terminals, and several hosts that share the file system, may "
        "run one sweep at once. A trial that fails is recorded, and the sweep goes on; if the first three all fail, "
        "it stops.",
        examples=("sweep run rate --workers 4", "sweep run rate --resume", "sweep run rate --runner nix"),
    )
    run.add_argument("name", metavar="NAME", help="the sweep")
    run.add_argument("--workers", type=int, default=1, metavar="N", help="so many trials at a time (default: 1)")
    run.add_argument("--resume", action="store_true", help="go on with one that was begun and is not done")
    run.add_argument("--retry-failed", action="store_true", help="go on, and try again the trials that failed")
    run.add_argument("--trials", type=int, metavar="N", help="so many trials in all, whatever its budget says")
    add_tracer(run)
    add_runner(run)
    add_format(run)


def _configure_work(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    work = add_verb(
        verbs,
        "work",
        "be one of its workers until it is done, for the job script of a cluster",
        more="As `sweep run NAME --resume` with one worker, in this very process.",
    )
    work.add_argument("name", metavar="NAME", help="the sweep")
    work.add_argument("--trials", type=int, metavar="N", help="so many trials in all, whatever its budget says")
    add_tracer(work)
    add_runner(work)
    work.add_argument("--seconds", type=float, metavar="N", help="begin no new trial after so many seconds")
    work.add_argument("--since", type=int, metavar="N", help=argparse.SUPPRESS)
    work.add_argument("--leader", type=int, metavar="PID", help=argparse.SUPPRESS)


def execute(args: argparse.Namespace) -> int:
    """Does what the verb says."""
    here = Workspace()
    verbs = {"new": _new, "run": _run, "work": _work, "show": _show, "best": _best, "list": _list}
    return verbs[args.verb](args, here)


def _new(args: argparse.Namespace, here: Workspace) -> int:
    text, notes = sweep_new.propose(here.files, args.name, args.experiment)
    screen = Screen()
    screen.line(f"# sweeps/{args.name}/sweep.yaml", "strong")
    screen.line(text.rstrip())
    for note in notes:
        Screen(sys.stderr).line(f"note: before it can run: {note}", "doubt")
    if not args.yes and not asking.interactive():
        raise UsageError("there is nobody to ask whether this is right; nothing was written", hint="give --yes")
    if not args.yes and not asking.confirm("Write this?"):
        screen.line("nothing was written", "quiet")
        return EXIT_DONE
    sweep_new.write(here.files, args.name, text)
    screen.line(f"wrote sweeps/{args.name}/sweep.yaml; edit it, then `entrenar-research sweep run {args.name}`", "good")
    return EXIT_DONE


def _run(args: argparse.Namespace, here: Workspace) -> int:
    request = Request(workers=args.workers, resume=args.resume, retry_failed=args.retry_failed, trials=args.trials)
    text = args.format == "text"
    screen = Screen(sys.stdout if text else sys.stderr)
    before = look.look(here.files, args.name).standing.trials
    with _watched(screen, before) as watcher:
        means = here.means(lambda words: None, args.tracer, args.runner)
        now = sitting.hold(here.files, args.name, request, means, watcher)
    if not text:
        Screen().json(view.plain(now, {}))
        return EXIT_DONE
    screen.line(f"{now.sweep.name}: {view.progress(now)}", "good" if now.over else "doubt")
    view.draw_end(screen, now)
    return EXIT_DONE


@contextlib.contextmanager
def _watched(screen: Screen, before: Sequence[TrialRecord]) -> Iterator[Watcher]:
    """What shows a sweep that is being carried out: an overview on a terminal, else a line for each trial."""
    if screen.lively:
        with view.live(screen) as told:
            yield told
    else:
        yield view.Lines(screen, before)


def _work(args: argparse.Namespace, here: Workspace) -> int:
    share = sweep_work.Share(trials=args.trials, seconds=args.seconds, since=args.since, leader=args.leader)
    sweep, screen = SweepFiles(here.files).load(args.name), Screen()
    sweep_work.work(
        here.files,
        args.name,
        share,
        here.means(lambda words: None, args.tracer, args.runner),
        lambda trial: screen.line(view.trial_line(sweep, trial), view.TRIAL_STYLES[trial.status]),
    )
    return EXIT_DONE


def _show(args: argparse.Namespace, here: Workspace) -> int:
    if args.top is not None and args.top < 1:
        raise UsageError(f"--top {args.top}: expected 1 or more")
    now = look.look(here.files, args.name)
    importance = look.importance(here.files, now)
    if args.format == "json":
        Screen().json(view.plain(now, importance))
    else:
        view.draw(Screen(), now, importance, args.top)
    return EXIT_DONE


def _best(args: argparse.Namespace, here: Workspace) -> int:
    now, trial = look.best_of(here.files, args.name)
    changes = sweep_new.apply(here.files, now.sweep, trial) if args.apply else None
    screen = Screen()
    if args.format == "json":
        screen.json({"trial": trial, "applied": None if changes is None else {"file": changes[0], "set": changes[1]}})
        return EXIT_DONE
    screen.line(f"trial {trial.number}: {now.sweep.metric} {view.number(trial.value)} (run {trial.run})", "good")
    screen.fields([[name, view.shown(value)] for name, value in trial.params.items()])
    if changes is not None:
        words = ", ".join(f"{key} {view.shown(old)} -> {view.shown(new)}" for key, (old, new) in changes[1].items())
        screen.line(f"{changes[0]}: {words or 'it has these already'}")
        screen.line(f"hint: `entrenar-research run {now.sweep.declaration.experiment}` runs it with these")
    return EXIT_DONE


def _list(args: argparse.Namespace, here: Workspace) -> int:
    overviews = [look.look(here.files, name) for name in SweepFiles(here.files).names()]
    screen = Screen()
    if args.format == "json":
        screen.json([{**view.plain(now, {}), "trials": len(now.standing.trials)} for now in overviews])
    elif not overviews:
        screen.line("no sweeps yet: `entrenar-research sweep new NAME --experiment EXPERIMENT` writes one")
    else:
        view.draw_list(screen, overviews)
    return EXIT_DONE
