"""A block's output as the site shows it and as a notebook stores it."""

from __future__ import annotations

import html
import itertools
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import blocks
import plotly.graph_objects as go
import spoken
import thumbnails

import initlab
from initlab.reporting import Shown
from initlab.reporting.blocks import HistogramGrid, ImageGrid, Table
from initlab.reporting.figures import FONT, log_axis
from initlab.reporting.html import block_html
from initlab.reporting.palette import GRID, INK, MUTED, SERIES, dark_map

MARK = 'class="figure plot"'
_NUMBER = itertools.count(1)


def markdown(output: blocks.Output, put: spoken.Put = str) -> list[str]:
    """An output as Markdown: what was printed, then the value as a notebook would show it, its words put by `put`."""
    shown, text = page_html(output.value, put), output.text.rstrip("\n")
    if output.value is not None and shown is None:
        text = f"{text}\n{output.value!r}".lstrip("\n")
    parts = [f"\n```{{code-block}} text\n:class: output\n\n{text}\n```\n"] if text else []
    return [*parts, f"\n```{{raw}} html\n{shown}\n```\n"] if shown else parts


def page_html(value: Any, put: spoken.Put = str) -> str | None:
    """A value as HTML; None where it has no form but its text."""
    if isinstance(value, HistogramGrid | ImageGrid | Table):
        return spoken.fragment(block_html(value), put)
    if isinstance(value, go.Figure):
        return figure(value, put=put)
    if isinstance(value, Shown):
        return spoken.fragment(value._repr_html_(), put)
    return value._repr_html_() if hasattr(value, "_repr_html_") else None


def cell_outputs(output: blocks.Output) -> list[dict[str, Any]]:
    """An output as nbformat 4 stores it."""
    found: list[dict[str, Any]] = []
    if output.text:
        found.append({"output_type": "stream", "name": "stdout", "text": output.text})
    if output.value is not None:
        found.append({"output_type": "display_data", "metadata": {}, "data": _data(output.value)})
    return found


def _data(value: Any) -> dict[str, Any]:
    if isinstance(value, go.Figure):
        spec = json.loads(value.to_json())
        return {"application/vnd.plotly.v1+json": spec, "text/html": thumbnails.drawing(value), "text/plain": "Figure"}
    shown = page_html(value)
    return {"text/plain": repr(value)} | ({} if shown is None else {"text/html": shown})


def figure(figure: go.Figure, number: str = "", put: spoken.Put = str) -> str:
    """The figure as data that figures.js draws in the colours of the reader's theme, under an id of its own."""
    spec = spoken.figure(json.loads(figure.to_json()), put)
    title = (spec["layout"].get("title") or {}).get("text", "")
    spec["layout"]["template"] = _template()
    for name, axis in spec["layout"].items():
        if name[1:5] == "axis":
            axis |= log_axis(axis, _along(figure, name), {"color": MUTED[0], "size": 11})
    number = number or f"figure-{next(_NUMBER)}"
    data = json.dumps({**spec, "dark": dark_map()}).replace("<", "\\u003c")
    height = spec["layout"].setdefault("height", 360)
    return (
        f'<div {MARK} id="{number}" role="img" aria-label="{html.escape(title, quote=True)}" '
        f'style="min-height: {height}px"></div>\n'
        f'<script type="application/json" data-for="{number}">{data}</script>'
    )


def _along(figure: go.Figure, name: str) -> list[Any]:
    """What the figure draws along the axis of that name."""
    letter, axis = name[0], name.replace("axis", "")
    own = [trace for trace in figure.data if (getattr(trace, f"{letter}axis", None) or letter) == axis]
    return [value for trace in own for value in (() if trace[letter] is None else trace[letter])]


@cache
def theme_style() -> str:
    """The colours of a report's blocks under the theme that the reader chose; their own style asks only the system."""
    style = (Path(initlab.reporting.__file__).parent / "templates" / "page.css").read_text(encoding="utf-8")
    light, dark = re.findall(r"\.initlab \{((?:\s*--[\w-]+: [^;]+;)+)", style)[:2]
    rules = (f'body[data-theme="{name}"] .initlab {{{found}}}' for name, found in (("light", light), ("dark", dark)))
    return f"<style>{' '.join(rules)}</style>"


@cache
def _template() -> dict[str, Any]:
    words = {
        "tickfont": {"color": MUTED[0], "size": 11},
        "title": {"font": {"color": MUTED[0], "size": 12}, "standoff": 10},
    }
    axis = {"gridcolor": GRID[0], "linecolor": GRID[0], "zeroline": False, "automargin": True} | words
    layout = {
        "colorway": [light for light, _ in SERIES],
        "font": {"family": FONT, "size": 12, "color": INK[0]},
        "title": {"font": {"size": 15}, "x": 0, "xref": "paper"},
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 56, "r": 12, "t": 56, "b": 48},
        "xaxis": axis, "yaxis": axis,
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": MUTED[0], "activecolor": INK[0]},
    }  # fmt: skip
    return {"layout": layout}
