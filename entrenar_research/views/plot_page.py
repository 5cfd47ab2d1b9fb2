"""A page with curves and the runs they are of: one file that needs no network, light or dark as its reader likes."""

from __future__ import annotations

import html
from collections.abc import Sequence

from entrenar_research.core import recipe
from entrenar_research.core.tracking import comparison, curves
from entrenar_research.models.run import RunRecord
from entrenar_research.views.answers import exact
from entrenar_research.views.terminal.answers import shown

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="{mark}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.4rem; }}
svg {{ width: 100%; height: auto; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: 0.9rem; }}
th, td {{ padding: 0.25rem 0.75rem; border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent); }}
th {{ text-align: left; }}
td.number, th.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
</style>
</head>
<body>
<h1>{title}</h1>
{picture}
<div class="wide">
<table>
<thead><tr>{headings}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
</div>
</body>
</html>
"""


def page(title: str, picture: bytes, runs: Sequence[RunRecord], metrics: Sequence[str], mark: str) -> bytes:
    """The page: `picture` is an SVG whose ink is `currentColor`; the table has the runs and their metrics."""
    svg = picture.decode()
    params = [recipe.dotted(run.params) for run in runs]
    keys = curves.differing(params)
    headings = [("run", False), ("status", False), ("started", False), *((key, True) for key in keys)]
    headings += [(name, True) for name in metrics]
    rows = []
    for run, own in zip(runs, params, strict=True):
        cells = [run.id, run.status, run.started, *("" if key not in own else exact(own[key]) for key in keys)]
        values = (comparison.value(run, name) for name in metrics)
        cells += ["" if value is None else shown(value) for value in values]
        rows.append("".join(_cell("td", cell, number=right) for cell, (_, right) in zip(cells, headings, strict=True)))
    return _PAGE.format(
        mark=html.escape(mark),
        title=html.escape(title),
        picture=svg[svg.index("<svg") :],
        headings="".join(_cell("th", name, number=right) for name, right in headings),
        rows="\n".join(f"<tr>{row}</tr>" for row in rows),
    ).encode(errors="replace")


def _cell(tag: str, text: str, *, number: bool) -> str:
    kind = ' class="number"' if number else ""
    return f"<{tag}{kind}>{html.escape(text)}</{tag}>"
