"""A figure's axes: labels, and ticks at round numbers, on linear and on log axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from initlab.reporting.palette import GRID, MUTED
from initlab.reporting.words import format_number
from initlab.reporting.words import plotly_text as words


def axis_of(label: str, log: bool, values: Sequence[Any]) -> dict[str, Any]:
    """An axis with its label, and ticks that suit these values."""
    font = {"color": MUTED[0], "size": 11}
    axis: dict[str, Any] = {
        "title": {"text": words(label), "font": {"color": MUTED[0], "size": 12}, "standoff": 10},
        "type": "log" if log else "-",
        "gridcolor": GRID[0],
        "linecolor": GRID[0],
        "zeroline": False,
        "automargin": True,
        "tickfont": font,
    }
    known = [v for v in (plotted(v, log) for v in values) if v is not None]
    if known and log:
        axis |= _log_ticks(min(known), max(known), font)
    elif known and all(v == int(v) for v in known) and max(known) - min(known) <= 20:
        # Layers and seeds are counted: no tick stands between two of them.
        axis |= {"dtick": max(1, math.ceil((max(known) - min(known)) / 10)), "tickformat": "d"}
    return axis


def log_axis(axis: Mapping[str, Any], values: Sequence[Any], font: dict[str, Any]) -> dict[str, Any]:
    """The ticks of another library's log axis along these values, where it has none of its own; else nothing."""
    if axis.get("type") != "log" or axis.keys() & {"tickvals", "dtick"}:
        return {}
    known = [v for v in (plotted(value, True) for value in values) if v is not None]
    return _log_ticks(min(known), max(known), font) if known else {}


def _log_ticks(low: float, high: float, font: dict[str, Any]) -> dict[str, Any]:
    """Powers of ten over several decades; else 1, 2 and 5 of each decade, each with its whole number."""
    decades = math.log10(high) - math.log10(low)
    if decades > 3:
        # plotly sets labels with powers a quarter larger than asked.
        return {"exponentformat": "power", "dtick": max(1, round(decades / 6)), "tickfont": font | {"size": 9}}
    steps = (1, 2, 5) if decades > 0.7 else (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**power for power in powers for step in steps]
    return ticks_at(ticks if sum(low <= tick <= high for tick in ticks) > 2 else _even_ticks(low, high))


def _even_ticks(low: float, high: float) -> list[float]:
    """Evenly spaced round numbers between two that lie close together.

    >>> _even_ticks(2.301, 2.352)
    [2.31, 2.32, 2.33, 2.34, 2.35]
    """
    span = high - low
    if span <= 0:
        return [float(f"{low:.4g}")]
    places = 1 - math.floor(math.log10(span))
    step = min((s * 10.0**-places for s in (1, 2, 5, 10, 20, 50)), key=lambda step: abs(span / step - 5))
    return [round(i * step, places + 1) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def ticks_at(places: Sequence[float], digits: int = 6) -> dict[str, Any]:
    """Ticks at these places, each with its number written whole."""
    texts = [format_number(place, digits) for place in places]
    return {"tickmode": "array", "tickvals": list(places), "ticktext": texts}


def plotted(value: Any, log: bool) -> float | None:
    """The number as it stands on an axis, None where it has no place there."""
    if value is None or isinstance(value, str):
        return None
    number = float(value)
    return number if math.isfinite(number) and (number > 0 or not log) else None
