"""The mean-field maps of one layer: second moment, correlation and chi, for any scalar function.

A layer is y = σ_w/√n · W φ(x) + σ_b · b with standard normal W and b and n = fan_in, so that its pre-activations are
Gaussian for large n (Poole et al. 2016). q is the second moment of a pre-activation, c the correlation of two inputs'.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from initlab.errors import InputError, argued, finite_number, whole_number
from initlab.rng import random_states_kept_once
from initlab.theory.functions import resolve
from initlab.theory.quadrature import LARGEST, ORDER, line, pair_mean, variance

_RARE = 4.0  # P(|z| > 4) is 6e-5


@dataclass(frozen=True)
class Moments:
    """What a scalar function does to z ~ N(0, q).

    Args:
        mean: E[φ(z)].
        second: E[φ(z)²].
        slope_second: E[φ'(z)²]; infinite where φ jumps.
        slope_mean: E[φ'(z)].
        growth: d E[φ²] / dq = E[z φ(z) φ'(z)] / q.
        tail: the share of E[φ(z)²] that lies beyond |z| = 4√q, which one sample in 16,000 reaches. Where it is most of
            it, as for exp of a wide z, a batch holds far less than E[φ²].
    """

    mean: float
    second: float
    slope_second: float
    slope_mean: float
    growth: float
    tail: float

    @property
    def variance(self) -> float:
        """Var[φ(z)] = E[φ²] − E[φ]²."""
        return self.second - self.mean**2


@argued
@random_states_kept_once()
def moments(fn: Any, q: float = 1.0, *, order: int = ORDER) -> Moments:
    """The Gaussian moments of a scalar function and of its slope, φ(z) and φ'(z) for z ~ N(0, q).

    Args:
        fn: an activation's name, or a callable on numpy arrays, torch tensors or floats.
        q: the second moment of its argument, greater than 0.
        order: nodes in each quadrature panel; the default reaches about 1e-13.

    Raises:
        InputError: an unknown name, a callable that is not a finite scalar function, or q that is not positive.

    >>> m = moments("relu")
    >>> round(m.second, 12), round(m.slope_second, 12)
    (0.5, 0.5)
    """
    nodes = whole_number("order", order, low=4, high=128)
    sampled = line(resolve(fn), q, nodes)
    values, slopes = sampled.values, sampled.slopes
    with np.errstate(over="ignore", invalid="ignore"):
        return Moments(
            mean=sampled.mean(values),
            second=sampled.mean(values**2),
            slope_second=math.inf if sampled.jumps else sampled.mean(slopes**2),
            slope_mean=math.nan if sampled.jumps else sampled.mean(slopes),
            growth=_growth(sampled.mean((sampled.z**2 - 1) * values**2), q),
            tail=_share(sampled.mean(values**2 * (np.abs(sampled.z) > _RARE)), sampled.mean(values**2)),
        )


def _share(part: float, whole: float) -> float:
    return part / whole if 0 < whole < math.inf else float(whole > 0)


def _growth(weighted: float, q: float) -> float:
    """d E[φ(√q z)²]/dq = E[(z² − 1) φ²] / (2q): the derivative falls on the Gaussian, so kinks and jumps do no harm."""
    return weighted / (2 * q)


@argued
def gain(fn: Any) -> float:
    """The gain of a scalar function: the factor by which the weights that follow it must be larger than 1/√fan_in.

    gain = 1 / √E[φ(z)²], z ~ N(0, 1). With Var(W) = gain²/fan_in a layer y = W φ(z) keeps E[y²] = E[z²] = 1.

    Args:
        fn: an activation's name, or a callable on numpy arrays, torch tensors or floats.

    Returns:
        √2 for relu, 1 for identity, 1.5925 for tanh (torch's calculate_gain has 5/3 by convention).

    Raises:
        InputError: an unknown name, a callable that is not a finite scalar function, or one that is zero everywhere.

    Source: He et al. 2015, equation 10, for any φ.

    >>> round(gain("relu") ** 2, 12)
    2.0
    >>> round(gain(lambda x: x * (x > 0)) ** 2, 12)
    2.0
    """
    second = moments(fn).second
    if not second > 0:
        raise InputError(f"fn must not be zero everywhere: no gain keeps a signal of 0; got {resolve(fn).name}")
    return 1 / math.sqrt(second)


@argued
def variance_map(fn: Any, q: float, sigma_w: float = 1.0, sigma_b: float = 0.0) -> float:
    """The second moment of the next layer's pre-activations, V(q) = σ_w² E[φ(√q z)²] + σ_b².

    Args:
        fn: an activation's name, or a scalar callable.
        q: second moment of this layer's pre-activations, at least 0.
        sigma_w: weight std times √fan_in.
        sigma_b: bias std.

    Raises:
        InputError: a bad function or a number that is negative or not finite.

    Source: Poole et al. 2016, equation 3.

    >>> round(variance_map("relu", 3.0, sigma_w=2 ** 0.5), 12)
    3.0
    """
    number = variance("q", q, zero=True)
    weight, bias = sigmas(sigma_w, sigma_b)
    second = _at_zero(fn) if number == 0 else moments(fn, number).second
    return weight**2 * second + bias**2


@argued
@random_states_kept_once()
def correlation_map(fn: Any, c: float, q: float = 1.0, sigma_w: float = 1.0, sigma_b: float = 0.0) -> float:
    """The correlation of two inputs after the next layer, C(c) = (σ_w² E[φ(u₁) φ(u₂)] + σ_b²) / V(q).

    Args:
        fn: an activation's name, or a scalar callable.
        c: their correlation now, in [−1, 1] (E[u₁u₂]/q: not centred).
        q: second moment of both, greater than 0.
        sigma_w: weight std times √fan_in.
        sigma_b: bias std.

    Raises:
        InputError: a bad function, a number outside its range, or V(q) = 0 (no signal, so no correlation).

    Source: Poole et al. 2016, equation 5.

    >>> round(correlation_map("relu", 0.0), 10)
    0.3183098862
    """
    number = finite_number("c", c, low=-1, high=1)
    weight, bias = sigmas(sigma_w, sigma_b)
    function = resolve(fn)
    sampled = line(function, q)
    after = weight**2 * sampled.mean(sampled.values**2) + bias**2
    if not after > 0:
        raise InputError(
            f"the signal after {function.name} is 0 (sigma_w={weight:g}, sigma_b={bias:g}): no correlation"
        )
    return (weight**2 * pair_mean(function, number, sampled, math.sqrt(q)) + bias**2) / after


@argued
def chi(fn: Any, q: float = 1.0, sigma_w: float = 1.0) -> float:
    """The mean squared singular value of the layer's Jacobian, χ = σ_w² E[φ'(√q z)²].

    χ < 1: gradients shrink and nearby inputs merge; χ > 1: gradients grow and nearby inputs part; χ = 1 is critical.

    Args:
        fn: an activation's name, or a scalar callable.
        q: second moment of the pre-activations, greater than 0.
        sigma_w: weight std times √fan_in.

    Returns:
        χ; infinite for a function that jumps, unless sigma_w is 0.

    Raises:
        InputError: a bad function or a number that is negative or not finite.

    Source: Schoenholz et al. 2017, equation 5.

    >>> round(chi("relu", q=7.0, sigma_w=2 ** 0.5), 12)
    1.0
    """
    weight, _ = sigmas(sigma_w, 0.0)
    return 0.0 if weight == 0 else weight**2 * moments(fn, q).slope_second


def sigmas(sigma_w: float, sigma_b: float) -> tuple[float, float]:
    """Both standard deviations, checked to be finite and at least 0."""
    return finite_number("sigma_w", sigma_w, low=0, high=LARGEST), finite_number(
        "sigma_b", sigma_b, low=0, high=LARGEST
    )


def _at_zero(fn: Any) -> float:
    return float(resolve(fn)(np.zeros(1))[0]) ** 2
