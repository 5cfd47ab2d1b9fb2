"""Holding a trace against a policy: its assertions, and the anti-patterns in it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from entrenar_research.actions.traces.reading import Loaded
from entrenar_research.core.reports import cases, junit, markdown
from entrenar_research.core.reports.cases import Case
from entrenar_research.core.traces import patterns
from entrenar_research.core.traces.budgets import assertions
from entrenar_research.core.traces.budgets.assertions import Evidence
from entrenar_research.models.patterns import PatternFinding
from entrenar_research.models.policy import AssertionResult, CiPolicy, TracePolicy
from entrenar_research.store import ci_reports, files, policy_file

SCHEMA: Final = 1


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a check of the trace `name` found; `exit` is the status it ends with."""

    schema: int
    name: str
    trace_id: str
    exit: int
    promotion_blocked: bool
    assertions: tuple[AssertionResult, ...]
    patterns: tuple[PatternFinding, ...]


def policy(root: Path, given: str | None) -> TracePolicy:
    """The policy in the file `given`, or in `renacer.toml` of `root`.

    Raises:
        UsageError: if the file given is not there or cannot be read.
        InvalidFileError: if it is not as it should be.
    """
    if given is None:
        return policy_file.load(root)
    return policy_file.parse(files.read_text(Path(given), shown=given), given)


def check(found: Loaded, policy: TracePolicy) -> Checked:
    """The trace held against the policy."""
    evidence = Evidence(name=found.name, document=found.document, measured=found.measured)
    results = assertions.evaluate(policy, evidence)
    findings = patterns.detect(found.document)
    return Checked(
        schema=SCHEMA,
        name=found.name,
        trace_id=found.document.trace_id,
        exit=assertions.exit_code(results),
        promotion_blocked=patterns.blocks_promotion(findings),
        assertions=results,
        patterns=findings,
    )


def reported(checked: Checked) -> tuple[Case, ...]:
    """What was checked as cases of a report."""
    return (
        *cases.of_assertions(f"{checked.name}: assertions", checked.assertions),
        *cases.of_patterns(f"{checked.name}: patterns", checked.patterns),
    )


def export(checked: Checked, ci: CiPolicy, root: Path) -> str | None:
    """Writes the report that `[ci]` asks for, below `root`; its path there, None where none is asked for.

    Raises:
        UsageError: if the directory is a file, or leads out of `root`.
        StorageError: if it cannot be written.
    """
    target = ci_reports.place(root, ci, checked.name)
    if target is None:
        return None
    files.write_atomically(target, rendered(checked, ci.export_format))
    return target.relative_to(root).as_posix()


def rendered(checked: Checked, form: str) -> bytes:
    """The report in a format: json, junit or markdown."""
    if form == "junit":
        return junit.document(reported(checked))
    if form == "markdown":
        return markdown.document(f"Trace {checked.name}", reported(checked)).encode()
    return msgspec.json.format(msgspec.json.encode(checked, order="deterministic"), indent=2) + b"\n"
