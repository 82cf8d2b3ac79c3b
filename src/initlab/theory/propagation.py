"""A whole stack in numbers: second moment, correlation, chi and gradient, layer by layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from initlab.errors import finite_number, whole_number
from initlab.theory.activations import Array
from initlab.theory.functions import resolve
from initlab.theory.maps import sigmas
from initlab.theory.quadrature import line, pair_mean, variance

_LARGEST = 1e60  # the square of a larger second moment's values would leave the range of floats


@dataclass(frozen=True, eq=False)
class Propagation:
    """What a deep stack of one activation does to two inputs, in the limit of wide layers.

    Args:
        function: the activation's name.
        q: second moment of the pre-activations of layers 1 to depth.
        c: correlation of the two inputs' pre-activations.
        chi: χ of each layer, σ_w² E[φ'²] at its q.
        gradient: second moment of the gradient at each layer's pre-activations over that of the last layer's.
        spread: standard deviation of ln q from one draw of the weights to the next in layers of finite width; None
            where no width was given.
    """

    function: str
    q: Array
    c: Array
    chi: Array
    gradient: Array
    spread: Array | None = None

    def __repr__(self) -> str:
        return (
            f"Propagation({self.function}, {len(self.q)} layers: q {self.q[0]:.4g} → {self.q[-1]:.4g}, "
            f"c {self.c[0]:.4g} → {self.c[-1]:.4g}, gradient at layer 1 {self.gradient[0]:.4g})"
        )


def propagate(
    fn: Any,
    depth: int,
    sigma_w: float,
    sigma_b: float = 0.0,
    q0: float = 1.0,
    c0: float = 0.5,
    *,
    residual: float = 0.0,
    width: int | None = None,
) -> Propagation:
    """Follow the second moment and the correlation of two inputs through `depth` layers.

    Layer 1 is linear in the inputs: q₁ = σ_w² q₀ + σ_b². Then q_{l+1} = V(q_l), c_{l+1} = C(c_l), and a gradient's
    second moment grows by χ_l from layer l+1 back to layer l.

    Args:
        fn: an activation's name, or a scalar callable.
        depth: number of layers, at least 1.
        sigma_w: weight std times √fan_in.
        sigma_b: bias std.
        q0: second moment of the inputs.
        c0: correlation of the two inputs, in [−1, 1].
        residual: 0 for a plain stack; α > 0 for h + α·(W φ(h) + b): q grows by α² V(q), the gradient by 1 + α² χ.
            Orthogonal weights have the same q, c and χ as Gaussian ones; what differs is `jacobian_spread`.
        width: units of each layer; with it `spread` follows from two sources in each layer, the mean of φ² over the
            units, whose relative variance is (E[φ⁴]/E[φ²]² − 1)/width, and what the layers before hand on, times
            d ln V/d ln q. For relu this is 5/width a layer.

    Raises:
        InputError: a bad function, a depth or width that is not a positive integer, or a number outside its range.

    Source: Poole et al. 2016, equations 3 and 5; Schoenholz et al. 2017, equation 14; Yang & Schoenholz 2017, theorem 2
    (residual); Hanin & Nica 2019, theorem 1 (5/width for relu).

    >>> propagate("relu", 3, 2 ** 0.5, q0=0.5).q.round(12).tolist()
    [1.0, 1.0, 1.0]
    """
    for name, count in (("depth", depth), ("width", 1 if width is None else width)):
        whole_number(name, count)
    alpha = finite_number("residual", residual, low=0)
    weight, bias = sigmas(sigma_w, sigma_b)
    start, c = variance("q0", q0), finite_number("c0", c0, low=-1, high=1)
    q = weight**2 * start + bias**2
    c = (weight**2 * start * c + bias**2) / q if q > 0 else math.nan
    qs, cs, chis, spreads = (np.full(depth, np.nan) for _ in range(4))
    variance_of_log = 0.0
    function = resolve(fn)
    for layer in range(depth):
        qs[layer], cs[layer], spreads[layer] = q, c, math.sqrt(variance_of_log)
        if not 1e-300 < q < _LARGEST:
            qs[layer:] = 0.0 if q <= 1e-300 else math.inf
            break
        sampled = line(function, q)
        jumps = sampled.jumps and weight > 0
        chis[layer] = math.inf if jumps else weight**2 * sampled.mean(sampled.slopes**2)
        second = sampled.mean(sampled.values**2)
        after = weight**2 * second + bias**2
        together = weight**2 * pair_mean(function, c, sampled, math.sqrt(q)) + bias**2
        if width is not None and after > 0 and second > 0:
            kurtosis = sampled.mean(sampled.values**4) / second**2 - 1
            passed = weight**2 * sampled.mean((sampled.z**2 - 1) * sampled.values**2) / 2  # q V'(q)
            overlap = 2 + 4 * q / (alpha**2 * weight**2 * second) if alpha and weight else 0.0
            own = (kurtosis + overlap) / width
            variance_of_log = _spread(variance_of_log, q, passed, weight**2 * second, own, after, alpha)
        if alpha:
            chis[layer] = 1 + alpha**2 * chis[layer]
            after, together = q + alpha**2 * after, c * q + alpha**2 * together
        q, c = after, (min(1.0, max(-1.0, together / after)) if after > 0 else math.nan)
    return Propagation(function.name, qs, cs, chis, _gradients(chis), None if width is None else spreads)


def _spread(before: float, q: float, passed: float, drawn: float, own: float, after: float, alpha: float) -> float:
    """Variance of ln q after a layer: what came in, times (d ln q'/d ln q)², and the layer's own, by its share of q'.

    A residual sum keeps units that are there already, so that their number counts too: its new part varies by 2/width
    of itself, and by its chance overlap with the old.
    """
    if not alpha:
        return before * (passed / after) ** 2 + own * (drawn / after) ** 2
    fresh = alpha**2 * drawn
    total = q + alpha**2 * after
    return before * ((q + alpha**2 * passed) / total) ** 2 + own * (fresh / total) ** 2


def _gradients(chis: Array) -> Array:
    """Products of χ from each layer to the one before the last."""
    steps = np.concatenate([chis[:-1], [1.0]])
    result: Array = np.cumprod(steps[::-1])[::-1]
    return result
