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
        tail, size = _tail(fn, low, high)
        scale = size if scale is None else scale
        rough = tail > np.maximum(tolerance * scale, floor)
        low, high, scale = low[rough], high[rough], scale[rough]
        middle, width = (low + high) / 2, high - low
        found += [(float(m), float(w)) for m, w in zip(middle, width, strict=True) if w < _DEEP]
        ended = width < _NARROWEST * np.maximum(1.0, np.abs(middle))
        low, middle, high, scale = low[~ended], middle[~ended], high[~ended], scale[~ended]
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
        scale = np.concatenate([scale, scale])
    return _clusters(found, limit)


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
