"""Histograms on one axis: those of one comparison are counted anew between shared edges, so that spreads compare."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from initlab.reporting.blocks import HistogramGrid, Panel
from initlab.reporting.words import format_number

BINS = 60
TAIL = 0.001  # the share of a grid's counts that may lie beyond either end, gathered in the end's bin
FAR = 10.0  # how many times further than the median grid one must reach to be left out of the axis


def on_one_axis(grids: Sequence[HistogramGrid], bins: int = BINS) -> list[HistogramGrid]:
    """The grids with every panel counted between the same edges, which each grid's note states.

    A count is spread evenly over its own bin. The axis holds all but a thousandth of each grid's counts at either side,
    but for grids that reach `FAR` times further than most: what lies beyond stands in the bins at the ends, and where
    that is a hundredth or more of a panel, the panel's note says how much.

    Args:
        grids: what is compared.
        bins: how many bins the shared axis has.
    """
    ends = [_ends(grid.panels) for grid in grids if any(panel.counts for panel in grid.panels)]
    if not ends:
        return list(grids)
    low, high = 0.0 - _reach([-low for low, _ in ends]), _reach([high for _, high in ends])
    high = high if high > low else low + 1.0
    edges = [low + (high - low) * i / bins for i in range(bins + 1)]
    note = axis_note(low, high)
    return [
        replace(grid, panels=[_moved(panel, edges) for panel in grid.panels], note=f"{grid.note} {note}".strip())
        for grid in grids
    ]


def axis_note(low: float, high: float) -> str:
    """The scale of panels that share an axis, in words."""
    return f"One axis for all: {format_number(low, 3)} to {format_number(high, 3)}. A panel's highest bin fills it."


def _moved(panel: Panel, edges: Sequence[float]) -> Panel:
    inside = sum(
        count * _share(left, right, edges[0], math.nextafter(edges[-1], math.inf))
        for left, right, count in zip(panel.edges[:-1], panel.edges[1:], panel.counts, strict=True)
    )
    beyond = 1 - inside / sum(panel.counts) if sum(panel.counts) else 0.0
    words = [panel.note] if panel.note else []
    words += [f"{beyond:.0%} beyond the axis"] if beyond >= 0.01 else []
    return replace(panel, edges=edges, counts=counted(panel, edges), note=", ".join(words))


def _reach(ends: Sequence[float]) -> float:
    """The furthest of the ends, but for those that lie `FAR` times further than most."""
    most = sorted(ends)[len(ends) // 2]
    return max([0.0, *(end for end in ends if end <= FAR * max(most, 0.0))])


def counted(panel: Panel, edges: Sequence[float]) -> list[float]:
    """A panel's counts between other edges of equal width.

    >>> counted(Panel("fc", (0.0, 1.0), (4,)), [0.0, 0.25, 1.25])
    [1.0, 3.0]
    """
    counts = [0.0] * (len(edges) - 1)
    for left, right, count in zip(panel.edges[:-1], panel.edges[1:], panel.counts, strict=True):
        for place, (start, stop) in enumerate(pairwise(edges)):
            start = -math.inf if place == 0 else start
            stop = math.inf if place == len(counts) - 1 else stop
            counts[place] += count * _share(left, right, start, stop)
    return counts


def _share(left: float, right: float, start: float, stop: float) -> float:
    """The share of [left, right] that lies in [start, stop); a bin of no width is all where it lies."""
    if right <= left:
        return float(start <= left < stop)
    return max(0.0, min(right, stop) - max(left, start)) / (right - left)


def _ends(panels: Sequence[Panel]) -> tuple[float, float]:
    """The range that holds all but the tails of the counts, and 0."""
    bins = sorted(
        (left, right, count / sum(panel.counts))
        for panel in panels
        for left, right, count in zip(panel.edges[:-1], panel.edges[1:], panel.counts, strict=True)
        if count and math.isfinite(left) and math.isfinite(right)
    )
    spare = TAIL * len(panels)
    low, high = _first(bins, spare), -_first(sorted((-right, -left, share) for left, right, share in bins), spare)
    return min(low, 0.0), max(high, 0.0)


def _first(bins: Sequence[tuple[float, float, float]], spare: float) -> float:
    for left, _, share in bins:
        spare -= share
        if spare < 0:
            return left
    return bins[0][0] if bins else 0.0
