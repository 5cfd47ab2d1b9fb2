"""What a proof says of a run, and what a run says of the sealed world it was built in."""

from __future__ import annotations

from entrenar_research.models.recorded import Recorded


class StorePath(Recorded, frozen=True, kw_only=True):
    """A path in the Nix store with its NAR hash (`sha256:<hex>`) and the size of its archive in bytes."""

    path: str
    hash: str
    size: int


class Hermetic(Recorded, frozen=True, kw_only=True):
    """What a hermetic run was built from, and what came out.

    `system` is as Nix names it, `derivation` and `out_path` are store paths, `nar_hash` is that of the result
    (`sha256:<hex>`). `settings` are the effective ones of the sandbox, `closure` all that the toolchain needs at run
    time, `pins` the variables of every build.
    """

    system: str
    derivation: str
    out_path: str
    nar_hash: str
    nix_version: str
    settings: dict[str, str] = {}
    pins: dict[str, str] = {}
    closure: tuple[StorePath, ...] = ()
