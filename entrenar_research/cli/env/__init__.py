"""The environment of hermetic runs: which files it is made of, by digest, and where they are."""

from __future__ import annotations

from entrenar_research.cli.verbs import Verbs

VERBS: dict[str, str] = {
    "lock": "choose the files of the toolchain and write nix/closure.lock.json",
    "seed": "put the files of the lock into the Nix store",
    "show": "what is in the lock, and where its files are",
    "diff": "what changed between two locks",
    "verify": "hold lock, files and what Nix builds by against each other",
}

_VERBS = Verbs(__name__, VERBS)
configure, configure_for, execute = _VERBS.configure, _VERBS.configure_for, _VERBS.execute
