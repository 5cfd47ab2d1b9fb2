"""Comparing two traces, whatever form they have: documents, packed ones, logs, runs and golden traces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from entrenar_research.actions.traces import reading
from entrenar_research.actions.traces.reading import Loaded
from entrenar_research.core.traces import comparison
from entrenar_research.core.traces.likeness import equivalence
from entrenar_research.core.traces.likeness.behaviour import Behaviour, behaviour
from entrenar_research.core.traces.likeness.strands import Texts
from entrenar_research.errors import UsageError
from entrenar_research.models.equivalence import Equivalence
from entrenar_research.models.measured import Measured
from entrenar_research.models.policy import EquivalencePolicy
from entrenar_research.store import run_files
from entrenar_research.store.golden_files import GoldenFiles
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Two traces by name, and how alike they are. `tracers` made them; `caution` says so where they are two."""

    expected: str
    found: str
    tracers: tuple[str, str]
    caution: str | None
    equivalence: Equivalence


def compare(
    expected: str,
    found: str,
    policy: EquivalencePolicy,
    *,
    root: Path,
    study: StudyFiles | None,
    traced_times: bool = False,
) -> Compared:
    """Holds the trace `found` against `expected`; the latter is looked for in `baseline_dir` below `root` too.

    The files that both left are compared by digest where both are of a study and their runs are there.

    Raises:
        UsageError: if there is nothing of a name, or the policy switches comparing off.
        IntegrityError: if a trace is damaged, empty or none.
    """
    if not policy.enabled:
        raise UsageError(
            "comparing is switched off: [semantic_equivalence] says `enabled = false`",
            hint="change that in renacer.toml, or give another file with --policy",
        )
    texts = Texts()
    # One after the other: of a long trace there is room for one.
    one = _seen(_expected(expected, root / policy.baseline_dir, study), texts, policy)
    other = _seen(reading.load(found, study=study), texts, policy)
    told = equivalence.alike(
        one.behaviour,
        other.behaviour,
        policy,
        expected_measured=one.measured,
        found_measured=other.measured,
        contents=_contents(expected, found, study),
        traced_times=traced_times,
    )
    return Compared(
        expected=one.name,
        found=other.name,
        tracers=(one.tracer, other.tracer),
        caution=comparison.unlike((one.name, one.tracer), (other.name, other.tracer)),
        equivalence=told,
    )


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of a trace that was loaded, for comparing."""

    name: str
    tracer: str
    behaviour: Behaviour
    measured: Measured | None


def _seen(loaded: Loaded, texts: Texts, policy: EquivalencePolicy) -> _Seen:
    return _Seen(
        name=loaded.name,
        tracer=loaded.document.tracer,
        behaviour=behaviour(loaded.document, texts, policy),
        measured=loaded.measured,
    )


def _expected(what: str, baseline: Path, study: StudyFiles | None) -> Loaded:
    if not Path(what).exists():
        for place in (baseline / what / f"{what}.json", baseline / f"{what}.json"):
            # A golden trace of the study has more to it than its document: repetitions, a run.
            if place.is_file() and not (place.parent / "golden.yaml").is_file():
                return reading.load(str(place), study=study)
    return reading.load(what, study=study)


def _contents(
    expected: str, found: str, study: StudyFiles | None
) -> tuple[Mapping[str, str], Mapping[str, str]] | None:
    """Digests of what the runs behind both names left; None where one of them is no run, or its run is not here."""
    if study is None:
        return None
    sides = [_left(study, what) for what in (expected, found)]
    return (sides[0], sides[1]) if sides[0] is not None and sides[1] is not None else None


def _left(study: StudyFiles, what: str) -> Mapping[str, str] | None:
    if Path(what).is_file():
        return None
    runs, golden = RunFiles(study.root), GoldenFiles(study.root)
    run = golden.load(what).run if what in golden.names() else runs.resolve(what).id
    if not (runs.directory(run) / run_files.OUTPUTS).is_file():
        return None
    return runs.manifest(run, run_files.OUTPUTS)
