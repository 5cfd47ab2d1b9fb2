"""Models: looking at a file without loading it, and the signed statement that allows one which can run code.

A statement is one JSON file: `statement` says which file (by its SHA-256), why, when and who; `signature` is an SSH
signature, in a namespace of its own, over the canonical JSON of `statement` (sorted keys, no blanks, UTF-8).
"""

from __future__ import annotations

import datetime
import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from entrenar_research.actions import keys
from entrenar_research.core import digests, pickle_names, tensor_files
from entrenar_research.core.tensor_files import Contents
from entrenar_research.errors import IntegrityError, UsageError
from entrenar_research.signers.port import Signer
from entrenar_research.store import files, hashing, output_files
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.store.yaml_text import Document
from entrenar_research.tools import ssh_keygen

SUFFIX = ".bypass.json"
_NUMPY = b"\x93NUMPY"
_PICKLES = 16
_UNZIPPING = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError)


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is signed: the file by name, digest and bytes; why it is allowed, when it was, by whom and which key."""

    type: Literal["entrenar-research/model-bypass/v1"] = "entrenar-research/model-bypass/v1"
    file: str
    digest: str
    size: int
    reason: str
    time: str
    signer: str
    key: str


class Bypass(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A statement with its signature."""

    statement: Statement
    signature: str


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """What a model file is. Only a `safetensors` file without `fault` may be logged without a bypass.

    `names` are what pickles in it would import, `contents` what SafeTensors hold.
    """

    kind: Literal["safetensors", "pickle", "unknown"]
    contents: Contents | None = None
    names: tuple[str, ...] = ()
    fault: str | None = None

    @property
    def safe(self) -> bool:
        """Whether reading it can run no code."""
        return self.kind == "safetensors" and self.fault is None


def inspect(file: Path) -> Inspection:
    """Looks at a model by what is in it, not by its name. Nothing of it is loaded or carried out.

    Raises:
        UsageError: if it is no regular file.
        StorageError: if it cannot be read.
    """
    if not file.is_file():
        found = "found a directory" if file.is_dir() else "there is none"
        raise UsageError(f"{file}: expected a file with a model, {found}")
    with files.refusals(f"cannot read {file.name}"), file.open("rb") as stream:
        start = stream.read(16)
        size = os.fstat(stream.fileno()).st_size
        if tensor_files.looks_like(start):
            return _tensors(stream, start, size, file.name)
        stream.seek(0)
        pickled = list(_pickles(stream))
    if not pickled:
        fault = "neither SafeTensors nor a pickle that can be looked into"
        return Inspection(kind="unknown", fault=fault)
    names = tuple(sorted({name for item in pickled for name in item.names}))
    cut = None if all(item.whole for item in pickled) else "a pickle in it is cut off, damaged or very long"
    return Inspection(kind="pickle", names=names, fault=cut)


def _tensors(stream: io.BufferedReader, start: bytes, size: int, name: str) -> Inspection:
    try:
        length = tensor_files.header_length(start, size, name)
        stream.seek(tensor_files.LENGTH)
        return Inspection(kind="safetensors", contents=tensor_files.contents(stream.read(length), size, name))
    except IntegrityError as error:
        return Inspection(kind="safetensors", fault=error.message)


def _pickles(stream: io.BufferedReader) -> Iterator[pickle_names.Pickled]:
    """Every pickle in a file: one after the other as older PyTorch writes them, or members of a zip archive."""
    if not zipfile.is_zipfile(stream):
        stream.seek(0)
        yield from _in_a_row(stream)
        return
    try:
        with zipfile.ZipFile(stream) as archive:
            for item in archive.infolist():
                yield from _in_a_row(io.BufferedReader(archive.open(item)))  # type: ignore[arg-type]
    except _UNZIPPING:
        yield pickle_names.Pickled(names=(), whole=False)


def _in_a_row(stream: io.BufferedReader) -> Iterator[pickle_names.Pickled]:
    """The pickles that follow each other; those of an array of objects come after NumPy's header."""
    start = stream.peek(16)[:16]
    if start.startswith(_NUMPY):
        old = start[6] == 1
        stream.read(8)
        header = stream.read(int.from_bytes(stream.read(2 if old else 4), "little"))
        if b"O'" not in header:
            return
    for _ in range(_PICKLES):
        start = stream.peek(16)[:16]
        if not pickle_names.looks_like(start):
            return
        found = pickle_names.names(stream)
        if found.whole or start[0] == pickle_names.PROTOCOL:
            yield found
        if not found.whole:
            return


def allow(study: StudyFiles, signer: Signer, file: Path, reason: str, key: Path, *,
          now: datetime.datetime, out: Path | None = None) -> Path:  # fmt: skip
    """Writes the statement that allows `file`, beside it or to `out`, and says where.

    Raises:
        UsageError: if the file needs none, the reason says nothing, or the study does not list the key for this.
        ResearchError: if the signature that was made would not be accepted.
    """
    place = file.with_name(file.name + SUFFIX) if out is None else out
    output_files.refuse(place)
    text = reason.strip()
    if not text or not text.isprintable():
        raise UsageError("the reason is empty or not on one line: expected a sentence that says why it is allowed")
    if inspect(file).safe:
        raise UsageError(f"{file.name} is a SafeTensors file: it can run no code and needs no bypass")
    public = signer.read(key)
    listed = [item for item in keys.listings(study, public) if item.period.holds(now)]
    who = next((item.who.split(",")[0] for item in listed if item.permits(keys.MODEL_BYPASS)), None)
    if who is None:
        raise UsageError(
            f"keys/allowed_signers does not list the key {public.fingerprint} for {keys.MODEL_BYPASS} at this time",
            hint="`entrenar-research keys new` lists it",
        )
    hashed = hashing.hash_file(file, md5=False)
    statement = Statement(
        file=file.name.encode("utf-8", "backslashreplace").decode(),
        digest=f"sha256:{hashed.sha256}",
        size=hashed.size,
        reason=text,
        time=now.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        signer=who,
        key=public.fingerprint,
    )
    signature = ssh_keygen.sign(key, _signed(statement), namespace=keys.MODEL_BYPASS)
    bypass = Bypass(statement=statement, signature=signature)
    _accept(study, bypass, place.name)
    document = json.dumps(msgspec.to_builtins(bypass), indent=2, ensure_ascii=False)
    output_files.write(place, document + "\n")
    return place


def check(study_root: Path, file: Path, statement: Path) -> str:
    """Whether `statement` allows `file` in this study; in words, who allowed it, when and why.

    Raises:
        UsageError: if the statement is not there or cannot be read as one.
        IntegrityError: if it is about another file, its signature is not good, or its key was not allowed then.
    """
    return describe(verified(study_root, file, statement))


def describe(bypass: Bypass) -> str:
    """Who allowed a model, when and why, on one line."""
    said = bypass.statement
    return f"allowed by {said.signer} ({said.key}) at {said.time}: {said.reason}"


def verified(study_root: Path, file: Path, statement: Path) -> Bypass:
    """The statement, if it allows `file` in this study.

    Raises:
        UsageError: if the statement is not there or cannot be read as one.
        IntegrityError: if it is about another file, its signature is not good, or its key was not allowed then.
    """
    bypass = _read(statement)
    now = f"sha256:{hashing.hash_file(file, md5=False).sha256}"
    if now != bypass.statement.digest:
        raise IntegrityError(
            f"{statement.name} is about another file: {file.name} is {now[:19]}..., "
            f"it allows {bypass.statement.digest[:19]}... ({bypass.statement.file})",
            hint="`entrenar-research models check` says what is in the file; `models allow` signs a new statement",
        )
    _accept(StudyFiles(study_root), bypass, statement.name)
    return bypass


def _read(path: Path) -> Bypass:
    if path.is_dir():
        raise UsageError(f"{path}: expected a signed statement, found a directory")
    # As JSON, whatever the file is called.
    return Document(files.read_text(path), f"{path.name.removesuffix('.json')}.json").convert(Bypass)


def _signed(statement: Statement) -> bytes:
    return digests.canonical_json(msgspec.to_builtins(statement))


def _accept(study: StudyFiles, bypass: Bypass, name: str) -> None:
    """Raises unless the signature is good and the study allowed the key at the stated time."""
    said = bypass.statement
    if not study.allowed_signers.is_file():
        raise UsageError(
            f"{name} cannot be checked: the study has no keys/allowed_signers",
            hint="`entrenar-research keys new` makes a key and lists it",
        )
    try:
        time = datetime.datetime.strptime(said.time, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.UTC)
    except ValueError as error:
        raise UsageError(f"{name}: time: found {said.time!r}, expected one such as 2026-11-21T08:00:00Z") from error
    found = ssh_keygen.verify(
        _signed(said),
        bypass.signature,
        allowed_signers=study.allowed_signers,
        identity=said.signer,
        namespace=keys.MODEL_BYPASS,
        time=time,
    )
    if not found.good or found.fingerprint != said.key:
        words = found.message if not found.good else f"made with {found.fingerprint}, it names {said.key}"
        raise IntegrityError(
            f"{name}: the study does not accept its signature by {said.signer} of {said.time}: {words}",
            hint="only a key that keys/allowed_signers lists for that time counts: `entrenar-research keys show`",
        )
