"""Holding a golden trace against what the experiment does now: its calls, their number, its time, what is demanded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from entrenar_research.actions.golden import capturing
from entrenar_research.actions.golden.capturing import Means
from entrenar_research.actions.golden.files import load, refuse_incomplete, trace_of_run
from entrenar_research.actions.running import surroundings
from entrenar_research.actions.traces.choosing import DEFAULTS
from entrenar_research.core import regression
from entrenar_research.core.regression import Change, Rules
from entrenar_research.core.reports import cases as report_cases
from entrenar_research.core.reports.cases import Case
from entrenar_research.core.traces import comparison as trace_comparison
from entrenar_research.core.traces.budgets import assertions
from entrenar_research.core.traces.budgets.assertions import Evidence
from entrenar_research.core.traces.comparison import Comparison
from entrenar_research.core.traces.likeness import equivalence
from entrenar_research.errors import EXIT_DONE, EXIT_MISSING_TOOL, EXIT_WANTING, UsageError
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.equivalence import Equivalence
from entrenar_research.models.golden import GoldenRecord
from entrenar_research.models.measured import Measured
from entrenar_research.models.policy import AssertionState, TracePolicy
from entrenar_research.models.run import Hardware, RunRecord
from entrenar_research.store import policy_file
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles

BUDGET: Final = 0.5
"""By how much the mean time may grow before a significant change counts: on a machine that does other things as well,
it is a fifth longer some minutes later, without any change of the program."""

# Of calls that follow from the machine (a longer path, another allocator) a few more or less are no change.
_COUNTS: Final = Rules(tolerance=0.25, floor=16.0)
_SECONDS: Final = 0.002
_BYTES: Final = float(1 << 20)
_STATES: Final[dict[regression.State, AssertionState]] = {
    "regression": "fail",
    "improvement": "pass",
    "unchanged": "pass",
    "too noisy": "warn",
    "insufficient data": "no data",
}


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A golden trace held against `against`: `words` says what differs first, `cases` how each part came out.

    `agreeing` of `traced` traces made the same calls in the same order; `comparison` is with the first that did not.
    `counts` and `times` are what statistics say; `elsewhere` tells why they are only told, not judged.
    Lines that differ are no verdict where another tracer made them: it may be the tracers that differ.
    """

    name: str
    against: str
    traced: int
    agreeing: int
    comparison: Comparison
    words: str
    cases: tuple[Case, ...]
    equivalence: Equivalence | None = None
    counts: tuple[Change, ...] = ()
    times: tuple[Change, ...] = ()
    elsewhere: str | None = None

    @property
    def exit_code(self) -> int:
        """0: as it was; 1: something differs or is violated; 3: nothing does, but something has no data."""
        states = {case.state for case in self.cases}
        if "fail" in states:
            return EXIT_WANTING
        return EXIT_MISSING_TOOL if "no data" in states else EXIT_DONE


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """What is held against the golden trace."""

    against: str
    documents: tuple[TraceDocument, ...]
    measured: Measured | None = None
    elsewhere: str | None = None


def check_run(study: StudyFiles, name: str, run: RunRecord) -> Checked:
    """Holds the trace of a recorded run against a golden one.

    Raises:
        UsageError: if the run has no full trace.
        IntegrityError: if a trace is damaged or incomplete.
    """
    record, expected = load(study, name)
    found = trace_of_run(study, run)
    if run.runner != record.runner:
        raise UsageError(
            f"run {run.id} was made by the runner {run.runner}, the golden trace {name} by {record.runner}, and they "
            "make other calls",
            hint=f"compare one that `entrenar-research run {run.experiment} --runner {record.runner}` made",
        )
    refuse_incomplete(found, f"run {run.id}")
    elsewhere = _elsewhere(record, run.hardware) if run.hardware else "it is not known where the run was made"
    held = _Found(against=f"run {run.id}{_with(expected, found)}", documents=(found,), elsewhere=elsewhere)
    return _check(record, expected, held, policy_file.load(study.root), BUDGET)


def check_again(
    study: StudyFiles, name: str, *, means: Means, repeat: int | None = None, budget: float = BUDGET
) -> Checked:
    """Traces the experiment anew in scratch copies, as its declaration is now, and holds that against the golden trace.

    It is traced with the tracer that was named, else with the one that made the golden trace, else, where that does not
    work, with another. With `repeat` it is traced that often, not once, and repeated untraced as often; `[ci]
    compare_with_baseline` asks for as many as the golden trace has.

    Raises:
        MissingToolError: if nothing can be traced here.
        ToolError: if this machine lacks what the run used, or the command fails.
        UsageError: if fewer than one repetition is asked for, or the tracer that was named does not see enough.
    """
    capturing.refuse_blind(means)
    if repeat is not None and repeat < 1:
        raise UsageError(f"{repeat} repetitions: expected 1 or more")
    record, expected = load(study, name)
    policy = policy_file.load(study.root)
    if repeat is None and policy.ci.compare_with_baseline:
        repeat = len(record.repetitions) or None
    by = capturing.runner(means, record.runner, f"the golden trace {name}")
    tracer = capturing.tracer(means, by, tuple(dict.fromkeys((expected.tracer, *DEFAULTS))))
    experiment = study.experiment(record.experiment)
    now = capturing.as_declared_now(study, RunFiles(study.root).load(record.run))
    documents = []
    for number in range(repeat or 1):
        found = capturing.traced(study, experiment, now, by=by, tracer=tracer, means=means)
        refuse_incomplete(found, f"fresh run {number + 1}")
        documents.append(found)
    held = _Found(
        against=("a fresh run" if len(documents) == 1 else f"{len(documents)} fresh runs")
        + _with(expected, documents[0]),
        documents=tuple(documents),
        measured=capturing.measured(study, experiment, now, repeat, means, by=by) if repeat else None,
        elsewhere=_elsewhere(record, surroundings.hardware()),
    )
    return _check(record, expected, held, policy, budget)


def _with(expected: TraceDocument, found: TraceDocument) -> str:
    """Which tracer made it, where it is not the one of the golden trace."""
    return "" if found.tracer == expected.tracer else f" traced with {found.tracer}"


def _elsewhere(record: GoldenRecord, here: Hardware) -> str | None:
    """Why numbers and times of this machine are not comparable with the golden ones; None if they are."""
    golden = record.environment
    pairs = (
        ("processor", golden.cpu, here.cpu),
        ("architecture", golden.architecture, here.architecture),
        ("number of cores", golden.cores, here.cores),
    )
    parts = [f"{what} {was} then, {now} now" for what, was, now in pairs if was != now]
    return f"another machine: {', '.join(parts)}" if parts else None


def _check(
    record: GoldenRecord, expected: TraceDocument, found: _Found, policy: TracePolicy, budget: float
) -> Checked:  # fmt: skip
    _refuse_other_rules(record, expected, found.documents)
    differing = [item for item in found.documents if item.trace_id != expected.trace_id]
    other = differing[0] if differing else found.documents[0]
    comparison = trace_comparison.compare(expected.texts, expected.counts, other.texts, other.counts)
    counts = _counts(record, found.documents)
    memory = _allocated(record, found.documents)
    times = _times(record.measured, found.measured, budget) if found.measured else ()
    words = trace_comparison.describe(comparison)
    alike = None
    otherwise = other.tracer != expected.tracer
    if differing and not otherwise and policy.semantic_equivalence.enabled:
        alike = equivalence.compare(
            expected,
            other,
            policy.semantic_equivalence,
            expected_measured=record.measured,
            found_measured=found.measured,
        )
    evidence = Evidence(name=record.name, document=other, measured=found.measured)
    return Checked(
        name=record.name,
        against=found.against,
        traced=len(found.documents),
        agreeing=len(found.documents) - len(differing),
        comparison=comparison,
        words=words,
        cases=(
            _unknown(record.name, expected, other, words)
            if differing and otherwise
            else _case_of_lines(record.name, words, len(differing), len(found.documents)),
            _case_of_counts(record.name, counts, found.elsewhere),
            *(_case_of_memory(record.name, change, found.elsewhere) for change in memory),
            *(_case_of_time(record.name, change, found.elsewhere) for change in times),
            *((report_cases.of_equivalence(record.name, "equivalence", alike),) if alike else ()),
            *report_cases.of_assertions(record.name, assertions.evaluate(policy, evidence)),
        ),
        equivalence=alike,
        counts=(*counts, *memory),
        times=times,
        elsewhere=found.elsewhere,
    )


def _refuse_other_rules(record: GoldenRecord, expected: TraceDocument, found: Sequence[TraceDocument]) -> None:
    for item in found:
        if item.rules != expected.rules:
            raise UsageError(
                f"{record.name} was normalised by rules {expected.rules}, this version has {item.rules}",
                hint="promote it again with --replace",
            )


def _case_of_lines(name: str, words: str, differing: int, every: int) -> Case:
    first, _, rest = words.partition("\n")
    if not differing:
        return Case(suite=name, name="calls", state="pass", message=first)
    message = first if differing == every else f"{differing} of {every} repetitions differ: {first}"
    return Case(suite=name, name="calls", state="fail", message=message.rstrip(":"), detail=rest)


def _unknown(name: str, expected: TraceDocument, found: TraceDocument, words: str) -> Case:
    """Lines that differ, but were written by different tracers."""
    message = (
        f"the golden trace is one of {expected.tracer}, this one of {found.tracer}, and they write some calls "
        f"differently: whether the program does something else is not known; trace it with {expected.tracer}"
    )
    return Case(suite=name, name="calls", state="no data", message=message, detail=words)


def _counts(record: GoldenRecord, documents: Sequence[TraceDocument]) -> tuple[Change, ...]:
    """What became of the number of each call; one that was not made at all was made 0 times."""
    before, now = record.noise.samples, capturing.counts(documents)
    names = {*before, *now} if record.noise.traced else ()
    never, none = (0,) * record.noise.traced, (0,) * len(documents)
    return regression.judge(
        {name: before.get(name, never) for name in names}, {name: now.get(name, none) for name in names}, _COUNTS
    )


def _allocated(record: GoldenRecord, documents: Sequence[TraceDocument]) -> tuple[Change, ...]:
    noise = record.noise
    if noise.allocated is None:
        return ()
    name = "allocated bytes"
    rules = Rules(tolerance=_COUNTS.tolerance, floor=_BYTES)
    return regression.judge({name: noise.spread(noise.allocated)}, {name: capturing.allocated(documents)}, rules)


def _times(before: Measured | None, now: Measured, budget: float) -> tuple[Change, ...]:
    """Wall and processor seconds and peak memory, corrected together."""
    old, new = _quantities(before), _quantities(now)
    found: list[Change] = []
    for unit, floor in (("seconds", _SECONDS), ("bytes", _BYTES)):
        names = [name for name in new if name.endswith(unit)]
        rules = Rules(alpha=Rules().alpha * len(names) / len(new), tolerance=budget, floor=floor)
        found += regression.judge({name: old[name] for name in names}, {name: new[name] for name in names}, rules)
    return tuple(found)


def _quantities(measured: Measured | None) -> dict[str, tuple[float, ...]]:
    every = measured.repetitions if measured else ()
    return {
        "wall seconds": tuple(item.wall for item in every),
        "processor seconds": tuple(item.user + item.system for item in every),
        "peak memory in bytes": tuple(float(item.peak_memory) for item in every),
    }


def _case_of_counts(name: str, changes: Sequence[Change], elsewhere: str | None) -> Case:
    """All calls, told and untold, by number: only a clear change counts, and not on another machine."""
    worse = [change for change in changes if change.state == "regression"]
    less = [change for change in changes if change.state == "improvement"]
    unjudged = [change.name for change in changes if change.state in ("insufficient data", "too noisy")]
    detail = [f"{change.name}: {change.words}" for change in (*worse, *less)]
    detail += [f"not judged, for they vary or there are too few samples: {', '.join(unjudged)}"] if unjudged else []
    if not worse:
        message = f"of {len(changes)} calls none is clearly made more often"
        return Case(suite=name, name="numbers of calls", state="pass", message=message, detail="\n".join(detail))
    told = ", ".join(f"{change.name} {change.before:.6g} -> {change.now:.6g}" for change in worse)
    message = f"made more often: {told}" + (f" ({elsewhere}: told, not judged)" if elsewhere else "")
    state: AssertionState = "warn" if elsewhere else "fail"
    return Case(suite=name, name="numbers of calls", state=state, message=message, detail="\n".join(detail))


def _case_of_memory(name: str, change: Change, elsewhere: str | None) -> Case:
    """As with the calls: what cannot be judged is told, but only a clear growth counts."""
    worse = change.state == "regression"
    message = f"{change.state}: {change.before:.12g} -> {change.now:.12g} bytes, {change.words}"
    if worse and elsewhere:
        message += f" ({elsewhere}: told, not judged)"
    state: AssertionState = "pass" if not worse else "warn" if elsewhere else "fail"
    return Case(suite=name, name=change.name, state=state, message=message)


def _case_of_time(name: str, change: Change, elsewhere: str | None) -> Case:
    relative = change.relative if change.state != "insufficient data" else None
    share = f" ({relative:+.0%})" if relative is not None else ""
    message = f"{change.state}: {change.before:.6g} -> {change.now:.6g}{share}, {change.words}"
    state = _STATES[change.state]
    if elsewhere is not None:
        state, message = "skip", f"{message} ({elsewhere}: told, not judged)"
    return Case(suite=name, name=change.name, state=state, message=message)


def exit_code(checked: Sequence[Checked]) -> int:
    """That of all checks together: 1 if one failed, 3 if only data is missing."""
    codes = {item.exit_code for item in checked}
    return next((code for code in (EXIT_WANTING, EXIT_MISSING_TOOL) if code in codes), EXIT_DONE)


def cases(checked: Sequence[Checked]) -> tuple[Case, ...]:
    """The cases of all checks."""
    return tuple(case for item in checked for case in item.cases)
