"""How many agree that a run reproduces: distinct keys, and distinct kinds of hardware.

The run's proof counts as one builder, every key once, and only keys that the list of signers has. A policy file (TOML)
says what is asked for: `keys`, `hardware_classes`, `verdicts`, `hermetic`, `disagreements`.

The exit code is 0 only if that is reached and nothing that is signed is damaged.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from entrenar_research import workspace
from entrenar_research.actions.proving import consensus as action
from entrenar_research.cli import own_build
from entrenar_research.cli.parsing import add_format
from entrenar_research.errors import EXIT_DONE, EXIT_WANTING, UsageError
from entrenar_research.store.run_files import RunFiles
from entrenar_research.views.terminal import proofs as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

EXAMPLES = ("consensus line", "consensus line --policy journal.toml --format json", "consensus --self")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `consensus`."""
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run, or an experiment: then its last good run")
    own_build.add_self(parser, "this tool itself: build it by Nix, and say who came to the same")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="what is asked for (default: 2 keys, 1 class)")
    parser.add_argument(
        "--allowed-signers", type=Path, metavar="FILE", help="count these signers, not the study's own list"
    )
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Counts and draws."""
    if args.allowed_signers is not None and not args.allowed_signers.is_file():
        raise UsageError(f"{args.allowed_signers}: no such file")
    if args.own:
        return own_build.execute_consensus(args)
    if args.run is None:
        raise UsageError("expected a run or an experiment, or --self", hint="see `consensus --help`")
    here = Workspace()
    policy = action.policy(args.policy)
    record = RunFiles(here.root).resolve(args.run)
    found = action.consensus(here.files, record, workspace.signer(), policy, trusted=args.allowed_signers)
    if args.format == "json":
        Screen().json({"reached": found.reached, **_plain(found)})
    else:
        view.draw_consensus(Screen(), found)
    return EXIT_DONE if found.reached else EXIT_WANTING


def _plain(found: action.Found) -> dict[str, object]:
    result = found.consensus
    return {
        "run": found.run,
        "result": found.result,
        "keys": result.keys,
        "hardware_classes": result.hardware,
        "lacking": result.lacking,
        "agreeing": result.agreeing,
        "disagreeing": result.disagreeing,
        "uncounted": result.uncounted,
        "damaged": found.damaged,
        "policy": view.plain_policy(found.policy),
    }
