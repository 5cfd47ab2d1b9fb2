"""Retiring a golden trace: it goes, a line in `golden_traces/RETIRED.md` stays, and Git keeps what it was."""

from __future__ import annotations

import datetime
from typing import Final

import msgspec

from entrenar_research.actions.golden import analysing
from entrenar_research.errors import UsageError
from entrenar_research.models.golden import GoldenRecord
from entrenar_research.store import files
from entrenar_research.store.golden_files import GoldenFiles
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools.git import Git

_HEAD: Final = """\
# Retired golden traces

What was golden once, and why it is no longer. The files are in the history of Git, the traces themselves in DVC.

| golden trace | run | trace | retired | reason | seals |
| --- | --- | --- | --- | --- | --- |
"""


class Retired(msgspec.Struct, frozen=True, kw_only=True):
    """A golden trace that went: its record, why, and the seals that still hold it."""

    record: GoldenRecord
    reason: str
    seals: tuple[str, ...]


def retire(
    study: StudyFiles, git: Git, name: str, reason: str, *, now: datetime.datetime, force: bool = False
) -> Retired:  # fmt: skip
    """Removes the golden trace `name`, notes why, and writes the analysis anew.

    A sealed one may go: its seals stay good, for they name a commit that keeps it. One that Git does not hold as it is
    would be lost, so that needs `force`.

    Raises:
        UsageError: if there is none of that name, no reason is given, or Git does not hold it.
        StorageError: if the file system refuses.
    """
    golden = GoldenFiles(study.root)
    record = golden.load(name)
    reason = " ".join(reason.split())
    if not reason:
        raise UsageError("a golden trace is retired for a reason, found none", hint='--reason "what changed, and why"')
    if not force and not _kept(git, golden, name):
        raise UsageError(
            f"{golden.relative(name)} is not in Git as it is now: retired, it would be lost",
            hint=f'seal it first (`entrenar-research seal golden {name} -m "..."`), or give --force',
        )
    seals = tuple(sorted(tag for tag in git.tags() if tag.startswith(f"golden/{name}/"))) if git.exists() else ()
    day = now.astimezone(datetime.UTC).date().isoformat()
    cells = (name, record.run, record.trace_id, day, reason.replace("|", "\\|"), ", ".join(seals) or "none")
    text = files.read_text(golden.retired) if golden.retired.exists() else _HEAD
    files.write_atomically(golden.retired, text.rstrip("\n") + f"\n| {' | '.join(cells)} |\n")
    files.remove_tree(golden.directory(name))
    analysing.write(study)
    return Retired(record=record, reason=reason, seals=seals)


def _kept(git: Git, golden: GoldenFiles, name: str) -> bool:
    """Whether the last commit holds the record just as it is here."""
    if not git.exists() or git.head() is None:
        return False
    place = f"{golden.relative(name)}/"
    held = {entry.path for entry in git.tree("HEAD", place.rstrip("/"))}
    changed = {*git.changed(), *git.untracked()}
    return f"{place}golden.yaml" in held and not any(path.startswith(place) for path in changed)
