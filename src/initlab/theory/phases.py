"""The border between the ordered and the chaotic phase, and how far a deep stack's Jacobian is from an isometry."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from initlab.errors import InputError, check_flags, whole_number
from initlab.theory.critical import SLACK, Criticality, critical_at, holds_at, no_critical
from initlab.theory.functions import Function, resolve
from initlab.theory.maps import moments, sigmas
from initlab.theory.quadrature import DEEPEST, line, variance

_FLAT = 1e-22  # a squared slope that is rounding of the values


def critical_line(fn: Any, sigma_b: float = 0.0) -> Criticality:
    """The point of the critical line, between the ordered and the chaotic phase, at a given bias std.

    χ = 1 and V(q) = q hold together where q − E[φ²]/E[φ'²] = σ_b²; then σ_w² = 1/E[φ'²].

    Args:
        fn: an activation's name, or a scalar callable.
        sigma_b: bias std.

    Returns:
        The point; with `exists` False where the line does not reach this σ_b (relu beyond 0).

    Raises:
        InputError: a bad function, or sigma_b that is negative or not finite.

    Source: Schoenholz et al. 2017, section 3 and figure 1; Roberts, Yaida & Hanin 2022, section 5.3.

    >>> round(critical_line("tanh", 0.05 ** 0.5).sigma_w ** 2, 2)
    1.76
    """
    function = resolve(fn)
    _, bias = sigmas(1.0, sigma_b)
    grid = np.logspace(-6, 6, 97).tolist()
    excess = [_bias_short_of(function, q, bias) for q in grid]
    if abs(excess[len(grid) // 2]) <= SLACK and holds_at(function, 1.0):  # every q will do, as for relu
        return critical_at(function, 1.0, moments(function, 1.0), "every second moment is critical")
    for low, high, before, after in zip(grid, grid[1:], excess, excess[1:], strict=False):
        if before <= 0 < after or after <= 0 < before:
            q = _crossing(function, low, high, bias)
            at = moments(function, q)
            if abs(at.growth / at.slope_second) <= 1 + 1e-6:  # a fixed point that holds
                return critical_at(function, q, at, "on the critical line")
    if bias == 0 and abs(excess[0]) < 1e-5:  # the line starts at a second moment of 0
        return critical_at(function, grid[0], moments(function, grid[0]), "on the critical line, in the limit of q = 0")
    return no_critical(function, f"the critical line does not reach sigma_b = {bias:g}")


def _bias_short_of(function: Function, q: float, bias: float) -> float:
    """The σ_b² that makes q a fixed point with χ = 1, less the one asked for; nan where there is none."""
    try:
        at = moments(function, q)
    except InputError:  # exp and its kind leave the range of floats at large q
        return math.nan
    return q - at.second / at.slope_second - bias**2 if 0 < at.slope_second < math.inf else math.nan


def _crossing(function: Function, low: float, high: float, bias: float) -> float:
    rising = _bias_short_of(function, low, bias) <= 0
    for _ in range(60):
        middle = math.sqrt(low * high)
        if (_bias_short_of(function, middle, bias) <= 0) == rising:
            low = middle
        else:
            high = middle
    return math.sqrt(low * high)


def jacobian_spread(fn: Any, depth: int, q: float = 1.0, *, orthogonal: bool = False) -> float:
    """Variance of the squared singular values of a deep stack's Jacobian, over the square of their mean.

    L (E[φ'⁴]/E[φ'²]² − 1 − s), with s = −1 for Gaussian weights and 0 for orthogonal ones: Gaussian weights spread the
    singular values even without an activation, orthogonal ones do not. 0 is dynamical isometry.

    Args:
        fn: an activation's name, or a scalar callable.
        depth: number of layers L, at least 1.
        q: second moment of the pre-activations, greater than 0.
        orthogonal: whether the weights are orthogonal.

    Raises:
        InputError: a bad function, a depth that is not a positive integer, or q that is not positive.

    Source: Pennington, Schoenholz & Ganguli 2017 (variance of the Jacobian's spectrum).

    >>> jacobian_spread("identity", 10), jacobian_spread("identity", 10, orthogonal=True)
    (10.0, 0.0)
    >>> round(jacobian_spread("relu", 10, orthogonal=True), 9)
    10.0
    """
    depth = whole_number("depth", depth, high=DEEPEST)
    check_flags(orthogonal=orthogonal)
    number = variance("q", q)
    sampled = line(resolve(fn), number)
    if sampled.jumps:
        return math.inf
    second = sampled.mean(sampled.slopes**2)
    if not number * second > _FLAT * sampled.mean(sampled.values**2):
        raise InputError("fn must have a slope somewhere: a flat function lets no gradient through")
    spread = depth * (sampled.mean(sampled.slopes**4) / second**2 - (1.0 if orthogonal else 0.0))
    return max(0.0, round(spread, 12))
