"""Figures as plotly figures: one palette, names escaped against plotly's own markup, gaps where there is no value."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from initlab.reporting.axes import axis_of, log_axis, plotted, ticks_at
from initlab.reporting.blocks import (
    BarFigure,
    HeatmapFigure,
    HistogramGrid,
    ImageGrid,
    LineFigure,
    Named,
    ReadyFigure,
    ScatterFigure,
    Series,
)
from initlab.reporting.grids import grid_dict
from initlab.reporting.palette import GRID, INK, MUTED, RAMP, TONES, series_colour, translucent
from initlab.reporting.words import clean
from initlab.reporting.words import plotly_text as words

if TYPE_CHECKING:
    import plotly.graph_objects as go

MAX_POINTS = 4000
FEW = 6  # so many places or fewer on a log axis, such as widths that were tried, are its ticks
FONT = 'Inter, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif'


def to_plotly(figure: Named) -> go.Figure:
    """`figure` as a plotly Figure, for a notebook or for further work on it."""
    # lazy: plotly is heavy, and only figures need it
    import plotly.graph_objects as go

    return go.Figure(plotly_dict(figure, titled=True))


def plotly_dict(figure: Named, *, titled: bool) -> dict[str, Any]:
    """The figure's data and layout as plotly's JSON schema has them; plotly itself is not imported."""
    if isinstance(figure, HistogramGrid | ImageGrid):
        return grid_dict(figure, _layout({}, {}, 1), titled=titled)
    if isinstance(figure, ReadyFigure):
        data, layout = _ready(figure)
    elif isinstance(figure, HeatmapFigure):
        data, layout = _heatmap(figure)
    elif isinstance(figure, BarFigure):
        data, layout = _bars(figure)
    else:
        data, layout = _lines(figure)
    if titled:
        layout["title"] = {"text": words(figure.title)}
        layout["margin"]["t"] = 56
    return {"data": data, "layout": layout}


def _lines(figure: LineFigure | ScatterFigure) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    data: list[dict[str, Any]] = []
    for position, series in enumerate(figure.series):
        colour = series_colour(position, series.tone)
        series = _thin(series)
        if series.low and series.high and isinstance(figure, LineFigure):
            data += _band(series, colour, figure.log_y)
        data.append(_trace(figure, series, colour))
    x_axis = axis_of(figure.x_label, figure.log_x, _all(figure.series, "x"))
    tried = sorted({x for x in _all(figure.series, "x") if plotted(x, figure.log_x) is not None})
    if isinstance(figure, LineFigure) and figure.log_x and 1 < len(tried) <= FEW:
        x_axis |= ticks_at(tried, 3 if max(tried) < 1 else 6)  # rates by their first digits, widths whole
    y_axis = axis_of(figure.y_label, figure.log_y, _all(figure.series, "y"))
    return data, _layout(x_axis, y_axis, len(figure.series))


def _trace(figure: LineFigure | ScatterFigure, series: Series, colour: str) -> dict[str, Any]:
    scatter = isinstance(figure, ScatterFigure)
    marked = isinstance(figure, ScatterFigure) or figure.markers or len(series.x) == 1
    trace = {
        "type": "scatter",
        "mode": "markers" if scatter else "lines+markers" if marked else "lines",
        "name": words(series.name),
        "x": [words(x) if isinstance(x, str) else x for x in series.x],
        "y": [plotted(y, figure.log_y) for y in series.y],
        "line": {"color": colour, "width": 2, "dash": series.dash},
        "marker": {"color": colour, "size": 7 if scatter else 5},
        "connectgaps": False,
    }
    if series.labels:
        trace["text"] = [words(label) for label in series.labels]
        trace["hovertemplate"] = "%{text}<br>%{x}: %{y:.4g}"
    else:
        trace["hovertemplate"] = "%{x}: %{y:.4g}"
    if scatter and series.low and series.high:
        trace["error_y"] = _error_bars(series, colour, figure.log_y)
    return trace


def _band(series: Series, colour: str, log: bool) -> list[dict[str, Any]]:
    edge = {
        "type": "scatter",
        "mode": "lines",
        "x": list(series.x),
        "line": {"width": 0, "color": colour},
        "hoverinfo": "skip",
        "showlegend": False,
        "legendgroup": words(series.name),
    }
    low = [plotted(v, log) for v in series.low]
    # A band that reaches zero or below has no lower edge on a log axis: it ends at the line itself.
    low = [line if v is None and line is not None else v for v, line in zip(low, series.y, strict=True)]
    high = [plotted(v, log) for v in series.high]
    return [edge | {"y": low}, edge | {"y": high, "fill": "tonexty", "fillcolor": translucent(colour)}]


def _bars(figure: BarFigure) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    data = []
    for position, series in enumerate(figure.series):
        colour = series_colour(position, series.tone)
        trace = {
            "type": "bar",
            "name": words(series.name),
            "x": [words(x) for x in series.x],
            "y": [plotted(y, figure.log_y) for y in series.y],
            "marker": {"color": colour},
            "hovertemplate": "%{x}: %{y:.4g}",
        }
        if series.low and series.high:
            trace["error_y"] = _error_bars(series, MUTED[0], figure.log_y)
        data.append(trace)
    x_axis = axis_of(figure.x_label, False, [])
    x_axis["type"] = "category"
    layout = _layout(x_axis, axis_of(figure.y_label, figure.log_y, _all(figure.series, "y")), len(figure.series))
    groups = max([len(s.x) for s in figure.series] + [1])
    gap = max(0.35, 0.9 - 0.1 * groups * len(figure.series))
    return data, layout | {"barmode": "group", "bargap": gap, "bargroupgap": 0.08, "hovermode": "closest"}


def _heatmap(figure: HeatmapFigure) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    values = [[plotted(v, figure.log_z) for v in row] for row in figure.z]
    shown = [[None if v is None else math.log10(v) for v in row] for row in values] if figure.log_z else values
    label = f"log10 {figure.z_label}" if figure.log_z else figure.z_label
    heat = {
        "type": "heatmap",
        "x": [words(x) if isinstance(x, str) else x for x in figure.x],
        "y": [words(y) if isinstance(y, str) else y for y in figure.y],
        "z": shown,
        "customdata": values,
        "hovertemplate": "%{x}, %{y}: %{customdata:.4g}<extra></extra>",
        "colorscale": [[i / (len(RAMP) - 1), colour] for i, colour in enumerate(RAMP)],
        "colorbar": {"title": {"text": words(label), "side": "right"}, "thickness": 12, "outlinewidth": 0},
    }
    lines = LineFigure("", "", "", figure.series, log_y=figure.log_y)
    overlay = [_trace(lines, s, TONES["error"][0] if i == 0 else INK[0]) for i, s in enumerate(figure.series)]
    x_axis = axis_of(figure.x_label, figure.log_x, list(figure.x)) | {"showgrid": False}
    y_axis = axis_of(figure.y_label, figure.log_y, list(figure.y)) | {"showgrid": False}
    return [heat, *overlay], _layout(x_axis, y_axis, len(overlay)) | {"hovermode": "closest"}


def _ready(figure: ReadyFigure) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Another library's figure in the page's fonts and colours of axes; markup in names is shown as text."""
    own = ("template", "title", "width", "plot_bgcolor", "paper_bgcolor")
    shown = {name: _shown(value) for name, value in figure.layout.items() if name not in own}
    font = {"color": MUTED[0], "size": 11}
    for name, axis in shown.items():
        if name.startswith(("xaxis", "yaxis")):
            ticks = log_axis(axis, _along(figure.data, name), font)
            shown[name] = {
                "gridcolor": GRID[0],
                "zerolinecolor": GRID[0],
                "linecolor": GRID[0],
                "automargin": True,
                "tickfont": font,
                **axis,
                **ticks,
                # plotly counts the labels of a log axis for less than they take
                "title": {"standoff": 24 if axis.get("type") == "log" else 10, "font": {"color": MUTED[0], "size": 12}}
                | axis.get("title", {}),
            }
    base = _layout({}, {}, 0)
    return [_shown(trace) for trace in figure.data], {**base, "showlegend": True, **shown}


def _along(data: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    """What traces draw along the axis of that name; packed numbers are left out."""
    letter, axis = name[0], name.replace("axis", "")
    drawn = [trace.get(letter) for trace in data if trace.get(f"{letter}axis", letter) == axis]
    return [value for values in drawn if isinstance(values, list | tuple) for value in values]


def _shown(value: Any) -> Any:
    """A value of plotly's JSON with its texts cleaned; of markup only line breaks and plotly's own hover box stay."""
    if isinstance(value, str):
        return re.sub(r"<(?!br>|/?extra>)", "&lt;", clean(value, 2000))
    if isinstance(value, Mapping):
        return {name: one if name == "bdata" else _shown(one) for name, one in value.items()}
    return [_shown(one) for one in value] if isinstance(value, list | tuple) else value


def _layout(x_axis: dict[str, Any], y_axis: dict[str, Any], legend_entries: int) -> dict[str, Any]:
    return {
        "font": {"family": FONT, "size": 12, "color": INK[0]},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 64, "r": 16, "t": 12, "b": 48},
        "xaxis": x_axis,
        "yaxis": y_axis,
        "hovermode": "x unified" if legend_entries > 1 else "closest",
        "hoverlabel": {"namelength": -1, "font": {"family": FONT, "size": 12}},
        "showlegend": legend_entries > 1,
        "legend": {
            "orientation": "h",
            "y": 1.02,
            "yanchor": "bottom",
            "x": 0,
            "xanchor": "left",
            "traceorder": "normal",
        },
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": MUTED[0], "activecolor": INK[0]},
    }


def _error_bars(series: Series, colour: str, log: bool) -> dict[str, Any]:
    ends = list(zip(series.low, series.y, series.high, strict=True))
    above = [0.0 if None in e else max(0.0, float(e[2]) - float(e[1])) for e in ends]
    below = [0.0 if None in e else max(0.0, float(e[1]) - float(e[0])) for e in ends]
    finite = [[v if math.isfinite(v) else 0.0 for v in side] for side in (above, below)]
    return {"type": "data", "array": finite[0], "arrayminus": finite[1], "color": colour, "thickness": 1.4, "width": 4}


def _thin(series: Series) -> Series:
    """At most `MAX_POINTS` points: in each stretch of the line, its lowest and its highest value stay."""
    if len(series.x) <= MAX_POINTS:
        return series
    stretch = -(-len(series.x) // (MAX_POINTS // 2))
    kept: set[int] = {0, len(series.x) - 1}
    for start in range(0, len(series.x), stretch):
        part = [i for i in range(start, min(start + stretch, len(series.x))) if plotted(series.y[i], False) is not None]
        kept |= {min(part, key=lambda i: series.y[i]), max(part, key=lambda i: series.y[i])} if part else {start}
    order = sorted(kept)

    def pick(values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(values[i] for i in order) if values else ()

    fields = {name: pick(getattr(series, name)) for name in ("x", "y", "low", "high", "labels")}
    return Series(series.name, dash=series.dash, tone=series.tone, **fields)


def _all(series: Sequence[Series], field: str) -> list[Any]:
    return [v for s in series for v in getattr(s, field)]
