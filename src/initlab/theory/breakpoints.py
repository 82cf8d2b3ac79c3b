"""Where a scalar function is not smooth: its kinks and jumps, found by behaviour.

A panel is smooth when the Chebyshev series of the function on it has died out. Panels that are not are halved until
the break is pinned down. Quadrature that is cut at the breaks keeps the full accuracy of smooth functions for relu,
hardtanh and every other piecewise smooth function, whatever it is called.
"""

from __future__ import annotations

import numpy as np

from initlab.theory.activations import Array
from initlab.theory.functions import Function

_POINTS = 17
_OVERLAP = (
    1.1  # a break in the sliver between a panel's edge and its outermost point would else be seen by neither side
)
_DEEP = 2e-4  # narrower panels that still are not smooth hold a kink or a jump (or a bend, as elu's)
_NARROWEST = 4e-15
_MOST_PANELS = 6000
_AT_ONCE = 128  # panels of which a call takes little longer than of one


def _chebyshev() -> tuple[Array, Array]:
    k = np.arange(_POINTS)
    angles = np.pi * (k + 0.5) / _POINTS
    coefficients = np.cos(np.outer(k, angles)) * (2.0 / _POINTS)
    return np.cos(angles), coefficients


_NODES, _TRANSFORM = _chebyshev()


def find_breaks(fn: Function, limit: float) -> Array | None:
    """The places in [-limit, limit] where `fn` is not smooth, in order; None when there are too many to list.

    Args:
        fn: the function.
        limit: half the width of the interval searched.

    >>> from initlab.theory.functions import resolve
    >>> find_breaks(resolve("relu6"), 20.0).round(6).tolist()
    [0.0, 6.0]
    """
    tolerance = max(1e-12, 100 * fn.precision)
    edges = _coarse_edges(limit)
    low, high = edges[:-1], edges[1:]
    near = np.linspace(-1, 1, 65) * min(limit, 3.0 + 0.1 * limit)
    floor = float(np.abs(fn(near)).max()) * tolerance * 1e-2
    scale: Array | None = None
    found: list[tuple[float, float]] = []
    while low.size:
        if low.size > _MOST_PANELS:
            return None
        levels = _halved(low, high)
        here = np.arange(low.size)
        for (low, high), (tail, size) in zip(levels, _tails(fn, levels), strict=True):
            scale = size if scale is None else scale
            rough = tail[here] > np.maximum(tolerance * scale, floor)
            here, scale = here[rough], scale[rough]
            middle, width = (low[here] + high[here]) / 2, high[here] - low[here]
            found += [(float(m), float(w)) for m, w in zip(middle, width, strict=True) if w < _DEEP]
            ended = width < _NARROWEST * np.maximum(1.0, np.abs(middle))
            here, scale = here[~ended], scale[~ended]
            here, scale = np.concatenate([here, here + low.size]), np.concatenate([scale, scale])
        low, high = (edge[here] for edge in _halves(low, high))
    return _clusters(found, limit)


def _halves(low: Array, high: Array) -> tuple[Array, Array]:
    """The left halves of panels, then the right ones."""
    middle = (low + high) / 2
    return np.concatenate([low, middle]), np.concatenate([middle, high])


def _halved(low: Array, high: Array) -> list[tuple[Array, Array]]:
    """Panels, their halves, the halves of these, …, as many levels as are quickly computed in one call."""
    levels = [(low, high)]
    while low.size * (2 ** (len(levels) + 1) - 1) <= _AT_ONCE:
        levels.append(_halves(*levels[-1]))
    return levels


def _tails(fn: Function, levels: list[tuple[Array, Array]]) -> list[tuple[Array, Array]]:
    """By level, `_tail` of its panels."""
    tail, size = _tail(fn, *(np.concatenate(edges) for edges in zip(*levels, strict=True)))
    ends = np.cumsum([low.size for low, _ in levels])[:-1]
    return list(zip(np.split(tail, ends), np.split(size, ends), strict=True))


def _coarse_edges(limit: float) -> Array:
    width = max(0.5, limit / 1000)
    count = int(np.ceil(2 * limit / width)) + 1
    # Off the whole numbers, where kinks usually lie.
    return np.asarray(-limit - 0.3718 * width + width * np.arange(count + 1), dtype=np.float64)


def _tail(fn: Function, low: Array, high: Array) -> tuple[Array, Array]:
    middle, half = (low + high) / 2, (high - low) / 2 * _OVERLAP
    values = fn(middle[:, None] + half[:, None] * _NODES[None, :])
    coefficients = values @ _TRANSFORM.T
    size: Array = np.abs(values).max(axis=1)
    tail: Array = np.abs(coefficients[:, -4:]).max(axis=1)
    return tail, size


def _clusters(found: list[tuple[float, float]], limit: float) -> Array:
    """One break for each run of nested rough panels: the middle of the narrowest."""
    breaks: list[tuple[float, float]] = []
    for middle, width in sorted(found):
        if breaks and middle - breaks[-1][0] < 4 * _DEEP:
            if width < breaks[-1][1]:
                breaks[-1] = (middle, width)
        else:
            breaks.append((middle, width))
    places = np.array([middle for middle, _ in breaks if abs(middle) <= limit], dtype=np.float64)
    nearest = np.round(places, 6)
    return np.where(np.abs(places - nearest) < 1e-8, nearest, places) + 0.0
