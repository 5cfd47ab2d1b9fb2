"""What is installed here, what each is for, and how to get it."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from entrenar_research.actions import keys
from entrenar_research.actions.traces import choosing
from entrenar_research.errors import ResearchError, UsageError
from entrenar_research.signers.port import Signer
from entrenar_research.tools import dvc, process
from entrenar_research.tools.git import Git
from entrenar_research.tracers.port import Sight, Tracer

_TRACING: Final[dict[Sight, str]] = {
    "all": "observing what a run reads, writes and contacts; golden traces",
    "some": "traces to look at, and to hold other tracers' counts against",
}
_GET_TRACER: Final = {"strace": "apt-get install strace", "renacer": "cargo install renacer --version 0.6.6"}


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is looked for: `found` is its version or place, None if it is absent."""

    name: str
    purpose: str
    needed: bool
    found: str | None
    remedy: str


def examine(git: Git, tracers: Sequence[Tracer], signer: Signer, key: Path) -> tuple[Tool, ...]:
    """Looks for everything the tool can use; of `tracers` those that look at a command."""
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
        *(_tracer(tracer, _TRACING[tracer.sees]) for tracer in tracers if tracer.sees in _TRACING),
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


def _tracer(tracer: Tracer, purpose: str) -> Tool:
    """Whether a tracer works, by level: one may see what a run reads, but not every call."""
    name, reason = f"tracer {tracer.name}", tracer.unavailable("full")
    if reason is None:
        return Tool(name=name, purpose=purpose, needed=False, found=choosing.described(tracer), remedy="")
    get = _GET_TRACER.get(tracer.name)
    how = get if get is not None and process.which(tracer.name) is None else "allow this account to trace"
    observing = tracer.unavailable("observe") is None
    found = f"{choosing.described(tracer)}, only to observe; for every call: {reason}" if observing else None
    return Tool(name=name, purpose=purpose, needed=False, found=found, remedy=f"{reason}; {how}")


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
