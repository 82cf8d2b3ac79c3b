"""Fixed points, depth scales and the critical (σ_w, σ_b) of any scalar function."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from initlab.errors import InputError, argued
from initlab.theory.functions import Function, resolve
from initlab.theory.maps import Moments, correlation_map, moments, sigmas, variance_map
from initlab.theory.quadrature import variance

SLACK = 1e-9
_STEPS = 60  # of the map of q; where it is not settled by then, it is slow, and its end is searched
_STRIDE = 1.1
_SMALLEST, _LARGEST = 1e-12, 1e12


@dataclass(frozen=True)
class Criticality:
    """A critical start of a deep stack of one activation: χ = 1 at the fixed point of the second moment.

    Args:
        function: the activation's name.
        exists: whether there is one; when not, the numbers are nan.
        sigma_w: weight std times √fan_in.
        sigma_b: bias std.
        q_star: the second moment that stays.
        chi: χ there (1 at criticality).
        depth_scale_q: layers in which a deviation of q falls by e; infinite when every q stays.
        depth_scale_c: layers in which a deviation of the correlation falls by e; infinite at criticality.
        note: what to know about it, in words.
    """

    function: str
    exists: bool
    sigma_w: float
    sigma_b: float
    q_star: float
    chi: float
    depth_scale_q: float
    depth_scale_c: float
    note: str

    def __repr__(self) -> str:
        if not self.exists:
            return f"Criticality({self.function}: none; {self.note})"
        return (
            f"Criticality({self.function}: sigma_w={self.sigma_w:.6g}, sigma_b={self.sigma_b:.6g}, "
            f"q_star={self.q_star:.6g}, chi={self.chi:.6g}, depth_scale_q={self.depth_scale_q:.4g}, "
            f"depth_scale_c={self.depth_scale_c:.4g})"
        )


@dataclass(frozen=True)
class FixedPoint:
    """Where signals go in a deep stack with given σ_w and σ_b.

    Args:
        q_star: the second moment that deep layers approach (0, or inf when it grows without bound).
        c_star: the correlation that two inputs approach.
        chi: χ at c = 1.
        depth_scale_q: layers in which a deviation of q from q_star falls by e.
        depth_scale_c: layers in which a deviation of c from c_star falls by e.
        phase: "ordered" (inputs merge), "chaotic" (inputs part), "critical", "vanishing" or "exploding".
    """

    q_star: float
    c_star: float
    chi: float
    depth_scale_q: float
    depth_scale_c: float
    phase: str


@argued
def criticality(fn: Any, q_star: float = 1.0) -> Criticality:
    """The critical point of an activation whose second moment lies nearest to `q_star`.

    At a given q, χ = 1 asks for σ_w² = 1/E[φ'²], and the fixed point V(q) = q then for σ_b² = q − σ_w² E[φ²]. The
    point exists where σ_b² is not negative, and holds where |V'(q)| ≤ 1. If that fails at `q_star`, the nearest q on a
    logarithmic scale from 1e-6 to 1e6 is taken.

    Args:
        fn: an activation's name, or a callable on numpy arrays, torch tensors or floats.
        q_star: the second moment wanted, greater than 0.

    Returns:
        The point; with `exists` False and the reason in `note` when no q has one (softplus, step functions).

    Raises:
        InputError: a bad function, or q_star that is not positive.

    Source: Poole et al. 2016; Schoenholz et al. 2017, sections 2 and 3; Hayou et al. 2019.

    >>> criticality("relu")
    Criticality(relu: sigma_w=1.41421, sigma_b=0, q_star=1, chi=1, depth_scale_q=inf, depth_scale_c=inf)
    >>> criticality("softplus").exists
    False
    """
    function = resolve(fn)
    wanted = variance("q_star", q_star)
    first = moments(function, wanted)
    if math.isinf(first.slope_second):
        return no_critical(function, "it jumps, so its slope has no finite second moment and chi is infinite")
    if _holds(first, wanted):
        return critical_at(function, wanted, first, "critical at the second moment asked for")
    nearest = _nearest(function, wanted)
    if nearest is None:
        return no_critical(function, "no second moment between 1e-6 and 1e6 is a stable fixed point with chi = 1")
    note = f"no critical point at q = {wanted:g}; this is the nearest"
    return critical_at(function, nearest, moments(function, nearest), note)


@argued
def fixed_point(fn: Any, sigma_w: float, sigma_b: float = 0.0, q0: float = 1.0) -> FixedPoint:
    """Where the second moment and the correlation end in a deep stack, and how many layers it takes.

    ξ_q = −1/ln |V'(q*)|, ξ_c = −1/ln |C'(c*)| with C'(1) = χ.

    Args:
        fn: an activation's name, or a scalar callable.
        sigma_w: weight std times √fan_in.
        sigma_b: bias std.
        q0: the second moment to start from.

    Raises:
        InputError: a bad function, or a number that is negative or not finite.

    Source: Schoenholz et al. 2017, equations 7 and 9.

    >>> fixed_point("tanh", sigma_w=1.5, sigma_b=0.3).phase
    'chaotic'
    """
    function = resolve(fn)
    weight, bias = sigmas(sigma_w, sigma_b)
    q = _settle(function, weight, bias, variance("q0", q0))
    if not _SMALLEST < q < _LARGEST:
        phase = "vanishing" if q <= _SMALLEST else "exploding"
        return FixedPoint(0.0 if q <= _SMALLEST else math.inf, math.nan, math.nan, math.nan, math.nan, phase)
    there = moments(function, q)
    slope = weight**2 * there.slope_second if weight else 0.0
    c = 1.0 if slope <= 1 + SLACK else _settle_correlation(function, q, weight, bias)
    rate = slope if c == 1.0 else _correlation_slope(function, c, q, weight, bias)
    phase = "critical" if abs(slope - 1) <= 1e-6 else ("ordered" if slope < 1 else "chaotic")
    return FixedPoint(q, c, slope, depth_scale(weight**2 * there.growth), depth_scale(rate), phase)


def depth_scale(rate: float) -> float:
    """−1/ln |rate|: the layers in which a deviation that a layer multiplies by `rate` falls by e; inf if it never does.

    >>> round(depth_scale(0.9), 3)
    9.491
    """
    size = abs(rate)
    if size == 0:
        return 0.0
    return math.inf if size >= 1 - SLACK else -1 / math.log(size)


def critical_at(function: Function, q: float, at: Moments, note: str) -> Criticality:
    """The critical point at a second moment q, with χ = 1 and V(q) = q."""
    weight2 = 1 / at.slope_second
    bias2 = max(0.0, q - weight2 * at.second)
    if bias2 < 1e-12 * q:
        bias2 = 0.0
    scale_q = depth_scale(weight2 * at.growth)
    return Criticality(
        function.name, True, math.sqrt(weight2), math.sqrt(bias2), q, weight2 * at.slope_second, scale_q, math.inf, note
    )


def no_critical(function: Function, note: str) -> Criticality:
    """What is returned where there is none, with the reason."""
    nan = math.nan
    return Criticality(function.name, False, nan, nan, nan, nan, nan, nan, note)


def _holds(at: Moments, q: float) -> bool:
    if not (0 < at.slope_second < math.inf):
        return False
    weight2 = 1 / at.slope_second
    return q - weight2 * at.second >= -SLACK * q and abs(weight2 * at.growth) <= 1 + SLACK


def _nearest(function: Function, wanted: float) -> float | None:
    grid = np.logspace(-6, 6, 97)
    for q in sorted(grid.tolist(), key=lambda q: abs(math.log(q / wanted))):
        if holds_at(function, q):
            return _towards(function, q, wanted)
    return None


def holds_at(function: Function, q: float) -> bool:
    """Whether q can be a stable fixed point with χ = 1."""
    try:
        return _holds(moments(function, q), q)
    except InputError:  # exp and its kind leave the range of floats at large q: no fixed point there
        return False


def _towards(function: Function, good: float, bad: float) -> float:
    """The border between a q that holds and one that does not, by bisection on the logarithm."""
    for _ in range(40):
        middle = math.sqrt(good * bad)
        if holds_at(function, middle):
            good = middle
        else:
            bad = middle
    return good


def _settle(function: Function, weight: float, bias: float, q: float) -> float:
    """Where q ← V(q) ends: by iteration, else by a search from where it has come, on the side to which it moves."""
    for _ in range(_STEPS):
        after = variance_map(function, q, weight, bias)
        if abs(after - q) <= 1e-12 * q or not _SMALLEST < after < _LARGEST:
            return after
        before, q = q, after
    moves = _moves(function, weight, bias, q)
    if moves * _moves(function, weight, bias, before) < 0:  # it swings around its end
        before, q, moves = q, before, -moves
    while moves * _moves(function, weight, bias, q) >= 0:
        before, q = q, q * (_STRIDE if moves > 0 else 1 / _STRIDE)
        if not _SMALLEST < q < _LARGEST:
            return q
    for _ in range(60):
        middle = math.sqrt(before * q)
        if moves * _moves(function, weight, bias, middle) >= 0:
            before = middle
        else:
            q = middle
    return math.sqrt(before * q)


def _moves(function: Function, weight: float, bias: float, q: float) -> int:
    """1 where V(q) > q, −1 where it is less, 0 where they differ by no more than rounding."""
    try:
        after = variance_map(function, q, weight, bias)
    except InputError:  # exp and its kind leave the range of floats at large q
        return 1
    return 0 if abs(after - q) <= 1e-12 * q else 1 if after > q else -1


def _settle_correlation(function: Function, q: float, weight: float, bias: float) -> float:
    """The stable crossing C(c) = c below 1: C(c) > c left of it and C(c) < c between it and 1, where chi > 1."""
    low, high = -1.0, 1.0 - 1e-7
    if correlation_map(function, high, q, weight, bias) >= high:
        return 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if correlation_map(function, middle, q, weight, bias) > middle:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _correlation_slope(function: Function, c: float, q: float, weight: float, bias: float) -> float:
    """C'(c) by Richardson's central differences, kept inside (−1, 1)."""
    step = min(1e-2, (1 - abs(c)) / 4)
    near = [correlation_map(function, c + k * step, q, weight, bias) for k in (-2, -1, 1, 2)]
    return (near[0] - 8 * near[1] + 8 * near[2] - near[3]) / (12 * step)
