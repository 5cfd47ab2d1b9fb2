"""The air gap: a study, its data and all that Nix needs for it, carried into a place without network."""

from __future__ import annotations

from entrenar_research.cli.verbs import Verbs

VERBS: dict[str, str] = {
    "pack": "write a study with all that it takes to repeat it into a directory, and try it",
    "unpack": "check such a directory and make a study of it, or bring one up to date",
    "update": "bring a pack up to date, writing only what is new",
}

_VERBS = Verbs(__name__, VERBS)
configure, configure_for, execute = _VERBS.configure, _VERBS.configure_for, _VERBS.execute
