"""A run: the record of one execution, kept in `runs/<run-id>/run.yaml`."""

from __future__ import annotations

from typing import Any, Literal

from entrenar_research.models.experiment import TraceLevel
from entrenar_research.models.proof import Hermetic
from entrenar_research.models.recorded import Recorded
from entrenar_research.models.tracking import (
    Artifact,
    Deviation,
    Eta,
    Failure,
    Holder,
    Lineage,
    Series,
    Telemetry,
    Trial,
)

RunStatus = Literal["pending", "running", "completed", "failed", "cancelled", "lost"]
TraceStatus = Literal["none", "recorded", "unavailable"]


class FileDigest(Recorded, frozen=True, kw_only=True):
    """A file or directory and its digests.

    `path` is relative to the study. `digest` is `sha256:<hex>`: of a file its bytes, of a directory its
    manifest. `md5` is DVC's digest (`<hex>` or `<hex>.dir`). `files` counts the files of a directory.
    """

    path: str
    digest: str
    md5: str
    size: int
    files: int | None = None


class GitState(Recorded, frozen=True, kw_only=True):
    """The commit a run started from; `diff` is the digest of the uncommitted difference when dirty."""

    commit: str | None = None
    dirty: bool = False
    diff: str | None = None


class Environment(Recorded, frozen=True, kw_only=True):
    """What the command ran in. `packages` are those it loaded (traced) or those installed (untraced)."""

    program: str
    python: str | None = None
    packages: dict[str, str] = {}
    packages_scope: Literal["loaded", "installed", "none"] = "none"
    variables: dict[str, str] = {}


class Hardware(Recorded, frozen=True, kw_only=True):
    """The machine: `memory` in bytes. `level` is the micro-architecture level of an x86-64 processor (psABI)."""

    architecture: str
    system: str
    cpu: str | None = None
    vendor: str | None = None
    level: str | None = None
    cores: int | None = None
    memory: int | None = None
    gpus: tuple[str, ...] = ()


class Usage(Recorded, frozen=True, kw_only=True):
    """Measured of the command and what it starts: seconds and bytes.

    `peak_memory` is what the kernel keeps: the greatest resident set of any single process (ru_maxrss), exact, but
    not of all together. Below what the tool itself holds (some 30 MiB) the kernel cannot tell, and it is the mark
    that was last seen (VmHWM), or, of a command that was over before anybody looked, an upper bound.

    `group_memory` is the greatest sum of the proportional sets (PSS) of all processes at one moment, sampled, and
    only there if there were several at once. `gpu_memory` is the most that nvidia-smi reported, sampled: of the
    command's own processes, or, where `gpu_scope` says `cards`, how far the use of all cards rose above what it was
    at the start (other people's included).
    """

    user_seconds: float
    system_seconds: float
    peak_memory: int
    group_memory: int | None = None
    gpu_memory: int | None = None
    gpu_scope: Literal["processes", "cards"] | None = None


class TraceSummary(Recorded, frozen=True, kw_only=True):
    """What is known of the run's trace. `reason` says why it is unavailable."""

    level: TraceLevel = "none"
    status: TraceStatus = "none"
    tracer: str | None = None
    calls: int | None = None
    digest: str | None = None
    reason: str | None = None


class Observed(Recorded, frozen=True, kw_only=True):
    """Declared against observed: study paths read or written without being declared, network calls made."""

    undeclared_reads: tuple[str, ...] = ()
    undeclared_writes: tuple[str, ...] = ()
    unused_inputs: tuple[str, ...] = ()
    network: tuple[str, ...] = ()


class RunRecord(Recorded, frozen=True, kw_only=True, tag_field="schema", tag=1):
    """Everything that is recorded about one execution, apart from its captured streams and its trace.

    Times are ISO 8601 in UTC, `duration` is in seconds. `recipe` names what went in (code, parameters,
    input digests, environment), `result` what came out; both are `sha256:<hex>`. `result_md5` is DVC's name
    of the result directory. `metrics` are the declared ones, read from the outputs; `series` are those logged
    while it ran. `logged_params` names those of `params` that the script logged: the params file does not have them,
    and they are no part of the recipe. `trace_id` is the W3C trace id of its spans, `recovered` the time a crashed
    run was sealed, `imported` what it was imported from. `hermetic` is there if it was built in a sealed world.
    """

    id: str
    experiment: str
    status: RunStatus
    tool: str
    runner: str
    started: str
    ended: str | None = None
    duration: float | None = None
    exit_status: int | None = None
    signal: str | None = None
    failure: str | None = None
    reasons: tuple[str, ...] = ()
    command: str = ""
    argv: tuple[str, ...] = ()
    seed: int | None = None
    params: dict[str, Any] = {}
    logged_params: tuple[str, ...] = ()
    recipe: str | None = None
    result: str | None = None
    result_md5: str | None = None
    code: tuple[FileDigest, ...] = ()
    inputs: tuple[FileDigest, ...] = ()
    outputs: tuple[FileDigest, ...] = ()
    metrics: dict[str, float] = {}
    git: GitState = GitState()
    environment: Environment | None = None
    hardware: Hardware | None = None
    usage: Usage | None = None
    trace: TraceSummary = TraceSummary()
    observed: Observed | None = None
    trace_id: str | None = None
    tags: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    series: dict[str, Series] = {}
    telemetry: Telemetry | None = None
    artifacts: tuple[Artifact, ...] = ()
    lineage: Lineage | None = None
    failure_context: Failure | None = None
    plan: dict[str, Deviation] = {}
    eta: tuple[Eta, ...] = ()
    trial: Trial | None = None
    holder: Holder | None = None
    recovered: str | None = None
    imported: str | None = None
    hermetic: Hermetic | None = None
