"""Whether a run is one that can be vouched for: it ended well, and every file is what its record says."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from entrenar_research.actions.running.sealing import SCRIPT
from entrenar_research.actions.verifying import records
from entrenar_research.errors import IntegrityError, ResearchError, UsageError
from entrenar_research.models.run import RunRecord
from entrenar_research.store import files, hashing, run_files, sums
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a run as they were found: by path, `sha256:<hex>` and size; `outputs` are those of the result."""

    inputs: dict[str, tuple[str, int]]
    outputs: dict[str, tuple[str, int]]

    @property
    def digests(self) -> dict[str, str]:
        """The digests of the result."""
        return {path: digest for path, (digest, _) in self.outputs.items()}


def refuse(record: RunRecord) -> None:
    """Refuses a run that made no result of its own.

    Raises:
        UsageError: if it failed, is a trial of a sweep, was imported, or a script began it by itself.
    """
    why = None
    if record.status != "completed":
        why = f"it is {record.status}, expected a completed one"
    elif record.trial is not None:
        why = f"it is a trial of the sweep {record.trial.sweep}, whose result is not kept as an experiment's"
    elif record.imported is not None:
        why = f"it was imported ({record.imported}): its files were never here"
    elif record.runner == SCRIPT or record.result is None or record.recipe is None:
        why = "a script began it by itself: it has no recipe and no result"
    if why is not None:
        hint = f"`entrenar-research run {record.experiment}` makes a run that can be proven"
        raise UsageError(f"run {record.id} cannot be vouched for: {why}", hint=hint)


def hold(study: StudyFiles, record: RunRecord) -> Held:
    """Reads every file of a run and holds it against the record: run directory, inputs, code, parameters, result.

    Raises:
        UsageError: if it is no run that can be vouched for.
        IntegrityError: naming the first file that is not what the record says.
    """
    refuse(record)
    runs = RunFiles(study.root)
    shown = f"runs/{record.id}"
    listed = sums.check(runs.directory(record.id), shown, area="", closed=True)
    wrong = [item for item in listed if item.verdict.wanting]
    if wrong:
        raise IntegrityError(f"{wrong[0].subject}: {wrong[0].detail}", hint=_HINT)
    for words in records.contradictions(study, record):
        raise IntegrityError(f"{shown}/{run_files.RECORD} contradicts itself: {words}", hint=_HINT)
    held = Held(
        inputs=_hold(study, record, runs.manifest(record.id, run_files.INPUTS), "input"),
        outputs=_hold(study, record, runs.manifest(record.id, run_files.OUTPUTS), "result"),
    )
    place = f"experiments/{record.experiment}/result"
    extra = sorted(set(hashing.walk(study.root, place)) - set(held.outputs))
    if extra:
        raise IntegrityError(f"{extra[0]}: run {record.id} did not make it", hint=_HINT)
    if not held.outputs:
        raise UsageError(f"run {record.id} made no files: there is nothing to vouch for")
    return held


_HINT = "nothing was signed; see `entrenar-research verify --no-replay`"


def _hold(study: StudyFiles, record: RunRecord, manifest: Mapping[str, str], role: str) -> dict[str, tuple[str, int]]:
    found = {}
    for path, digest in manifest.items():
        try:
            now = hashing.hash_file(files.contained(study.root, path, what=role), md5=False)
        except ResearchError as error:
            raise IntegrityError(f"{path}: {role} of run {record.id}: {error.message}", hint=_HINT) from error
        if f"sha256:{now.sha256}" != digest:
            raise IntegrityError(
                f"{path}: found sha256:{now.sha256[:12]}..., expected {digest[:19]}... ({role} of run {record.id})",
                hint=f"{_HINT}, or take the newest run of {record.experiment}",
            )
        found[path] = (digest, now.size)
    return found
