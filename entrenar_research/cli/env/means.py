"""What the verbs of `env` have in common: the store, the cache, and the places that files may be taken from."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from entrenar_research.actions.environments import fetching, locking
from entrenar_research.actions.environments.seeding import Gathering, Source
from entrenar_research.errors import UsageError
from entrenar_research.models.closure import Closure
from entrenar_research.net.blobs import VARIABLE
from entrenar_research.store import blobs
from entrenar_research.store.blobs import Cache, Directory
from entrenar_research.tools import nix
from entrenar_research.workspace import TOOL, Workspace

PLACES = ("cache", "mirror", "packages")


def store(here: Workspace) -> nix.Nix:
    """The Nix store of this person, under the study's own configuration."""
    return nix.Nix(here.files.state / "nix", nix.default_store(os.environ))


def cache() -> Cache:
    """The person's cache of files."""
    return blobs.cache(os.environ)


def sources(here: Workspace, named: str | None) -> list[Source]:
    """Where files may lie: a directory that was named, else the cache and the study's own."""
    if named is not None and named not in PLACES:
        if not Path(named).is_dir():
            raise UsageError(
                f"--from {named}: no such directory, and not one of {', '.join(PLACES)}",
                hint="give the directory that holds the files under their names",
            )
        return [Directory(Path(named))]
    if named == "cache":
        return [cache()]
    return [cache(), Directory(here.root / locking.DVC_PLACE, locking.DVC_PLACE)]


def gathering(
    closure: Closure, named: str | None, announce: Callable[[str], None], progress: Callable[[int, int], None]
) -> Gathering | None:
    """Who fetches what lies nowhere: only somebody that was named."""
    if named == "packages":
        return fetching.Packages(closure, announce)
    if named != "mirror":
        return None
    template = os.environ.get(VARIABLE)
    if not template:
        raise UsageError(
            f"--from mirror: {VARIABLE} does not say where it is",
            hint=f"for example {VARIABLE}=https://blobs.example.org/toolchain or file:///media/usb/blobs",
        )
    return fetching.Mirror(template, TOOL, progress)
