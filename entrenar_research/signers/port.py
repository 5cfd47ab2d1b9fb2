"""What a signer is. To add one, write `signers/<name>.py` that ends in `SIGNER: Signer = ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec


class PublicKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key: `line` as in an authorized_keys file, `fingerprint` as `SHA256:...`."""

    line: str
    fingerprint: str
    comment: str = ""


class Signer(Protocol):
    """Makes and reads keys of one kind; Git does the signing with them."""

    name: str

    def generate(self, private: Path, *, comment: str, passphrase: bool) -> PublicKey:
        """Writes a new key pair at `private` (mode 0600) and `private` + `.pub`.

        Raises:
            UsageError: if `private` exists.
            MissingToolError: if the key tool is absent.
        """
        ...

    def read(self, private: Path) -> PublicKey:
        """The public half of the key at `private`.

        Raises:
            ResearchError: if it is absent, unreadable, or readable by others.
        """
        ...
