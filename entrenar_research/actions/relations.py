"""Testing the metamorphic relations of an experiment: it and its variants are run in scratch copies of the study."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from entrenar_research.actions.running import conclusion
from entrenar_research.actions.runs import comparison
from entrenar_research.actions.verifying import replay, scratch_copy
from entrenar_research.actions.verifying.replay import Replayed, ReplayFailed
from entrenar_research.core import content, digests, recipe, relations, relations_data
from entrenar_research.core.relations import Outcome
from entrenar_research.errors import InvalidFileError, MissingToolError, UsageError
from entrenar_research.models.equivalence import Violation
from entrenar_research.models.experiment import Experiment
from entrenar_research.models.relations import Margin, Relation, Variant
from entrenar_research.models.run import RunRecord
from entrenar_research.runners.port import Runner
from entrenar_research.store import files, params_file
from entrenar_research.store.hashing import Hasher
from entrenar_research.store.logged import points
from entrenar_research.store.study_files import StudyFiles

_RUN = "relations"


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A relation that was tested: it holds if there are no violations."""

    relation: str
    kind: str
    violations: tuple[Violation, ...]


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What variants are run with; `tool` and `started` go into the record that a command may read."""

    runner: Runner
    environment: Mapping[str, str]
    tool: str
    started: str


def examine(
    study: StudyFiles, name: str, means: Means, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[Judged, ...]:
    """Runs the experiment `name` and the variants that its relations need, and judges each relation.

    Raises:
        UsageError: if it declares no relations, or a variant cannot be made.
        MissingToolError: if the runner does not work here.
        ToolError: if this machine lacks what the command needs, or the experiment itself fails.
    """
    reason = means.runner.unavailable(means.environment)
    if reason is not None:
        raise MissingToolError(f"--runner {means.runner.name}: {reason}", hint="`entrenar-research doctor` tells more")
    experiment = study.experiment(name)
    declared = experiment.declaration.relations
    if not declared:
        raise UsageError(
            f"{experiment.file} declares no relations", hint="`relations` there is a list; see docs/relations.md"
        )
    trial = _Trial(study, experiment, means)
    trial.outcome(None, None)  # a variant that fails says something of a relation, the experiment itself does not
    judged = []
    for place, relation in enumerate(declared):
        progress(place, len(declared))
        judged.append(
            Judged(relation=relation.name or relation.kind, kind=relation.kind, violations=_judge(trial, relation))
        )
    return tuple(judged)


def _judge(trial: _Trial, relation: Relation) -> tuple[Violation, ...]:
    needs_variant = relation.kind != "monotonic_loss" or relation.variant is not None
    try:
        base = trial.outcome(relation.same_as, relation)
        variant = trial.outcome(relation.variant, relation, again=True) if needs_variant else None
    except ReplayFailed as error:
        told = relation.name or relation.kind
        words = "the variant runs"
        return (Violation(relation=told, expected=words, actual=error.message, severity=relation.severity),)
    margins = {
        name: Margin(absolute=metric.tolerance.absolute, relative=metric.tolerance.relative)
        for name, metric in trial.experiment.declaration.metrics.items()
    }
    return relations.judge(relation, base, variant, margins)


class _Trial:
    """The experiment under test; what has been run once is not run again."""

    def __init__(self, study: StudyFiles, experiment: Experiment, means: Means) -> None:
        self.experiment = experiment
        self._study, self._means = study, means
        self._known: dict[bytes, Outcome] = {}

    def outcome(self, variant: Variant | None, relation: Relation | None, *, again: bool = False) -> Outcome:
        """What came of a variant (None: of the experiment as it is); `again` is another run of the same."""
        curve = relation.curve if relation is not None else None
        key = msgspec.json.encode((variant, curve, again and variant is None))
        if key not in self._known:
            with tempfile.TemporaryDirectory(prefix="entrenar-relations-") as place:
                self._known[key] = self._run(Path(place) / "study", variant, relation)
        return self._known[key]

    def _run(self, root: Path, variant: Variant | None, relation: Relation | None) -> Outcome:
        more = (scratch_copy.BY_NIX,) if self._means.runner.seals else ()
        scratch_copy.copy_study(self._study, root, scratch_copy.needed(self._study, self.experiment, *more))
        copy = StudyFiles(root)
        experiment = _altered(copy, self.experiment, variant)
        with replay.replayed(
            copy,
            experiment,
            self._record(copy, experiment),
            runner=self._means.runner,
            environment=self._means.environment,
        ) as again:
            return _read(experiment, again, relation)

    def _record(self, copy: StudyFiles, experiment: Experiment) -> RunRecord:
        declaration, params = experiment.declaration, copy.params(experiment)
        argv = recipe.expand(
            declaration.command,
            result=experiment.result,
            params_file=declaration.params,
            seed=declaration.seed,
            params=recipe.dotted(params),
        )
        return RunRecord(
            id=_RUN,
            experiment=experiment.name,
            status="running",
            tool=self._means.tool,
            runner=self._means.runner.name,
            started=self._means.started,
            command=declaration.command,
            argv=tuple(argv),
            seed=declaration.seed,
            params=params,
        )


def _altered(copy: StudyFiles, experiment: Experiment, variant: Variant | None) -> Experiment:
    """Makes the changes of a variant in the copy."""
    if variant is None:
        return experiment
    params = experiment.declaration.params
    if variant.set and params is not None:
        params_file.assign(files.contained(copy.root, params, what="params file"), params, variant.set)
    for change in variant.inputs:
        path = files.contained(copy.root, change.file, what="input")
        if not path.is_file():
            raise UsageError(f"{change.file}: expected a file whose rows can be changed, found none")
        files.write_atomically(path, relations_data.changed(files.read_text(path, shown=change.file), change))
    if variant.seed is None:
        return experiment
    declaration = msgspec.structs.replace(experiment.declaration, seed=variant.seed)
    return msgspec.structs.replace(experiment, declaration=declaration)


def _read(experiment: Experiment, again: Replayed, relation: Relation | None) -> Outcome:
    """What a relation asks about, of a replay that ended."""
    tables, found = {}, {}
    for path in experiment.declaration.output_paths:
        place = again.result / path
        if place.is_dir():
            found[path] = Hasher(again.result).describe(path)[0].digest
        elif place.is_file():
            data = place.read_bytes()
            found[path] = content.content_digest(path, data) or digests.sha256(data)
            if path.endswith(relations.TABLES):
                tables[path] = relations_data.table(files.read_text(place, shown=f"result/{path}"))
    return Outcome(
        metrics=conclusion.read_metrics(experiment, again.result),
        tables=tables,
        digests=found,
        curve=_curve(relation, again, tables),
    )


def _curve(relation: Relation | None, again: Replayed, tables: Mapping[str, list[list[str]]]) -> tuple[float, ...]:
    curve = relation.curve if relation is not None else None
    if curve is None:
        return ()
    if curve.series is not None:
        found = points.points(again.run, curve.series)
        return tuple(comparison.listed(found.values))
    head, *rows = tables.get(curve.file or "", [[]])
    if curve.column not in head:
        known = ", ".join(head) or "no names"
        raise InvalidFileError(f"result/{curve.file}: there is no column {curve.column!r} ({known})")
    place = head.index(curve.column)
    try:
        return tuple(float(row[place]) for row in rows)
    except (ValueError, IndexError) as error:
        raise InvalidFileError(f"result/{curve.file}: a row has no number in the column {curve.column!r}") from error
