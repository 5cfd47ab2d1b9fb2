"""What Nix is told of the experiments: `nix/experiments.json`, since Nix reads no YAML."""

from __future__ import annotations

from entrenar_research.models.recorded import Recorded


class Data(Recorded, frozen=True, kw_only=True):
    """An input that Nix knows by its digest: a file by `sha256`, a directory by `nar`, both hex.

    `path` is relative to the study, `store` the name in the Nix store.
    """

    path: str
    store: str
    sha256: str | None = None
    nar: str | None = None


class Moved(Recorded, frozen=True, kw_only=True, rename={"source": "from"}):
    """An output that the command writes elsewhere in the study, and where in the result it belongs."""

    path: str
    source: str


class HermeticJob(Recorded, frozen=True, kw_only=True):
    """One experiment as Nix builds it: all paths relative to the study, `outputs` to `result`.

    `files` are taken from the study as they are there, `data` from the store by digest.
    """

    command: tuple[str, ...]
    result: str
    files: tuple[str, ...]
    data: tuple[Data, ...] = ()
    outputs: tuple[str | Moved, ...] = ()
    environment: dict[str, str] = {}


class HermeticJobs(Recorded, frozen=True, kw_only=True):
    """All experiments of a study, by name."""

    schema: int
    experiments: dict[str, HermeticJob]
