"""The statistical battery: does a tensor follow its law? Each test gives one p-value; Holm holds the family's error.

Every test's null distribution is exact, or its error is far below the levels used here, so that a healthy law fails
with the stated probability and not more often.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special, stats

from initlab.sampling import laws
from initlab.sampling.laws import Law
from initlab.sampling.truncation import find_parent

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Outcome:
    """One test's p-value."""

    name: str
    p: float


def cdf_of(law: Law) -> Callable[[Array], Array]:
    """The cumulative distribution function of one element."""
    if isinstance(law, laws.Uniform):
        low, high = law.low, law.high
        return lambda x: np.clip((x - low) / (high - low), 0.0, 1.0)
    if isinstance(law, laws.TruncatedNormal):
        parent = find_parent(law.mean, law.std, law.low, law.high)
        cut = lambda x: (special.ndtr((x - parent.mean) / parent.std) - parent.below) / parent.inside  # noqa: E731
        return lambda x: np.clip(cut(x), 0.0, 1.0)
    assert isinstance(law, laws.Normal)
    mean, std = law.mean, law.std
    return lambda x: special.ndtr((x - mean) / std)


def two_sided(tail: float) -> float:
    """The two-sided p-value from one tail's probability."""
    return min(1.0, 2.0 * min(tail, 1.0 - tail))


def _fourth(law: Law) -> float:
    """E[(x - mean)⁴] / std⁴."""
    if isinstance(law, laws.Uniform):
        return 1.8
    if isinstance(law, laws.TruncatedNormal):
        parent = find_parent(law.mean, law.std, law.low, law.high)
        a, b = (law.low - parent.mean) / parent.std, (law.high - parent.mean) / parent.std
        return float(stats.truncnorm(a, b).stats(moments="k")) + 3.0
    return 3.0


def mean_test(x: Array, law: Law) -> float:
    """z of the mean: exact for a normal, by the central limit theorem (n ≥ 10⁴) for bounded laws."""
    z = (x.mean() - law.mean_of(())) / (float(law.std) / math.sqrt(x.size))  # type: ignore[attr-defined]
    return two_sided(float(special.ndtr(z)))


def variance_test(x: Array, law: Law) -> float:
    """For a normal the exact chi-square of Σ(x - mean)²/std²; for others its normal limit with the law's kurtosis."""
    std = float(law.std)  # type: ignore[attr-defined]
    total = float(np.square((x - law.mean_of(())) / std).sum())
    if isinstance(law, laws.Normal):
        return two_sided(float(special.chdtr(x.size, total)))
    z = (total - x.size) / math.sqrt(x.size * (_fourth(law) - 1.0))
    return two_sided(float(special.ndtr(z)))


def kolmogorov_test(x: Array, law: Law) -> float:
    return float(stats.kstwobign.sf(_ks_distance(np.sort(cdf_of(law)(x))) * math.sqrt(x.size)))


def _ks_distance(u: Array) -> float:
    grid = np.arange(u.size + 1) / u.size
    return float(max((grid[1:] - u).max(), (u - grid[:-1]).max()))


def anderson_darling_test(x: Array, law: Law) -> float:
    """A² of a fully known law, with Marsaglia & Marsaglia's (2004) limit distribution."""
    u = np.clip(np.sort(cdf_of(law)(x)), 1e-300, 1 - 1e-16)
    n = u.size
    weight = 2 * np.arange(1, n + 1) - 1
    a2 = -n - float((weight * (np.log(u) + np.log1p(-u[::-1]))).sum()) / n
    return 1.0 - _anderson_darling_limit(a2)


def _anderson_darling_limit(z: float) -> float:
    if z <= 0:
        return 0.0
    if z < 2:
        terms = (2.00012, 0.247105, -0.0649821, 0.0347962, -0.0116720, 0.00168691)
        return math.exp(-1.2337141 / z) / math.sqrt(z) * sum(t * z**k for k, t in enumerate(terms))
    terms = (1.0776, -2.30695, 0.43424, -0.082433, 0.008056, -0.0003146)
    return math.exp(-math.exp(sum(t * z**k for k, t in enumerate(terms)))) if z < 10 else 1.0 - 0.5 * math.exp(-z)


def kurtosis_test(x: Array, law: Law) -> float:
    """z of the fourth moment about the stated mean, with the law's own eighth-moment variance."""
    std = float(law.std)  # type: ignore[attr-defined]
    fourth = ((x - law.mean_of(())) / std) ** 4
    if isinstance(law, laws.Normal):
        spread, expected = math.sqrt(96.0), 3.0
    else:
        spread, expected = float(fourth.std()), _fourth(law)
    z = (float(fourth.mean()) - expected) / (spread / math.sqrt(x.size))
    return two_sided(float(special.ndtr(z)))


def largest_test(x: Array, law: Law) -> float:
    """The exact law of the largest |x - mean|: P(max <= m) = P(|x - mean| <= m)ⁿ."""
    farthest, cdf, mean = float(np.abs(x - law.mean_of(())).max()), cdf_of(law), law.mean_of(())
    if isinstance(law, laws.Normal):
        outside = 2.0 * float(special.ndtr(-farthest / law.std))
    else:
        outside = 1.0 - float(cdf(np.array(mean + farthest)) - cdf(np.array(mean - farthest)))
    return two_sided(-math.expm1(x.size * math.log1p(-min(max(outside, 0.0), 1.0 - 1e-16))))


def distinct_test(x: Array, law: Law) -> float:
    """How many values repeat, against the Poisson number of a 2^24-cell grid, the coarsest that is used."""
    repeats = x.size - np.unique(x).size
    finest = x.size**2 / 2 / 2**23
    return float(stats.poisson.sf(repeats - 1, 3 * finest + 1)) if repeats else 1.0


def lag_test(x: Array, law: Law, lag: int) -> float:
    """Correlation of elements `lag` apart."""
    z = (x - law.mean_of(())) / float(law.std)  # type: ignore[attr-defined]
    r = float((z[:-lag] * z[lag:]).mean()) * math.sqrt(z.size - lag)
    return two_sided(float(special.ndtr(r)))


def block_test(x: Array, law: Law, blocks: int) -> float:
    """The largest |correlation| of any two of `blocks` equal parts, values and squares; Bonferroni over the pairs."""
    size = x.size // blocks
    parts = x[: size * blocks].reshape(blocks, size)
    pairs, worst = blocks * (blocks - 1), 0.0
    for part in (parts, np.square(parts - law.mean_of(()))):
        r = np.corrcoef(part)
        worst = max(worst, float(np.abs(r[np.triu_indices(blocks, 1)]).max()))
    return min(1.0, pairs * 2.0 * float(special.ndtr(-worst * math.sqrt(size))))


def order_test(x: Array, law: Law) -> float:
    """The number of rises x[i] < x[i+1]: mean (n - 1)/2, variance (n + 1)/12 whatever the law. Sorted rows fail."""
    rises = int((x[1:] > x[:-1]).sum()) + 0.5 * int((x[1:] == x[:-1]).sum())
    z = (rises - (x.size - 1) / 2) / math.sqrt((x.size + 1) / 12)
    return two_sided(float(special.ndtr(z)))


def rows_test(matrix: Array, law: Law) -> float:
    """Row means, and column means: the sum of their squares is chi-square in each case; Bonferroni over the two."""
    z = (matrix - law.mean_of(())) / float(law.std)  # type: ignore[attr-defined]
    rows, columns = z.shape
    p_rows = float(special.chdtrc(rows, columns * np.square(z.mean(axis=1)).sum()))
    p_columns = float(special.chdtrc(columns, rows * np.square(z.mean(axis=0)).sum()))
    return min(1.0, 2.0 * min(two_sided(p_rows), two_sided(p_columns)))


def edge_test(matrix: Array, law: Law) -> float:
    """The largest eigenvalue of the sample covariance against the Marchenko–Pastur edge, by the Tracy–Widom law.

    (λ - μ)/σ → TW1, μ = (√(n-1) + √p)², σ = (√(n-1) + √p)(1/√(n-1) + 1/√p)^(1/3). Its upper tail is
    exp(-(2/3) s^(3/2)), its lower exp(-|s|³/24), both to the order that a level of 10⁻⁴ needs.

    Source: Johnstone, On the distribution of the largest eigenvalue in principal components analysis, 2001.
    """
    z = (matrix - law.mean_of(())) / float(law.std)  # type: ignore[attr-defined]
    n, p = max(z.shape), min(z.shape)
    largest = float(np.linalg.eigvalsh(z @ z.T if z.shape[0] == p else z.T @ z)[-1])
    root = math.sqrt(n - 1) + math.sqrt(p)
    s = (largest - root**2) / (root * (1 / math.sqrt(n - 1) + 1 / math.sqrt(p)) ** (1 / 3))
    if s > 0:
        return min(1.0, math.exp(-2 / 3 * s**1.5))
    return min(1.0, 2 * math.exp(-(abs(s) ** 3) / 24))


def element_battery(matrix: Array, law: Law) -> list[Outcome]:
    """Every test of a law whose elements are independent, on a matrix of them."""
    x = matrix.astype(np.float64)
    flat = x.reshape(-1)
    return [
        Outcome("mean", mean_test(flat, law)),
        Outcome("variance", variance_test(flat, law)),
        Outcome("kolmogorov", kolmogorov_test(flat, law)),
        Outcome("anderson-darling", anderson_darling_test(flat, law)),
        Outcome("kurtosis", kurtosis_test(flat, law)),
        Outcome("largest", largest_test(flat, law)),
        Outcome("distinct", distinct_test(flat, law)),
        *(Outcome(f"lag {lag}", lag_test(flat, law, lag)) for lag in (1, 2, 64, 256)),
        *(Outcome(f"{count} blocks", block_test(flat, law, count)) for count in (2, 16)),
        Outcome("order", order_test(flat, law)),
        Outcome("rows", rows_test(x, law)),
        Outcome("edge", edge_test(x, law)),
    ]


def orthogonal_battery(factors: Sequence[Array], gain: float) -> list[Outcome]:
    """Tests of independent square Haar factors: orthogonality to rounding, the diagonal's signs and size, the trace.

    For Haar Q in O(n), √n Q[i, i] is N(0, 1) in the limit with P(Q[i, i] > 0) = ½ exactly, and the trace is N(0, 1) to
    an error below n^(-n/2) (Diaconis & Shahshahani 1994). LAPACK's raw Q has a diagonal of one sign.
    """
    n = factors[0].shape[0]
    stack = np.stack([factor.astype(np.float64) for factor in factors]) / gain
    error = max(float(np.abs(q @ q.T - np.eye(n)).max()) for q in stack)
    diagonal = np.stack([np.diagonal(q) for q in stack]).reshape(-1)
    corner = stack[:, 0, 0]
    trace = np.trace(stack, axis1=1, axis2=2)
    return [
        Outcome("orthogonality", 1.0 if error < 1e-6 * math.sqrt(n) else 0.0),
        Outcome("corner sign", float(stats.binomtest(int((corner > 0).sum()), corner.size).pvalue)),
        Outcome(
            "diagonal sign",
            two_sided(float(special.ndtr(((diagonal > 0).mean() - 0.5) * 2 * math.sqrt(diagonal.size)))),
        ),
        Outcome("trace mean", two_sided(float(special.ndtr(trace.mean() * math.sqrt(trace.size))))),
        Outcome("trace variance", two_sided(float(special.chdtr(trace.size, np.square(trace).sum())))),
    ]


def independence_battery(tensors: Sequence[Array]) -> list[Outcome]:
    """The largest |correlation| of any two tensors of one size, Bonferroni over the pairs. Layers of one seed fail."""
    stack = np.stack([tensor.astype(np.float64).reshape(-1) for tensor in tensors])
    count = stack.shape[0]
    worst = float(np.abs(np.corrcoef(stack)[np.triu_indices(count, 1)]).max())
    pairs = count * (count - 1) / 2
    return [Outcome("independence", min(1.0, pairs * 2 * float(special.ndtr(-worst * math.sqrt(stack.shape[1])))))]


def holm(outcomes: Sequence[Outcome], level: float) -> list[Outcome]:
    """The outcomes that Holm's procedure rejects at this family-wise level (Holm 1979)."""
    ordered = sorted(outcomes, key=lambda outcome: outcome.p)
    rejected = []
    for rank, outcome in enumerate(ordered):
        if outcome.p > level / (len(ordered) - rank):
            break
        rejected.append(outcome)
    return rejected
