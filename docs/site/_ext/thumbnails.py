"""Small pictures of figures for the gallery: plotly's lines, bars and heat maps as SVG, without axes or words."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from initlab.reporting.blocks import HistogramGrid, ImageGrid
from initlab.reporting.figures import to_plotly
from initlab.reporting.palette import SERIES
from initlab.reporting.pictures import image_sources

if TYPE_CHECKING:
    from sphinx.application import Sphinx

WIDTH, HEIGHT, EDGE = 320, 180, 10
Span = tuple[float, float]


def place(app: Sphinx, docname: str) -> Path:
    """Where the picture of a page is kept until the gallery is written."""
    return Path(app.doctreedir) / "pictures" / f"{docname}.svg"


def of_page(values: Iterable[Any], put: Callable[[str], str] = str) -> str:
    """The picture of the first figure that a page's blocks gave, its title put by `put`; empty where there is none."""
    for value in values:
        figure = to_plotly(value) if isinstance(value, HistogramGrid) else value
        if isinstance(figure, go.Figure) and figure.data:
            return drawing(figure, put)
    return ""


def drawing(figure: go.Figure, put: Callable[[str], str] = str) -> str:
    """The figure as an SVG element."""
    spans = _spans(figure)
    marks = [_trace(figure, trace, number, spans) for number, trace in enumerate(figure.data)]
    title = html.escape(put(figure.layout.title.text or ""))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>{title}</title>{''.join(marks)}</svg>"
    )


def _trace(figure: go.Figure, trace: Any, number: int, spans: dict[str, Span]) -> str:
    colour = SERIES[number % len(SERIES)][0]
    for part in (trace.line if trace.type == "scatter" else None, getattr(trace, "marker", None)):
        colour = part.color if part is not None and isinstance(part.color, str) else colour
    across, down = _scale(figure, trace, "x", spans), _scale(figure, trace, "y", spans)
    if trace.type == "heatmap":
        (source, _), *_ = image_sources(ImageGrid("", [list(map(list, reversed(trace.z)))]))
        box = (min(across.ends), min(down.ends), abs(across.length), abs(down.length))
        x, y, w, h = (f"{v:.1f}" for v in box)
        return f'<image href="{source}" x="{x}" y="{y}" width="{w}" height="{h}" preserveAspectRatio="none"/>'
    xs, ys = _numbers(trace.x), _numbers(trace.y)
    if trace.type == "bar":
        return _bars(figure, trace, xs, ys, across, down, colour)
    if trace.line.width == 0:
        return ""
    points = [(across(x), down(y)) for x, y in zip(xs, ys, strict=True)]
    shown = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if "lines" in (trace.mode or "lines"):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in shown)
        return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5" stroke-linejoin="round"/>'
    return "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in shown)


def _bars(figure: go.Figure, trace: Any, xs: Any, ys: Any, across: Any, down: Any, colour: str) -> str:
    beside = [t for t in figure.data if t.type == "bar" and t.xaxis == trace.xaxis and t.yaxis == trace.yaxis]
    groups = 1 if figure.layout.barmode == "overlay" else len(beside)
    step = min((abs(b - a) for a, b in pairwise(xs)), default=1.0)
    width = step / groups * (0.8 if groups > 1 else 1.0)
    offset = (beside.index(trace) - groups / 2) * width if groups > 1 else -width / 2
    parts = []
    for x, y in zip(xs, ys, strict=True):
        left, right, top, foot = across(x + offset), across(x + offset + width), down(y), down(0.0)
        if math.isfinite(top) and top != foot:
            box = (left, min(top, foot), max(right - left, 0.8), abs(foot - top))
            x0, y0, w, h = (f"{v:.1f}" for v in box)
            parts.append(f'<rect x="{x0}" y="{y0}" width="{w}" height="{h}" fill="{colour}"/>')
    return "".join(parts)


class _Scale:
    """From a value of an axis to a place in the picture."""

    def __init__(self, span: Span, start: float, length: float, log: bool) -> None:
        self.span, self.start, self.length, self.log = span, start, length, log
        self.ends = (start, start + length)

    def __call__(self, value: float) -> float:
        low, high = self.span
        if self.log:
            value = math.log10(value) if value > 0 else (low if value == 0 else math.nan)
        share = (value - low) / ((high - low) or 1.0)
        return self.start + self.length * (share if math.isnan(share) else min(max(share, 0.0), 1.0))


def _scale(figure: go.Figure, trace: Any, letter: str, spans: dict[str, Span]) -> _Scale:
    axis = _axis(figure, trace, letter)
    low, high = axis.domain or (0.0, 1.0)
    size = (WIDTH if letter == "x" else HEIGHT) - 2 * EDGE
    start, length = (low, high - low) if letter == "x" else (1.0 - low, low - high)
    return _Scale(spans[_key(axis, trace, letter)], EDGE + size * start, size * length, axis.type == "log")


def _axis(figure: go.Figure, trace: Any, letter: str) -> Any:
    name = (trace.xaxis if letter == "x" else trace.yaxis) or letter
    return figure.layout[f"{letter}axis{name[1:]}"]


def _key(axis: Any, trace: Any, letter: str) -> str:
    return axis.matches or (trace.xaxis if letter == "x" else trace.yaxis) or letter


def _spans(figure: go.Figure) -> dict[str, Span]:
    """The range of every axis, shared by those that match."""
    found: dict[str, list[float]] = {}
    for trace in figure.data:
        for letter in "xy":
            axis = _axis(figure, trace, letter)
            values = found.setdefault(_key(axis, trace, letter), [])
            numbers = _numbers(trace[letter]) if trace[letter] is not None else [0.0, 1.0]
            fixed = [end for end in axis.range or () if end is not None]
            values += fixed
            if len(fixed) == 2:
                continue
            if axis.type == "log":
                values += [math.log10(v) for v in numbers if v > 0 and math.isfinite(v)]
            else:
                values += [v for v in numbers if math.isfinite(v)]
                values += [0.0] if trace.type == "bar" and letter == "y" else []
                values += [min(values) - 0.5, max(values) + 0.5] if trace.type == "bar" and letter == "x" else []
    return {key: (min(values), max(values)) if values else (0.0, 1.0) for key, values in found.items()}


def _numbers(values: Sequence[Any]) -> list[float]:
    """Values of an axis as numbers; categories as their places."""
    listed = list(values)
    if any(isinstance(value, str) for value in listed):
        return [float(place) for place in range(len(listed))]
    return [math.nan if value is None else float(value) for value in listed]
