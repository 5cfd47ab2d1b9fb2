"""ssh-keygen: making and reading OpenSSH keys, verifying signatures over files."""

from __future__ import annotations

from pathlib import Path

from entrenar_research.errors import ToolError
from entrenar_research.tools import process


def generate(private: Path, *, comment: str, passphrase: bool) -> None:
    """Makes an Ed25519 key pair; with `passphrase` ssh-keygen asks for it on the terminal.

    Raises:
        MissingToolError: if ssh-keygen is absent.
        ToolError: if it fails.
    """
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-C", comment, "-f", str(private)]
    if passphrase:
        if process.attended(argv) != 0:
            raise ToolError("ssh-keygen did not make the key")
        return
    process.run([*argv, "-N", ""])


def public_line(private: Path) -> str:
    """The public half (`ssh-ed25519 AAAA... comment`) of a private key; if it has a passphrase, the file beside it.

    Raises:
        ToolError: if the file is no private key or its passphrase is needed and not given.
    """
    try:
        return process.run(["ssh-keygen", "-y", "-P", "", "-f", str(private)]).text
    except ToolError:
        beside = private.with_name(private.name + ".pub")
        if beside.is_file():
            return beside.read_text(encoding="utf-8", errors="replace").strip()
        raise


def fingerprint(public: str) -> str:
    """`SHA256:...` of a public key line.

    Raises:
        ToolError: if it is no public key.
    """
    return process.run(["ssh-keygen", "-l", "-f", "-"], stdin=public.encode() + b"\n").text.split()[1]
