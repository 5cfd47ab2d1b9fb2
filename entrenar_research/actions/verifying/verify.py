"""Verifying a study or a bundle: every digest, the history, the signatures, then replay."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from entrenar_research.actions.running import conclusion, surroundings
from entrenar_research.actions.verifying import files as verify_files
from entrenar_research.actions.verifying import history as verify_history
from entrenar_research.actions.verifying import proofs, repeating, seals
from entrenar_research.bundles.port import BundleFormat, Progress
from entrenar_research.errors import MissingToolError, NotAStudyError, ResearchError, UsageError
from entrenar_research.models.verdict import Finding, Repetition, Report, Verdict
from entrenar_research.runners.port import Runner
from entrenar_research.signers.port import Signer
from entrenar_research.store import files
from entrenar_research.store.study_files import STUDY_FILE, StudyFiles
from entrenar_research.tools.git import Git, clone_history

HISTORY = "history.bundle"
METADATA = "ro-crate-metadata.json"
PREVIEW = "ro-crate-preview.html"
_BESIDE = (HISTORY, METADATA, PREVIEW)
Checked = tuple[list[Finding], tuple[Repetition, ...]]
"""What was found, and how it went with what was carried out again."""


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification is carried out with. `consent` is asked before code of a bundle is executed."""

    runner: Runner
    environment: Mapping[str, str]
    signer: Signer
    trusted: Path | None = None
    replay: bool = True
    consent: Callable[[], bool] = lambda: True
    progress: Progress = lambda done, total: None


def verify_study(root: Path, means: Means) -> Report:
    """Verifies the study at `root`, which is a Git repository.

    Raises:
        NotAStudyError: if it is no study.
    """
    study = StudyFiles(root)
    findings = _description(study)
    notes = conclusion.recover(study)
    git = Git(root)
    if git.exists():
        findings += _integrity(study, git, means)
    else:
        findings += _integrity(study, None, means)
        if (root / ".git").exists():
            detail = "Git does not find a repository of this study in it"
            findings.append(_broken(verify_history.HISTORY, ".git", detail))
    found, again = _replay(study, means)
    return Report(target=str(root), findings=(*findings, *found), repetitions=again, notes=notes)


def _broken(area: str, subject: str, detail: str) -> Finding:
    return Finding(area=area, subject=subject, verdict=Verdict.BROKEN, detail=detail)


def _description(study: StudyFiles) -> list[Finding]:
    """`study.yaml`, of which nothing but damage is to be said.

    Raises:
        NotAStudyError: if there is none.
    """
    try:
        study.study()
    except NotAStudyError:
        raise
    except ResearchError as error:
        return [_broken(verify_files.DECLARED, STUDY_FILE, error.message)]
    return []


def verify_bundle(bundle: Path, format: BundleFormat, means: Means) -> Report:
    """Verifies a bundle by itself: no repository, no network. Nothing of it is executed without consent.

    Raises:
        UsageError: if there is no such file.
    """
    if not bundle.is_file():
        raise UsageError(f"{bundle}: no such file")
    findings = list(format.inspect(bundle, progress=means.progress))
    if any(finding.verdict.wanting for finding in findings):
        note = "the bundle is damaged: its content was not unpacked, its code not run"
        return Report(target=str(bundle), findings=tuple(findings), notes=(note,))
    scratch = Path(tempfile.mkdtemp(prefix="entrenar-verify-"))
    try:
        with files.refusals("cannot unpack the bundle"):
            (scratch / "study").mkdir()
        format.extract(bundle, scratch / "study")
        found, again = _unpacked(scratch / "study", scratch / "history.git", means)
        return Report(target=str(bundle), findings=(*findings, *found), repetitions=again)
    finally:
        files.remove_tree(scratch)


def verify_unpacked(directory: Path, inspected: tuple[Finding, ...], means: Means) -> Report:
    """Verifies a bundle that somebody has unpacked; `inspected` is what the bundle's format says of its files."""
    scratch = Path(tempfile.mkdtemp(prefix="entrenar-verify-"))
    try:
        if any(finding.verdict.wanting for finding in inspected):
            return Report(target=str(directory), findings=inspected)
        found, again = _unpacked(directory, scratch / "history.git", means)
        return Report(target=str(directory), findings=(*inspected, *found), repetitions=again)
    finally:
        files.remove_tree(scratch)


def _unpacked(root: Path, history: Path, means: Means) -> Checked:
    """A study without its repository: the history comes from the Git bundle that lies beside it."""
    if not (root / STUDY_FILE).is_file():
        detail = "not a study of this tool: only the bundle itself was checked"
        return [Finding(area="bundle", subject=STUDY_FILE, verdict=Verdict.UNKNOWN, detail=detail)], ()
    study = StudyFiles(root)
    git: Git | None = None
    findings = _description(study)
    if (root / HISTORY).is_file():
        try:
            git = Git(root, git_dir=clone_history(root / HISTORY, history).git_dir)
        except ResearchError as error:
            findings.append(_broken(verify_history.HISTORY, HISTORY, error.message))
    findings += _integrity(study, git, means, beside=_BESIDE)
    if any(finding.verdict.wanting for finding in findings):
        detail = "not replayed: code of a study that failed these checks is not run"
        return [*findings, _unreplayed(means, detail)], ()
    found, again = _replay(study, means)
    return [*findings, *found], again


def _integrity(study: StudyFiles, git: Git | None, means: Means, *, beside: tuple[str, ...] = ()) -> list[Finding]:
    findings = _checked(verify_files.DATA, lambda: verify_files.check_data(study, progress=means.progress))
    findings += _checked(verify_files.EVIDENCE, lambda: verify_files.check_evidence(study))
    findings += _checked(verify_files.DECLARED, lambda: verify_files.check_declarations(study))
    findings += _checked(proofs.AREA, lambda: proofs.check_proofs(study, means.signer, trusted=means.trusted))
    if git is None:
        return [*findings, seals.nobody(means.trusted)]
    findings += _checked(verify_history.HISTORY, lambda: verify_history.check_objects(git))
    findings += _checked(verify_history.HISTORY, lambda: verify_history.check_tree(study, git, beside=beside))
    latest = verify_files.latest_runs(study)
    findings += _checked(seals.AREA, lambda: seals.check_tags(study, git, latest, trusted=means.trusted))
    return findings


def _checked(area: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """The findings of a check; one that cannot be carried out is itself a finding.

    Raises:
        MissingToolError: if a program is not installed: nothing is known then.
    """
    try:
        return list(check())
    except MissingToolError:
        raise
    except ResearchError as error:
        return [_broken(area, "the check itself", error.message)]


def _unreplayed(means: Means, detail: str) -> Finding:
    return Finding(area=repeating.area(means.runner), subject="all", verdict=Verdict.UNKNOWN, detail=detail)


def _replay(study: StudyFiles, means: Means) -> Checked:
    latest = verify_files.latest_runs(study)
    if not latest:
        return [], ()
    if not means.replay or not means.consent():
        detail = "not replayed: it was not asked for (--no-replay)" if not means.replay else "not replayed: no consent"
        return [_unreplayed(means, detail)], ()
    findings: list[Finding] = []
    repetitions: list[Repetition] = []
    machine = surroundings.hardware()
    for index, (name, record) in enumerate(latest.items()):
        means.progress(index, len(latest))
        try:
            experiment = study.experiment(name)
        except ResearchError as error:
            findings.append(_broken(repeating.area(means.runner), name, error.message))
            continue
        found, repetition = repeating.repeat(
            study, experiment, record, runner=means.runner, environment=means.environment, machine=machine
        )
        findings += found
        if repetition is not None:
            repetitions.append(repetition)
    means.progress(len(latest), len(latest))
    return findings, tuple(repetitions)
