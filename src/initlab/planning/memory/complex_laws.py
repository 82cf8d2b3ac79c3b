"""Laws of complex parameters, as laws of their real and imaginary parts side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from initlab.sampling.laws import (
    Constant,
    Identity,
    Law,
    MatrixLaw,
    Normal,
    Sparse,
    Stacked,
    TruncatedNormal,
    Uniform,
)
from initlab.sampling.whole_laws import OverComplex

HALF = math.sqrt(0.5)


def law_of_parts(law: Law, shape: Sequence[int]) -> Law:
    """The law of the pairs (real, imaginary) of a complex tensor whose E|w − mean|² is the law's variance.

    Both parts have half of the variance and the law's own form, and are independent, so that a normal gives a uniform
    phase. The mean is real, and so is the identity. Orthogonal factors become unitary ones.

    Args:
        law: the law as a real tensor of this shape would have it.
        shape: the complex tensor's.

    Source: Trabelsi et al., Deep complex networks, 2018, section 3.6.

    >>> law_of_parts(Normal(0.0, 1.0), (3, 4)).describe()
    'N(0, 0.7071²)'
    """
    if isinstance(law, Stacked):
        blocks = [law_of_parts(b, law.block_shape(shape, n)) for n, b in zip(law.sizes, law.laws, strict=True)]
        return Stacked(law.axis % len(shape), law.sizes, tuple(blocks), law.labels)
    if isinstance(law, Identity):
        axes = {"out_axis": law.out_axis % len(shape), "in_axis": law.in_axis % len(shape)}
        return _beside(replace(law, **axes), Constant(0.0), len(shape))
    if isinstance(law, MatrixLaw | Sparse):
        return OverComplex(law)
    mean, spread = law.mean_of(shape), law.std_of(shape)
    if isinstance(law, Constant) or spread == 0:
        return _beside(Constant(mean), Constant(0.0), len(shape))
    if isinstance(law, Uniform):
        half = HALF * (law.high - law.low) / 2
        parts: tuple[Law, Law] = (Uniform(mean - half, mean + half), Uniform(-half, half))
    elif isinstance(law, TruncatedNormal) and math.isfinite(law.high - law.low):
        low, high = HALF * (law.low - mean), HALF * (law.high - mean)
        cut = TruncatedNormal(0.0, HALF * law.std, low, high)
        parts = (TruncatedNormal(mean, HALF * law.std, low + mean, high + mean), cut)
    else:
        parts = (Normal(mean, HALF * spread), Normal(0.0, HALF * spread))
    return parts[1] if mean == 0 else _beside(*parts, len(shape))


def _beside(real: Law, imaginary: Law, rank: int) -> Law:
    return Stacked(rank, (1, 1), (real, imaginary), ("real", "imaginary"))
