"""Rebuilding what is in a bundle that somebody handed over, and signing how it compares."""

from __future__ import annotations

import tempfile
from pathlib import Path

from entrenar_research.actions.proving import attest
from entrenar_research.actions.proving.attest import Attested, Circumstances
from entrenar_research.actions.verifying import files as verify_files
from entrenar_research.actions.verifying import verify
from entrenar_research.bundles.port import BundleFormat
from entrenar_research.errors import IntegrityError, UsageError
from entrenar_research.store import files
from entrenar_research.store.study_files import STUDY_FILE, StudyFiles


def attest_bundle(
    bundle: Path, format: BundleFormat, means: verify.Means, given: Circumstances
) -> tuple[Attested, ...]:  # fmt: skip
    """Checks a bundle, then rebuilds the last good run of every experiment in it; one attestation for each.

    Raises:
        IntegrityError: if the bundle is damaged; nothing of it was executed.
        UsageError: if it is no study, or has no completed run.
        Lacking: if this machine lacks what a run used.
        ReplayFailed: if a command fails here.
    """
    report = verify.verify_bundle(bundle, format, means)
    if report.wanting:
        first = report.wanting[0]
        raise IntegrityError(
            f"{bundle.name} is damaged: {first.subject}: {first.detail}",
            hint=f"nothing was run; see `entrenar-research verify {bundle.name} --no-replay`",
        )
    scratch = Path(tempfile.mkdtemp(prefix="entrenar-attest-"))
    try:
        root = scratch / "study"
        with files.refusals("cannot unpack the bundle"):
            root.mkdir()
        format.extract(bundle, root)
        study = StudyFiles(root)
        latest = verify_files.latest_runs(study) if (root / STUDY_FILE).is_file() else {}
        if not latest:
            raise UsageError(f"{bundle.name} holds no completed run of an experiment: there is nothing to rebuild")
        return tuple(attest.attest(study, record, given) for record in latest.values())
    finally:
        files.remove_tree(scratch)
