"""Gaussian expectations of a scalar function, E[g(φ(√q z))] and E[φ(u₁) φ(u₂)], to near machine precision.

Gauss–Legendre panels against the Gaussian weight, cut at the function's kinks and jumps. (Plain Gauss–Hermite converges
like 1/order for relu and needs hundreds of points for a steep tanh; panels reach 1e-12 for both.)
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from initlab.errors import InputError, finite_number
from initlab.rng import random_states_kept_once
from initlab.theory.activations import Array
from initlab.theory.breakpoints import find_breaks
from initlab.theory.functions import Function

ORDER = 20
LARGEST = 1e150  # whose square is a number
DEEPEST = 10_000_000  # layers
_REACH = 12.0  # P(|z| > 12) is 4e-33
_FARTHEST = 37.0  # the Gaussian density underflows beyond
_GOLDEN = (math.sqrt(5) - 1) / 2
_MOST_BREAKS = 16  # beyond, the plane is summed on a fine lattice
_MOST_TERMS = 600  # of a series: a wave of √600 a sigma is resolved by every panel
_ROUNDING = 1e-15  # of E[φ²]
_MOST_PANELS = 192  # along an axis of the plane: a feature that needs more is far narrower than σ and hardly weighs


@functools.cache
def _legendre(order: int) -> tuple[Array, Array, Array]:
    """Nodes and weights on [-1, 1], and the matrix that differentiates the interpolating polynomial."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    difference = nodes[:, None] - nodes[None, :]
    np.fill_diagonal(difference, 1.0)
    barycentric = 1.0 / difference.prod(axis=1)
    slopes = (barycentric[None, :] / barycentric[:, None]) / difference
    np.fill_diagonal(slopes, 0.0)
    np.fill_diagonal(slopes, -slopes.sum(axis=1))
    return nodes, weights, slopes


@dataclass(frozen=True)
class Line:
    """A function sampled along z ~ N(0, 1), with x = √q z.

    Args:
        z: the nodes.
        weights: the nodes' Gaussian weights; they sum to 1.
        values: φ(√q z).
        slopes: φ'(√q z), between the breaks.
        breaks: where φ is not smooth, in z; None when there are too many.
        jumps: whether φ itself jumps somewhere.
        panels: how many panels of equal width were needed.
    """

    z: Array
    weights: Array
    values: Array
    slopes: Array
    breaks: Array | None
    jumps: bool
    panels: int

    def mean(self, integrand: Array) -> float:
        """E[integrand] for values at the nodes."""
        if not np.isfinite(integrand).all():
            return math.inf
        return float(self.weights @ integrand)


def variance(name: str, value: float, *, zero: bool = False) -> float:
    """A checked second moment: finite and positive (or zero where `zero`)."""
    number = finite_number(name, value)
    if number < 0 or (number == 0 and not zero):
        raise InputError(f"{name} must be {'at least 0' if zero else 'greater than 0'}; got {number:g}")
    return number


@random_states_kept_once()
def line(fn: Function, q: float, order: int = ORDER) -> Line:
    """The function along N(0, q), on as many panels as its second moment needs to be right to 1e-13.

    >>> from initlab.theory.functions import resolve
    >>> relu = line(resolve("relu"), 2.0)
    >>> round(relu.mean(relu.values**2), 12)
    1.0
    """
    root = math.sqrt(variance("q", q))
    with np.errstate(over="ignore", invalid="ignore"):
        return _reaching(fn, root, order)


def _reaching(fn: Function, root: float, order: int) -> Line:
    """The line out to where the integrand has died away: growing functions such as exp need more than 12 sigma."""
    reach = _REACH
    while True:
        breaks = find_breaks(fn, reach * root)
        scaled = None if breaks is None else breaks / root
        result = _refined(fn, root, reach, scaled, order)
        edge = np.abs(result.z) > 0.95 * reach
        total = result.mean(result.values**2)
        outside = float((result.weights * result.values**2)[edge].sum())
        if outside <= 1e-18 * total or reach >= _FARTHEST:
            return result
        reach = min(2 * reach, _FARTHEST)


def _refined(fn: Function, root: float, reach: float, breaks: Array | None, order: int) -> Line:
    panels = int(2 * reach) if breaks is not None else 4096
    result = _sampled(fn, root, reach, breaks, panels, order)
    while panels < 2048:
        finer = _sampled(fn, root, reach, breaks, 2 * panels, order)
        now, then = result.mean(result.values**2), finer.mean(finer.values**2)
        slope_now, slope_then = result.mean(result.slopes**2), finer.mean(finer.slopes**2)
        if (
            abs(now - then) <= 1e-13 * then
            and abs(slope_now - slope_then) <= 1e-11 * slope_then + 1e-15 * then / root**2
        ):
            break
        panels, result = 2 * panels, finer
    return result


def _sampled(fn: Function, root: float, reach: float, breaks: Array | None, panels: int, order: int) -> Line:
    nodes, weights, slopes = _legendre(order)
    inside = np.empty(0) if breaks is None else breaks[np.abs(breaks) < reach]
    edges = np.unique(np.concatenate([np.linspace(-reach, reach, panels + 1), inside]))
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    z = middle[:, None] + half[:, None] * nodes
    values = fn(root * z)
    wide = half > 1e-9
    if breaks is None:
        gradient, jumps = _by_differences(fn, z, root)
    else:
        gradient = np.where(wide[:, None], values @ slopes.T / np.where(wide, half * root, 1.0)[:, None], 0.0)
        jumps = _jumps(fn, inside * root)
    mass = half[:, None] * weights * _density(z)
    return Line(
        z.reshape(-1),
        mass.reshape(-1),
        values.reshape(-1),
        gradient.reshape(-1),
        None if breaks is None else inside,
        jumps,
        panels,
    )


def _by_differences(fn: Function, z: Array, root: float) -> tuple[Array, bool]:
    """φ' where φ has more features than panels, as a sine of a wide signal, and whether φ jumps.

    Across a jump the slope grows as the step shrinks; elsewhere it stays.
    """

    def slopes(places: Array, step: float) -> Array:
        return (fn(root * (places + step)) - fn(root * (places - step))) / (2 * step * root)

    apart = _REACH * (2 * np.modf(np.arange(1 << 16) * _GOLDEN)[0] - 1)  # on no lattice of the function's own
    near, far = (float((slopes(apart, step) ** 2).mean()) for step in (1e-7, 1e-6))
    return slopes(z, 1e-7), not math.isclose(near, far, rel_tol=0.01)


def _density(z: Array) -> Array:
    result: Array = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return result


def _jumps(fn: Function, breaks: Array) -> bool:
    if not breaks.size:
        return False
    step = 1e-7 * np.maximum(1.0, np.abs(breaks))
    places = np.stack([breaks - step, breaks + step, breaks - 1e3 * step, breaks + 1e3 * step])
    left, right, far_left, far_right = fn(places.reshape(-1)).reshape(places.shape)
    rise, far_rise = np.abs(right - left), np.abs(far_right - far_left)
    # Across a kink the difference shrinks with the step; across a jump it stays.
    return bool(np.any(rise > 0.5 * far_rise + 1e-12))


@random_states_kept_once()
def pair_mean(fn: Function, c: float, sampled: Line, root: float) -> float:
    """E[φ(u₁) φ(u₂)] for u₁, u₂ ~ N(0, q) with correlation c, where `sampled` is the function along N(0, q).

    It is the series of what is sampled already where that ends; of a kink it does not for c near ±1, and the plane is
    summed, on the square of as many panels.
    """
    if sampled.breaks is None or sampled.breaks.size > _MOST_BREAKS:
        return _pair_mean_on_lattice(fn, c, root)
    found = _pair_mean_by_series(c, sampled)
    return _pair_mean_on_plane(fn, c, sampled.breaks, sampled.panels, root) if found is None else found


def _pair_mean_by_series(c: float, sampled: Line) -> float | None:
    """Σₙ aₙ² cⁿ with aₙ = E[φ(√q z) hₙ(z)], hₙ the normalised Hermite polynomials (Mehler); None where it is too long.

    Since Σ aₙ² = E[φ²], what is left after n terms is at most |c|ⁿ⁺¹ (E[φ²] − a₀² − … − aₙ²).
    """
    if sampled.breaks is not None and sampled.breaks.size and abs(c) ** _MOST_TERMS > 1e3 * _ROUNDING:
        return None  # of a kink aₙ² falls no faster than a power of n
    left = whole = sampled.mean(sampled.values**2)
    weighted = sampled.weights * sampled.values
    if not math.isfinite(whole) or not np.isfinite(weighted).all():
        return None
    before, now = np.zeros_like(sampled.z), np.ones_like(sampled.z)
    total, power = 0.0, 1.0
    for n in range(_MOST_TERMS):
        square = float(weighted @ now) ** 2
        total, left, power = total + square * power, left - square, power * c
        if abs(power) * max(left, _ROUNDING * whole) <= _ROUNDING * whole:
            return total
        before, now = now, (sampled.z * now - math.sqrt(n) * before) / math.sqrt(n + 1)
    return None


def _pair_mean_on_plane(fn: Function, c: float, breaks: Array, panels: int, root: float) -> float:
    """The expectation by panels of the plane.

    In the rotated coordinates u = √q (α s ± β t), α² = (1 + c)/2, β² = (1 − c)/2, each break is a straight line in the
    plane of (s, t): the inner integral is cut where the lines cross it, the outer where they meet each other, so every
    panel is smooth for every c, also close to ±1.
    """
    alpha, beta = math.sqrt((1 + c) / 2), math.sqrt((1 - c) / 2)
    if c >= 0:
        inner, outer = (alpha, alpha), (beta, -beta)
    else:
        inner, outer = (beta, -beta), (alpha, alpha)
    panels = min(panels, _MOST_PANELS)
    meeting = _meeting_points(breaks, inner, outer)
    t, mass = _panels(np.concatenate([np.linspace(-_REACH, _REACH, panels + 1), meeting]))
    total = 0.0
    chunk = max(1, 2_000_000 // (14 * (panels + 2 * breaks.size + 1)))
    for start in range(0, t.size, chunk):
        part = t[start : start + chunk]
        total += float(mass[start : start + chunk] @ _inner_means(fn, part, inner, outer, breaks, panels, root))
    return total


def _meeting_points(breaks: Array, inner: tuple[float, float], outer: tuple[float, float]) -> Array:
    """Where the lines inner₁ s + outer₁ t = bᵢ and inner₂ s + outer₂ t = bⱼ meet, as values of t."""
    determinant = outer[0] * inner[1] - outer[1] * inner[0]
    if not breaks.size or determinant == 0:
        return np.empty(0)
    meeting = (breaks[:, None] * inner[1] - breaks[None, :] * inner[0]).reshape(-1) / determinant
    result: Array = meeting[np.abs(meeting) < _REACH]
    return result


def _panels(edges: Array) -> tuple[Array, Array]:
    nodes, weights, _ = _legendre(14)
    edges = np.unique(edges)
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    z = (middle[:, None] + half[:, None] * nodes).reshape(-1)
    return z, (half[:, None] * weights).reshape(-1) * _density(z)


def _inner_means(
    fn: Function,
    t: Array,
    inner: tuple[float, float],
    outer: tuple[float, float],
    breaks: Array,
    panels: int,
    root: float,
) -> Array:
    nodes, weights, _ = _legendre(14)
    fixed = np.broadcast_to(np.linspace(-_REACH, _REACH, panels + 1), (t.size, panels + 1))
    cuts = [(breaks[None, :] - outer[k] * t[:, None]) / inner[k] for k in (0, 1)]
    edges = np.sort(np.clip(np.concatenate([fixed, *cuts], axis=1), -_REACH, _REACH), axis=1)
    half, middle = np.diff(edges, axis=1) / 2, (edges[:, 1:] + edges[:, :-1]) / 2
    s = middle[:, :, None] + half[:, :, None] * nodes
    shift = root * t[:, None, None]
    product = fn(root * inner[0] * s + outer[0] * shift) * fn(root * inner[1] * s + outer[1] * shift)
    mass = half[:, :, None] * weights * _density(s)
    result: Array = np.einsum("tpn,tpn->t", product, mass)
    return result


def _pair_mean_on_lattice(fn: Function, c: float, root: float) -> float:
    """A lattice sum for functions with very many breaks (quantised ones): right to about 1e-4."""
    z = np.asarray((np.arange(2400) - 1199.5) / 150.0, dtype=np.float64)
    weight = _density(z) / 150.0
    alpha, beta = math.sqrt((1 + c) / 2), math.sqrt((1 - c) / 2)
    s, t = root * alpha * z[None, :], root * beta * z[:, None]
    return float(weight @ (fn(s + t) * fn(s - t)) @ weight)
