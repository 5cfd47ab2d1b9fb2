"""ssh-keygen: making and reading OpenSSH keys, signing and verifying (the format is in OpenSSH's PROTOCOL.sshsig)."""

from __future__ import annotations

import datetime
import re
import tempfile
from pathlib import Path

import msgspec

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


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a signature is good and its key allowed; `fingerprint` is that of the key, `message` what was said."""

    good: bool
    fingerprint: str | None = None
    message: str = ""


def sign(private: Path, data: bytes, *, namespace: str) -> str:
    """The armoured signature of some bytes. Of a key with a passphrase the agent is asked, or the person.

    Raises:
        MissingToolError: if ssh-keygen is absent.
        ToolError: if it fails.
    """
    done = process.run(["ssh-keygen", "-q", "-Y", "sign", "-f", str(private), "-n", namespace], stdin=data)
    return done.stdout.decode("ascii", "replace")


def verify(
    data: bytes, signature: str, *, allowed_signers: Path, identity: str, namespace: str, time: datetime.datetime
) -> Checked:
    """Whether `identity` has signed these bytes with a key that `allowed_signers` lists for the namespace and time.

    Raises:
        MissingToolError: if ssh-keygen is absent.
    """
    moment = time.astimezone(datetime.UTC).strftime("%Y%m%d%H%M%SZ")
    with tempfile.NamedTemporaryFile(suffix=".sig") as stream:
        stream.write(signature.encode("utf-8", "replace"))
        stream.flush()
        argv = ["ssh-keygen", "-Y", "verify", "-f", str(allowed_signers), "-I", identity, "-n", namespace]
        done = process.run([*argv, "-s", stream.name, f"-Overify-time={moment}"], stdin=data, check=False)
    return _checked(done)


def signed_by(data: bytes, signature: str, *, namespace: str) -> Checked:
    """Whether a signature is good, whoever made it: for showing the fingerprint of the key to a person.

    Raises:
        MissingToolError: if ssh-keygen is absent.
    """
    with tempfile.NamedTemporaryFile(suffix=".sig") as stream:
        stream.write(signature.encode("utf-8", "replace"))
        stream.flush()
        argv = ["ssh-keygen", "-Y", "check-novalidate", "-n", namespace, "-s", stream.name]
        return _checked(process.run(argv, stdin=data, check=False))


def _checked(done: process.Completed) -> Checked:
    said = (done.stdout + done.stderr).decode("utf-8", "replace").strip().replace("\n", "; ")
    found = re.search(r" with \S+ key (SHA256:\S+)$", done.text)
    return Checked(good=done.status == 0, fingerprint=found[1] if found else None, message=said)
