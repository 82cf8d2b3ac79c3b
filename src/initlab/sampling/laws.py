"""Laws: the distributions that a weight's values are drawn from, as plain frozen data.

A law knows its numbers (`mean`, `std`) and how to say itself; it does not draw. `sampling.fill` draws it.
`family` is what the stream key holds, so that two laws of one family on one parameter share their uniform
numbers: normal(std=0.1) is twice normal(std=0.05) up to rounding. Studies of schemes are paired by that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Protocol

from initlab.errors import InputError, finite_number

Shape = Sequence[int]
MOST_SIGMAS = 8.0


class Law(Protocol):
    """What every law answers."""

    family: ClassVar[str]
    needs_whole: ClassVar[bool]

    @property
    def mean(self) -> float:
        """Expected value of an element."""

    @property
    def std(self) -> float:
        """Standard deviation of an element; nan where it depends on the shape (matrix laws)."""

    def describe(self) -> str:
        """The law in the field's notation."""

    def check(self, shape: Shape) -> None:
        """Raise `InputError` if a tensor of this global shape cannot hold the law."""


@dataclass(frozen=True)
class Constant:
    """Every element is `value`."""

    value: float
    family: ClassVar[str] = "constant"
    needs_whole: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", finite_number("value", self.value))

    @property
    def mean(self) -> float:
        return self.value

    @property
    def std(self) -> float:
        return 0.0

    def describe(self) -> str:
        return f"{self.value:g}"

    def check(self, shape: Shape) -> None:
        """Any shape holds a constant."""


@dataclass(frozen=True)
class Uniform:
    """U(low, high)."""

    low: float
    high: float
    family: ClassVar[str] = "uniform"
    needs_whole: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", finite_number("low", self.low))
        object.__setattr__(self, "high", finite_number("high", self.high))
        if self.low > self.high:
            raise InputError(f"low must not exceed high; got low={self.low:g}, high={self.high:g}")
        finite_number("high - low", self.high - self.low)

    @property
    def mean(self) -> float:
        return (self.low + self.high) / 2

    @property
    def std(self) -> float:
        return (self.high - self.low) / math.sqrt(12)

    def describe(self) -> str:
        return f"U({self.low:.4g}, {self.high:.4g})"

    def check(self, shape: Shape) -> None:
        """Any shape holds independent elements."""


@dataclass(frozen=True)
class Normal:
    """N(mean, std²)."""

    mean: float = 0.0
    std: float = 1.0
    family: ClassVar[str] = "normal"
    needs_whole: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", finite_number("mean", self.mean))
        object.__setattr__(self, "std", finite_number("std", self.std, low=0))

    def describe(self) -> str:
        return f"N({self.mean:.4g}, {self.std:.4g}²)"

    def check(self, shape: Shape) -> None:
        """Any shape holds independent elements."""


@dataclass(frozen=True)
class TruncatedNormal:
    """A normal law about `location`, cut at `low` and `high`, whose standard deviation AFTER the cut is `std`.

    The parent's standard deviation is solved for, since the cut takes spread away: a cut at ±2 of the parent's
    leaves 0.8796 of it.

    Raises:
        InputError: bounds reversed, or so near that no normal law has `std` between them (a uniform law has the most,
            (high − low)/√12), or so far from `location` that nothing of the law lies between them.
    """

    location: float
    std: float
    low: float
    high: float
    family: ClassVar[str] = "truncated_normal"
    needs_whole: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("location", "low", "high"):
            object.__setattr__(self, name, finite_number(name, getattr(self, name)))
        object.__setattr__(self, "std", finite_number("std", self.std, low=0))
        if self.low > self.high or (self.low == self.high and self.std > 0):
            raise InputError(f"low must be below high; got low={self.low:g}, high={self.high:g}")
        if self.std > 0:
            _parent(self.location, self.std, self.low, self.high)
        elif not self.low <= self.location <= self.high:
            raise InputError(f"std 0 needs its mean within [low, high]; got mean={self.location:g}")

    @classmethod
    def from_sigmas(cls, std: float, sigmas: float = 2.0, mean: float = 0.0) -> TruncatedNormal:
        """The law cut at ±`sigmas` standard deviations of its parent, with `std` after the cut."""
        finite_number("std", std, low=0)
        finite_number("sigmas", sigmas, low=0.01, high=MOST_SIGMAS)
        reach = sigmas * std / _moments(-sigmas, sigmas)[1]
        return cls(mean, std, mean - reach, mean + reach)

    @property
    def parent_std(self) -> float:
        """Standard deviation of the normal law before the cut."""
        return _parent(self.location, self.std, self.low, self.high) if self.std > 0 else 0.0

    @property
    def mean(self) -> float:
        """Mean after the cut."""
        scale = self.parent_std
        if scale == 0:
            return self.location
        alpha, beta = (self.low - self.location) / scale, (self.high - self.location) / scale
        return self.location + scale * _moments(alpha, beta)[0]

    def describe(self) -> str:
        return f"truncated N({self.mean:.4g}, {self.std:.4g}²) in [{self.low:.4g}, {self.high:.4g}]"

    def check(self, shape: Shape) -> None:
        """Any shape holds independent elements."""


def _moments(alpha: float, beta: float) -> tuple[float, float]:
    """(mean, std) of a standard normal law cut at alpha and beta; (nan, nan) where nothing lies between them."""
    mass = _ndtr(-alpha) - _ndtr(-beta) if alpha > 0 else _ndtr(beta) - _ndtr(alpha)
    if mass < 1e-15:
        return math.nan, math.nan
    at_alpha, at_beta = _density(alpha), _density(beta)
    mean = (at_alpha - at_beta) / mass
    variance = 1 + (alpha * at_alpha - beta * at_beta) / mass - mean * mean
    return mean, math.sqrt(max(variance, 0.0))


def _ndtr(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _density(x: float) -> float:
    return math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


@lru_cache(maxsize=1024)
def _parent(location: float, std: float, low: float, high: float) -> float:
    """The parent's std for which the cut law has `std`: bisection, since the cut law's std grows with the parent's."""
    most = (high - low) / math.sqrt(12)
    if std >= most * (1 - 1e-4):
        raise InputError(
            f"std must be below {most:.4g}, the std of a uniform law on [{low:.4g}, {high:.4g}]; got {std:g}"
        )
    smallest, largest = std * 0.5, (high - low) * 100
    if location < low or location > high:
        smallest = max(smallest, min(abs(low - location), abs(high - location)) / 7.5)
    for _ in range(200):
        middle = math.sqrt(smallest * largest)
        reached = _moments((low - location) / middle, (high - location) / middle)[1] * middle
        if math.isnan(reached) or reached < std:
            smallest = middle
        else:
            largest = middle
    reached = _moments((low - location) / largest, (high - location) / largest)[1] * largest
    if not abs(reached / std - 1) < 1e-6:
        raise InputError(
            f"mean must lie near [low, high]: no normal law about {location:g} has std {std:g} between {low:g} and {high:g}"
        )
    return largest


@dataclass(frozen=True)
class Orthogonal:
    """`gain` times a matrix with orthonormal rows or columns (whichever are fewer), Haar-distributed.

    The matrix has the `out_axis` as rows and every other axis, flattened, as columns.
    """

    gain: float = 1.0
    out_axis: int = 0
    in_axis: int = 1
    family: ClassVar[str] = "orthogonal"
    needs_whole: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "gain", finite_number("gain", self.gain))

    @property
    def mean(self) -> float:
        return 0.0

    @property
    def std(self) -> float:
        return math.nan

    def describe(self) -> str:
        return "orthogonal" if self.gain == 1 else f"orthogonal × {self.gain:.4g}"

    def check(self, shape: Shape) -> None:
        _check_matrix(self, shape)


@dataclass(frozen=True)
class DeltaOrthogonal:
    """Zero but for the kernel's centre, which is `gain` times a matrix with orthonormal rows or columns.

    Source: Xiao et al. 2018, algorithm 1.
    """

    gain: float = 1.0
    out_axis: int = 0
    in_axis: int = 1
    family: ClassVar[str] = "delta_orthogonal"
    needs_whole: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "gain", finite_number("gain", self.gain))

    @property
    def mean(self) -> float:
        return 0.0

    @property
    def std(self) -> float:
        return math.nan

    def describe(self) -> str:
        return "delta-orthogonal" if self.gain == 1 else f"delta-orthogonal × {self.gain:.4g}"

    def check(self, shape: Shape) -> None:
        _check_matrix(self, shape)


@dataclass(frozen=True)
class Identity:
    """`gain` on the diagonal of (out, in), at the kernel's centre for convolutions; zero elsewhere."""

    gain: float = 1.0
    out_axis: int = 0
    in_axis: int = 1
    family: ClassVar[str] = "identity"
    needs_whole: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "gain", finite_number("gain", self.gain))

    @property
    def mean(self) -> float:
        return math.nan

    @property
    def std(self) -> float:
        return math.nan

    def describe(self) -> str:
        return "identity" if self.gain == 1 else f"identity × {self.gain:.4g}"

    def check(self, shape: Shape) -> None:
        _check_matrix(self, shape)


@dataclass(frozen=True)
class Sparse:
    """N(0, std²) with exactly ⌈sparsity · rows⌉ zeros in each column. Source: Martens 2010, §5."""

    std_nonzero: float
    sparsity: float
    out_axis: int = 0
    in_axis: int = 1
    family: ClassVar[str] = "sparse"
    needs_whole: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "std_nonzero", finite_number("std", self.std_nonzero, low=0))
        object.__setattr__(self, "sparsity", finite_number("sparsity", self.sparsity, low=0, high=1))

    @property
    def mean(self) -> float:
        return 0.0

    @property
    def std(self) -> float:
        return math.nan

    def describe(self) -> str:
        return f"N(0, {self.std_nonzero:.4g}²), {self.sparsity:.0%} zeros a column"

    def check(self, shape: Shape) -> None:
        _check_matrix(self, shape)


@dataclass(frozen=True)
class Stacked:
    """Blocks along `axis`, each with a law of its own: packed gates, groups, q/k/v.

    Raises:
        InputError: sizes and laws of different counts, or a size below 1.
    """

    axis: int
    sizes: tuple[int, ...]
    laws: tuple[Law, ...]
    labels: tuple[str, ...] = ()
    family: ClassVar[str] = "stacked"

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(int(size) for size in self.sizes))
        object.__setattr__(self, "laws", tuple(self.laws))
        if not self.laws or len(self.sizes) != len(self.laws):
            raise InputError(f"sizes must name one size a law; got {len(self.sizes)} sizes and {len(self.laws)} laws")
        if min(self.sizes) < 1:
            raise InputError(f"sizes must be at least 1; got {self.sizes}")

    @property
    def needs_whole(self) -> bool:  # type: ignore[override]
        return any(law.needs_whole for law in self.laws)

    @property
    def mean(self) -> float:
        return self.parts_mean()

    def parts_mean(self) -> float:
        """The blocks' means, weighted by their sizes."""
        total = sum(self.sizes)
        return sum(size * law.mean for size, law in zip(self.sizes, self.laws, strict=True)) / total

    @property
    def std(self) -> float:
        """Standard deviation over all blocks together; nan where one of them depends on its shape."""
        total, mean = sum(self.sizes), self.mean
        second = sum(s * (w.std**2 + w.mean**2) for s, w in zip(self.sizes, self.laws, strict=True)) / total
        return math.sqrt(max(second - mean * mean, 0.0)) if not math.isnan(second) else math.nan

    def describe(self) -> str:
        if len(set(self.laws)) == 1:
            return f"{len(self.laws)} blocks of {self.laws[0].describe()}"
        names = self.labels or tuple(str(number) for number in range(len(self.laws)))
        return ", ".join(f"{name}: {law.describe()}" for name, law in zip(names, self.laws, strict=True))

    def check(self, shape: Shape) -> None:
        if not -len(shape) <= self.axis < len(shape) or shape[self.axis] != sum(self.sizes):
            raise InputError(f"blocks of sizes {self.sizes} along axis {self.axis} do not fill shape {tuple(shape)}")
        for size, law in zip(self.sizes, self.laws, strict=True):
            block = list(shape)
            block[self.axis] = size
            law.check(block)


def _check_matrix(law: Orthogonal | DeltaOrthogonal | Identity | Sparse, shape: Shape) -> None:
    name = law.family.replace("_", "-")
    if len(shape) < 2:
        raise InputError(f"law {name} needs at least two axes; got shape {tuple(shape)}")
    axes = {axis % len(shape) for axis in (law.out_axis, law.in_axis) if -len(shape) <= axis < len(shape)}
    if len(axes) != 2:
        raise InputError(f"law {name} needs two different axes of {tuple(shape)}; got {law.out_axis} and {law.in_axis}")
    if 0 in shape:
        raise InputError(f"law {name} needs at least one element; got shape {tuple(shape)}")
