"""What a signer is. To add one, write `signers/<name>.py` that ends in `SIGNER: Signer = ...`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec


class PublicKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key: `line` as in an authorized_keys file, `fingerprint` as `SHA256:...`."""

    line: str
    fingerprint: str
    comment: str = ""


class Signer(Protocol):
    """Makes and reads keys of one kind. Git signs tags with them; `sign` is for statements in envelopes."""

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

    def public(self, file: Path) -> PublicKey:
        """The key in a file with a public key line, such as `ssh-keygen` writes beside the private one.

        Raises:
            UsageError: if it is absent, or holds something else.
        """
        ...

    def sign(self, private: Path, message: bytes, *, ask: Callable[[str], str]) -> bytes:
        """The bare signature of some bytes. `ask` is asked for the passphrase, with a question, if the key has one.

        Raises:
            UsageError: if there is no key of this kind, or one that cannot sign so.
            ResearchError: if it is readable by others, damaged, or the passphrase is wrong.
        """
        ...

    def verify(self, public: str, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is that of these bytes by the key of a public key line.

        Raises:
            UsageError: if the line is no key of this kind, or of one that cannot sign so.
        """
        ...
