"""What went into a run, as a proof names it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

from entrenar_research.models.run import FileDigest, RunRecord
from entrenar_research.models.statement import Material, MaterialKind

_MODELS: Final = frozenset({".gguf", ".joblib", ".onnx", ".pkl", ".pt", ".pth", ".safetensors"})
_CONFIGURATION: Final = frozenset({".cfg", ".conf", ".ini", ".toml", ".yaml", ".yml"})


def materials(record: RunRecord, files: Mapping[str, tuple[str, int]], dois: Mapping[str, str]) -> tuple[Material, ...]:
    """Code, inputs and the params file, by path.

    `files` are all single files that went in, by path, with `sha256:<hex>` and size: those that belong to no code or
    input of the record are parameters. `dois` is by path.
    """
    found: dict[str, Material] = {}
    for item in (*record.code, *record.inputs):
        kind = "code" if item in record.code else kind_of(item.path)
        found.setdefault(item.path, _material(item, kind, dois.get(item.path)))
    for path, (digest, size) in files.items():
        if not any(path == name or path.startswith(f"{name.rstrip('/')}/") for name in found):
            plain = {"sha256": digest.removeprefix("sha256:")}
            found[path] = Material(name=path, kind="configuration", digest=plain, size=size, doi=dois.get(path))
    return tuple(found[name] for name in sorted(found))


def _material(item: FileDigest, kind: MaterialKind, doi: str | None) -> Material:
    algorithm = "sha256" if item.files is None else "sha256-manifest"
    digest = {algorithm: item.digest.removeprefix("sha256:")}
    return Material(name=item.path, kind=kind, digest=digest, size=item.size, files=item.files, doi=doi)


def kind_of(path: str) -> MaterialKind:
    """What an input is, as far as its name tells: a dataset unless it tells otherwise."""
    place = PurePosixPath(path.lower())
    if any("checkpoint" in part or "ckpt" in part for part in place.parts):
        return "checkpoint"
    if place.suffix in _MODELS:
        return "model"
    return "configuration" if place.suffix in _CONFIGURATION else "dataset"
