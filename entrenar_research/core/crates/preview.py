"""`ro-crate-preview.html`: one static page for people, without scripts, fonts or links to elsewhere."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Final

from entrenar_research.core.crates import paths
from entrenar_research.models.run import RunRecord
from entrenar_research.models.study import Person, Study

MOST_ROWS: Final = 2000
"""Rows of a table at most; the page then says how many more there are."""

_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse}td,th{text-align:left;padding:.2em 1em .2em 0;vertical-align:top;"
    "border-bottom:1px solid #ddd}td.n{text-align:right;white-space:nowrap}"
)


def page(study: Study, runs: Sequence[RunRecord], files: Sequence[tuple[str, int]], *, date: str, tool: str) -> bytes:
    """Title, authors, licence, runs with their metrics, files (path, bytes). `date` is ISO 8601."""
    title = html.escape(study.title)
    parts = [
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>',
        f'<meta name="viewport" content="width=device-width">\n<style>{_STYLE}</style>\n</head>\n<body>',
        f"<h1>{title}</h1>",
        *(f"<p>{_person(person)}</p>" for person in study.authors),
        *([f"<p>{html.escape(study.description)}</p>"] if study.description else []),
        f"<p>Version {html.escape(study.version)}, {html.escape(date)}.</p>",
        f"<p>Licence: {html.escape(study.license)}.</p>",
    ]
    ordered = sorted(runs, key=lambda record: record.id)
    parts += _table("Runs", ("run", "experiment", "status", "metrics"), [_run(record) for record in ordered])
    parts += _table("Files", ("path", "bytes"), [_file(path, size) for path, size in sorted(files)])
    name = paths.METADATA
    parts.append(
        f'<p>Written by {html.escape(tool)}. For programs: <a href="{name}">{name}</a> (RO-Crate), '
        "with the digest of every file.</p>\n</body>\n</html>\n"
    )
    return "\n".join(parts).encode("utf-8", "backslashreplace")


def _person(person: Person) -> str:
    said = [html.escape(person.name)]
    if person.orcid:
        said.append(f"ORCID {html.escape(person.orcid)}")
    said += [html.escape(affiliation.name) for affiliation in person.affiliations]
    return ", ".join(said)


def _run(record: RunRecord) -> str:
    pairs = sorted(record.metrics.items())
    metrics = "<br>".join(f"{html.escape(name)} = {value!r}" for name, value in pairs)
    cells = (html.escape(record.id), html.escape(record.experiment), html.escape(record.status), metrics)
    return "".join(f"<td>{cell}</td>" for cell in cells)


def _file(path: str, size: int) -> str:
    link = html.escape(paths.to_id(path))
    return f'<td><a href="{link}">{html.escape(path)}</a></td><td class="n">{size}</td>'


def _table(title: str, heads: tuple[str, ...], rows: list[str]) -> list[str]:
    if not rows:
        return []
    lines = [f"<h2>{title}</h2>\n<table>\n<tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>"]
    lines += [f"<tr>{row}</tr>" for row in rows[:MOST_ROWS]]
    lines.append("</table>")
    if len(rows) > MOST_ROWS:
        lines.append(f"<p>and {len(rows) - MOST_ROWS} more</p>")
    return lines
