"""A summary in GitHub Flavored Markdown (also shown by GitLab): a verdict, a table a suite, the details of what fails.

Names and messages come from other people's files: what could be read as markup or HTML is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from entrenar_research.core.reports.cases import Case, suites, tally

_MARKS: Final = {"pass": "✅ pass", "warn": "⚠️ warn", "fail": "❌ fail", "skip": "⏭️ skip", "no data": "❔ no data"}
_MARKUP: Final = re.compile(r"[\\`*_{}\[\]()#+!|~$]")
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_TELLING: Final = frozenset({"fail", "warn", "no data"})


def document(title: str, cases: Sequence[Case]) -> str:
    """The summary of the cases under a heading; ends with a newline."""
    parts = [f"## {_inline(title)}", "", _verdict(cases), ""]
    for suite, members in suites(cases).items():
        parts += [f"### {_inline(suite)}", "", *_table(members), ""]
        parts += [line for case in members if case.state in _TELLING and case.detail for line in _detail(case)]
    return "\n".join(parts).rstrip("\n") + "\n"


def _verdict(cases: Sequence[Case]) -> str:
    if not cases:
        return "Nothing was checked."
    count = tally(cases)
    told = ", ".join(f"{number} {state}" for state, number in count.items() if number)
    if count["fail"]:
        return f"**Failed**: {told}."
    return f"**Not everything could be checked**: {told}." if count["no data"] else f"**Passed**: {told}."


def _table(cases: Sequence[Case]) -> list[str]:
    timed = any(case.seconds is not None for case in cases)
    head = [
        "| state | name | message |" + (" seconds |" if timed else ""),
        "|---|---|---|" + ("---:|" if timed else ""),
    ]
    for case in cases:
        row = f"| {_MARKS[case.state]} | {_inline(case.name)} | {_inline(case.message)} |"
        seconds = "" if case.seconds is None else f"{case.seconds:.3f}"
        head.append(f"{row} {seconds} |" if timed else row)
    return head


def _detail(case: Case) -> list[str]:
    text = _visible(case.detail)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    summary = f"<summary>{case.state}: {_html(_one_line(case.name))}</summary>"
    return [f"<details>{summary}", "", f"{fence}text", *text.splitlines(), fence, "", "</details>", ""]


def _inline(words: str) -> str:
    return _html(_MARKUP.sub(r"\\\g<0>", _one_line(words)))


def _html(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _one_line(words: str) -> str:
    return " ".join(_visible(words).split())


def _visible(words: str) -> str:
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", words.replace("\r\n", "\n"))
