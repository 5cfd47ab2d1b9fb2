"""The `renacer.toml` of both reports: budgets of a training library and of a scripting language, and all sections."""

from __future__ import annotations

_BUDGETS = """\
[[assertion]]
name = "{latency}"
type = "critical_path"
max_duration_ms = {milliseconds}
fail_on_violation = true

[[assertion]]
name = "max_syscall_budget"
type = "span_count"
max_spans = {calls}
fail_on_violation = true

[[assertion]]
name = "memory_allocation_budget"
type = "memory_usage"
max_bytes = {size}
fail_on_violation = true

[[assertion]]
name = "prevent_god_process"
type = "anti_pattern"
pattern = "GodProcess"
threshold = 0.8
fail_on_violation = false

[[assertion]]
name = "detect_tight_loop"
type = "anti_pattern"
pattern = "TightLoop"
threshold = 0.7
fail_on_violation = false

[[assertion]]
name = "ultra_strict_latency"
type = "critical_path"
max_duration_ms = {strict}
fail_on_violation = true
enabled = false
"""
TRAINING = "# Performance assertions of a training library\n" + _BUDGETS.format(
    latency="training_iteration_latency",
    milliseconds="2000  # forward, backward and optimizer step",
    calls=10_000,
    size='2147483648\ntracking_mode = "allocations"',
    strict=500,
)
SCRIPTING = _BUDGETS.format(
    latency="script_execution_latency", milliseconds=500, calls=2000, size=524_288_000, strict=100
)
SECTIONS = """
[semantic_equivalence]
enabled = true
baseline_dir = "golden_traces/baseline"
min_confidence = 0.90
check_write_patterns = true
check_file_operations = true
check_output_correctness = true
check_memory_allocations = false
expected_speedup_min = 1.0
expected_speedup_max = 10.0

[lamport_clock]
enabled = true
propagate_across_fork = true
propagate_across_exec = true
env_var = "RENACER_LAMPORT_CLOCK"

[compression]
enabled = true
algorithm = "rle"
min_file_size_kb = 100

[otlp]
enabled = false
endpoint = "http://localhost:4317"
service_name = "entrenar"

[ci]
fail_fast = true
export_format = "json"
export_path = "target/renacer-reports"
compare_with_baseline = true
"""
