"""Signed statements about the tool itself: somebody built it from its sources by Nix, and this is what came out.

An in-toto statement whose subject is the output. `claim` is what two people who build the same sources have in common;
what differs honestly from builder to builder is in `evidence` and `signed`.
"""

from __future__ import annotations

from typing import Final, Literal

from entrenar_research.models.proof import StorePath
from entrenar_research.models.recorded import Recorded
from entrenar_research.models.statement import Author, HardwareClass, NixFacts, Signed, Subject

BUILD: Final = "urn:x-entrenar-research:build:v1"
NAR: Final = "sha256-nar"
"""The algorithm in a subject: SHA-256 of the archive that Nix makes of a directory, in hex."""


class BuildClaim(Recorded, frozen=True, kw_only=True):
    """What was built of what. All digests are `sha256:<hex>`; `source` and `nar_hash` are those of Nix archives.

    `lock` is the digest of the file nix/tool/closure.lock.json, `output` the store path of what was built, which
    depends on all that it is built from and by; `closure` is all that it needs at run time, itself included, and
    `settings` are the effective ones of the sandbox.
    """

    name: str
    version: str
    system: str
    source: str
    lock: str
    output: str
    nar_hash: str
    closure: tuple[StorePath, ...]
    settings: dict[str, str] = {}


class BuildEvidence(Recorded, frozen=True, kw_only=True):
    """Who built it, on what: `built` and `rebuilt` are the store paths that were made now, for the first time or again.

    `commit` is the one that was checked out, `dirty` whether files differed from it.
    """

    author: Author
    hardware: HardwareClass
    nix: NixFacts
    built: tuple[str, ...] = ()
    rebuilt: tuple[str, ...] = ()
    commit: str | None = None
    dirty: bool = False
    notes: str | None = None


class Build(Recorded, frozen=True, kw_only=True):
    """The predicate."""

    claim: BuildClaim
    evidence: BuildEvidence
    signed: Signed


class BuildStatement(Recorded, frozen=True, kw_only=True, rename={"type": "_type", "predicate_type": "predicateType"}):
    """An in-toto statement about a build of the tool."""

    type: Literal["https://in-toto.io/Statement/v1"]
    subject: tuple[Subject, ...]
    predicate_type: Literal["urn:x-entrenar-research:build:v1"]
    predicate: Build
