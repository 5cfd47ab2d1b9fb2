"""Model files: what is in one, and the signed permission for one that can run code.

SafeTensors hold numbers and nothing else. Formats built on pickle run code when they are loaded; a run keeps one
only with a statement, signed by a key that the study accepts, that names the file's digest and says why.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from entrenar_research import workspace
from entrenar_research.actions import keys, model_bypass
from entrenar_research.actions.model_bypass import Inspection
from entrenar_research.cli.parsing import add_format, add_verb, add_verbs
from entrenar_research.core.sweeps.suggest import listed
from entrenar_research.errors import EXIT_DONE, EXIT_WANTING, ResearchError
from entrenar_research.tools import process
from entrenar_research.views.terminal.screen import Screen, counted, size
from entrenar_research.workspace import Workspace


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `models`."""
    verbs = add_verbs(parser)
    check = add_verb(
        verbs,
        "check",
        "what a model file is, and whether a run may keep it; exit 1 if not",
        more="Nothing is loaded: of SafeTensors the header is read, of pickles the names that they would import.",
        examples=("models check model.safetensors", "models check old.pt --statement old.pt.bypass.json"),
    )
    check.add_argument("file", type=Path, metavar="FILE", help="the model")
    check.add_argument(
        "--statement", type=Path, metavar="FILE", help="the signed statement (default: FILE.bypass.json if it is there)"
    )
    add_format(check)
    allow = add_verb(
        verbs,
        "allow",
        "sign a statement that allows a model file in a format that can run code",
        more="The statement names the file's SHA-256, so it allows this very file and no other.",
        examples=('models allow old.pt --reason "Published checkpoint of 2021, read in a sandbox"',),
    )
    allow.add_argument("file", type=Path, metavar="FILE", help="the model")
    allow.add_argument("--reason", required=True, metavar="TEXT", help="why it is allowed, in a sentence")
    allow.add_argument("--key", type=Path, metavar="FILE", help="another key than the usual one")
    allow.add_argument("--out", type=Path, metavar="FILE", help="where to write it (default: FILE.bypass.json)")


def execute(args: argparse.Namespace) -> int:
    """Checks or allows."""
    return _allow(args) if args.verb == "allow" else _check(args)


def _allow(args: argparse.Namespace) -> int:
    here = Workspace()
    key, _ = keys.locate(here.git if process.which("git") else None, workspace.key_path(), args.key)
    place = model_bypass.allow(
        here.files, workspace.signer(), args.file, args.reason, key, now=workspace.now(), out=args.out
    )
    Screen().line(f"wrote {place}: it allows {args.file.name} and no other file", "good")
    return EXIT_DONE


def _check(args: argparse.Namespace) -> int:
    found = model_bypass.inspect(args.file)
    allowed, refused = (None, None) if found.safe else _permission(args)
    good = found.safe or allowed is not None
    screen = Screen()
    if args.format == "json":
        screen.json({"file": args.file.name, "kept": good, "inspection": found, "allowed": allowed, "refused": refused})
        return EXIT_DONE if good else EXIT_WANTING
    _draw(screen, args.file.name, found)
    if allowed is not None:
        screen.line(allowed, "good")
    elif not found.safe:
        screen.line(f"a run does not keep it: {refused or 'there is no signed statement that allows it'}", "bad")
        if found.kind != "safetensors":
            advice = "save it as SafeTensors, or let somebody sign for it: `entrenar-research models allow`"
            screen.line(f"hint: {advice}")
    return EXIT_DONE if good else EXIT_WANTING


def _permission(args: argparse.Namespace) -> tuple[str | None, str | None]:
    """What the statement says if it is good, and why not if it is not; neither without one."""
    statement = args.statement or args.file.with_name(args.file.name + model_bypass.SUFFIX)
    here = Workspace.maybe()
    if args.statement is None and not statement.is_file():
        return None, None
    if here is None:
        return None, f"{statement.name} can be checked in a study only, whose keys/allowed_signers says who may sign"
    try:
        return model_bypass.check(here.root, args.file, statement), None
    except ResearchError as error:
        return None, error.message


def _draw(screen: Screen, name: str, found: Inspection) -> None:
    if found.kind == "safetensors" and found.contents is not None:
        inside = found.contents
        types = f" of {', '.join(inside.types)}" if inside.types else ""
        screen.line(f"{name}: SafeTensors, {counted(inside.tensors, 'tensor')}{types}, {size(inside.bytes)}", "good")
        for key, value in sorted(inside.metadata.items()):
            screen.line(f"  {key}: {value}")
    elif found.kind == "safetensors":
        screen.line(f"damaged: {found.fault}", "bad")
    elif found.kind == "pickle":
        names = listed(found.names) if found.names else "nothing"
        screen.line(f"{name}: a pickle, which runs code when it is loaded; it imports {names}", "doubt")
        if found.fault is not None:
            screen.line(f"  {found.fault}: there may be more", "doubt")
    else:
        screen.line(f"{name}: {found.fault}", "doubt")
