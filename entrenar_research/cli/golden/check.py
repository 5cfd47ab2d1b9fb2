"""`golden check`: trace experiments anew and hold them against their golden traces."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from entrenar_research.actions import golden as action
from entrenar_research.cli.golden import means
from entrenar_research.cli.parsing import add_format, add_runner, add_tracer
from entrenar_research.core.reports import junit, markdown
from entrenar_research.errors import EXIT_DONE, EXIT_WANTING, UsageError
from entrenar_research.models.policy import CiPolicy
from entrenar_research.store import ci_reports, files, output_files, policy_file
from entrenar_research.store.golden_files import GoldenFiles
from entrenar_research.store.run_files import RunFiles
from entrenar_research.views.terminal import golden as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

MORE = (
    "Exit status 1 at a difference, a regression or a violated assertion, 3 where nothing is wrong but something has "
    "no data. Numbers and times are judged statistically, times only from untraced repetitions (--repeat, 5 at least), "
    "and neither on another kind of machine than the golden trace's. `[ci]` in renacer.toml says whether to stop at "
    "the first failure and in which directory to leave the report `golden-check.json`, `.xml` or `.md`."
)
_REPORT = "golden-check"
EXAMPLES = ("golden check", "golden check line --repeat 5 --junit report.xml", "golden check line --run line")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `golden check`."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="golden traces (default: all of them)")
    parser.add_argument("--run", metavar="RUN", help="compare a recorded run instead of a fresh one")
    parser.add_argument(
        "--repeat", type=int, metavar="N", help="repeat it N times traced, and N times untraced to measure it"
    )
    add_tracer(parser, "default: that of the golden trace; where it does not work, another that does")
    add_runner(parser, "default, and the only one: what made the golden trace")
    parser.add_argument(
        "--budget",
        type=float,
        metavar="PERCENT",
        help=f"what growth is too much, if it is significant (default: {action.BUDGET * 100:.0f}); needs --repeat",
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="also write a JUnit report")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write a report in Markdown")
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Checks."""
    _refuse_contradictions(args)
    for target in filter(None, (args.junit, args.markdown)):
        output_files.refuse(target)
    here = Workspace()
    names = list(dict.fromkeys(args.names)) or list(GoldenFiles(here.root).names())
    screen = Screen()
    if not names:
        screen.line("no golden traces yet: `entrenar-research golden promote RUN --as NAME` makes one")
        return EXIT_DONE
    for name in names:
        GoldenFiles(here.root).load(name)  # a name that is wrong is told before anything is run
    policy = policy_file.load(here.root)
    ci_reports.place(here.root, policy.ci, _REPORT)
    checked: list[action.Checked] = []
    with screen.progress("checking") as update:
        for index, name in enumerate(names):
            update(index, len(names))
            checked.append(_check(args, here, name))
            if policy.ci.fail_fast and checked[-1].exit_code == EXIT_WANTING:
                break
    _report(args, checked, here.root, policy.ci)
    if args.format == "json":
        screen.json(checked)
    else:
        view.draw_checks(screen, checked, names[len(checked) :])
    return action.exit_code(checked)


def _refuse_contradictions(args: argparse.Namespace) -> None:
    if args.run is not None and args.repeat is not None:
        raise UsageError("a recorded run is not repeated: --run and --repeat exclude each other")
    if args.run is not None and args.tracer is not None:
        raise UsageError("a recorded run is not traced again: --run and --tracer exclude each other")
    if args.run is not None and args.runner is not None:
        raise UsageError("a recorded run is not run again: --run and --runner exclude each other")
    if args.budget is not None and args.repeat is None:
        raise UsageError("--budget is for measured repetitions", hint="give --repeat 5 or more")
    if args.budget is not None and not 0 <= args.budget < float("inf"):
        raise UsageError(f"--budget: found {args.budget:g}, expected a percentage, 0 or more")


def _check(args: argparse.Namespace, here: Workspace, name: str) -> action.Checked:
    if args.run is not None:
        return action.check_run(here.files, name, RunFiles(here.root).resolve(args.run))
    budget = action.BUDGET if args.budget is None else args.budget / 100
    able = means.here(lambda done, total: None, args.tracer, args.runner)
    return action.check_again(here.files, name, means=able, repeat=args.repeat, budget=budget)


def _report(args: argparse.Namespace, checked: Sequence[action.Checked], root: Path, ci: CiPolicy) -> None:
    """The reports that were asked for, here or by `[ci]` in renacer.toml."""
    cases = action.cases(checked)
    made: dict[str, Callable[[], bytes]] = {
        "junit": lambda: junit.document(cases, name="golden traces"),
        "markdown": lambda: markdown.document("Golden traces", cases).encode(),
        "json": lambda: msgspec.json.encode(checked) + b"\n",
    }
    for kind, path in (("junit", args.junit), ("markdown", args.markdown)):
        if path is not None:
            output_files.write(path, made[kind]())
    if (place := ci_reports.place(root, ci, _REPORT)) is not None:
        files.write_atomically(place, made[ci.export_format]())
