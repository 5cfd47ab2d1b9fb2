"""Look at recorded runs. A run is named by its id, a unique part of it, or an experiment (its last good run)."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from entrenar_research.cli.parsing import add_verb, add_verbs

VERBS: dict[str, str] = {
    "list": "the runs, filtered, sorted, with the columns you ask for",
    "show": "one run in full",
    "compare": "two runs: what differs in their recipes and metrics",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the verbs of `runs`, each from its own file."""
    verbs = add_verbs(parser)
    for name, words in VERBS.items():
        module = _module(name)
        module.configure(
            add_verb(verbs, name, words, more=getattr(module, "MORE", ""), examples=getattr(module, "EXAMPLES", ()))
        )


def execute(args: argparse.Namespace) -> int:
    """Does what the verb says."""
    return int(_module(args.verb).execute(args))


def _module(verb: str) -> Any:
    return importlib.import_module(f"entrenar_research.cli.runs.{verb}")
