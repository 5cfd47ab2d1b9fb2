"""JUnit XML, as continuous integration reads it.

The elements and attributes are those of the schema `junit-10.xsd` (of Jenkins' xUnit plug-in), which GitHub's and
GitLab's readers understand too. No time stamps and no host names: the same cases give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from entrenar_research.core.reports.cases import Case, suites, tally

# Characters that XML 1.0 (section 2.2) has no place for.
_UNSPEAKABLE: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BREAKS: Final = {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}


def document(cases: Sequence[Case], *, name: str = "entrenar-research") -> bytes:
    """The cases as a JUnit document in UTF-8, a `testsuite` a suite.

    `fail` is a failure; `skip` and `no data` are skipped; a `warn` passes and tells its message in `system-out`.
    """
    every = suites(cases)
    head = f"<testsuites{_counts(cases, name, ('failures', 'errors'))}>"
    parts = ['<?xml version="1.0" encoding="UTF-8"?>', head]
    for suite, members in every.items():
        parts.append(f"  <testsuite{_counts(members, suite, ('failures', 'errors', 'skipped'))}>")
        parts += [_case(case) for case in members]
        parts.append("  </testsuite>")
    return "\n".join([*parts, "</testsuites>", ""]).encode()


def _counts(cases: Sequence[Case], name: str, kept: Sequence[str]) -> str:
    count = tally(cases)
    told = {"failures": count["fail"], "errors": 0, "skipped": count["skip"] + count["no data"]}
    numbers = "".join(f' {key}="{told[key]}"' for key in kept)
    known = [case.seconds for case in cases if case.seconds is not None]
    return f' name={_quoted(name)} tests="{len(cases)}"{numbers}' + (f' time="{sum(known):.6f}"' if known else "")


def _case(case: Case) -> str:
    time = "" if case.seconds is None else f' time="{case.seconds:.6f}"'
    head = f"    <testcase classname={_quoted(case.suite)} name={_quoted(case.name)}{time}"
    body = _body(case)
    return f"{head}>\n      {body}\n    </testcase>" if body else f"{head}/>"


def _body(case: Case) -> str:
    message = _quoted(case.message)
    if case.state == "fail":
        return f'<failure type="violation" message={message}>{_text(case.detail)}</failure>'
    if case.state == "skip":
        return f'<skipped type="skip" message={message}/>'
    if case.state == "no data":
        return f'<skipped type="no data" message={_quoted(f"no data: {case.message}")}/>'
    told = [f"warning: {case.message}"] if case.state == "warn" else [case.message]
    text = "\n".join(part for part in (*told, case.detail) if part)
    return f"<system-out>{_text(text)}</system-out>" if text else ""


def _text(words: str) -> str:
    return escape(_speakable(words), {"\r": "&#13;"})


def _quoted(words: str) -> str:
    return quoteattr(_speakable(words), _BREAKS)


def _speakable(words: str) -> str:
    return _UNSPEAKABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", words)
