"""`ro-crate-metadata.json` of a study: RO-Crate 1.1 with the Process Run Crate 0.5 profile.

https://www.researchobject.org/ro-crate/specification/1.1/ and https://w3id.org/ro/wfrun/process/0.5
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from entrenar_research.core.crates import paths
from entrenar_research.core.crates import runs as crate_runs
from entrenar_research.core.crates.files import CrateFiles, FileFacts, file_entity, nest
from entrenar_research.core.crates.people import Entity, author_id, licence, people, reference, references
from entrenar_research.models.experiment import Experiment
from entrenar_research.models.run import RunRecord
from entrenar_research.models.study import Study

SPECIFICATION: Final = "https://w3id.org/ro/crate/1.1"
PROFILE: Final = "https://w3id.org/ro/wfrun/process/0.5"
CONTEXT: Final = ("https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context")
"""RO-Crate's own terms, and those of the run profiles: `sha256` is one of the latter."""


def build(
    study: Study,
    experiments: tuple[Experiment, ...],
    runs: tuple[RunRecord, ...],
    facts: Mapping[str, FileFacts],
    *,
    date: str,
) -> bytes:
    """The metadata file: indented JSON with sorted keys, the same bytes for the same facts.

    `facts` has every file of the crate but the metadata file itself; `date` is ISO 8601.
    """
    files = CrateFiles(facts)
    authors = [author_id(person, number) for number, person in enumerate(study.authors, 1)]
    building = crate_runs.Runs(files, authors[0] if authors else None)
    ordered = sorted(runs, key=lambda record: record.id)
    actions = [building.action(record) for record in ordered]
    directories = _directories(files, experiments, ordered)
    payload = [path for path in files.paths if path != paths.PREVIEW]
    parts = nest(payload, directories)
    root = _root(study, authors, date) | {"hasPart": parts[""]}
    if actions:
        root["mentions"] = references([action["@id"] for action in actions])
    graph = [_descriptor(), root, _profile(), licence(study.license), *people(study)]
    graph += [entity | {"hasPart": parts[path]} for path, entity in directories.items()]
    graph += [_file(path, facts[path], building, study) for path in files.paths]
    graph += [building.software[name] for name in sorted(building.software)]
    graph += actions
    graph += building.values.values()
    document = {"@context": list(CONTEXT), "@graph": [_compact(entity) for entity in graph]}
    return msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=1) + b"\n"


def _compact(entity: Entity) -> Entity:
    """A list of one value as that value, as RO-Crate 1.1 recommends ("compacted" JSON-LD)."""
    return {
        key: value[0] if isinstance(value, list) and len(value) == 1 else value
        for key, value in entity.items()
        if value != []
    }


def _descriptor() -> Entity:
    return {
        "@id": paths.METADATA,
        "@type": "CreativeWork",
        "about": reference("./"),
        "conformsTo": reference(SPECIFICATION),
    }


def _profile() -> Entity:
    return {"@id": PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}


def _root(study: Study, authors: list[str], date: str) -> Entity:
    entity: Entity = {
        "@id": "./",
        "@type": "Dataset",
        "name": study.title,
        "description": study.description or f"The files, runs and results of the study: {study.title}",
        "datePublished": date,
        "license": reference(licence(study.license)["@id"]),
        "author": references(authors),
        "conformsTo": [reference(PROFILE)],
        "version": study.version,
    }
    if study.keywords:
        entity["keywords"] = list(study.keywords)
    if study.doi:
        entity["identifier"] = f"https://doi.org/{study.doi}"
    if study.url:
        entity["url"] = study.url
    return entity


def _directories(files: CrateFiles, experiments: tuple[Experiment, ...], runs: list[RunRecord]) -> dict[str, Entity]:
    """The directories that mean something: experiments, evidence of runs, those that runs used or made."""
    found: dict[str, Entity] = {}

    def add(path: str, more: Entity) -> None:
        if path not in found and files.below(path):
            identifier = paths.to_id(path, directory=True)
            found[path] = {"@id": identifier, "@type": "Dataset", "name": path} | more

    for experiment in experiments:
        more = {"name": f"Experiment {experiment.name}"}
        if experiment.declaration.description:
            more["description"] = experiment.declaration.description
        add(experiment.directory, more)
    for record in runs:
        about = {"name": f"Evidence of run {record.id}", "about": reference(crate_runs.run_id(record))}
        add(f"runs/{record.id}", about)
    for record in runs:
        for item in (*record.inputs, *record.code, *record.outputs):
            if item.files is not None:
                add(crate_runs.normal(item.path), {})
    return {path: found[path] for path in sorted(found)}


def _file(path: str, facts: FileFacts, runs: crate_runs.Runs, study: Study) -> Entity:
    entity = file_entity(path, facts)
    if path == paths.PREVIEW:
        return entity | {"@type": "CreativeWork", "about": reference("./")}
    if path in runs.scripts:
        entity |= {"@type": ["File", "SoftwareSourceCode"], "version": study.version}
        if runs.scripts[path]:
            entity["softwareRequirements"] = references(sorted(runs.scripts[path]))
    return entity
