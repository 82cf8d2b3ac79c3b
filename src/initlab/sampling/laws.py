"""Laws: the distributions that a weight's values are drawn from, as plain frozen data.

A law knows its numbers (`mean`, `std`) and how to say itself; it does not draw. `sampling.fill` draws it.
`family` is what the stream key holds, so that two laws of one family on one parameter share their uniform
numbers: normal(std=0.1) is exactly twice normal(std=0.05) up to rounding. Studies of schemes are paired by that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from initlab.errors import InputError, finite_number
from initlab.sampling.truncation import cut_moments, find_parent

Shape = tuple[int, ...]
FEWEST_SIGMAS, MOST_SIGMAS = 0.05, 8.0


class Law:
    """What every law has.

    Attributes:
        family: the name that enters the stream key.
        needs_whole: True when a block of the tensor cannot be drawn without drawing it all.
        mean, std: of one element; nan where they depend on the shape or the place (see `std_of`).
    """

    family: ClassVar[str]
    needs_whole: ClassVar[bool] = False

    @property
    def first_moment(self) -> float:
        """The mean of one element."""
        return float(getattr(self, "mean", 0.0))

    def std_of(self, shape: Sequence[int]) -> float:
        """The root mean square deviation of the elements of a tensor of this shape."""
        return float(getattr(self, "std", 0.0))

    def check(self, shape: Sequence[int]) -> None:
        """Raise `InputError` when a tensor of this shape cannot have this law."""

    def describe(self) -> str:
        """The law in one short formula."""
        raise NotImplementedError


def _set(law: object, **values: float) -> None:
    for name, value in values.items():
        object.__setattr__(law, name, value)


@dataclass(frozen=True)
class Constant(Law):
    """Every element is `value`.

    >>> Constant(0.5).describe()
    '0.5'
    """

    value: float
    family: ClassVar[str] = "constant"

    def __post_init__(self) -> None:
        _set(self, value=finite_number("value", self.value))

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
        _set(self, low=low, high=high)

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
        _set(self, mean=finite_number("mean", self.mean), std=finite_number("std", self.std, low=0))

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
        _set(self, mean=mean, std=std, low=low, high=high)
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
    if isinstance(value, float) and math.isinf(value):
        return value
    return finite_number(name, value)


@dataclass(frozen=True)
class MatrixLaw(Law):
    """What laws of matrices with a gain share: rows are `out_axis`, columns `in_axis` or every other axis."""

    gain: float = 1.0
    out_axis: int = 0
    in_axis: int = 1
    needs_whole: ClassVar[bool] = True
    mean: ClassVar[float] = 0.0
    std: ClassVar[float] = math.nan

    def __post_init__(self) -> None:
        _set(self, gain=finite_number("gain", self.gain))

    def check(self, shape: Sequence[int]) -> None:
        _matrix_axes(self, shape)


def _matrix_axes(law: MatrixLaw | Sparse, shape: Sequence[int]) -> tuple[int, int]:
    """(rows, columns' channel count) of a shape under a law of matrices, or an `InputError`."""
    rank = len(shape)
    if rank < 2:
        raise InputError(
            f"a law of matrices ({law.family}) needs a tensor of at least 2 axes; got shape {tuple(shape)}"
        )
    for name in ("out_axis", "in_axis"):
        axis = getattr(law, name)
        if isinstance(axis, bool) or not isinstance(axis, int) or not -rank <= axis < rank:
            raise InputError(f"{name} must be an axis of the shape {tuple(shape)}; got {axis!r}")
    if law.out_axis % rank == law.in_axis % rank:
        raise InputError(f"out_axis and in_axis must differ; got {law.out_axis} and {law.in_axis}")
    if 0 in shape:
        raise InputError(f"the law {law.family} needs a tensor with elements; got shape {tuple(shape)}")
    return shape[law.out_axis], shape[law.in_axis]


@dataclass(frozen=True)
class Orthogonal(MatrixLaw):
    """gain · Q with orthonormal rows or columns (the fewer), Haar-distributed: QR of a normal matrix, signs corrected.

    The matrix's rows are `out_axis`; its columns are every other axis.

    Source: Saxe, McClelland & Ganguli 2014; Mezzadri, How to generate random matrices, 2007, section 5.

    >>> Orthogonal(1.0).std_of((4, 16))
    0.25
    """

    family: ClassVar[str] = "orthogonal"

    def std_of(self, shape: Sequence[int]) -> float:
        self.check(shape)
        rows = shape[self.out_axis]
        return abs(self.gain) / math.sqrt(max(rows, math.prod(shape) // rows))

    def describe(self) -> str:
        return f"{self.gain:.4g} · orthogonal"


@dataclass(frozen=True)
class DeltaOrthogonal(MatrixLaw):
    """Zero but for the kernel's centre, which is gain · Q, Q Haar-distributed over (out_axis, in_axis).

    Source: Xiao et al., Dynamical isometry and a mean field theory of CNNs, 2018, algorithm 1.

    >>> DeltaOrthogonal(1.0).std_of((4, 4, 3, 3)) == (4 / (16 * 9)) ** 0.5
    True
    """

    family: ClassVar[str] = "delta_orthogonal"

    def std_of(self, shape: Sequence[int]) -> float:
        rows, columns = _matrix_axes(self, shape)
        return abs(self.gain) * math.sqrt(min(rows, columns) / math.prod(shape))

    def describe(self) -> str:
        return f"{self.gain:.4g} · orthogonal at the kernel's centre, else 0"


@dataclass(frozen=True)
class Mirrored(MatrixLaw):
    """gain · [[A, −A], [−A, A]], A Haar-distributed and orthogonal, at the kernel's centre where there is a kernel.

    A layer so drawn makes units in pairs u, −u, and reads such pairs through φ as the odd part φ(u) − φ(−u).

    Args:
        gain: the singular values of A.
        out_axis, in_axis: the axes of the outputs and inputs.
        outputs: whether the outputs are mirrored; False for [A, −A]. An odd last output has no mirror.
        inputs: whether the inputs are; False for [A; −A], which reads data.

    Source: Balduzzi et al., The shattered gradients problem, 2017, section 4.1 ("looks linear").

    >>> Mirrored(1.0).std_of((4, 4)) == 0.5**0.5
    True
    """

    outputs: bool = True
    inputs: bool = True
    family: ClassVar[str] = "mirrored"

    def factor_shape(self, shape: Sequence[int]) -> tuple[int, int]:
        """(rows, columns) of A."""
        rows, columns = _matrix_axes(self, shape)
        return -(-rows // 2) if self.outputs else rows, -(-columns // 2) if self.inputs else columns

    def std_of(self, shape: Sequence[int]) -> float:
        rows, columns = _matrix_axes(self, shape)
        return abs(self.gain) * math.sqrt(rows * columns / (max(self.factor_shape(shape)) * math.prod(shape)))

    def describe(self) -> str:
        above, below = ("A, −A" if self.inputs else "A"), ("−A, A" if self.inputs else "−A")
        return f"{self.gain:.4g} · [{above}; {below}]" if self.outputs else f"{self.gain:.4g} · [{above}]"


@dataclass(frozen=True)
class Identity(MatrixLaw):
    """gain · I over (out_axis, in_axis), at the kernel's centre where there is a kernel; zero elsewhere.

    >>> Identity(1.0).describe()
    '1 · identity'
    """

    family: ClassVar[str] = "identity"
    needs_whole: ClassVar[bool] = False
    mean: ClassVar[float] = math.nan
    std: ClassVar[float] = math.nan

    def std_of(self, shape: Sequence[int]) -> float:
        rows, columns = _matrix_axes(self, shape)
        share = min(rows, columns) / math.prod(shape)
        return abs(self.gain) * math.sqrt(share * (1 - share))

    def describe(self) -> str:
        return f"{self.gain:.4g} · identity"


@dataclass(frozen=True)
class Sparse(Law):
    """In each column exactly ⌈sparsity · rows⌉ elements are 0; the others are N(0, std_nonzero²). Rows are `out_axis`.

    Source: Martens, Deep learning via Hessian-free optimization, 2010, section 5; the count is that of torch's sparse_.

    >>> Sparse(0.01, 0.9).zeros((25, 4))
    23
    """

    std_nonzero: float
    sparsity: float
    out_axis: int = 0
    in_axis: int = 1
    family: ClassVar[str] = "sparse"
    mean: ClassVar[float] = 0.0
    std: ClassVar[float] = math.nan

    def __post_init__(self) -> None:
        _set(self, std_nonzero=finite_number("std", self.std_nonzero, low=0))
        _set(self, sparsity=finite_number("sparsity", self.sparsity, low=0, high=1))

    def check(self, shape: Sequence[int]) -> None:
        _matrix_axes(self, shape)

    def zeros(self, shape: Sequence[int]) -> int:
        """How many elements of each column are zero."""
        return min(math.ceil(self.sparsity * _matrix_axes(self, shape)[0]), shape[self.out_axis])

    def std_of(self, shape: Sequence[int]) -> float:
        return self.std_nonzero * math.sqrt(1 - self.zeros(shape) / shape[self.out_axis])

    def describe(self) -> str:
        return f"N(0, {self.std_nonzero:.4g}²), {self.sparsity:.4g} of each column 0"


@dataclass(frozen=True)
class Stacked(Law):
    """Blocks along one axis, each with its own law: packed gates, groups, q/k/v.

    Blocks draw by the element's index in the whole tensor, so that equal normals stacked are one normal.

    Raises:
        InputError: no blocks, sizes that are not positive, or numbers of sizes, laws and labels that differ.

    >>> Stacked(0, (2, 2), (Constant(0.0), Constant(1.0))).mean
    0.5
    """

    axis: int
    sizes: tuple[int, ...]
    laws: tuple[Law, ...]
    labels: tuple[str, ...] = ()
    family: ClassVar[str] = "stacked"

    def __post_init__(self) -> None:
        for name in ("sizes", "laws", "labels"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if isinstance(self.axis, bool) or not isinstance(self.axis, int):
            raise InputError(f"axis must be an integer; got {self.axis!r}")
        if not self.sizes or any(isinstance(s, bool) or not isinstance(s, int) or s < 1 for s in self.sizes):
            raise InputError(f"sizes must be positive integers; got {self.sizes!r}")
        if len(self.laws) != len(self.sizes):
            raise InputError(f"laws must be one for each of the {len(self.sizes)} sizes; got {len(self.laws)}")
        if self.labels and len(self.labels) != len(self.sizes):
            raise InputError(f"labels must be one for each of the {len(self.sizes)} sizes; got {len(self.labels)}")
        if wrong := [law for law in self.laws if not isinstance(law, Law)]:
            raise InputError(f"laws must be laws; got {wrong[0]!r}")

    @property
    def needs_whole(self) -> bool:  # type: ignore[override]  # a constant for every other law, a question to its blocks here
        return any(law.needs_whole for law in self.laws)

    @property
    def mean(self) -> float:
        total = sum(self.sizes)
        return sum(size * law.first_moment for size, law in zip(self.sizes, self.laws, strict=True)) / total

    @property
    def std(self) -> float:
        return self._pooled([float(getattr(law, "std", math.nan)) for law in self.laws])

    def std_of(self, shape: Sequence[int]) -> float:
        self.check(shape)
        blocks = (self.block_shape(shape, size) for size in self.sizes)
        return self._pooled([law.std_of(block) for law, block in zip(self.laws, blocks, strict=True)])

    def block_shape(self, shape: Sequence[int], size: int) -> Shape:
        """The shape of a block of this length."""
        axis = self.axis % len(shape)
        return tuple(size if i == axis else n for i, n in enumerate(shape))

    def check(self, shape: Sequence[int]) -> None:
        rank = len(shape)
        if not -rank <= self.axis < rank or shape[self.axis] != sum(self.sizes):
            raise InputError(f"blocks of sizes {self.sizes} do not fill axis {self.axis} of shape {tuple(shape)}")
        for size, law in zip(self.sizes, self.laws, strict=True):
            law.check(self.block_shape(shape, size))

    def describe(self) -> str:
        labels = self.labels or tuple(str(i) for i in range(len(self.laws)))
        texts = [law.describe() for law in self.laws]
        if len(set(texts)) == 1:
            return f"{len(texts)} × {texts[0]}"
        return "; ".join(f"{label}: {text}" for label, text in zip(labels, texts, strict=True))

    def _pooled(self, stds: list[float]) -> float:
        """√ of the mean square of each block's std and of its mean's distance from the whole's."""
        mean, total = self.mean, sum(self.sizes)
        parts = zip(self.sizes, stds, self.laws, strict=True)
        return math.sqrt(sum(n * (std**2 + (law.first_moment - mean) ** 2) for n, std, law in parts) / total)


__all__ = [
    "Constant",
    "DeltaOrthogonal",
    "Identity",
    "Law",
    "MatrixLaw",
    "Mirrored",
    "Normal",
    "Orthogonal",
    "Sparse",
    "Stacked",
    "TruncatedNormal",
    "Uniform",
]
