"""Commands whose verbs are one file each: only the verb that a command line names is imported."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence

from entrenar_research.cli.parsing import add_verb, add_verbs

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any


class Verbs:
    """The verbs of a command, `package` its folder: `<package>/<verb>.py` has `configure(parser)` and `execute(args)`.

    It may have `MORE`, words for its help, and `EXAMPLES`.
    """

    def __init__(self, package: str, verbs: Mapping[str, str]) -> None:
        self._package, self._verbs = package, verbs

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Adds all verbs, each from its own file."""
        self._configure(parser, self._verbs, loaded=True)

    def configure_for(self, parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
        """As `configure`, for a command line of these words: the verb that it names, or all names if it has none."""
        named = {words[0]: self._verbs[words[0]]} if words and words[0] in self._verbs else None
        self._configure(parser, named or self._verbs, loaded=named is not None)

    def execute(self, args: argparse.Namespace) -> int:
        """Does what the verb says."""
        execute: Callable[[argparse.Namespace], int] = self._module(args.verb).execute
        return int(execute(args))

    def _configure(self, parser: argparse.ArgumentParser, names: Mapping[str, str], *, loaded: bool) -> None:
        verbs = add_verbs(parser)
        for name, words in names.items():
            if loaded:
                module = self._module(name)
                more, examples = getattr(module, "MORE", ""), getattr(module, "EXAMPLES", ())
                module.configure(add_verb(verbs, name, words, more=more, examples=examples))
            else:
                add_verb(verbs, name, words)

    def _module(self, verb: str) -> Any:
        return importlib.import_module(f"{self._package}.{verb}")
