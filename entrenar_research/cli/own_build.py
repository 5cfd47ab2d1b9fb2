"""What `--self` means: the tool itself, built from a checkout of its repository, instead of a run."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

import msgspec

from entrenar_research import workspace
from entrenar_research.actions.building import attest, build, consensus
from entrenar_research.actions.building.build import Built
from entrenar_research.actions.proving.consensus import policy
from entrenar_research.errors import EXIT_DONE, EXIT_WANTING, NotAStudyError, UsageError
from entrenar_research.models.statement import Author
from entrenar_research.store import closure_file, output_files
from entrenar_research.tools import nix
from entrenar_research.views.terminal import building as view
from entrenar_research.views.terminal import proofs as proof_view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

Naming = Callable[[argparse.Namespace, Workspace], Author]


def add_self(parser: argparse.ArgumentParser, words: str) -> None:
    """Adds `--self`."""
    parser.add_argument("--self", dest="own", action="store_true", help=words)


def execute_attest(args: argparse.Namespace, author: Naming, ask: Callable[[str], str]) -> int:
    """Builds the tool and signs it, or takes in what others have signed."""
    foreign = {"a run or a bundle": args.target, "--runner": args.runner, "--verdict": args.verdict}
    for name, value in {**foreign, "--replay": args.replay or None}.items():
        if value is not None:
            raise UsageError(f"--self is about this tool, and has no use for {name}")
    here, screen = _here(), Screen(sys.stdout if args.format == "text" else sys.stderr)
    if args.taken is not None:
        return _import(args, here, screen)
    if args.output is not None:
        output_files.refuse(args.output)
    who, pen = author(args, here), workspace.pen(here, args.key, ask)
    attest.standing(here.files, pen)
    built = _build(here, screen, again=True)
    made = attest.sign(here.files, built, pen, who, args.notes)
    if args.output is not None:
        output_files.write(args.output, made.line + b"\n")
    else:
        made = attest.keep(here.files, made)
    if args.format == "json":
        path = str(args.output) if args.output is not None else made.path
        told = {"path": path, "key": made.keyid, "known": made.known, "statement": made.statement}
        Screen().json({"nar_hash": built.claim.nar_hash, **told})
    else:
        view.draw_attested(screen, made, args.output)
    return EXIT_DONE


def execute_consensus(args: argparse.Namespace) -> int:
    """Counts who came to the build that comes out here."""
    if args.run is not None:
        raise UsageError(f"--self is about this tool, and has no use for {args.run!r}")
    here, wanted = _here(), policy(args.policy)
    built = _build(here, Screen(sys.stdout if args.format == "text" else sys.stderr), again=False)
    found = consensus.consensus(here.files, built.claim, workspace.signer(), wanted, trusted=args.allowed_signers)
    if args.format == "json":
        Screen().json({"reached": found.reached, **_plain(found)})
    else:
        view.draw_consensus(Screen(), found)
    return EXIT_DONE if found.reached else EXIT_WANTING


def _import(args: argparse.Namespace, here: Workspace, screen: Screen) -> int:
    for name in ("notes", "author", "key", "output"):
        if getattr(args, name) is not None:
            raise UsageError(f"--import takes what is signed already: it has no use for --{name}")
    lines = attest.lines(args.taken)
    built = _build(here, screen, again=False)
    found = attest.take_in(here.files, lines, args.taken.name, workspace.signer(), built.claim)
    if args.format == "json":
        Screen().json([msgspec.to_builtins(item) for item in found])
    else:
        view.draw_imported(screen, found)
    return EXIT_DONE


def _here() -> Workspace:
    """The checkout of the tool's repository that we are in.

    Raises:
        UsageError: if this is another study, or none at all.
    """
    try:
        here = Workspace()
    except NotAStudyError as error:
        raise UsageError(
            "no checkout of entrenar-research here, and --self builds the tool from one",
            hint="go into a clone of its repository, or name one: `entrenar-research -C DIR ...`",
        ) from error
    closure_file.read_own(here.root)
    return here


def _build(here: Workspace, screen: Screen, *, again: bool) -> Built:
    tool = nix.Nix(here.files.state / "nix", nix.default_store(os.environ))
    return build.build(here.root, tool, again=again, announce=lambda words: screen.line(words, "quiet"))


def _plain(found: consensus.Found) -> dict[str, object]:
    result = found.consensus
    return {
        "output": found.here.output,
        "nar_hash": found.here.nar_hash,
        "consensus_nar_hash": found.common.nar_hash if found.common is not None else None,
        "same": found.same,
        "keys": result.keys,
        "hardware_classes": result.hardware,
        "lacking": result.lacking,
        "agreeing": result.agreeing,
        "disagreeing": result.disagreeing,
        "uncounted": result.uncounted,
        "damaged": found.damaged,
        "elsewhere": found.elsewhere,
        "policy": proof_view.plain_policy(found.policy),
    }
