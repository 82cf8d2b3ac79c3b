"""A whole stack in numbers: second moment, correlation, chi and gradient, layer by layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from initlab.errors import argued, finite_number, whole_number
from initlab.theory.activations import Array
from initlab.theory.functions import resolve
from initlab.theory.maps import sigmas
from initlab.theory.quadrature import DEEPEST, LARGEST, line, pair_mean, variance

_WIDEST = 1 << 53
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
        spread: standard deviation, from one draw of weights and biases to the next, of the logarithm of the mean square
            of a layer's pre-activations; None where no width was given.
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


@argued
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
        width: units of each layer; with it `spread` follows, to first order in 1/width, from the mean of φ² over the
            units, whose relative variance is (E[φ⁴]/E[φ²]² − 1)/width, what the layers before hand on, times
            d ln V/d ln q, and the mean square of the layer's own units, 2/width. For relu its square is 5/width a
            layer, and 2/width.

    Raises:
        InputError: a bad function, a depth or width that is not a positive integer, or a number outside its range.

    Source: Poole et al. 2016, equations 3 and 5; Schoenholz et al. 2017 (gradients); Yang & Schoenholz 2017, theorem 2
    (residual); Hanin & Nica 2019, theorem 1 (5/width for relu).

    >>> propagate("relu", 3, 2 ** 0.5, q0=0.5).q.round(12).tolist()
    [1.0, 1.0, 1.0]
    """
    depth = whole_number("depth", depth, high=DEEPEST)
    width = None if width is None else whole_number("width", width, high=_WIDEST)
    alpha = finite_number("residual", residual, low=0, high=LARGEST)
    weight, bias = sigmas(sigma_w, sigma_b)
    start, c = variance("q0", q0), finite_number("c0", c0, low=-1, high=1)
    q = weight**2 * start + bias**2
    c = (weight**2 * start * c + bias**2) / q if q > 0 else math.nan
    qs, cs, chis, spreads = (np.full(depth, np.nan) for _ in range(4))
    counted = 0.0 if width is None else 2 / width  # relative variance of the mean square of a layer's units
    variance_of_log = counted if alpha else 0.0
    function = resolve(fn)
    for layer in range(depth):
        qs[layer], cs[layer] = q, c
        spreads[layer] = math.sqrt(variance_of_log + (0.0 if alpha else counted))
        if not 1e-300 < q < _LARGEST:
            qs[layer:] = 0.0 if q <= 1e-300 else math.inf
            break
        sampled = line(function, q)
        jumps = sampled.jumps and weight > 0
        chis[layer] = math.inf if jumps else weight**2 * sampled.mean(sampled.slopes**2)
        second = sampled.mean(sampled.values**2)
        after = weight**2 * second + bias**2
        together = weight**2 * pair_mean(function, c, sampled, math.sqrt(q)) + bias**2
        if width is not None and after > 0:
            passed = weight**2 * sampled.mean((sampled.z**2 - 1) * sampled.values**2) / 2  # q V'(q)
            own = weight**4 * (sampled.mean(sampled.values**4) - second**2)
            variance_of_log = _spread(variance_of_log, q, passed, own / width, after, alpha, counted)
        if alpha:
            chis[layer] = 1 + alpha**2 * chis[layer]
            after, together = q + alpha**2 * after, c * q + alpha**2 * together
        q, c = after, (min(1.0, max(-1.0, together / after)) if after > 0 else math.nan)
    return Propagation(function.name, qs, cs, chis, _gradients(chis), None if width is None else spreads)


def _spread(before: float, q: float, passed: float, own: float, after: float, alpha: float, counted: float) -> float:
    """Variance of ln q after a layer: what came in, times (d ln q'/d ln q)², and the variance of the layer's own V(q).

    Units of a plain stack are new in every layer, so that their number does not add up. A residual sum keeps units that
    are there already: its new part varies by their number, 2/width of itself, and by its chance overlap with the old.
    """
    if not alpha:
        return before * (passed / after) ** 2 + own / after**2
    total, fresh = q + alpha**2 * after, alpha**2 * after
    drawn = alpha**4 * own + counted * fresh**2 + 2 * counted * q * fresh
    return before * ((q + alpha**2 * passed) / total) ** 2 + drawn / total**2


def _gradients(chis: Array) -> Array:
    """Products of χ from each layer to the one before the last."""
    steps = np.concatenate([chis[:-1], [1.0]])
    result: Array = np.cumprod(steps[::-1])[::-1]
    return result
