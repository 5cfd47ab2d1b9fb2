"""Envelopes: the encoding that is signed, and no byte of a line that may change."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.proofs import envelopes
from entrenar_research.core.proofs.envelopes import Envelope
from entrenar_research.errors import IntegrityError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHzbpcRhSzC2ZVIDCPwXErG0AwpWG2W13tOtUUvXpIfc ada@example.org"
KEYID = "SHA256:uoRmh6NhYy3JxEj5HLUQBBGPHzCpuScESCycpHaYWwQ"


def envelope(payload: bytes = b'{"a":1}') -> Envelope:
    return Envelope(payload=payload, keyid=KEYID, signature=bytes(range(64)))


def test_the_encoding_is_that_of_the_specification() -> None:
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert envelopes.pae("http://example.com/HelloWorld", b"hello world") == expected
    assert envelope(b"x").message == b"DSSEv1 28 application/vnd.in-toto+json 1 x"


def test_a_length_counts_bytes() -> None:
    assert envelopes.pae("é", "ü".encode()) == b"DSSEv1 2 \xc3\xa9 2 \xc3\xbc"


def test_a_fingerprint_is_as_ssh_keygen_has_it() -> None:
    assert envelopes.fingerprint(KEY) == KEYID
    assert envelopes.short(KEY) == "ba846687a361632d"
    assert envelopes.fingerprint(KEY.rsplit(" ", 1)[0]) == KEYID


@pytest.mark.parametrize("line", ["", "ssh-ed25519", "ssh-ed25519 !!", "ssh-ed25519 AAA"])
def test_what_is_no_public_key_has_no_fingerprint(line: str) -> None:
    with pytest.raises(IntegrityError, match="expected a public key such as"):
        envelopes.fingerprint(line)


@given(st.binary(max_size=200), st.binary(min_size=64, max_size=64))
def test_what_was_encoded_is_read_back(payload: bytes, signature: bytes) -> None:
    made = Envelope(payload=payload, keyid=KEYID, signature=signature)
    assert envelopes.decode(envelopes.encode(made), "x") == made


def test_every_flipped_bit_is_another_envelope_or_none() -> None:
    """Nothing that is read is equal to what was written: each byte matters, that of the padding and of the key too."""
    made = envelope()
    line = envelopes.encode(made)
    for place in range(len(line)):
        for bit in range(8):
            changed = bytearray(line)
            changed[place] ^= 1 << bit
            try:
                found = envelopes.decode(bytes(changed), "x")
            except IntegrityError:
                continue
            assert found != made, (place, bit)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace(":", ": ", 1),
        lambda text: text + " ",
        lambda text: text.replace('payload"', 'Payload"', 1),
        lambda text: text.replace("==", "=="[:1], 1),
        lambda text: text.replace('"sig":', '"extra":1,"sig":'),
        lambda text: text.replace("[{", "[{},{"),
        lambda text: text.replace("in-toto", "in\\u002dtoto"),
        lambda text: "[]",
        lambda text: "null",
        lambda text: '{"payload":1,"payloadType":"x","signatures":[{"keyid":1,"sig":2}]}',
        lambda text: "[" * 100_000,
        lambda text: text[: len(text) // 2],
    ],
)
def test_what_is_written_otherwise_is_refused(spoil: object) -> None:
    assert callable(spoil)
    changed = spoil(envelopes.encode(envelope(b"1")).decode())
    with pytest.raises(IntegrityError, match=r"^there: "):
        envelopes.decode(changed.encode(), "there")


def test_base64_that_decodes_to_the_same_is_refused() -> None:
    line = envelopes.encode(envelope(b"1")).decode()
    assert '"payload":"MQ=="' in line
    assert base64.b64decode("MR==") == b"1"
    with pytest.raises(IntegrityError, match="a byte was changed"):
        envelopes.decode(line.replace("MQ==", "MR==").encode(), "x")


def test_another_kind_of_payload_is_refused() -> None:
    value = json.loads(envelopes.encode(envelope()))
    value["payloadType"] = "text/plain"
    with pytest.raises(IntegrityError):
        envelopes.decode(json.dumps(value, sort_keys=True, separators=(",", ":")).encode(), "x")
