"""The runs that failed, how their failures are distributed, and which are related to one of them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from entrenar_research.actions.running import diagnosis
from entrenar_research.client import layout
from entrenar_research.core.failures import classification, pareto, similarity
from entrenar_research.core.failures.classification import Evidence
from entrenar_research.core.failures.pareto import Bar, By, Failing
from entrenar_research.errors import UsageError
from entrenar_research.models.tracking import Failure
from entrenar_research.store.catalogue.catalogue import Catalogue
from entrenar_research.store.logged import log
from entrenar_research.store.run_files import RunFiles

_LEAST = 0.5
_MOST = 10


class _Document(msgspec.Struct, kw_only=True):
    """What is needed here of a run's record."""

    id: str
    experiment: str
    status: str
    started: str
    failure: str | None = None
    exit_status: int | None = None
    signal: str | None = None
    failure_context: Failure | None = None


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """Of `runs` runs `failed` failed or were lost; `cancelled` ones are not counted among them."""

    runs: int
    failed: int
    cancelled: int
    by: By
    rows: tuple[Bar, ...]


class Alike(msgspec.Struct, frozen=True, kw_only=True):
    """Another run that failed with a similar stack; `similarity` is from 0 to 1, 1 being the same frames."""

    run: str
    experiment: str
    code: str
    similarity: float


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """One failure with its relatives.

    `frequency` counts the runs with this code, itself among them; `related_runs` are the others, newest first.
    """

    run: str
    experiment: str
    status: str
    failure_context: Failure
    frequency: int
    related_runs: tuple[str, ...] = ()
    similar_failures: tuple[Alike, ...] = ()


def distribution(root: Path, experiment: str | None, by: By) -> Distribution:
    """How the failures of the study, or of one experiment, are distributed."""
    catalogue = Catalogue(root)
    try:
        catalogue.refresh()
        found = _failing(root, catalogue, experiment)
        query = "SELECT count(*) FROM runs WHERE ?1 IS NULL OR experiment = ?1"
        total = int(catalogue.connection.execute(query, (experiment,)).fetchone()[0])
    finally:
        catalogue.close()
    counted = [item for item in found if item.status != "cancelled"]
    return Distribution(
        runs=total,
        failed=len(counted),
        cancelled=len(found) - len(counted),
        by=by,
        rows=pareto.table(counted, by),
    )


def explain(root: Path, text: str) -> Explained:
    """The failure of one run, given by its id or a unique part of it, and the runs related to it.

    Raises:
        UsageError: if there is no such run, or nothing failed in it.
    """
    run_id = text if (RunFiles(root).directory(text) / "run.yaml").is_file() else RunFiles(root).resolve(text).id
    catalogue = Catalogue(root)
    try:
        catalogue.refresh()
        found = {item.run: item for item in _failing(root, catalogue, None)}
    finally:
        catalogue.close()
    chosen = found.get(run_id)
    if chosen is None:
        raise UsageError(
            f"run {run_id} is {RunFiles(root).load(run_id).status}: there is no failure to explain",
            hint="`entrenar-research runs failures` lists what failed",
        )
    others = [item for item in found.values() if item is not chosen]
    related = sorted((item.run for item in others if item.failure.code == chosen.failure.code), reverse=True)
    return Explained(
        run=run_id,
        experiment=chosen.experiment,
        status=chosen.status,
        failure_context=chosen.failure,
        frequency=1 + len(related),
        related_runs=tuple(related),
        similar_failures=_alike(chosen, others),
    )


def _failing(root: Path, catalogue: Catalogue, experiment: str | None) -> list[Failing]:
    """Every run that was lost, failed or was cancelled; of those whose record has no reason yet it is worked out."""
    decoder = msgspec.json.Decoder(_Document)
    found = {}
    for status in ("failed", "lost", "cancelled"):
        for run_id, document in catalogue.documents(experiment, status):
            try:
                item = decoder.decode(document)
            except msgspec.ValidationError:  # a record of a newer schema
                continue
            found[run_id] = Failing(
                run=run_id,
                experiment=item.experiment,
                status=item.status,
                started=item.started,
                failure=item.failure_context or _worked_out(root, item),
            )
    return list(found.values())


def _worked_out(root: Path, item: _Document) -> Failure:
    """The reason of a run that is not sealed yet, or whose record was written before reasons were."""
    directory = RunFiles(root).directory(item.id)
    if item.status == "failed" and (directory / layout.DIRECTORY).is_dir():
        return diagnosis.of_script(root, log.logged(directory).notes.failure, item.failure or "")
    return classification.classify(
        Evidence(
            exit_status=item.exit_status,
            signal=item.signal,
            interrupted=item.status == "cancelled",
            found="LOST" if item.status == "lost" else None,
            said=item.failure or "its process is gone" if item.status == "lost" else "",
        )
    )


def _alike(chosen: Failing, others: list[Failing]) -> tuple[Alike, ...]:
    own = similarity.signature(chosen.failure.exception, chosen.failure.stack)
    if not own:
        return ()
    known: dict[tuple[str | None, str | None], float] = {}
    scored = []
    for item in others:
        key = item.failure.exception, item.failure.stack
        if key not in known:
            known[key] = similarity.similarity(own, similarity.signature(*key))
        if known[key] >= _LEAST:
            scored.append((-known[key], item.run, item))
    newest = sorted(sorted(scored, key=lambda entry: entry[1], reverse=True), key=lambda entry: entry[0])
    return tuple(
        Alike(run=item.run, experiment=item.experiment, code=item.failure.code, similarity=-score)
        for score, _, item in newest[:_MOST]
    )
