"""Curves as a picture: SVG (the same bytes for the same curves), PNG, or an HTML page that needs nothing else.

Drawn with matplotlib, without a display. The colours are six of Okabe and Ito's palette, which people with any kind
of colour vision tell apart (https://jfly.uni-koeln.de/color/); further curves have other kinds of lines.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from entrenar_research.core.tracking.curves import Curve, Panel, thinned
from entrenar_research.errors import MissingToolError
from entrenar_research.views.terminal.tables import flat
from entrenar_research.views.terminal.widths import width

_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
_LINES = ("-", "--", ":", "-.")
_INK = "#010203"
_WIDTH, _HEIGHT, _DOTS = 8.0, 3.6, 150
_LEGENDS = 12
_LETTERS, _HANDLE = 105, 7  # letters of a legend beside each other; what its line takes
# Two columns a pixel of the picture: nothing that could be seen is left out.
_COLUMNS = int(_WIDTH * _DOTS * 2)


def svg(panels: Sequence[Panel], *, mark: str, log: bool = False, ink: str = "black") -> bytes:
    """The panels below each other. Text stays text; lines, axes and text have the colour `ink`.

    Raises:
        MissingToolError: if matplotlib is not installed.
    """
    data = _drawn(panels, "svg", log, {"Creator": mark, "Date": None})
    return data.replace(_INK.encode(), ink.encode())


def png(panels: Sequence[Panel], *, mark: str, log: bool = False) -> bytes:
    """The panels below each other, on white.

    Raises:
        MissingToolError: if matplotlib is not installed.
    """
    return _drawn(panels, "png", log, {"Software": mark})


def _drawn(panels: Sequence[Panel], kind: str, log: bool, metadata: dict[str, Any]) -> bytes:  # noqa: FBT001 - ours alone
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingToolError(
            f"drawing needs matplotlib: {error}", hint="pip install 'entrenar-research[plots]'"
        ) from error
    sink = io.BytesIO()
    with _style():
        figure = Figure(figsize=(_WIDTH, _HEIGHT * len(panels)), layout="constrained")
        for axes, panel in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
            _draw_panel(axes, panel, log=log)
        figure.savefig(sink, format=kind, dpi=_DOTS, metadata=metadata, transparent=kind == "svg")
    return sink.getvalue()


@contextmanager
def _style() -> Iterator[None]:
    """The own style of matplotlib, not the user's; no formulas in names; the same identifiers in every SVG."""
    import matplotlib.style

    ours = {
        "svg.hashsalt": "entrenar-research", "svg.fonttype": "none", "text.parse_math": False, "text.usetex": False,
        "font.size": 9.0, "axes.grid": True, "grid.alpha": 0.12, "axes.spines.top": False, "axes.spines.right": False,
        "text.color": _INK, "axes.labelcolor": _INK, "axes.edgecolor": _INK, "xtick.color": _INK, "ytick.color": _INK,
        "axes.unicode_minus": False, "grid.color": _INK,
    }  # fmt: skip
    with matplotlib.style.context(["default", ours]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def _draw_panel(axes: Any, panel: Panel, *, log: bool) -> None:
    handles = []
    for index, curve in enumerate(panel.curves):
        colour = _COLOURS[index % len(_COLOURS)]
        line = _LINES[index // len(_COLOURS) % len(_LINES)]
        if panel.smooth:
            _draw_curve(axes, curve, log=log, color=colour, linestyle=line, alpha=0.25, linewidth=0.8)
            curve = panel.smooth[index]  # noqa: PLW2901 - drawn over its own points
        handles.append(_draw_curve(axes, curve, log=log, color=colour, linestyle=line, linewidth=1.4))
    if log:
        axes.set_yscale("log")
    if panel.across == "step":
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel(panel.across)
    axes.set_ylabel(flat(panel.metric))
    shown = list(zip(handles, map(flat, panel.names), strict=True))
    more = len(shown) - _LEGENDS
    names = [name for _, name in shown[:_LEGENDS]]
    if more > 0:
        names[-1] += f" (and {more} more)"
    wide = max(map(width, names)) + _HANDLE
    axes.legend(
        handles[:_LEGENDS], names, fontsize="small", loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2,
        ncols=max(1, min(len(names), _LETTERS // wide)), frameon=False,
    )  # fmt: skip


def _draw_curve(axes: Any, curve: Curve, *, log: bool, **look: Any) -> Any:
    ys = [y if math.isfinite(y) and (y > 0 or not log) else math.nan for y in curve.ys]
    xs, ys = thinned(curve.xs, ys, _COLUMNS)
    alone = [
        index
        for index, y in enumerate(ys)
        if not math.isnan(y)
        and (index == 0 or math.isnan(ys[index - 1]))
        and (index == len(ys) - 1 or math.isnan(ys[index + 1]))
    ]
    marker = {"marker": "o", "markersize": 3.0, "markevery": alone} if alone else {}
    (line,) = axes.plot(xs, ys, **marker, **look)
    return line
