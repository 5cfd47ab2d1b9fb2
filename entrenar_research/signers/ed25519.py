"""Ed25519 keys in OpenSSH's format, made and read by ssh-keygen; Git signs tags with them."""

from __future__ import annotations

import stat
from pathlib import Path

from entrenar_research.errors import ResearchError, ToolError, UsageError
from entrenar_research.signers.port import PublicKey, Signer
from entrenar_research.store import files
from entrenar_research.tools import ssh_keygen

# The second one lives in a security key (FIDO).
_KINDS = ("ssh-ed25519", "sk-ssh-ed25519@openssh.com")


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


def _public_line(private: Path) -> str:
    try:
        return ssh_keygen.public_line(private)
    except ToolError as error:
        if "passphrase" in error.message:
            message = f"{private}: the key has a passphrase, and the public half {private}.pub is not beside it"
            raise ResearchError(message, hint=f"ssh-keygen -y -f {private} > {private}.pub") from error
        raise UsageError(f"{private}: expected a private key in OpenSSH format, found something else") from error


SIGNER: Signer = Ed25519()
