"""Laws of matrices: what an element is depends on its row and column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from initlab.errors import InputError, finite_number, shown
from initlab.sampling.laws.base import Law, assign


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
        assign(self, gain=finite_number("gain", self.gain))

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
            raise InputError(f"{name} must be an axis of the shape {tuple(shape)}; got {shown(axis)}")
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

    Source: Xiao et al., Dynamical isometry and a mean field theory of CNNs, 2018, algorithm 2.

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

    def mean_of(self, shape: Sequence[int]) -> float:
        return self.gain * self._share(shape)

    def std_of(self, shape: Sequence[int]) -> float:
        share = self._share(shape)
        return abs(self.gain) * math.sqrt(share * (1 - share))

    def _share(self, shape: Sequence[int]) -> float:
        """Of the elements that are not zero."""
        return min(_matrix_axes(self, shape)) / math.prod(shape)

    def describe(self) -> str:
        return f"{self.gain:.4g} · identity"


@dataclass(frozen=True)
class Sparse(Law):
    """In each column exactly ⌈sparsity · rows⌉ elements are 0; the others are N(0, std_nonzero²). Rows are `out_axis`.

    Source: torch.nn.init.sparse_; Martens, Deep learning via Hessian-free optimization, 2010, section 5, with rows and
    columns exchanged.

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
        assign(self, std_nonzero=finite_number("std", self.std_nonzero, low=0))
        assign(self, sparsity=finite_number("sparsity", self.sparsity, low=0, high=1))

    def check(self, shape: Sequence[int]) -> None:
        _matrix_axes(self, shape)

    def zeros(self, shape: Sequence[int]) -> int:
        """How many elements of each column are zero."""
        return min(math.ceil(self.sparsity * _matrix_axes(self, shape)[0]), shape[self.out_axis])

    def std_of(self, shape: Sequence[int]) -> float:
        return self.std_nonzero * math.sqrt(1 - self.zeros(shape) / shape[self.out_axis])

    def describe(self) -> str:
        return f"N(0, {self.std_nonzero:.4g}²), {self.sparsity:.4g} zeros along axis {self.out_axis}"
