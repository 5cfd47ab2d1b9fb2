"""Having golden traces checked by others: the files that tell continuous integration, and Git, to do so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal

import msgspec

from entrenar_research.core.ci import github, gitlab, marking, pre_commit
from entrenar_research.errors import UsageError
from entrenar_research.store import files
from entrenar_research.tools.git import Git

Provider = Literal["github", "gitlab", "pre-commit", "hook"]
PROVIDERS: Final[tuple[Provider, ...]] = ("github", "gitlab", "pre-commit", "hook")
PACKAGES: Final = "requirements.txt"
"""The packages of the study's own, if it has this file."""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A file for a provider: where it belongs (`shown`: seen from the study), and what it says."""

    path: Path
    shown: str
    text: str
    executable: bool = False


def prepare(provider: Provider, root: Path, git: Git, *, version: str, python: str) -> Prepared:
    """The file for a provider; `python` is the version that golden traces are checked with, `version` ours.

    Raises:
        ToolError: if git does not say where its hooks are.
    """
    if provider == "hook":
        place = root / os.fsdecode(git.call("rev-parse", "--git-path", "hooks").stdout.rstrip(b"\n")) / pre_commit.HOOK
        inside = place.is_relative_to(root)
        shown = place.relative_to(root).as_posix() if inside else place.name
        return Prepared(path=place, shown=shown, text=marking.marked(pre_commit.script()), executable=True)
    if provider == "pre-commit":
        return Prepared(path=root / pre_commit.PATH, shown=pre_commit.PATH, text=marking.marked(pre_commit.document()))
    form = github if provider == "github" else gitlab
    packages = PACKAGES if (root / PACKAGES).is_file() else None
    text = form.document(version=version, python=python, packages=packages)
    return Prepared(path=root / form.PATH, shown=form.PATH, text=marking.marked(text))


def write(prepared: Prepared) -> bool:
    """Writes the file; False if it is there already, word for word.

    A file that was written here before and that nobody has changed since is replaced by what is said now.

    Raises:
        UsageError: if a file of that name is there that a person wrote or changed: it is left as it is.
        StorageError: if the file system refuses.
    """
    path = prepared.path
    if path.is_symlink() or path.exists():
        found = files.read_text(path, shown=prepared.shown)
        if found == prepared.text:
            return False
        if not marking.untouched(found):
            raise UsageError(
                f"{prepared.shown} is there already, and is not as `golden ci` writes it: it was left as it is",
                hint="run the same without --write, and take over from it what you need",
            )
    files.write_atomically(path, prepared.text, mode=0o755 if prepared.executable else 0o644)
    return True
