"""A pack: a study with all that it takes to rebuild it, as a directory that is carried into a place without network."""

from __future__ import annotations

from typing import Literal

from entrenar_research.models.recorded import Recorded


class PackedFile(Recorded, frozen=True, kw_only=True):
    """A file of the pack: `path` relative to it, `sha256` in hex, `size` in bytes."""

    path: str
    sha256: str
    size: int


class PackedBuild(Recorded, frozen=True, kw_only=True):
    """An experiment as Nix built it: store paths of its derivation and of its result."""

    derivation: str
    out_path: str


class PackedNix(Recorded, frozen=True, kw_only=True):
    """The binary cache: `key` is the public key of its signatures, `paths` are all store paths in it.

    `builds` are the experiments by name.
    """

    system: str
    version: str
    key: str
    paths: tuple[str, ...]
    builds: dict[str, PackedBuild]


class Manifest(Recorded, frozen=True, kw_only=True):
    """What a pack holds. `bundles` are the Git bundles in the order in which they are read.

    `name` is what to call the study's directory, `references` leads from each Git reference to its object, `branch` is
    what was checked out (None: a bare commit), `everything` says that no experiments were chosen. `key` is the
    fingerprint of the key that signed the manifest, `signer` for whom it is listed, `time` when (UTC).
    """

    type: Literal["entrenar-research/airgap/v1"]
    name: str
    title: str
    version: str
    commit: str
    branch: str | None
    references: dict[str, str]
    experiments: tuple[str, ...]
    everything: bool
    bundles: tuple[str, ...]
    nix: PackedNix | None
    tool: str
    time: str
    signer: str
    key: str
    files: tuple[PackedFile, ...]
