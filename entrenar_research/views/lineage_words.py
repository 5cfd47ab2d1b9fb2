"""The lineage in words, as JSON and as Graphviz' DOT (https://graphviz.org/doc/info/lang.html)."""

from __future__ import annotations

import re
from typing import Any, get_args

import msgspec

from entrenar_research.actions.runs.lineage import Family
from entrenar_research.models.tracking import Parent, Relationship

_UNWRITABLE = re.compile(
    "[^\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
"""Control characters, other ends of lines, and what turns the direction of text."""
FROM: dict[Relationship, str] = {
    "fine_tuned_from": "fine-tuned from",
    "distilled_from": "distilled from",
    "ensemble_member": "an ensemble with",
    "hyperparameter_search": "from the hyper-parameter search",
    "data_augmentation": "on augmented data of",
    "initialization": "initialised from",
}
KINDS: dict[Relationship, str] = {kind: kind.replace("_", " ") for kind in get_args(Relationship)}


def clean(text: str) -> str:
    """A name on one line, with whatever a terminal would obey or XML 1.0 cannot hold made visible."""
    return _UNWRITABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def origin(family: Family, link: Parent) -> str:
    """One parent in words: `distilled from student-b8cb as teacher`."""
    role = f" as {clean(link.role)}" if link.role else ""
    missing = "" if link.run in family.members else ", which is not in this study"
    return f"{FROM[link.relationship]} {clean(family.names.get(link.run, link.run))}{role}{missing}"


def plain(family: Family) -> dict[str, Any]:
    """The drawing for other programs: runs in an order in which parents come first, and what is wrong with it."""
    runs = []
    for run in family.dag.order():
        member = family.members.get(run)
        runs.append(
            {
                "id": run,
                "known": member is not None,
                "experiment": member.experiment if member else None,
                "status": member.status if member else None,
                "started": member.started if member else None,
                "lamport": family.dag.times.get(run),
                "parents": [
                    {"run": link.run, "relationship": link.relationship, "role": link.role}
                    for link in family.parents(run)
                ],
            }
        )
    return {"runs": runs, "cycles": [list(cycle) for cycle in family.dag.cycles()]}


def json_text(family: Family) -> str:
    """`plain` as one line of JSON."""
    return msgspec.json.encode(plain(family)).decode() + "\n"


def dot(family: Family) -> str:
    """The drawing as a Graphviz digraph, lines from parent to child."""
    lines = ["digraph lineage {", "  rankdir=LR;", '  node [shape=box, fontname="monospace"];']
    for run in family.dag.order():
        member = family.members.get(run)
        time = family.dag.times.get(run)
        said = [family.names[run], member.status if member else "not in this study"]
        said += [] if time is None else [f"Lamport time {time}"]
        style = ', style="dashed"' if member is None else ""
        lines.append(f"  {_quoted(run)} [label={_quoted(*said)}{style}];")
    for run in family.dag.order():
        for link in family.dag.links[run]:
            words = KINDS[link.relationship] + (f" ({link.role})" if link.role else "")
            lines.append(f"  {_quoted(link.run)} -> {_quoted(run)} [label={_quoted(words)}];")
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(*lines: str) -> str:
    r"""A quoted string of DOT, lines apart by its `\n`; a backslash in a name is kept as one."""
    escaped = (clean(line).replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return '"' + "\\n".join(escaped) + '"'
