"""What a study demands of its traces: `renacer.toml`."""

from __future__ import annotations

from typing import Literal

import msgspec

AssertionType = Literal["critical_path", "span_count", "memory_usage", "anti_pattern", "custom"]
AssertionState = Literal["pass", "warn", "fail", "skip", "no data"]
Algorithm = Literal["none", "rle", "zstd", "lz4", "snappy"]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the file, which people write: an unknown key is a mistake, not an extension."""


class CompressionPolicy(_Section, frozen=True, kw_only=True):
    """`[compression]`: how traces are stored (spec 26). Smaller ones than `min_file_size_kb` are left as they are."""

    enabled: bool = True
    algorithm: Algorithm = "zstd"
    level: int | None = None
    min_file_size_kb: int = 100


class EquivalencePolicy(_Section, frozen=True, kw_only=True):
    """`[semantic_equivalence]`: when two traces count as the same behaviour (spec 25)."""

    enabled: bool = True
    baseline_dir: str = "golden_traces"
    min_confidence: float = 0.90
    check_write_patterns: bool = True
    check_file_operations: bool = True
    check_output_correctness: bool = True
    check_memory_allocations: bool = False
    expected_speedup_min: float | None = None
    expected_speedup_max: float | None = None


class ClockPolicy(_Section, frozen=True, kw_only=True):
    """`[lamport_clock]`: logical time over the processes of a trace."""

    enabled: bool = True
    propagate_across_fork: bool = True
    propagate_across_exec: bool = True
    env_var: str = "RENACER_LOGICAL_CLOCK"


class OtlpPolicy(_Section, frozen=True, kw_only=True):
    """`[otlp]`: where `trace export --otlp` sends to when no address is given."""

    enabled: bool = False
    endpoint: str = "http://localhost:4318"
    service_name: str = "entrenar-research"


class CiPolicy(_Section, frozen=True, kw_only=True):
    """`[ci]`: stop at the first failure; which report is left where (a study path)."""

    fail_fast: bool = False
    export_format: Literal["json", "junit", "markdown"] = "json"
    export_path: str | None = None
    compare_with_baseline: bool = False


class Assertion(msgspec.Struct, frozen=True, kw_only=True):
    """One `[[assertion]]`, at `line` of the file. Only the keys of its type are set; patterns are regular expressions.

    `threshold` is a confidence in 0..1; `max_duration_ms` and `max_bytes` are what they say.
    """

    name: str
    type: AssertionType
    line: int = 0
    enabled: bool = True
    fail_on_violation: bool = True
    max_duration_ms: float | None = None
    trace_name_pattern: str | None = None
    max_spans: int | None = None
    span_name_pattern: str | None = None
    max_bytes: int | None = None
    tracking_mode: Literal["allocations", "rss"] = "allocations"
    pattern: str | None = None
    threshold: float | None = None
    process_name_pattern: str | None = None
    expression: str | None = None


class TracePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file; every section has its defaults where the file is absent."""

    assertions: tuple[Assertion, ...] = ()
    semantic_equivalence: EquivalencePolicy = EquivalencePolicy()
    compression: CompressionPolicy = CompressionPolicy()
    lamport_clock: ClockPolicy = ClockPolicy()
    otlp: OtlpPolicy = OtlpPolicy()
    ci: CiPolicy = CiPolicy()


class AssertionResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of an assertion: `actual` and `limit` in `unit` (ms, calls, bytes, confidence), words in `message`.

    `fail` is a violation whose assertion says `fail_on_violation`, `warn` one whose does not; `skip` was switched
    off, or not reached; `no data` means that the trace does not hold what the assertion asks about.
    """

    name: str
    type: AssertionType
    state: AssertionState
    message: str
    actual: float | None = None
    limit: float | None = None
    unit: str | None = None
