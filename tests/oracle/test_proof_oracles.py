"""Proofs and attestations before judges that are not ours, with each byte flipped as well."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from entrenar_research.core.proofs import envelopes
from tests.conftest import World
from tests.oracle import judges

pytestmark = pytest.mark.oracle

# Reads envelopes, one a line; answers for each whether securesystemslib accepts it.
DSSE = """
import base64, json, sys
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey
public, keyid = base64.b64decode(sys.argv[1]), sys.argv[2]
key = SSlibKey(keyid, "ed25519", "ed25519", {"public": public[-32:].hex()})
for line in sys.stdin:
    try:
        found = Envelope.from_dict(json.loads(line))
        print(sorted(found.verify([key], 1)) == [keyid])
    except (VerificationError, ValueError, KeyError, TypeError):
        print(False)
"""
# Reads a payload; the in-toto library parses and validates the statement, and says what it read.
IN_TOTO = """
import json, sys
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
text = sys.stdin.read()
parsed = json_format.Parse(text, statement_pb2.Statement())
found = Statement.copy_from_pb(parsed)
found.validate()
for item in found.pb.subject:
    ResourceDescriptor.copy_from_pb(item).validate()
print(json.dumps([found.pb.predicate_type, [item.name for item in found.pb.subject]]))
"""
BLOB = "MCowBQYDK2VwAyEA"  # RFC 8410: what stands before the 32 bytes of an Ed25519 key


@pytest.fixture
def made(tiny: Path, world: World) -> dict[str, bytes]:
    """A line of each kind."""
    world.tool("prove", "line", cwd=tiny)
    world.tool("attest", "line", "--notes", "Grüße", cwd=tiny)
    (proof,) = next(tiny.glob("runs/*/proof.intoto.jsonl")).read_bytes().splitlines()
    (attestation,) = next(tiny.glob("runs/*/attestations/*")).read_bytes().splitlines()
    return {"proof": proof, "attestation": attestation}


def key_of(line: bytes) -> str:
    """The public key that the statement names: the base64 of its blob."""
    value = json.loads(envelopes.decode(line, "x").payload)
    return str(value["predicate"]["signed"]["key"].split()[1])


def accepted(lines: list[bytes], key: str, keyid: str) -> list[bool]:
    """What securesystemslib says of each."""
    python = judges.python_with("securesystemslib.dsse")
    script = [python, "-c", DSSE, key, keyid]
    done = judges.run(*script, stdin=b"".join(line + b"\n" for line in lines))
    assert done.returncode == 0, done.stderr
    return [word == "True" for word in done.stdout.split()]


@pytest.mark.parametrize("kind", ["proof", "attestation"])
def test_securesystemslib_accepts_an_envelope_and_none_with_a_flipped_byte(kind: str, made: dict[str, bytes]) -> None:
    """Also those that we refuse for how they are written, as far as the signature covers it: payload and signature."""
    line = made[kind]
    envelope = envelopes.decode(line, "x")
    assert accepted([line], key_of(line), envelope.keyid) == [True]
    payload, signature = envelope.payload, envelope.signature
    spoilt = [
        envelopes.encode(
            envelopes.Envelope(payload=_flipped(payload, place), keyid=envelope.keyid, signature=signature)
        )
        for place in range(len(payload))
    ]
    spoilt += [
        envelopes.encode(
            envelopes.Envelope(payload=payload, keyid=envelope.keyid, signature=_flipped(signature, place))
        )
        for place in range(len(signature))
    ]
    assert accepted(spoilt, key_of(line), envelope.keyid) == [False] * len(spoilt)


def _flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("kind", ["proof", "attestation"])
def test_openssl_accepts_the_signature_and_none_of_something_else(
    kind: str, made: dict[str, bytes], tmp_path: Path
) -> None:
    envelope = envelopes.decode(made[kind], "x")
    blob = base64.b64decode(key_of(made[kind]))
    pem = base64.b64encode(base64.b64decode(BLOB) + blob[-32:]).decode()
    (tmp_path / "key.pem").write_text(f"-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n")

    def verifies(message: bytes, signature: bytes) -> bool:
        (tmp_path / "message").write_bytes(message)
        (tmp_path / "signature").write_bytes(signature)
        words = ("pkeyutl", "-verify", "-pubin", "-inkey", tmp_path / "key.pem", "-rawin", "-in", tmp_path / "message")
        done = judges.run(judges.program("openssl"), *words, "-sigfile", tmp_path / "signature")
        return done.returncode == 0 and "Signature Verified Successfully" in done.stdout

    message = b"DSSEv1 28 application/vnd.in-toto+json %d " % len(envelope.payload) + envelope.payload
    assert verifies(message, envelope.signature)
    for place in (0, 7, 30, 60, len(message) // 2, len(message) - 1):
        assert not verifies(_flipped(message, place), envelope.signature)
    for place in range(0, 64, 9):
        assert not verifies(message, _flipped(envelope.signature, place))


@pytest.mark.parametrize("kind", ["proof", "attestation"])
def test_the_in_toto_library_accepts_the_statement(kind: str, made: dict[str, bytes]) -> None:
    python = judges.python_with("in_toto_attestation.v1.statement")
    payload = envelopes.decode(made[kind], "x").payload
    done = judges.run(python, "-c", IN_TOTO, stdin=payload)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        f"urn:x-entrenar-research:{kind}:v1",
        ["experiments/line/result/curve.csv", "experiments/line/result/metrics.json"],
    ]
    value = json.loads(payload)
    value["subject"] = []
    assert judges.run(python, "-c", IN_TOTO, stdin=json.dumps(value).encode()).returncode != 0


@pytest.mark.parametrize("kind", ["proof", "attestation"])
def test_the_key_is_the_one_that_ssh_keygen_knows_by_that_fingerprint(kind: str, made: dict[str, bytes]) -> None:
    envelope = envelopes.decode(made[kind], "x")
    line = f"ssh-ed25519 {key_of(made[kind])}\n"
    done = judges.run(judges.program("ssh-keygen"), "-l", "-f", "-", stdin=line.encode())
    assert done.stdout.split()[1] == envelope.keyid
