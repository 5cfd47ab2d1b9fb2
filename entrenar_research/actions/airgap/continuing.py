"""A pack for a study that is here already: only forwards, and nothing that was done here is lost."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from entrenar_research.actions.airgap import data, layout
from entrenar_research.actions.airgap.layout import Checked
from entrenar_research.errors import ToolError, UsageError
from entrenar_research.store import study_root
from entrenar_research.tools.git import Git

_NAMED = 5


def refuse_another(root: Path, checked: Checked) -> None:
    """Refuses a directory that is no copy of the pack's study, or one that is not where the pack can go on.

    Raises:
        UsageError: if it is not.
    """
    git, said = Git(root), checked.manifest
    if not (root / study_root.STUDY_FILE).is_file() or not git.exists() or git.head() is None:
        raise UsageError(f"{root} is there already and no study; expected a new name, or the study that was unpacked")
    if git.branch() != said.branch:
        raise UsageError(
            f"{root} is on {git.branch() or 'no branch'}, the pack on {said.branch or 'no branch'}",
            hint=f"git checkout {said.branch}" if said.branch else "git checkout --detach",
        )


def move_forward(root: Path, checked: Checked, clone: Callable[[Checked, Path], Git]) -> tuple[str, int]:
    """Brings a study to the commit of the pack, its data with it; the commit before, and how many files were written.

    Raises:
        UsageError: if the study and the pack went different ways, or something done here would be lost.
        IntegrityError: if the pack's history or data are damaged.
    """
    git, said = Git(root), checked.manifest
    before = git.head() or ""
    with tempfile.TemporaryDirectory(prefix="entrenar-airgap-") as scratch:
        fresh = Path(scratch, "study")
        fresh.mkdir()
        theirs = clone(checked, fresh)
        ahead = git.peeled(said.commit) is not None and git.is_ancestor(said.commit, before)
        if not ahead and theirs.peeled(before) is None:
            _refuse_own_commits(root, git, theirs)
        if not ahead and not theirs.is_ancestor(before, said.commit):
            raise UsageError(f"{root} is at {before[:10]}, which the pack's history does not lead on from")
        items = data.held(fresh, said.experiments, everything=said.everything)
    source = checked.directory / layout.DATA
    if ahead and git.head() != said.commit:
        return before, 0  # what is here came later
    cache = data.cache_of(root)
    changed = data.changed_here(root, items, cache, source)
    if changed:
        shown = ", ".join(changed[:_NAMED]) + (f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else "")
        raise UsageError(
            f"what was made here would be lost: {shown}",
            hint="keep it (`dvc commit`, then `git commit` on a branch), or delete it; nothing was changed",
        )
    data.carry(items, source, cache, listed=frozenset(checked.places))
    _merge(git, checked)
    data.connect(root, source)
    return before, data.check_out(root, items, cache)


def _refuse_own_commits(root: Path, git: Git, theirs: Git) -> None:
    related = any(git.peeled(object_id) for _, object_id in theirs.references().values())
    if not related:
        raise UsageError(f"{root} is another study than the one in the pack; expected a new name")
    raise UsageError(
        f"{root} has commits that the pack does not have; a pack only moves a study forward",
        hint="nothing was changed: unpack it under another name, then `git pull` from there and merge",
    )


def _merge(git: Git, checked: Checked) -> None:
    said = checked.manifest
    try:
        for name in said.bundles:
            git.fetch(checked.places[name])
        git.call("merge", "--ff-only", "--quiet", said.commit)
    except ToolError as error:
        raise UsageError(
            f"{git.root.name}: Git does not move forward to {said.commit[:10]}: {error.message}",
            hint="commit or put aside what was changed here (`git stash`); nothing of it is lost",
        ) from error
