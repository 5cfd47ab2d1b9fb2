"""Ed25519 keys in OpenSSH's format, made and read by ssh-keygen; Git signs tags with them.

Bare signatures (RFC 8032) are made and checked by libsodium, which refuses all but the one way to write a signature.
"""

from __future__ import annotations

import base64
import stat
from collections.abc import Callable
from pathlib import Path

from entrenar_research.errors import ResearchError, ToolError, UsageError
from entrenar_research.signers.port import PublicKey, Signer
from entrenar_research.store import files
from entrenar_research.tools import ssh_keygen

_PLAIN, _FIDO = "ssh-ed25519", "sk-ssh-ed25519@openssh.com"
_KINDS = (_PLAIN, _FIDO)
_KEY_BYTES = 32


class Ed25519:
    """RFC 8709 keys: 32 bytes, deterministic signatures."""

    name = "ed25519"

    def generate(self, private: Path, *, comment: str, passphrase: bool) -> PublicKey:
        """Writes a new key pair at `private` (mode 0600, in a directory of mode 0700).

        Raises:
            UsageError: if there is a key already.
            MissingToolError: if ssh-keygen is absent.
        """
        if private.exists():
            raise UsageError(f"{private}: there is a key already", hint="show it with `entrenar-research keys show`")
        with files.refusals("cannot make the key"):
            private.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        ssh_keygen.generate(private, comment=comment, passphrase=passphrase)
        private.chmod(0o600)
        return self.read(private)

    def read(self, private: Path) -> PublicKey:
        """The public half of a key.

        Raises:
            UsageError: if there is no key at `private`, or one of another kind.
            ResearchError: if others can read it, or nobody can without its passphrase.
        """
        if private.is_dir():
            raise UsageError(f"{private}: expected the file of a private key, found a directory")
        if not private.is_file():
            raise UsageError(f"{private}: there is no key", hint="make one with `entrenar-research keys new`")
        mode = stat.S_IMODE(private.stat().st_mode)
        if mode & 0o077:
            raise ResearchError(
                f"{private}: mode {mode:04o} lets others read the private key; expected 0600",
                hint=f"chmod 600 {private}, or make a new key if others may have read it",
            )
        line = _public_line(private)
        kind = line.partition(" ")[0]
        if kind not in _KINDS:
            raise UsageError(
                f"{private}: expected an Ed25519 key, found one of the kind {kind}",
                hint="make one with `entrenar-research keys new`, or give --key FILE",
            )
        return PublicKey(
            line=line,
            fingerprint=ssh_keygen.fingerprint(line),
            comment=line.split(" ", 2)[2] if line.count(" ") > 1 else "",
        )

    def public(self, file: Path) -> PublicKey:
        """See the port. A private key is refused: nobody is to hand that on.

        Raises:
            UsageError: if it is absent, or holds something else.
        """
        line = files.read_text(file, shown=str(file)).strip()
        if "PRIVATE KEY" in line:
            raise UsageError(f"{file}: expected a public key, found a private one", hint=f"{file}.pub lies beside it")
        if "\n" in line or line.partition(" ")[0] not in _KINDS:
            raise UsageError(f"{file}: expected one line with an Ed25519 key (`ssh-ed25519 AAAA...`)")
        try:
            fingerprint = ssh_keygen.fingerprint(line)
        except ToolError as error:
            raise UsageError(f"{file}: expected one line with an Ed25519 key (`ssh-ed25519 AAAA...`)") from error
        return PublicKey(line=line, fingerprint=fingerprint, comment=" ".join(line.split(" ")[2:]))

    def sign(self, private: Path, message: bytes, *, ask: Callable[[str], str]) -> bytes:
        """See the port.

        Raises:
            UsageError: if there is no key, or one that lives in a security key.
            ResearchError: if it is readable by others, damaged, or the passphrase is wrong.
        """
        from nacl.signing import SigningKey  # with libsodium: only where something is signed or checked

        public = self.read(private)
        _refuse_fido(public.line, f"{private}")
        signature = SigningKey(_seed(private, ask)).sign(message).signature
        if not self.verify(public.line, message, signature):
            raise ResearchError(
                f"{private}: the public half beside it is that of another key",
                hint=f"ssh-keygen -y -f {private} > {private}.pub",
            )
        return signature

    def verify(self, public: str, message: bytes, signature: bytes) -> bool:
        """See the port.

        Raises:
            UsageError: if the line is no Ed25519 key, or one that lives in a security key.
        """
        from nacl.exceptions import CryptoError  # see `sign`
        from nacl.signing import VerifyKey

        _refuse_fido(public, "the public key")
        key = _public_bytes(public)
        try:
            VerifyKey(key).verify(message, signature)
        except (CryptoError, ValueError):  # ValueError: not 64 bytes
            return False
        return True


def _refuse_fido(public: str, shown: str) -> None:
    if public.partition(" ")[0] == _FIDO:
        raise UsageError(
            f"{shown} lives in a security key (FIDO), which signs only together with data of its own: "
            "what it makes is no signature that a DSSE library accepts",
            hint="make a key for proofs with `entrenar-research keys new --key FILE`, and give it with --key",
        )


def _public_bytes(public: str) -> bytes:
    """The 32 bytes in a line `ssh-ed25519 <base64>`: the kind and they, each after its length (RFC 8709)."""
    start = len(_PLAIN).to_bytes(4, "big") + _PLAIN.encode() + _KEY_BYTES.to_bytes(4, "big")
    parts = public.split()
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (IndexError, ValueError):
        blob = b""
    if parts[:1] != [_PLAIN] or len(blob) != len(start) + _KEY_BYTES or not blob.startswith(start):
        raise UsageError(f"expected the line of an Ed25519 key (`ssh-ed25519 AAAA...`), found {public[:60]!r}")
    return blob[len(start) :]


def _seed(private: Path, ask: Callable[[str], str]) -> bytes:
    """The 32 bytes of the private key."""
    from cryptography.exceptions import UnsupportedAlgorithm  # costs 0.1 s: only where something is signed
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    with files.refusals(f"cannot read {private}"):
        data = private.read_bytes()
    try:
        key = load_ssh_private_key(data, None)
    except TypeError:  # it has a passphrase
        try:
            key = load_ssh_private_key(data, ask(f"Passphrase of {private}").encode())
        except ValueError as error:
            message = f"{private}: the passphrase is wrong, or the key is damaged; nothing is signed"
            raise ResearchError(message) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ResearchError(f"{private}: expected an Ed25519 key in OpenSSH format: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{private}: expected an Ed25519 key, found one of another kind")
    return key.private_bytes_raw()


def _public_line(private: Path) -> str:
    try:
        return ssh_keygen.public_line(private)
    except ToolError as error:
        if "passphrase" in error.message:
            message = f"{private}: the key has a passphrase, and the public half {private}.pub is not beside it"
            raise ResearchError(message, hint=f"ssh-keygen -y -f {private} > {private}.pub") from error
        raise UsageError(f"{private}: expected a private key in OpenSSH format, found something else") from error


SIGNER: Signer = Ed25519()
