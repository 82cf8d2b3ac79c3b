"""Grids of small histograms and of images as plotly figures, so that they too are shown and saved."""

from __future__ import annotations

from typing import Any

from initlab.reporting.blocks import HistogramGrid, ImageGrid
from initlab.reporting.palette import GRID, TONES
from initlab.reporting.pictures import image_rows
from initlab.reporting.words import plotly_text


def grid_dict(grid: HistogramGrid | ImageGrid, layout: dict[str, Any], *, titled: bool) -> dict[str, Any]:
    """The grid's data and layout as plotly's JSON schema has them.

    Args:
        grid: histograms on the axes that their edges give, or grey images.
        layout: what every figure's layout holds.
        titled: whether the title stands in the figure.
    """
    data, own = _histograms(grid) if isinstance(grid, HistogramGrid) else _images(grid)
    layout = layout | own | {"showlegend": False}
    if titled:
        layout["title"] = {"text": plotly_text(grid.title)}
        layout["margin"] = layout["margin"] | {"t": 80}
    return {"data": data, "layout": layout}


def _histograms(grid: HistogramGrid) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    layout = _cells(grid.columns, [panel.title for panel in grid.panels], 150) | {"bargap": 0}
    data = []
    for index, panel in enumerate(grid.panels):
        tag = _tag(index)
        middles = [(a + b) / 2 for a, b in zip(panel.edges[:-1], panel.edges[1:], strict=True)]
        bars = {"type": "bar", "x": middles, "y": list(panel.counts), "name": plotly_text(panel.title)}
        data.append(bars | {"marker": {"color": TONES[panel.tone][0]}, "xaxis": f"x{tag}", "yaxis": f"y{tag}"})
        ends = {"range": [panel.edges[0], panel.edges[-1]]} if panel.edges else {}
        layout[f"xaxis{tag}"] = {"showgrid": False, "nticks": 4, "tickcolor": GRID[0]} | ends
        layout[f"yaxis{tag}"] = {"showticklabels": False, "showgrid": False}
    return data, layout


def _images(grid: ImageGrid) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    pictures = image_rows(grid)
    captions = [*grid.captions, *[""] * len(pictures)][: len(pictures)]
    layout = _cells(grid.columns, captions, 100)
    data = []
    for index, (rows, (low, high)) in enumerate(pictures):
        tag = _tag(index)
        heat = {"type": "heatmap", "z": rows, "zmin": low, "zmax": high, "colorscale": "gray", "showscale": False}
        data.append(heat | {"xaxis": f"x{tag}", "yaxis": f"y{tag}", "hoverinfo": "z"})
        layout[f"xaxis{tag}"] = {"visible": False}
        layout[f"yaxis{tag}"] = {"visible": False, "autorange": "reversed", "scaleanchor": f"x{tag}"}
    return data, layout


def _cells(columns: int, titles: list[str], height: int) -> dict[str, Any]:
    columns = max(1, min(columns, len(titles)))
    rows = max(1, -(-len(titles) // columns))
    place = {"x": 0, "y": 1.22, "showarrow": False, "xanchor": "left", "font": {"size": 11}}
    notes = [
        {"text": plotly_text(title), "xref": f"x{_tag(i)} domain", "yref": f"y{_tag(i)} domain"} | place
        for i, title in enumerate(titles)
    ]
    grid = {"rows": rows, "columns": columns, "pattern": "independent", "ygap": 0.5}
    return {"height": 60 + height * rows, "grid": grid, "annotations": notes}


def _tag(index: int) -> str:
    return "" if index == 0 else str(index + 1)
