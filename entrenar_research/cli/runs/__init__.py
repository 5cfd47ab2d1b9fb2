"""Look at recorded runs. A run is named by its id, a unique part of it, or an experiment (its last good run)."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping, Sequence

from entrenar_research.cli.parsing import add_verb, add_verbs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERBS: dict[str, str] = {
    "list": "the runs, filtered, sorted, with the columns you ask for",
    "show": "one run in full",
    "watch": "follow a run while it is under way",
    "compare": "runs side by side: what differs, every metric, their curves",
    "query": "SQL over runs, parameters, metrics, failures and all else that is recorded",
    "plot": "curves of logged metrics: in the terminal, or as SVG, PNG or HTML",
    "failures": "how often what went wrong, and why one run failed",
    "recover": "seal what a crash left open, and what scripts finished by themselves",
    "remove": "delete runs that nothing stands on",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the verbs of `runs`, each from its own file."""
    _configure(parser, VERBS, loaded=True)


def configure_for(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """As `configure`, for a command line of these words: only the verb that it names, or all names if it has none."""
    named = {words[0]: VERBS[words[0]]} if words and words[0] in VERBS else None
    _configure(parser, named or VERBS, loaded=named is not None)


def _configure(parser: argparse.ArgumentParser, names: Mapping[str, str], *, loaded: bool) -> None:
    verbs = add_verbs(parser)
    for name, words in names.items():
        if loaded:
            module = _module(name)
            more, examples = getattr(module, "MORE", ""), getattr(module, "EXAMPLES", ())
            module.configure(add_verb(verbs, name, words, more=more, examples=examples))
        else:
            add_verb(verbs, name, words)


def execute(args: argparse.Namespace) -> int:
    """Does what the verb says."""
    return int(_module(args.verb).execute(args))


def _module(verb: str) -> Any:
    return importlib.import_module(f"entrenar_research.cli.runs.{verb}")
