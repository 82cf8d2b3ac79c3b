"""The normal distribution between two cut points: its moments, and the parent normal that gives a stated mean and std.

Only IEEE add, multiply, divide and square root are used, so every machine finds the same parent to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from initlab.errors import InputError

_LN2_HIGH = 0.6931471803691238
_LN2_LOW = 1.9082149292705877e-10
_ROOT_TWO_PI = 2.5066282746310002
# Beyond these many parent sigmas a cut point keeps less than 1e-9 of the parent, and float32 loses its tail.
FARTHEST_CUT = 6.0
_WIDEST = 0.9999


def exponential(x: float) -> float:
    """e^x by argument reduction and a Taylor polynomial; 0 below -745."""
    if x < -745.0:
        return 0.0
    k = math.floor(x * 1.4426950408889634 + 0.5)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    total = 1.0
    for n in range(16, 0, -1):
        total = 1.0 + total * r / n
    return math.ldexp(total, k)


def density(x: float) -> float:
    """The standard normal density."""
    return exponential(-0.5 * x * x) / _ROOT_TWO_PI


def mills(x: float) -> float:
    """(1 - Φ(x)) / φ(x) for x >= 0: a series near 0, a continued fraction beyond 2."""
    if x > 2.0:
        fraction = x
        for n in range(160, 0, -1):
            fraction = x + n / fraction
        return 1.0 / fraction
    term = total = x
    for n in range(1, 60):
        term *= x * x / (2 * n + 1)
        total += term
    return 0.5 / density(x) - total


def upper(x: float) -> float:
    """1 - Φ(x), with full relative precision in the upper tail.

    >>> upper(0.0)
    0.5
    """
    return density(x) * mills(x) if x >= 0 else 1.0 - density(x) * mills(-x)


def lower(x: float) -> float:
    """Φ(x)."""
    return upper(-x)


def between(a: float, b: float) -> float:
    """Φ(b) - Φ(a) for a < b."""
    if a >= 0:
        return upper(a) - upper(b)
    if b <= 0:
        return lower(b) - lower(a)
    return 1.0 - lower(a) - upper(b)


def cut_moments(a: float, b: float) -> tuple[float, float]:
    """Mean and variance of a standard normal cut to [a, b].

    mean = (φ(a) - φ(b)) / Z,  var = 1 + (a φ(a) - b φ(b)) / Z - mean²,  Z = Φ(b) - Φ(a)

    Source: Burkardt, The truncated normal distribution, 2014, section 3.4.
    """
    mass = between(a, b)
    at_a, at_b = density(a), density(b)
    mean = (at_a - at_b) / mass
    edge_a = a * at_a if math.isfinite(a) else 0.0
    edge_b = b * at_b if math.isfinite(b) else 0.0
    return mean, 1.0 + (edge_a - edge_b) / mass - mean * mean


@dataclass(frozen=True)
class Parent:
    """The normal that is cut: its mean and std, and the probabilities below, between and above the cut points."""

    mean: float
    std: float
    below: float
    inside: float
    above: float


@lru_cache(maxsize=4096)
def find_parent(mean: float, std: float, low: float, high: float) -> Parent:
    """The normal which, cut to [low, high], has this mean and this std.

    Raises:
        InputError: no normal has that mean and std between these cut points, or only one whose cut points lie so far
            out that float32 cannot draw it.
    """
    if std == 0:
        return Parent(mean, 0.0, 0.0, 1.0, 0.0)
    centred = abs((high - mean) - (mean - low)) <= 1e-12 * (high - low) if math.isfinite(high - low) else False
    if math.isinf(low) and math.isinf(high):
        return Parent(mean, std, 0.0, 1.0, 0.0)
    mu, sigma = (mean, _centred_sigma(std, (high - low) / 2)) if centred else _solve(mean, std, low, high)
    a, b = (low - mu) / sigma, (high - mu) / sigma
    if a > FARTHEST_CUT or b < -FARTHEST_CUT:
        raise _too_wide(std, mean, low, high)
    below, above = lower(a), upper(b)
    return Parent(mu, sigma, below, between(a, b), above)


def _too_wide(std: float, mean: float, low: float, high: float) -> InputError:
    return InputError(
        f"std must be smaller for a normal with mean {mean:g} cut to [{low:g}, {high:g}]: no normal whose cut points "
        f"lie within {FARTHEST_CUT:g} of its sigmas has std {std:g} there (use Uniform for a flat law)"
    )


def _centred_sigma(std: float, half: float) -> float:
    """The parent's std for cut points at mean ± half."""
    if std >= _WIDEST * half / math.sqrt(3.0):
        raise InputError(
            f"std must be less than {half / math.sqrt(3.0):g}, a uniform law's, for cut points at mean ± {half:g}; "
            f"got {std:g} (use Uniform for a flat law)"
        )
    if half >= 40.0 * std:
        return std
    return half / _root(lambda k: math.sqrt(cut_moments(-k, k)[1]) / k - std / half, 0.01, 45.0)


def _solve(mean: float, std: float, low: float, high: float) -> tuple[float, float]:
    """Parent (mu, sigma) by two nested one-dimensional searches; at a fixed mean the std grows with sigma."""

    def at(sigma: float) -> tuple[float, float]:
        span_low = (low - mean) / sigma if math.isfinite(low) else -math.inf
        span_high = (high - mean) / sigma if math.isfinite(high) else math.inf

        def miss(shift: float) -> float:
            return cut_moments(span_low - shift, span_high - shift)[0] + shift

        limit = FARTHEST_CUT + 0.5
        floor, ceiling = max(span_low - limit, -90.0), min(span_high + limit, 90.0)
        if miss(floor) > 0 or miss(ceiling) < 0:
            raise _too_wide(std, mean, low, high)
        shift = _root(miss, floor, ceiling)
        return shift, cut_moments(span_low - shift, span_high - shift)[1]

    def excess(sigma: float) -> float:
        return sigma * math.sqrt(max(at(sigma)[1], 0.0)) / std - 1.0

    top = std
    while excess(top) < 0:
        top *= 1.25
        if top > 1e3 * std:
            raise _too_wide(std, mean, low, high)
    sigma = top if excess(top) == 0 else _root(excess, std * 0.999999, top)
    return mean + at(sigma)[0] * sigma, sigma


def _root(function: Callable[[float], float], left: float, right: float) -> float:
    """A sign change of `function` in [left, right] by bisection with secant steps (Illinois); at most 200 steps."""
    at_left, at_right = function(left), function(right)
    if at_left == 0 or left == right:
        return left
    side = 0
    for step in range(200):
        middle = (left * at_right - right * at_left) / (at_right - at_left)
        if step % 3 == 2 or not min(left, right) < middle < max(left, right):
            middle = 0.5 * (left + right)
        value = function(middle)
        if value == 0 or abs(right - left) <= 2e-16 * max(abs(left), abs(right)):
            return middle
        if (value > 0) == (at_right > 0):
            right, at_right = middle, value
            at_left = at_left / 2 if side == 1 else at_left
            side = 1
        else:
            left, at_left = middle, value
            at_right = at_right / 2 if side == -1 else at_right
            side = -1
    return 0.5 * (left + right)
