"""The law that values look drawn from: constant, uniform, normal or cut normal, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from initlab.reporting import format_number
from initlab.sampling.laws import Law
from initlab.sampling.truncation import cut_moments

Values = np.ndarray[Any, np.dtype[np.float64]]

FEWEST = 8  # values below which no law is named
KURTOSIS = {"uniform": 1.8, "normal": 3.0, "truncated_normal": 2.37}  # the last as cut at ±2 std
_MOST_TAILS = 6.0  # standard errors of the kurtosis from a normal's beyond which values are none
_UNLIKELY = 1e-4  # chance of a distance so large, under the law, below which the law is refused


@dataclass(frozen=True)
class FittedLaw:
    """What values look drawn from.

    Args:
        family: "constant", "uniform", "normal", "truncated_normal", or "" where none of these fits.
        mean, std: of the values.
        low, high: the least and the largest value.
        sigmas: for a cut normal, where it is cut, in std of the uncut normal.
        count: how many values it was fitted to.
        sure: the probability of this family among those that are told apart, in [0, 1].
    """

    family: str
    mean: float
    std: float
    low: float
    high: float
    count: int
    sure: float
    sigmas: float = math.inf

    @property
    def parent_std(self) -> float:
        """The std before the cut; `std` where nothing is cut."""
        if not math.isfinite(self.sigmas):
            return self.std
        return self.std / math.sqrt(cut_moments(-self.sigmas, self.sigmas)[1])

    def describe(self) -> str:
        """The law in one short formula.

        >>> FittedLaw("normal", 0.0, 0.02, -0.08, 0.08, 4096, 1.0).describe()
        'N(0, 0.02²)'
        """
        mean, std = _near_zero(self.mean, self.std, self.count), format_number(self.std, 3)
        if self.family == "constant":
            return format_number(self.mean, 4)
        if self.family == "uniform":
            low, high = self.bounds
            return f"U({format_number(low, 3)}, {format_number(high, 3)})"
        if self.family == "normal":
            return f"N({mean}, {std}²)"
        if self.family == "truncated_normal":
            parent = format_number(self.parent_std, 3)
            return f"N({mean}, {parent}²) cut at ±{format_number(self.sigmas, 2)}σ"
        return f"no simple law: mean {mean}, std {std}"

    @property
    def bounds(self) -> tuple[float, float]:
        """A uniform law's bounds, as its mean and std give them: less biased than the least and largest value."""
        half = self.std * math.sqrt(3)
        middle = 0.0 if _near_zero(self.mean, self.std, self.count) == "0" else self.mean
        return middle - half, middle + half


def relative_error(family: str, count: int) -> float:
    """The standard error of a std as a share of it, √((κ − 1) / 4n) for n values of kurtosis κ."""
    return math.sqrt((KURTOSIS.get(family, 3.0) - 1) / (4 * count))


def family_of(law: Law) -> str:
    """The family of a law's values: of one in blocks theirs, where all have one.

    >>> from initlab.sampling import laws
    >>> family_of(laws.Stacked(0, (1, 1), (laws.Normal(0.0, 1.0), laws.Normal(0.0, 2.0))))
    'normal'
    """
    families = {family_of(part) for part in getattr(law, "laws", ())}
    return families.pop() if len(families) == 1 else law.family


def _near_zero(mean: float, std: float, count: int) -> str:
    return "0" if abs(mean) <= 4 * std / math.sqrt(max(count, 1)) else format_number(mean, 3)


def fit_law(values: Values) -> FittedLaw:
    """The law that fits values best, by likelihood, unless none does.

    A normal, a uniform and a symmetrically cut normal are compared by their likelihood with a penalty for each
    bound that the extremes set (Schwarz 1978); the best is refused where its Kolmogorov–Smirnov distance has a
    chance below 1e-4.

    Args:
        values: the finite values, in one dimension.
    """
    count = int(values.size)
    if count == 0:
        return FittedLaw("", math.nan, math.nan, math.nan, math.nan, 0, 0.0)
    mean, std = float(values.mean()), float(values.std())
    low, high = float(values.min()), float(values.max())
    if low == high:
        return FittedLaw("constant", low, 0.0, low, high, count, 1.0)
    if count < FEWEST or std == 0:
        return FittedLaw("", mean, std, low, high, count, 0.0)
    z = (values - mean) / std
    scores = {"normal": -0.5 * count * (1 + math.log(2 * math.pi)), "uniform": _uniform_score(z)}
    sigmas, scores["truncated_normal"] = _cut_score(z)
    best = max(scores, key=lambda family: scores[family])
    total = sum(math.exp(max(score - scores[best], -700)) for score in scores.values())
    fitted = FittedLaw(best, mean, std, low, high, count, 1 / total, sigmas if best == "truncated_normal" else math.inf)
    if _distance_chance(z, fitted) < _UNLIKELY or (best == "normal" and _tails(z) > _MOST_TAILS):
        return FittedLaw("", mean, std, low, high, count, 1.0)
    return fitted


def _tails(z: Values) -> float:
    """How many standard errors the kurtosis is from a normal's 3; heavy tails hide from the distance below."""
    return abs(float((z**4).mean()) - 3) / math.sqrt(24 / z.size)


def _uniform_score(z: Values) -> float:
    """Log likelihood between the extremes, which are bounds of their own."""
    return -z.size * math.log(float(z.max() - z.min())) - math.log(z.size)


def _cut_score(z: Values) -> tuple[float, float]:
    """(where a normal is cut, in its own std; log likelihood), the cut being at the largest absolute value."""
    reach = float(np.abs(z).max()) * (1 + 1 / z.size)
    if reach >= 5.0 or reach <= math.sqrt(3.0) * 1.01:
        return math.inf, -math.inf
    # lazy: it takes 13 MB, which planning and training do without
    from scipy import optimize

    # reach / after-cut std = sigmas / √variance(sigmas); it grows with sigmas
    sigmas = float(optimize.brentq(lambda s: s / math.sqrt(cut_moments(-s, s)[1]) - reach, 0.05, 8.0))
    parent = reach / sigmas
    mass = math.erf(sigmas / math.sqrt(2))
    squares = float((z * z).sum()) / parent**2
    score = -z.size * (math.log(parent) + 0.5 * math.log(2 * math.pi) + math.log(mass)) - 0.5 * squares
    return sigmas, score - 1.5 * math.log(z.size)


def _distance_chance(z: Values, fitted: FittedLaw) -> float:
    """The chance of a Kolmogorov–Smirnov distance this large; high, since the numbers come from the same values."""
    ordered = np.sort(z)
    if fitted.family == "uniform":
        cdf = (ordered - ordered[0]) / (ordered[-1] - ordered[0])
    elif fitted.family == "normal":
        cdf = special.ndtr(ordered)
    else:
        parent = 1 / math.sqrt(cut_moments(-fitted.sigmas, fitted.sigmas)[1])
        below = special.ndtr(-fitted.sigmas)
        cdf = (special.ndtr(ordered / parent) - below) / (1 - 2 * below)
    steps = np.arange(1, z.size + 1) / z.size
    distance = float(max((steps - cdf).max(), (cdf - (steps - 1 / z.size)).max()))
    return float(special.kolmogorov(math.sqrt(z.size) * distance))
