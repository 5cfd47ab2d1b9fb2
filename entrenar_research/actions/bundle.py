"""Bundling: a commit, the data that DVC holds for it, and its history, as one checkable file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from entrenar_research.actions.running import conclusion
from entrenar_research.actions.verifying import files as verify_files
from entrenar_research.actions.verifying.verify import HISTORY, METADATA, PREVIEW
from entrenar_research.bundles.port import BundleFormat, Content, Member, Progress, Written
from entrenar_research.errors import IntegrityError, UsageError
from entrenar_research.models.run import RunRecord
from entrenar_research.store import files, hashing, output_files
from entrenar_research.store.dvc_files import DvcFiles
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools.git import Git


def bundle(
    study: StudyFiles, git: Git, format: BundleFormat, target: Path, *, tool: str, progress: Progress
) -> tuple[Written, tuple[str, ...]]:
    """Writes the last commit with its data and history to `target`; also names what was left out.

    Raises:
        UsageError: if nothing is committed, tracked files differ from the commit, or data is missing.
        IntegrityError: if the data is not what the records say.
    """
    description = study.study()
    conclusion.recover(study)
    output_files.refuse(target)
    if not git.exists():
        raise UsageError(f"{study.root} is no Git repository: a bundle is a commit with its data and history")
    if git.head() is None:
        raise UsageError("nothing is committed: a bundle is a commit with its data", hint="seal an experiment first")
    changed = git.changed()
    if changed:
        shown = ", ".join(changed[:4]) + (f" and {len(changed) - 4} more" if len(changed) > 4 else "")
        raise UsageError(
            f"{len(changed)} files differ from the last commit: {shown}",
            hint="seal what changed (`entrenar-research seal experiment NAME -m ...`) or commit it with Git",
        )
    _refuse_damage(study, progress)
    tracked = git.listed()
    data = _data(study)
    paths = sorted({*tracked, *data} - {METADATA, PREVIEW, HISTORY})
    _refuse_links(study, paths)
    members = [Member(path=path, source=study.root / path) for path in paths]
    members.append(Member(path=HISTORY, source=git.history()))
    content = Content(
        study=description,
        experiments=study.experiments(),
        runs=_committed_runs(study, set(tracked)),
        members=tuple(members),
        date=git.commit_time(),
        tool=tool,
    )
    written = format.write(content, target, progress=progress)
    return written, tuple(path for path in git.untracked() if (study.root / path) != target.resolve())


def _refuse_links(study: StudyFiles, paths: Iterable[str]) -> None:
    """A link goes into the bundle as the file that it leads to; that has to be a file of the study."""
    for path in paths:
        if (study.root / path).is_symlink() and not files.contained(study.root, path, what="link").is_file():
            raise UsageError(
                f"{path} is a symbolic link that leads to no file; a bundle holds files only",
                hint="replace the link by what it leads to, or take it out of Git",
            )


def _refuse_damage(study: StudyFiles, progress: Progress) -> None:
    findings = (*verify_files.check_data(study, progress=progress), *verify_files.check_evidence(study))
    wanting = [finding for finding in findings if finding.verdict.wanting]
    if wanting:
        first = wanting[0]
        raise IntegrityError(
            f"the study is not what its records say: {first.subject}: {first.detail}"
            + (f" (and {len(wanting) - 1} more)" if len(wanting) > 1 else ""),
            hint="see `entrenar-research verify --no-replay`; nothing was written",
        )


def _data(study: StudyFiles) -> set[str]:
    """Every file that DVC holds: results, data, golden traces."""
    dvc_files = DvcFiles(study.root)
    places = set(dvc_files.pointers())
    for entry in dvc_files.locked().values():
        places |= {str(out["path"]) for out in entry.get("outs") or []}
    found: set[str] = set()
    for place in places:
        if not (study.root / place).exists():
            raise UsageError(f"{place} is missing", hint="fetch it with `dvc pull` or `dvc checkout`")
        found.update(hashing.walk(study.root, place))
    return found


def _committed_runs(study: StudyFiles, tracked: set[str]) -> tuple[RunRecord, ...]:
    return tuple(record for record in RunFiles(study.root).records() if f"runs/{record.id}/run.yaml" in tracked)
