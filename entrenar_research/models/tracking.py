"""What is known of a run beside its result: what it logged, where it comes from, why it failed, what was planned."""

from __future__ import annotations

from typing import Literal

from entrenar_research.models.recorded import Recorded

FailureCategory = Literal["resource", "config", "data", "model", "infra", "code", "interrupted", "unknown"]
Relationship = Literal[
    "fine_tuned_from",
    "distilled_from",
    "ensemble_member",
    "hyperparameter_search",
    "data_augmentation",
    "initialization",
]
Rating = Literal["green", "amber", "red"]


class Series(Recorded, frozen=True, kw_only=True):
    """One logged metric in short. NaN and infinities are written as YAML has them (`.nan`, `.inf`).

    `last` is the value logged last, `last_step` its step; `lowest` and `highest` leave NaN out and are None if
    nothing else was logged.
    """

    points: int
    last: float
    last_step: int
    lowest: float | None = None
    highest: float | None = None


class Telemetry(Recorded, frozen=True, kw_only=True):
    """How complete the logged points and spans are.

    `points`, `spans` and `processes` were recorded; `lost` points could not be (`reason` says why, e.g. a full
    disk); `damaged` names what could not be read when the run was sealed, with its place.
    """

    points: int = 0
    spans: int = 0
    processes: int = 0
    lost: int = 0
    reason: str | None = None
    damaged: tuple[str, ...] = ()


class Artifact(Recorded, frozen=True, kw_only=True):
    """A file that the script kept: `path` is relative to the run directory, `digest` is `sha256:<hex>`.

    `bypass` names the signed statement that allowed a model in a format that can run code.
    """

    path: str
    digest: str
    size: int
    kind: Literal["file", "model"] = "file"
    bypass: str | None = None


class Parent(Recorded, frozen=True, kw_only=True):
    """A run that this one came from: its part (`teacher`, `base`, ...), their relationship, its Lamport time."""

    run: str
    relationship: Relationship
    role: str | None = None
    lamport: int | None = None


class Lineage(Recorded, frozen=True, kw_only=True):
    """Where a run comes from. `lamport` is 1 + the greatest of its parents' (0 without parents)."""

    parents: tuple[Parent, ...] = ()
    lamport: int = 0


class Failure(Recorded, frozen=True, kw_only=True):
    """Why a run failed: a code such as `OOM_HOST`, its category, what happened, what to do about it.

    `evidence` says what the classification rests on (exception type, exit status, signal, the kernel's counter).
    """

    code: str
    category: FailureCategory
    diagnostic: str
    remediation: str | None = None
    exception: str | None = None
    stack: str | None = None
    evidence: tuple[str, ...] = ()


class Deviation(Recorded, frozen=True, kw_only=True):
    """One planned quantity against the measured one; `percent` is (actual - planned) / planned * 100.

    `green` is up to `amber_above` percent, `amber` up to `red_above`, then `red`. Bytes or seconds.
    """

    planned: float
    actual: float
    percent: float
    rating: Rating
    amber_above: float
    red_above: float


class Eta(Recorded, frozen=True, kw_only=True):
    """A prediction of the time that was left when it was made, against what it took (seconds).

    `error` is actual - predicted; `percent` is that in percent of the predicted, None where nothing was predicted.
    `gain` and `uncertainty` (one standard deviation, seconds) are the Kalman filter's at that moment.
    """

    predicted: float
    actual: float
    error: float
    percent: float | None = None
    gain: float | None = None
    uncertainty: float | None = None


class Trial(Recorded, frozen=True, kw_only=True):
    """The sweep and the number of the trial that the run is; `retry_of` is the number of the trial it repeats."""

    sweep: str
    number: int
    retry_of: int | None = None


class Holder(Recorded, frozen=True, kw_only=True):
    """Who writes a run that is open: a digest of the machine, so that nobody else's run is taken for lost."""

    machine: str
    process: int
