"""What is installed here, what each is for, and how to get it."""

from __future__ import annotations

import platform
from pathlib import Path

import msgspec

from entrenar_research.actions import keys
from entrenar_research.errors import ResearchError, UsageError
from entrenar_research.signers.port import Signer
from entrenar_research.tools import dvc, process
from entrenar_research.tools.git import Git
from entrenar_research.tracers.port import Tracer


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is looked for: `found` is its version or place, None if it is absent."""

    name: str
    purpose: str
    needed: bool
    found: str | None
    remedy: str


def examine(git: Git, tracer: Tracer, signer: Signer, key: Path) -> tuple[Tool, ...]:
    """Looks for everything the tool can use."""
    person = git.identity() if process.which("git") else None
    return (
        Tool(name="python", purpose="runs this tool", needed=True, found=platform.python_version(), remedy=""),
        _program("git", "versions and signed tags", "apt-get install git", "--version"),
        Tool(
            name="git identity",
            purpose="the author of commits and seals",
            needed=True,
            found=f"{person[0]} <{person[1]}>" if person else None,
            remedy="git config --global user.name 'Your Name'; git config --global user.email you@example.org",
        ),
        Tool(
            name="dvc",
            purpose="data and pipelines",
            needed=True,
            found=dvc.version(),
            remedy="pip install dvc",
        ),
        _program("ssh-keygen", "signing keys and signatures", "apt-get install openssh-client"),
        _key(git, signer, key),
        _tracer(tracer),
        _program("nix", "hermetic runs (not used yet)", "apt-get install nix-bin", "--version", needed=False),
        _program("typst", "papers as PDF (not used yet)", "pip install typst", "--version", needed=False),
    )


def _program(name: str, purpose: str, remedy: str, *ask: str, needed: bool = True) -> Tool:
    path = process.which(name)
    found = path
    if path is not None and ask:
        done = process.run([path, *ask], check=False)
        found = (done.text or path).splitlines()[0]
    return Tool(name=name, purpose=purpose, needed=needed, found=found, remedy=remedy)


def _tracer(tracer: Tracer) -> Tool:
    reason = tracer.unavailable()
    purpose = "observing what a run reads, writes and contacts; golden traces"
    found = f"{tracer.name} {tracer.version() or ''}".strip() if reason is None else None
    how = f"apt-get install {tracer.name}" if process.which(tracer.name) is None else "allow this account to trace"
    remedy = "" if reason is None else f"{reason}; {how}"
    return Tool(name="tracer", purpose=purpose, needed=False, found=found, remedy=remedy)


def _key(git: Git, signer: Signer, default: Path) -> Tool:
    purpose = "sealing"
    try:
        path, source = keys.locate(git if process.which("git") else None, default)
        public = signer.read(path)
    except UsageError as error:
        remedy = error.hint or error.message
        return Tool(name="signing key", purpose=purpose, needed=False, found=None, remedy=remedy)
    except ResearchError as error:
        return Tool(name="signing key", purpose=purpose, needed=False, found=None, remedy=error.message)
    return Tool(name="signing key", purpose=purpose, needed=False, found=f"{public.fingerprint} ({source})", remedy="")
