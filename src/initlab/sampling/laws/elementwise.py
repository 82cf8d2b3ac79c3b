"""Laws whose elements are independent of each other and of the shape."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from initlab.errors import InputError, finite_number
from initlab.sampling.laws.base import Law, assign
from initlab.sampling.truncation import cut_moments, find_parent

FEWEST_SIGMAS, MOST_SIGMAS = 0.05, 8.0


@dataclass(frozen=True)
class Constant(Law):
    """Every element is `value`.

    >>> Constant(0.5).describe()
    '0.5'
    """

    value: float
    family: ClassVar[str] = "constant"

    def __post_init__(self) -> None:
        assign(self, value=finite_number("value", self.value))

    @property
    def mean(self) -> float:
        return self.value

    @property
    def std(self) -> float:
        return 0.0

    def describe(self) -> str:
        return f"{self.value:.4g}"


@dataclass(frozen=True)
class Uniform(Law):
    """U(low, high): std = (high - low) / √12.

    Raises:
        InputError: non-finite or reversed bounds (equal bounds give one value).

    >>> Uniform(-0.5, 0.5).describe()
    'U(-0.5, 0.5)'
    """

    low: float
    high: float
    family: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        low, high = finite_number("low", self.low), finite_number("high", self.high)
        if low > high:
            raise InputError(f"low must not exceed high; got low={low:g}, high={high:g}")
        if not math.isfinite(high - low):
            raise InputError(f"high - low must be finite; got low={low:g}, high={high:g}")
        assign(self, low=low, high=high)

    @property
    def mean(self) -> float:
        return self.low + (self.high - self.low) / 2

    @property
    def std(self) -> float:
        return (self.high - self.low) / math.sqrt(12.0)

    def describe(self) -> str:
        return f"U({self.low:.4g}, {self.high:.4g})"


@dataclass(frozen=True)
class Normal(Law):
    """N(mean, std²).

    Raises:
        InputError: a non-finite mean or std, or a negative std.

    >>> Normal(0.0, 0.02).describe()
    'N(0, 0.02²)'
    """

    mean: float = 0.0
    std: float = 1.0
    family: ClassVar[str] = "normal"

    def __post_init__(self) -> None:
        assign(self, mean=finite_number("mean", self.mean), std=finite_number("std", self.std, low=0))

    def describe(self) -> str:
        return f"N({self.mean:.4g}, {self.std:.4g}²)"


@dataclass(frozen=True)
class TruncatedNormal(Law):
    """A normal cut to [low, high], whose mean and std AFTER the cut are `mean` and `std`.

    The parent N(mu, sigma²) is found so that the cut law has the stated moments; `low` or `high` may be infinite.

    Raises:
        InputError: reversed or far cut points, a mean outside them, or a std that no normal reaches between them.

    Source: Burkardt, The truncated normal distribution, 2014.

    >>> law = TruncatedNormal.from_sigmas(1.0)
    >>> round(law.high, 4), law.std
    (2.2737, 1.0)
    """

    mean: float
    std: float
    low: float
    high: float
    family: ClassVar[str] = "truncated_normal"

    def __post_init__(self) -> None:
        mean, std = finite_number("mean", self.mean), finite_number("std", self.std, low=0)
        low, high = _cut("low", self.low), _cut("high", self.high)
        if low > high or (low == high and std > 0):
            raise InputError(f"low must be below high; got low={low:g}, high={high:g}")
        if low == math.inf or high == -math.inf:
            raise InputError(f"low and high must leave room between them; got low={low:g}, high={high:g}")
        inside = low <= mean <= high if std == 0 else low < mean < high
        if not inside:
            raise InputError(
                f"mean must lie near [low, high], between them; got mean={mean:g}, low={low:g}, high={high:g}"
            )
        assign(self, mean=mean, std=std, low=low, high=high)
        find_parent(mean, std, low, high)

    @classmethod
    def from_sigmas(cls, std: float, sigmas: float = 2.0, mean: float = 0.0) -> TruncatedNormal:
        """N(mean, s²) cut at mean ± sigmas · s, with s such that the std after the cut is `std`.

        Raises:
            InputError: a negative or non-finite std, or sigmas outside [0.05, 8] (nearly Uniform, or nearly Normal).
        """
        std, mean = finite_number("std", std, low=0), finite_number("mean", mean)
        k = finite_number("sigmas", sigmas, low=FEWEST_SIGMAS, high=MOST_SIGMAS)
        half = k * std / math.sqrt(cut_moments(-k, k)[1])
        return cls(mean, std, mean - half, mean + half)

    def describe(self) -> str:
        return f"N({self.mean:.4g}, {self.std:.4g}²) cut to [{self.low:.4g}, {self.high:.4g}]"


def _cut(name: str, value: float) -> float:
    if isinstance(value, float | np.floating) and math.isinf(value):
        return float(value)
    return finite_number(name, value)
