"""Carrying an experiment out again: the verdicts, in what world it was then and now, and why it may differ."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from entrenar_research.actions.hermetic import inside
from entrenar_research.actions.running import recipes, surroundings
from entrenar_research.actions.verifying import judging, replay
from entrenar_research.actions.verifying.replay import Replayed
from entrenar_research.core import recipe
from entrenar_research.core.proofs import hardware
from entrenar_research.core.reproducing import clues, differing, hints
from entrenar_research.core.reproducing.clues import Circumstances
from entrenar_research.core.reproducing.hints import World
from entrenar_research.errors import ResearchError
from entrenar_research.models.experiment import Experiment
from entrenar_research.models.proof import Hermetic
from entrenar_research.models.run import Environment, Hardware, RunRecord
from entrenar_research.models.statement import HardwareClass
from entrenar_research.models.verdict import Finding, Hint, Place, Repetition, Verdict
from entrenar_research.runners.port import Runner
from entrenar_research.store.hashing import Hasher
from entrenar_research.store.study_files import StudyFiles

Repeated = tuple[tuple[Finding, ...], Repetition | None]
"""What was found, and how it went as a whole, where it was carried out."""
_RUNGS = (Verdict.IDENTICAL, Verdict.EQUAL, Verdict.WITHIN, Verdict.UNKNOWN, Verdict.DIFFERENT)


def area(runner: Runner) -> str:
    """The area of findings about what this runner does again."""
    return judging.REBUILD if runner.seals else judging.REPLAY


def repeat(
    study: StudyFiles,
    experiment: Experiment,
    record: RunRecord,
    *,
    runner: Runner,
    environment: Mapping[str, str],
    machine: Hardware,
) -> Repeated:
    """Carries out the last good run of an experiment again; where that is not possible it is `unknown`, and why.

    `machine` is this one.

    Raises:
        ResearchError: if a sealed runner cannot build anything here.
    """

    def alone(verdict: Verdict, detail: str) -> tuple[Finding, ...]:
        return (Finding(area=area(runner), subject=experiment.name, verdict=verdict, detail=detail),)

    kind = hardware.of_record(machine) or HardwareClass(architecture=machine.architecture)
    now = World(runner=runner.name, hardware=kind, cards=machine.gpus)
    try:
        with replay.replayed(study, experiment, record, runner=runner, environment=environment) as again:
            findings = judging.judge(study, experiment, record, again)
            told = _hints(study, experiment, record, again, findings, now)
        return findings, _repetition(area(runner), findings, record, now, told)
    except replay.Lacking as error:
        return alone(Verdict.UNKNOWN, f"not replayed: {error.message}"), None
    except replay.ReplayFailed as error:
        findings = alone(Verdict.DIFFERENT, error.message)
        told = (*_of_sources(study, experiment, record), *hints.of_worlds(_world(record), now))
        return findings, _repetition(area(runner), findings, record, now, told)
    except ResearchError as error:
        if runner.seals:
            raise  # what keeps Nix from building says nothing about the study
        return alone(Verdict.BROKEN, error.message), None


def used(record: RunRecord, again: Replayed) -> Environment | None:
    """What it was carried out in again, as far as the record names the same for the run."""
    recorded = record.environment
    if recorded is None:
        return None
    if again.hermetic is not None:
        found = inside.environment(again.root, recorded.program)
        packages = {name: found.packages[name] for name in recorded.packages if name in found.packages}
        scope = recorded.packages_scope
    else:
        _, found = surroundings.environment(
            again.program, again.variables, directory=again.root, wanted=recorded.packages
        )
        packages, scope = found.packages, found.packages_scope
    return Environment(
        program=recorded.program,
        python=found.python,
        packages=packages,
        packages_scope=scope,
        variables=found.variables,
    )


def _repetition(
    area: str, findings: tuple[Finding, ...], record: RunRecord, now: World, told: tuple[Hint, ...]
) -> Repetition:
    lowest = max((item.verdict for item in findings), key=_RUNGS.index, default=Verdict.UNKNOWN)
    return Repetition(
        area=area,
        experiment=record.experiment,
        run=record.id,
        verdict=lowest,
        then=_place(_world(record)),
        now=_place(now),
        hints=told,
    )


def _place(world: World) -> Place:
    return Place(runner=world.runner, hardware=str(world.hardware) if world.hardware is not None else None)


def _world(record: RunRecord) -> World:
    machine = record.hardware
    return World(
        runner=record.runner,
        hardware=hardware.of_record(machine),
        cards=machine.gpus if machine is not None else None,
        environment=record.environment,
        toolchain=_toolchain(record.hermetic),
    )


def _toolchain(hermetic: Hermetic | None) -> tuple[str, ...] | None:
    return tuple(item.path for item in hermetic.closure) if hermetic is not None else None


def _hints(
    study: StudyFiles,
    experiment: Experiment,
    record: RunRecord,
    again: Replayed,
    findings: tuple[Finding, ...],
    now: World,
) -> tuple[Hint, ...]:
    """What may be the cause; none where it cannot be looked for, which changes nothing of what was found."""
    try:
        return tuple(_told(study, experiment, record, again, findings, now))
    except ResearchError:
        return ()


def _told(
    study: StudyFiles,
    experiment: Experiment,
    record: RunRecord,
    again: Replayed,
    findings: Iterable[Finding],
    now: World,
) -> Iterator[Hint]:
    """What may be the cause: first what the content tells, then what is not as it was."""
    verdicts = {item.verdict for item in findings}
    if verdicts <= {Verdict.IDENTICAL}:
        return
    seen, explained = _seen(study, experiment, record, again)
    yield from seen
    if not explained and verdicts & {Verdict.WITHIN, Verdict.DIFFERENT}:
        here = World(
            runner=now.runner,
            hardware=now.hardware,
            cards=now.cards,
            environment=used(record, again),
            toolchain=_toolchain(again.hermetic),
        )
        yield from _of_sources(study, experiment, record)
        yield from hints.of_worlds(_world(record), here)


def _of_sources(study: StudyFiles, experiment: Experiment, record: RunRecord) -> Iterator[Hint]:
    """Code, parameters and inputs that are not now as the run had them."""
    try:
        now = recipes.gather(study, experiment, Hasher(study.root, cache=None))
    except ResearchError:
        return  # what is missing is a finding of its own
    as_now = msgspec.structs.replace(record, params=now.params, logged_params=(), code=now.code, inputs=now.inputs)
    yield from hints.of_sources(recipe.differences(record, as_now))


def _seen(
    study: StudyFiles, experiment: Experiment, record: RunRecord, again: Replayed
) -> tuple[tuple[Hint, ...], bool]:
    """What the content of outputs tells, where the study has what the run recorded; whether that is all there is."""
    found: dict[Hint, None] = {}
    explained = True
    try:
        began = datetime.datetime.fromisoformat(record.started).timestamp()
    except (ValueError, OverflowError):
        return (), False  # a record that somebody changed, which is a finding of its own
    then = Circumstances(began=began, ended=began + (record.duration or 0.0), study=str(study.root))
    now = Circumstances(began=again.began, ended=again.began + again.seconds, study=str(again.root))
    for path, digest in judging.recorded_outputs(study, experiment, record).items():
        here, there = judging.as_recorded(study, experiment, path, digest), again.result / path
        if here is None or not there.is_file():
            explained = False
            continue
        for difference in differing.differences(path, here.read_bytes(), there.read_bytes()):
            clue = clues.clue(difference, then, now)
            if clue is None:
                explained = False
            else:
                found[hints.hint(clue.cause, f"{path} {difference.place}: {clue.evidence}", seen=True)] = None
    return tuple(found), explained
