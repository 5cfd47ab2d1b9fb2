"""`models check` and `models allow`: nothing is loaded, and only a statement that holds opens the door."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrenar_research.actions import model_bypass
from entrenar_research.core.digests import canonical_json
from entrenar_research.errors import IntegrityError, ResearchError, UsageError
from tests.cli.conftest import Door
from tests.conftest import World

NAMESPACE = "model-bypass@entrenar-research"


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


@pytest.fixture
def model(tiny: Path, tmp_path: Path) -> Path:
    """A checkpoint that would leave a mark if it were unpickled."""
    path = tiny / "old.pt"
    path.write_bytes(pickle.dumps({"weights": [0.5], "hook": Evil(tmp_path / "ran")}))
    return path


@pytest.fixture
def allowed(door: Door, tiny: Path, model: Path) -> Path:
    said = door("models", "allow", model, "--reason", "Read in a sandbox, 学習", cwd=tiny)
    assert said.status == 0, said.err
    assert said.out == f"wrote {model}.bypass.json: it allows old.pt and no other file\n"
    return model.with_name("old.pt.bypass.json")


def safetensors() -> bytes:
    header = json.dumps(
        {"__metadata__": {"format": "pt"}, "w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}
    ).encode()
    return len(header).to_bytes(8, "little") + header + bytes(16)


def verify(
    world: World, statement: Path, study: Path, signer: str = "ada@example.org"
) -> subprocess.CompletedProcess[str]:
    """What a stranger does who has nothing but ssh-keygen and a JSON parser."""
    document = json.loads(statement.read_text())
    signature = statement.with_suffix(".sig")
    signature.write_text(document["signature"])
    signed = json.dumps(document["statement"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    argv = ("ssh-keygen", "-Y", "verify", "-f", study / "keys/allowed_signers", "-I", signer, "-n", NAMESPACE)
    return world.run(*argv, "-s", signature, cwd=study, text=signed, status=None)


def test_a_pickle_is_refused_and_looked_into(door: Door, tiny: Path, model: Path, tmp_path: Path) -> None:
    said = door("models", "check", model, cwd=tiny)
    assert said.status == 1
    assert said.out == (
        "old.pt: a pickle, which runs code when it is loaded; it imports posix.system\n"
        "a run does not keep it: there is no signed statement that allows it\n"
        "hint: save it as SafeTensors, or let somebody sign for it: `entrenar-research models allow`\n"
    )
    assert not (tmp_path / "ran").exists()


def test_a_signed_statement_allows_it(door: Door, world: World, tiny: Path, model: Path, allowed: Path) -> None:
    said = door("models", "check", model, cwd=tiny)
    assert said.status == 0
    assert said.out.splitlines()[1].endswith("Z: Read in a sandbox, 学習")
    assert said.out.splitlines()[1].startswith("allowed by ada@example.org (SHA256:")
    judged = verify(world, allowed, tiny)
    assert judged.returncode == 0
    assert judged.stdout.startswith(f'Good "{NAMESPACE}" signature for ada@example.org with ED25519 key SHA256:')
    assert verify(world, allowed, tiny, "mallory@example.org").returncode != 0
    words = model_bypass.check(tiny, model, allowed)
    assert words == said.out.splitlines()[1]


def test_what_is_signed_is_canonical(allowed: Path) -> None:
    document = json.loads(allowed.read_text())
    assert document.keys() == {"statement", "signature"}
    assert list(document["statement"]) == ["type", "file", "digest", "size", "reason", "time", "signer", "key"]
    read = model_bypass._read(allowed)
    assert model_bypass._signed(read.statement) == canonical_json(document["statement"])


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda it: it["statement"].update(reason="Another"), "does not accept its signature"),
        (lambda it: it["statement"].update(signer="mallory@example.org"), "does not accept its signature"),
        (lambda it: it["statement"].update(time="2020-01-01T00:00:00Z"), "does not accept its signature"),
        (lambda it: it["statement"].update(time="now"), "time: found 'now', expected"),
        (lambda it: it["statement"].update(digest="sha256:00"), "is about another file"),
        (lambda it: it["statement"].update(more="x"), "unknown key `statement.more`"),
        (lambda it: it["statement"].pop("size"), "the key `statement.size` is missing"),
        (lambda it: it["statement"].update(type="another/v1"), "statement.type"),
        (lambda it: it.update(signature=""), "does not accept its signature"),
        (
            lambda it: it.update(signature="-----BEGIN SSH SIGNATURE-----\nU1NI\n-----END SSH SIGNATURE-----\n"),
            "does not",
        ),
        (lambda it: it.update(signature=7), "signature"),
    ],
)
def test_a_changed_statement_allows_nothing(
    door: Door, tiny: Path, model: Path, allowed: Path, change: Change, told: str
) -> None:  # fmt: skip
    document = json.loads(allowed.read_text())
    change(document)
    allowed.write_text(json.dumps(document))
    said = door("models", "check", model, cwd=tiny)
    assert said.status == 1
    assert told in said.out
    with pytest.raises((IntegrityError, UsageError)) as caught:
        model_bypass.check(tiny, model, allowed)
    assert told in caught.value.message


def test_another_file_is_not_allowed(door: Door, tiny: Path, model: Path, allowed: Path) -> None:
    with model.open("ab") as stream:
        stream.write(b"\0")
    assert "old.pt.bypass.json is about another file: old.pt is sha256:" in door("models", "check", model, cwd=tiny).out
    other = tiny / "other.pt"
    other.write_bytes(pickle.dumps([1]))
    shutil.copyfile(allowed, tiny / "other.pt.bypass.json")
    assert door("models", "check", other, cwd=tiny).status == 1


@pytest.mark.parametrize(
    "options",
    [
        'namespaces="git"',
        'namespaces="git,model-bypass@*",valid-before="20200101Z"',
        'namespaces="model-bypass@entrenar-research",valid-after="21000101Z"',
        None,
    ],
)
def test_only_a_key_that_is_listed_for_it_at_that_time(
    door: Door, tiny: Path, model: Path, allowed: Path, options: str | None
) -> None:
    listing = tiny / "keys/allowed_signers"
    material = " ".join(listing.read_text().split()[-2:])
    listing.write_text(f"ada@example.org {options} {material}\n" if options else f"bob@example.org {material}\n")
    with pytest.raises(IntegrityError) as caught:
        model_bypass.check(tiny, model, allowed)
    assert "the study does not accept its signature by ada@example.org" in caught.value.message
    if options:
        said = door("models", "allow", model, "--reason", "x", "--out", tiny / "again.json", cwd=tiny)
        assert said.status == 2
        assert f"for {NAMESPACE} at this time" in said.complaint[0]
        assert said.complaint[1] == "`entrenar-research keys new` lists it"
        assert door("keys", "new", cwd=tiny).status == 0
        assert door("models", "allow", model, "--reason", "x", cwd=tiny).status == 0
        assert door("models", "check", model, cwd=tiny).status == 0


def test_a_signature_for_git_is_none_for_models(world: World, tiny: Path, model: Path, allowed: Path) -> None:
    document = json.loads(allowed.read_text())
    key = world.home / ".config/entrenar-research/keys/id_ed25519"
    signed = canonical_json(document["statement"]).decode()
    argv = ("ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", "git")
    document["signature"] = world.run(*argv, cwd=tiny, text=signed).stdout
    allowed.write_text(json.dumps(document))
    with pytest.raises(IntegrityError):
        model_bypass.check(tiny, model, allowed)


def test_safetensors_need_no_statement(door: Door, tiny: Path) -> None:
    path = tiny / "model.safetensors"
    path.write_bytes(safetensors())
    said = door("models", "check", path, cwd=tiny)
    assert (said.status, said.out) == (0, "model.safetensors: SafeTensors, 1 tensor of F32, 16 B\n  format: pt\n")
    found = json.loads(door("models", "check", path, "--format", "json", cwd=tiny).out)
    assert (found["kept"], found["inspection"]["kind"], found["allowed"]) == (True, "safetensors", None)
    message, _ = door("models", "allow", path, "--reason", "x", cwd=tiny).complaint
    assert message == "model.safetensors is a SafeTensors file: it can run no code and needs no bypass"
    path.write_bytes(safetensors()[:-1])
    damaged = door("models", "check", path, cwd=tiny)
    assert damaged.status == 1
    assert "damaged: model.safetensors: its tensors take 16 bytes, the file has 15 for them" in damaged.out


def test_a_pickle_by_another_name_is_one(tiny: Path, model: Path) -> None:
    model.rename(tiny / "nice.safetensors")
    assert model_bypass.inspect(tiny / "nice.safetensors").kind == "pickle"


def packed(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/version", "3\n")
        archive.writestr(name, data)
    return out.getvalue()


def array_of_objects() -> bytes:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + pickle.dumps([Evil(Path("x"))])


EVIL = pickle.dumps([Evil(Path("x"))])


@pytest.mark.parametrize(
    ("data", "kind", "names"),
    [
        (EVIL, "pickle", ("posix.system",)),
        (pickle.dumps(0x1950A86A20F9469CFC6C) + pickle.dumps(1001) + EVIL + b"raw", "pickle", ("posix.system",)),
        (packed("archive/data.pkl", EVIL), "pickle", ("posix.system",)),
        (packed("weights.npy", array_of_objects()), "pickle", ("posix.system",)),
        (array_of_objects(), "pickle", ("posix.system",)),
        (pickle.dumps([Evil(Path("x"))], 0), "pickle", ("posix.system",)),
        (packed("readme.txt", b"nothing"), "unknown", ()),
        (b"", "unknown", ()),
        (b"}{ not a pickle", "unknown", ()),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "unknown", ()),
    ],
)
def test_what_is_found_in_which_format(tmp_path: Path, data: bytes, kind: str, names: tuple[str, ...]) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(data)
    found = model_bypass.inspect(path)
    assert (found.kind, found.names) == (kind, names)
    assert not found.safe


def test_a_damaged_archive_and_a_pickle_that_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    whole = bytearray(packed("archive/data.pkl", EVIL * 50))
    whole[len(whole) // 3] ^= 0xFF
    path.write_bytes(whole)
    assert model_bypass.inspect(path).fault == "a pickle in it is cut off, damaged or very long"
    path.write_bytes(EVIL[:-5])
    assert model_bypass.inspect(path).fault == "a pickle in it is cut off, damaged or very long"


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "\x1b[2J"])
def test_a_reason_is_a_sentence(door: Door, tiny: Path, model: Path, reason: str) -> None:
    assert "the reason is empty or not on one line" in door(
        "models", "allow", model, "--reason", reason, cwd=tiny
    ).complaint[0]  # fmt: skip


def test_bad_requests(door: Door, tiny: Path, model: Path, tmp_path: Path, allowed: Path) -> None:
    assert door("models", "check", tiny, cwd=tiny).complaint[0].endswith("found a directory")
    assert door("models", "check", "nowhere.pt", cwd=tiny).complaint[0].endswith("there is none")
    assert "nowhere.json: no such file" in door(
        "models", "check", model, "--statement", "nowhere.json", cwd=tiny
    ).out  # fmt: skip
    shutil.copy(model, tmp_path)
    shutil.copy(allowed, tmp_path)
    outside = door("models", "check", tmp_path / "old.pt", cwd=tmp_path)
    assert "old.pt.bypass.json can be checked in a study only" in outside.out
    assert outside.status == 1
    (tiny / "keys/allowed_signers").unlink()
    with pytest.raises(ResearchError, match="the study has no keys/allowed_signers"):
        model_bypass.check(tiny, model, allowed)
