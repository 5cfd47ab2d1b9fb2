"""DSSE envelopes, one a line (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md).

A line is canonical: sorted keys, no blanks, base64 without odd padding. An envelope that any DSSE library would take
and that is written otherwise is refused, so that no byte can change unnoticed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any, Final

import msgspec

from entrenar_research.core import digests
from entrenar_research.errors import IntegrityError

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
LONGEST: Final = 32 << 20
"""A longer line is no statement of ours."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A payload with one signature over its encoding `pae`; `keyid` is `SHA256:<base64>`, as ssh has it."""

    payload: bytes
    keyid: str
    signature: bytes

    @property
    def message(self) -> bytes:
        """What is signed."""
        return pae(PAYLOAD_TYPE, self.payload)


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding of DSSE, version 1."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def encode(envelope: Envelope) -> bytes:
    """The envelope as a line, without its end."""
    return digests.canonical_json(
        {
            "payload": base64.b64encode(envelope.payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"keyid": envelope.keyid, "sig": base64.b64encode(envelope.signature).decode()}],
        }
    )


def decode(line: bytes, name: str) -> Envelope:
    """The envelope in a line; `name` is what it is called in errors.

    Raises:
        IntegrityError: if it is none, or is not written as `encode` does.
    """
    found = plain(line, name, "an envelope")
    try:
        (signature,) = found["signatures"]
        envelope = Envelope(
            payload=base64.b64decode(found["payload"], validate=True),
            keyid=signature["keyid"],
            signature=base64.b64decode(signature["sig"], validate=True),
        )
        same = encode(envelope) == line
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise IntegrityError(
            f"{name}: expected a DSSE envelope with one signature over {PAYLOAD_TYPE}, found something else"
        ) from error
    if not same:
        raise IntegrityError(f"{name}: the envelope is not written as this tool writes them: a byte was changed")
    return envelope


def plain(data: bytes, name: str, what: str) -> Any:
    """The value of canonical JSON.

    Raises:
        IntegrityError: if it is no JSON, or not in its canonical form.
    """
    try:
        value = json.loads(data) if len(data) <= LONGEST else None
        same = value is not None and digests.canonical_json(value) == data
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{name}: expected {what}, found no JSON") from error
    if not same:
        raise IntegrityError(f"{name}: expected {what} in canonical JSON; a byte was changed, or it is not ours")
    return value


def fingerprint(public: str) -> str:
    """`SHA256:<base64>` of a public key line, as `ssh-keygen -l` prints it.

    Raises:
        IntegrityError: if it is no such line.
    """
    return "SHA256:" + base64.b64encode(hashlib.sha256(key_blob(public)).digest()).decode().rstrip("=")


def short(public: str) -> str:
    """The first 16 hex digits of the fingerprint: what files are named after.

    Raises:
        IntegrityError: if it is no public key line.
    """
    return hashlib.sha256(key_blob(public)).hexdigest()[:16]


def key_blob(public: str) -> bytes:
    """The bytes of the key in a line `<kind> <base64> [comment]`.

    Raises:
        IntegrityError: if it is no such line.
    """
    parts = public.split()
    try:
        return base64.b64decode(parts[1], validate=True)
    except (IndexError, ValueError) as error:
        raise IntegrityError(f"expected a public key such as `ssh-ed25519 AAAA...`, found {public[:40]!r}") from error


def digest(line: bytes) -> str:
    """`sha256:<hex>` of a line: how the next one names it."""
    return digests.sha256(line)
