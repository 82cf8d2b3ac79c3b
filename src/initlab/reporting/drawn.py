"""A plotly figure that also saves itself as PNG, SVG or PDF, drawn by matplotlib, which needs no browser."""

from __future__ import annotations

import base64
import html
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go

from initlab.errors import InputError, unknown
from initlab.reporting.files import atomic_write

ENDINGS = (".pdf", ".png", ".svg")
_DASHES = {"solid": "-", "dash": "--", "dot": ":"}


class DrawnFigure(go.Figure):  # type: ignore[misc]  # plotly has no types
    """What `.figure()` gives: plotly's Figure, with `save`."""

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the figure as its ending says.

        Args:
            path: ends in .png, .svg or .pdf.

        Raises:
            InputError: another ending, a path that cannot be written, no matplotlib, a kind of trace that only a
                page shows.
        """
        ending = Path(path).suffix.lower()
        if ending not in ENDINGS:
            raise unknown("figure ending", ending, ENDINGS, f"path {os.fspath(path)!r}")
        try:
            # lazy: matplotlib is the extra `figures`, which few need
            import matplotlib
            from matplotlib.figure import Figure  # lazy: as above
        except ImportError:
            raise InputError(
                "figures are saved by matplotlib, which is not installed: pip install 'initlab[figures]'"
            ) from None
        drawn = Figure(figsize=(9, 4.5), layout="constrained")
        with (
            matplotlib.rc_context({"svg.hashsalt": "initlab", "font.size": 9}),
            tempfile.TemporaryDirectory() as folder,
        ):
            _draw(self, drawn)
            made = Path(folder) / f"figure{ending}"
            dates = {} if ending == ".png" else {"Date": None} if ending == ".svg" else {"CreationDate": None}
            drawn.savefig(made, dpi=150, metadata=dates)
            return atomic_write(path, made.read_bytes())


def _draw(figure: go.Figure, drawn: Any) -> None:
    layout = figure.to_dict()["layout"]
    places = list(
        dict.fromkeys((getattr(t, "xaxis", None) or "x", getattr(t, "yaxis", None) or "y") for t in figure.data)
    )
    columns = (layout.get("grid") or {}).get("columns") or len(places) or 1
    rows = -(-len(places) // columns) or 1
    if rows > 1:
        drawn.set_size_inches(9, 1 + 1.5 * rows)
    cells = drawn.subplots(rows, columns, squeeze=False).ravel()
    for cell in cells[len(places) :]:
        cell.set_axis_off()
    axes = dict(zip(places, cells, strict=False))
    titles = [_plain(note.get("text", "")) for note in layout.get("annotations") or []]
    for index, (place, cell) in enumerate(axes.items()):
        _axis(cell, layout, place)
        if len(places) > 1 and len(titles) == len(places):
            cell.set_title(titles[index], fontsize=8, loc="left")
    for trace in figure.data:
        _trace(axes[(getattr(trace, "xaxis", None) or "x", getattr(trace, "yaxis", None) or "y")], trace, figure)
    first = cells[0]
    if len(places) == 1 and len(first.get_legend_handles_labels()[1]) > 1:
        first.legend(fontsize=8, frameon=False)
    if title := _plain((layout.get("title") or {}).get("text") or ""):
        drawn.suptitle(title)


def _axis(cell: Any, layout: dict[str, Any], place: tuple[str, str]) -> None:
    for letter, name in zip("xy", place, strict=True):
        axis = layout.get(f"{letter}axis{name[1:]}") or {}
        label = _plain((axis.get("title") or {}).get("text") or "")
        getattr(cell, f"set_{letter}label")(label)
        if axis.get("type") == "log":
            getattr(cell, f"set_{letter}scale")("log")
        if axis.get("showticklabels") is False:
            getattr(cell, f"set_{letter}ticks")([])
        if axis.get("range") and axis.get("type") != "log":
            getattr(cell, f"set_{letter}lim")(*axis["range"])
        if axis.get("visible") is False:
            cell.set_axis_off()
    cell.spines[["top", "right"]].set_visible(False)


def _trace(cell: Any, trace: Any, figure: go.Figure) -> None:
    shown = trace.showlegend is not False
    label = _plain(trace.name or "") if shown and trace.name else None
    if trace.type in ("scatter", "scattergl"):
        _scatter(cell, trace, label, figure)
    elif trace.type == "bar":
        _bar(cell, trace, label, figure)
    elif trace.type in ("heatmap", "contour"):
        _heat(cell, trace, figure)
    else:
        raise InputError(f"a {trace.type} figure is shown on a page alone; save another of the figures, or the page")


def _bar(cell: Any, trace: Any, label: str | None, figure: go.Figure) -> None:
    horizontal = trace.orientation == "h"
    bars = [t for t in figure.data if t.type == "bar" and (t.xaxis, t.yaxis) == (trace.xaxis, trace.yaxis)]
    across, along = (_values(v) for v in ((trace.y, trace.x) if horizontal else (trace.x, trace.y)))
    words = any(isinstance(value, str) for value in across)
    places = np.arange(len(across), dtype=float) if words else np.asarray(across, dtype=float)
    step = float(np.min(np.diff(np.sort(places)))) if len(places) > 1 else 1.0
    width = step * (1.0 if not words else 0.8) / len(bars)
    where = places + (bars.index(trace) - (len(bars) - 1) / 2) * width
    draw = cell.barh if horizontal else cell.bar
    draw(where, _numbers(along), width, label=label, color=_colour(trace.marker.color))
    if words:
        getattr(cell, f"set_{'y' if horizontal else 'x'}ticks")(places, [_plain(str(value)) for value in across])


def _heat(cell: Any, trace: Any, figure: go.Figure) -> None:
    rows = np.array([_numbers(row) for row in _values(trace.z)], dtype=float)
    if trace.showscale is False:  # a picture: no axes, its own greys
        cell.imshow(rows, cmap="gray", vmin=trace.zmin, vmax=trace.zmax, interpolation="nearest")
        return
    words = any(isinstance(v, str) for v in (*_values(trace.x), *_values(trace.y)))
    if words and len(figure.data) > 1:
        raise InputError("this figure has words on its axes and is shown on a page alone; save another, or the page")
    x, y = (np.arange(rows.shape[1]), np.arange(rows.shape[0])) if words else (_numbers(trace.x), _numbers(trace.y))
    mesh = (cell.contourf if trace.type == "contour" else cell.pcolormesh)(x, y, rows, cmap="Blues")
    cell.figure.colorbar(mesh, ax=cell)
    if words:
        cell.set_xticks(x, [_plain(str(v)) for v in _values(trace.x)], rotation=45, ha="right")
        cell.set_yticks(y, [_plain(str(v)) for v in _values(trace.y)])


def _scatter(cell: Any, trace: Any, label: str | None, figure: go.Figure) -> None:
    x = [_plain(v) if isinstance(v, str) else v for v in _values(trace.x)]
    y, mode = _numbers(trace.y), trace.mode or "lines"
    if trace.fill == "tonexty":
        below = figure.data[list(figure.data).index(trace) - 1]
        cell.fill_between(x, _numbers(below.y), y, alpha=0.16, color=_colour(trace.line.color), linewidth=0)
        return
    colour = _colour(trace.line.color) or _colour(trace.marker.color)
    style = _DASHES.get(trace.line.dash or "solid", "--") if "lines" in mode else "none"
    width = 1.6 if trace.line.width is None else float(trace.line.width) * 0.8
    mark = "o" if "markers" in mode else None
    cell.plot(x, y, linestyle=style, color=colour, label=label, linewidth=width, marker=mark, markersize=3.5)
    if any(isinstance(value, str) for value in x):
        cell.tick_params(axis="x", rotation=45)


def _numbers(values: Any) -> list[float]:
    return [float("nan") if value is None else float(value) for value in _values(values)]


def _values(values: Any) -> Any:
    """Plotly's JSON holds long arrays as base64 with their dtype and shape."""
    if not isinstance(values, dict):
        return values
    array = np.frombuffer(base64.b64decode(values["bdata"]), dtype=values["dtype"])
    shape = values.get("shape")
    return array.reshape([int(size) for size in str(shape).split(",")]) if shape else array


def _colour(value: Any) -> Any:
    """A colour that matplotlib reads too; None for a scale of them."""
    if not isinstance(value, str):
        return None
    parts = re.fullmatch(r"rgba?\(([^)]*)\)", value)
    if parts is None:
        return value
    numbers = [float(part) for part in parts[1].split(",")]
    return (*(n / 255 for n in numbers[:3]), 1.0)


def _plain(text: str) -> str:
    """A text of plotly's without its markup, `$` not for mathematics."""
    return html.unescape(re.sub(r"<br>", " ", text)).replace("$", r"\$")
