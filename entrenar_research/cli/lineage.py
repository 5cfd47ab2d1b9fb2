"""Where runs come from: parents with their part in it, what came of a run, and merging another copy of the study.

A run says what it comes from while it is made (`er.start_run(..., parents=...)`); once it is closed that stays. What
happened before what is decided by descent alone; Lamport times are shown because they never contradict it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from entrenar_research.actions.runs import lineage as action
from entrenar_research.actions.runs import merging
from entrenar_research.actions.runs.lineage import Family
from entrenar_research.cli.parsing import add_format, add_verb, add_verbs
from entrenar_research.core.sweeps import suggest
from entrenar_research.errors import EXIT_DONE, EXIT_WANTING, UsageError
from entrenar_research.models.tracking import Parent, Relationship
from entrenar_research.store import output_files, study_files
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.views import lineage_svg, lineage_words
from entrenar_research.views.terminal import lineage as view
from entrenar_research.views.terminal import merging as merging_view
from entrenar_research.views.terminal.screen import Screen, counted
from entrenar_research.workspace import Workspace

_FORMATS = ("text", "svg", "dot", "json")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `lineage`."""
    verbs = add_verbs(parser)
    show = add_verb(
        verbs,
        "show",
        "a run, what it comes from and what came of it",
        more="Children stand above parents. Below each run it says what it comes from.",
        examples=("lineage show student", "lineage show student-b8cb --format json"),
    )
    show.add_argument("run", metavar="RUN", help="its id, a unique part of it, or an experiment")
    add_format(show)
    graph = add_verb(
        verbs,
        "graph",
        "draw the lineage of all runs, or around one",
        more="Runs without parent or child are left out. The SVG needs no other file; dot is for Graphviz.",
        examples=("lineage graph", "lineage graph --out lineage.svg", "lineage graph student --format dot"),
    )
    graph.add_argument("run", metavar="RUN", nargs="?", help="only this run, what it comes from and what came of it")
    graph.add_argument("--format", choices=_FORMATS, help="the format (default: by the ending of FILE, else text)")
    graph.add_argument("--out", type=Path, metavar="FILE", help="write it to FILE")
    add = add_verb(
        verbs,
        "add",
        "add a parent to a run that is open",
        more="A closed run is never changed: what it comes from is said while it is made, with "
        "er.start_run(..., parents=...) or run.add_parent(...).",
        examples=("lineage add student-b8cb --parent oracle --relationship distilled_from --role teacher",),
    )
    add.add_argument("run", metavar="RUN", help="the open run")
    add.add_argument("--parent", required=True, metavar="RUN", help="the run that it comes from")
    add.add_argument(
        "--relationship", required=True, choices=get_args(Relationship), metavar="R",
        help=f"what made the one of the other: {', '.join(get_args(Relationship))}",
    )  # fmt: skip
    add.add_argument("--role", metavar="WORD", help="the parent's part in it, such as teacher")
    check = add_verb(verbs, "check", "cycles, missing parents, wrong Lamport times; exit 1 if there is one")
    add_format(check)
    _configure_merge(verbs)


def _configure_merge(verbs: argparse.ArgumentParser) -> None:
    merge = add_verb(
        verbs,
        "merge",
        "unite this study's runs with those of another copy that was continued as well",
        more="Only runs/ is written to. Nothing is changed while there is a conflict; a closed run is taken whole or "
        "not at all. With --prefer theirs, results that count there and can be taken over from the files alone are "
        "put into result/ and dvc.lock as well. The other copy is only read. Exit 1 if something is left to do.",
        examples=("lineage merge ../copy --dry-run", "lineage merge /mnt/laptop/study --prefer ours"),
    )
    merge.add_argument("other", metavar="OTHER", type=Path, help="the directory of the other copy")
    merge.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    merge.add_argument("--prefer", choices=("ours", "theirs"), help="whose result counts where neither run comes from "
                       "the other")  # fmt: skip
    add_format(merge)


def execute(args: argparse.Namespace) -> int:
    """Does what the verb says."""
    here = Workspace()
    return {"show": _show, "graph": _graph, "add": _add, "check": _check, "merge": _merge}[args.verb](args, here)


def _loaded(here: Workspace) -> Family:
    with Screen().progress("reading runs") as update:
        return action.load(here.files, update)


def _show(args: argparse.Namespace, here: Workspace) -> int:
    family = _loaded(here)
    run = _named(here, family, args.run)
    around = family.around(run)
    screen = Screen()
    if args.format == "json":
        screen.json({"run": run, **lineage_words.plain(around)})
        return EXIT_DONE
    view.draw(screen, around, run)
    if len(around.dag.links) == 1:
        screen.line("it has no parents, and no run comes from it", "quiet")
    return EXIT_DONE


def _named(here: Workspace, family: Family, text: str) -> str:
    """A run by its id or part of it; also one that is only known as somebody's parent."""
    if text in family.dag:
        return text
    return RunFiles(here.root).resolve(text).id


def _graph(args: argparse.Namespace, here: Workspace) -> int:
    kind = args.format or _kind(args.out)
    family = _loaded(here)
    chosen = _named(here, family, args.run) if args.run else None
    drawn = family.around(chosen) if chosen else family.related()
    screen = Screen()
    if kind == "text" and args.out is None:
        view.draw(screen, drawn, chosen)
        left = len(family.members) - sum(run in family.members for run in drawn.dag.links)
        if chosen is None and left:
            screen.line(f"{counted(left, 'run')} without parent or child", "quiet")
        return EXIT_DONE
    if kind == "json" and args.out is None:
        screen.json(lineage_words.plain(drawn))
        return EXIT_DONE
    text = _drawn(kind, drawn, chosen)
    if args.out is None:
        screen.stream.write(text)
    else:
        output_files.write(args.out, text)
        screen.line(f"wrote {args.out}: {counted(len(drawn.dag.links), 'run')}", "good")
    return EXIT_DONE


def _kind(out: Path | None) -> str:
    ending = out.suffix.lower().removeprefix(".") if out is not None else ""
    if out is None or ending in ("txt", ""):
        return "text"
    ending = {"gv": "dot"}.get(ending, ending)
    if ending not in _FORMATS:
        close = suggest.closest(ending, _FORMATS)
        raise UsageError(
            f"--out {out}: found the ending .{ending}, expected .svg, .dot, .json or .txt",
            hint=f"did you mean .{close[0]}?" if close else "or name the format with --format",
        )
    return ending


def _drawn(kind: str, family: Family, chosen: str | None) -> str:
    if kind == "svg":
        return lineage_svg.draw(family, chosen)
    if kind == "dot":
        return lineage_words.dot(family)
    if kind == "json":
        return lineage_words.json_text(family)
    return "".join(f"{line}\n" for line, _ in view.lines(family, chosen))


def _add(args: argparse.Namespace, here: Workspace) -> int:
    family = _loaded(here)
    run, parent = (_named(here, family, text) for text in (args.run, args.parent))
    action.add(here.files, family, run, Parent(run=parent, relationship=args.relationship, role=args.role))
    Screen().line(f"{run} now has the parent {parent}", "good")
    return EXIT_DONE


def _check(args: argparse.Namespace, here: Workspace) -> int:
    family = _loaded(here)
    faults = action.check(here.files, family)
    screen = Screen()
    if args.format == "json":
        screen.json(faults)
    elif faults:
        for fault in faults:
            screen.line(f"{fault.run}: {fault.detail}", "bad")
    else:
        drawn = family.related().dag
        words = f"{counted(len(drawn.links), 'run')} in order: no cycle, no parent missing"
        screen.line(words if drawn.links else "no run has a parent", "good")
    return EXIT_WANTING if faults else EXIT_DONE


def _merge(args: argparse.Namespace, here: Workspace) -> int:
    if not args.other.is_dir():
        raise UsageError(f"{args.other}: expected the directory of another copy of this study")
    other = StudyFiles(study_files.find_root(args.other))
    screen = Screen()
    with screen.progress("copying runs") as update:
        merged = merging.merge(here.files, other, prefer=args.prefer, dry=args.dry_run, progress=update)
    if args.format == "json":
        screen.json(merged)
    else:
        merging_view.draw(screen, merged, dry=args.dry_run)
    return EXIT_WANTING if merged.wanting else EXIT_DONE
