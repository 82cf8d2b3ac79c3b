"""The std that a law gives the elements of a tensor of a known shape: matrix laws have one only then."""

from __future__ import annotations

import math
from collections.abc import Sequence

from initlab.sampling import laws


def law_std(law: laws.Law, shape: Sequence[int]) -> float:
    """The std of the elements of a tensor of this shape under a law: √(E[w²] − E[w]²), averaged over the elements.

    Orthogonal r × c: gain²·min(r, c) is the sum of squares, so std = gain/√max(r, c). Identity and delta-orthogonal
    have gain²·min(out, in) spread over all elements. Sparse: a share of zeros lowers the variance by that share.

    >>> law_std(laws.Orthogonal(2.0), (16, 64))
    0.25
    """
    second, mean = _second_and_mean(law, tuple(shape))
    return math.sqrt(max(second - mean * mean, 0.0))


def _second_and_mean(law: laws.Law, shape: tuple[int, ...]) -> tuple[float, float]:
    """E[w²] and E[w], averaged over the elements."""
    count = math.prod(shape)
    if isinstance(law, laws.Stacked):
        axis = law.axis % len(shape)
        parts = [
            (size / shape[axis], _second_and_mean(part, (*shape[:axis], size, *shape[axis + 1 :])))
            for size, part in zip(law.sizes, law.laws, strict=True)
        ]
        return sum(w * second for w, (second, _) in parts), sum(w * mean for w, (_, mean) in parts)
    if isinstance(law, laws.Orthogonal):
        rows = shape[law.out_axis]
        return law.gain**2 / max(rows, count // rows), 0.0
    if isinstance(law, laws.DeltaOrthogonal | laws.Identity):
        ones = min(shape[law.out_axis], shape[law.in_axis])
        mean = law.gain * ones / count if isinstance(law, laws.Identity) else 0.0
        return law.gain**2 * ones / count, mean
    if isinstance(law, laws.Sparse):
        rows = shape[law.out_axis]
        return law.std_nonzero**2 * (1 - math.ceil(law.sparsity * rows) / rows), 0.0
    return law.std**2 + law.mean**2, law.mean
