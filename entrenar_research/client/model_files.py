"""Keeping models: as SafeTensors, which hold numbers and nothing else.

A pickle is a program that runs when it is read, and most other formats for models are pickles inside (PyTorch's
`.pt` and `.bin`, joblib, checkpoints). They are refused, by name and by content, unless a statement that names the
file's digest, signed by somebody whom the study trusts, says that this very file may be kept.
"""

from __future__ import annotations

import importlib
import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from entrenar_research.client import artifacts, safetensors_file
from entrenar_research.client.port import Storage
from entrenar_research.errors import UsageError

SUFFIX = ".safetensors"
_PICKLED = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib", ".ckpt", ".npy", ".npz", ".dill")
_HINT = "give the tensors themselves, as a dict of arrays by name, or a file written by safetensors"


def keep(
    storage: Storage,
    name: str,
    model: Mapping[str, Any] | str | os.PathLike[str] | bytes,
    *,
    metadata: Mapping[str, str] | None,
    bypass: str | os.PathLike[str] | None,
    study: str | None,
) -> list[dict[str, Any]]:
    """Keeps a model under a name; the notes about what was kept, the model's last.

    Raises:
        UsageError: if it is no SafeTensors and there is no bypass, or the bypass does not hold.
        StorageError: if the file system refuses.
    """
    name = artifacts.relative_name(name)
    if bypass is not None:
        return _by_statement(storage, name, model, bypass, study)
    if not name.endswith(SUFFIX):
        raise UsageError(f"model {name}: a model is kept as SafeTensors, expected a name in {SUFFIX}", hint=_HINT)
    if isinstance(model, bytes | bytearray | memoryview):
        raw = bytes(model)
        _refuse_others(name, io.BytesIO(raw))
        return [artifacts.keep(storage, name, [raw], "model")]
    if isinstance(model, str | os.PathLike):
        path = artifacts.source_path(model)
        with open(path, "rb") as stream:
            _refuse_others(path, stream)
        return [artifacts.keep(storage, name, artifacts.chunks_of(path), "model")]
    if not hasattr(model, "items"):
        raise UsageError(f"model {name}: {type(model).__name__} is no dict of tensors by name", hint=_HINT)
    return [artifacts.keep(storage, name, safetensors_file.encoded(model, metadata), "model")]


def _refuse_others(shown: str, stream: BinaryIO) -> None:
    """Raises unless the content is SafeTensors and nothing besides."""
    fault = safetensors_file.fault(stream)
    other = _recognised(shown, stream, fault is None)
    if other is not None:
        raise UsageError(f"model {shown}: {other}, which runs code when it is read; expected SafeTensors", hint=_HINT)
    if fault is not None:
        raise UsageError(f"model {shown}: not a SafeTensors file: {fault}", hint=_HINT)


def _recognised(shown: str, stream: BinaryIO, sound: bool) -> str | None:  # noqa: FBT001 - private, with one caller
    """The unsafe format that a file is in, by name or content. A zip may stand at the end of anything."""
    if zipfile.is_zipfile(stream):
        try:
            names = zipfile.ZipFile(stream).namelist()
        except (zipfile.BadZipFile, ValueError, OSError):
            names = []
        if any(name.endswith(".pkl") for name in names):
            return "found a zip archive with a pickle in it (PyTorch's format)"
    if sound:
        return None
    stream.seek(0)
    start = stream.read(2)
    if start[:1] == b"\x80" and start[1:] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return f"found a pickle (protocol {start[1]})"
    suffix = Path(shown).suffix.lower()
    return f"found a file in {suffix}, a format with pickles" if suffix in _PICKLED else None


def _by_statement(
    storage: Storage, name: str, model: object, bypass: str | os.PathLike[str], study: str | None
) -> list[dict[str, Any]]:
    """Keeps a file of another format because a signed statement says so; the statement is kept beside it.

    Whose signature counts, and what the statement has to say, is for the study's own rules to decide: they are in
    `entrenar_research.actions.model_bypass`, which this package, made of the standard library alone, cannot import
    before it is needed. This is the one place where the client reaches beyond itself.
    """
    if study is None:
        raise UsageError(f"model {name}: a bypass needs a study, which says whom it trusts", hint=_HINT)
    if not isinstance(model, str | os.PathLike):
        raise UsageError(f"model {name}: a bypass is for a file, by its digest", hint="write it to a file first")
    source, statement = artifacts.source_path(model), artifacts.source_path(bypass)
    digest = artifacts.digest(artifacts.chunks_of(source))
    check = importlib.import_module("entrenar_research.actions.model_bypass").check
    check(Path(study), Path(source), Path(statement))
    kept = artifacts.keep(storage, f"{name}.bypass.json", artifacts.chunks_of(statement), "file")
    note = artifacts.keep(storage, name, artifacts.chunks_of(source), "model")
    if note["digest"] != digest:
        raise UsageError(f"model {name}: {source} was changed while it was being kept", hint="log it again")
    return [kept, {**note, "bypass": kept["path"]}]
