"""Laws whose tensors are made whole: functions of uniforms, opposed gates, repeated rows, factors, given values."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from initlab.errors import InputError, finite_number, shown
from initlab.sampling.laws import Law, MatrixLaw, Sparse, Uniform
from initlab.sampling.laws.base import Shape
from initlab.sampling.reference import log, softplus_inverse_of_exp

CURVES = {"log": log, "softplus_inverse_of_exp": softplus_inverse_of_exp}
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


class WholeLaw(Law):
    """A law that is made whole on each process, and then cut."""

    needs_whole: ClassVar[bool] = True


@dataclass(frozen=True)
class Curved(WholeLaw):
    """A function of a uniform number: log U(low, high), or log(exp(exp u) − 1), u ~ U(low, high).

    Args:
        function: "log", or "softplus_inverse_of_exp": what softplus makes exp(u) of, log-uniform steps.
        low, high: the uniform number's bounds.

    Source: Gu & Dao, Mamba, 2023 (the step's bias); Tallec & Ollivier, 2018 (chrono biases).

    >>> Curved("log", 1.0, 16.0).describe()
    'log(U(1, 16))'
    """

    function: str
    low: float
    high: float
    family: ClassVar[str] = "curved"

    def __post_init__(self) -> None:
        if self.function not in CURVES:
            raise InputError(f"function must be one of {', '.join(CURVES)}; got {shown(self.function)}")
        inner = Uniform(self.low, self.high)
        if self.function == "log" and inner.low <= 0:
            raise InputError(f"low must be above 0 for a logarithm; got {self.low:g}")

    @property
    def inner(self) -> Uniform:
        """The uniform law below the function."""
        return Uniform(self.low, self.high)

    def _moment(self, power: int) -> float:
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        return float(_WEIGHTS @ CURVES[self.function](middle + half * _NODES) ** power) / 2

    @property
    def mean(self) -> float:
        return self._moment(1)

    @property
    def second_moment(self) -> float:
        """The mean square of one element."""
        return self._moment(2)

    @property
    def std(self) -> float:
        return math.sqrt(max(0.0, self.second_moment - self.mean**2))

    def std_of(self, shape: Sequence[int]) -> float:
        return self.std

    def describe(self) -> str:
        return f"{self.function}({self.inner.describe()})"


@dataclass(frozen=True)
class Opposed(WholeLaw):
    """Equal blocks along the first axis, zero but for one that has a law and one that has its negative.

    Args:
        blocks: how many there are.
        drawn, negated: the blocks with the law and with its negative.
        law: what is drawn.

    Source: Tallec & Ollivier, Can recurrent neural networks warp time?, 2018, equation 16.

    >>> round(Opposed(4, 1, 0, Curved("log", 1.0, 99.0)).std_of((8,)), 3)
    2.65
    """

    blocks: int
    drawn: int
    negated: int
    law: Law
    family: ClassVar[str] = "opposed"

    @property
    def mean(self) -> float:
        return 0.0

    def check(self, shape: Sequence[int]) -> None:
        if not shape or shape[0] % self.blocks:
            raise InputError(f"{self.blocks} blocks do not fill the first axis of shape {tuple(shape)}")

    def std_of(self, shape: Sequence[int]) -> float:
        law = self.law
        drawn = (shape[0] // self.blocks, *shape[1:])
        return math.sqrt(2 * (law.std_of(drawn) ** 2 + law.mean_of(drawn) ** 2) / self.blocks)

    def describe(self) -> str:
        return f"block {self.drawn} of {self.blocks}: {self.law.describe()}; block {self.negated}: its negative; else 0"


@dataclass(frozen=True)
class Repeated(WholeLaw):
    """Each row of a smaller tensor's law, so many times after one another along the first axis.

    The smaller tensor has the stream of the parameter's name and its own shape: its values are those of that layer.

    Source: Aitken et al., Checkerboard artifact free sub-pixel convolution, 2017, section 3 (ICNR).

    >>> Repeated(Uniform(-1.0, 1.0), 4).describe()
    'U(-1, 1), each row 4 times'
    """

    law: Law
    times: int
    family: ClassVar[str] = "repeated"

    def inner_shape(self, shape: Sequence[int]) -> Shape:
        """The smaller tensor's shape."""
        return (shape[0] // self.times, *shape[1:])

    def check(self, shape: Sequence[int]) -> None:
        if self.times < 1 or not shape or shape[0] % self.times:
            raise InputError(f"rows of shape {tuple(shape)} do not come in {self.times} copies each")
        self.law.check(self.inner_shape(shape))

    @property
    def mean(self) -> float:
        return float(getattr(self.law, "mean", 0.0))

    def mean_of(self, shape: Sequence[int]) -> float:
        return self.law.mean_of(self.inner_shape(shape))

    def std_of(self, shape: Sequence[int]) -> float:
        return self.law.std_of(self.inner_shape(shape))

    def describe(self) -> str:
        return f"{self.law.describe()}, each row {self.times} times"


@dataclass(frozen=True)
class Factor(WholeLaw):
    """One factor of M = α Z + β I, Z ~ N(0, 1/d), with M = U S Vᵀ: the leading rows of √S Uᵀ, of √S Vᵀ, or V √S.

    Both factors of a pair draw the same Z from the pair's stream, an own one for each head.

    Args:
        pair: the name of the pair's stream.
        side: "left" for √S Uᵀ, "right" for √S Vᵀ, "back" for V √S, which undoes "left" to M transposed.
        alpha, beta: the numbers of M; β may be negative.
        heads: how many matrices M share the rows; each gives rows / heads of its leading ones.
        leading: the mean of the singular values that are kept, from which the std follows (`whole.leading_size`).

    Source: Trockman & Kolter, Mimetic initialization of self-attention layers, 2023, section 4.

    >>> Factor("q/k", "left", 0.7, 0.7, 4).describe()
    'the left factor of 0.7 Z + 0.7 I in 4 heads'
    """

    pair: str
    side: str
    alpha: float
    beta: float
    heads: int = 1
    leading: float = math.nan
    family: ClassVar[str] = "factor"

    def __post_init__(self) -> None:
        for name in ("alpha", "beta"):
            finite_number(name, getattr(self, name))
        if self.side not in ("left", "right", "back"):
            raise InputError(f"side must be 'left', 'right' or 'back'; got {shown(self.side)}")

    def check(self, shape: Sequence[int]) -> None:
        good = len(shape) == 2 and self.heads >= 1 and shape[0] % self.heads == 0 and shape[0] // self.heads <= shape[1]
        if not good or (self.side == "back" and (shape[0] != shape[1] or self.heads != 1)):
            raise InputError(f"{self.describe()} has no tensor of shape {tuple(shape)}")

    @property
    def mean(self) -> float:
        return 0.0

    def std_of(self, shape: Sequence[int]) -> float:
        return math.sqrt(self.leading / shape[1])

    def describe(self) -> str:
        sign = "+" if self.beta >= 0 else "−"
        of = f" in {self.heads} heads" if self.heads > 1 else ""
        return f"the {self.side} factor of {self.alpha:g} Z {sign} {abs(self.beta):g} I{of}"


@dataclass(frozen=True)
class OverComplex(WholeLaw):
    """A law of matrices over the complex numbers: real and imaginary parts side by side, on a last axis of two.

    Orthogonal factors become Haar-distributed unitary ones; what a sparse law leaves is a complex normal, of uniform
    phase. E|w|² is that of the law.

    Args:
        law: orthogonal, delta-orthogonal, mirrored or sparse, of the shape without the last axis.

    Source: Mezzadri, How to generate random matrices, 2007, section 4; Arjovsky, Shah & Bengio, Unitary evolution
    recurrent neural networks, 2016.

    >>> from initlab.sampling.laws import Orthogonal
    >>> OverComplex(Orthogonal(1.0)).describe()
    '1 · unitary'
    """

    law: MatrixLaw | Sparse
    family: ClassVar[str] = "over_complex"
    mean: ClassVar[float] = 0.0
    std: ClassVar[float] = math.nan

    def check(self, shape: Sequence[int]) -> None:
        if not shape or shape[-1] != 2:
            raise InputError(f"the last axis must be the real and the imaginary part; got shape {tuple(shape)}")
        self.law.check(shape[:-1])

    def std_of(self, shape: Sequence[int]) -> float:
        return math.sqrt(0.5) * self.law.std_of(shape[:-1])

    def describe(self) -> str:
        words = self.law.describe()
        return words.replace("orthogonal", "unitary") if "orthogonal" in words else f"{words}, complex"


@dataclass(frozen=True, eq=False)
class Given(WholeLaw):
    """Values that were computed, from loaded weights: the same for every seed.

    Args:
        values: a float array of the tensor's shape.
        words: what they are.

    >>> Given(np.eye(2), "an identity").describe()
    'an identity'
    """

    values: np.ndarray[Any, Any] = field(repr=False)
    words: str = "given values"
    family: ClassVar[str] = "given"

    def __post_init__(self) -> None:
        values = np.array(self.values)
        if values.dtype not in (np.float32, np.float64) or not np.isfinite(values).all():
            raise InputError(f"values must be finite float32 or float64 numbers ({self.words})")
        values.setflags(write=False)
        object.__setattr__(self, "values", values)

    def _digest(self) -> bytes:
        return hashlib.sha256(repr((self.values.shape, self.values.dtype)).encode() + self.values.tobytes()).digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Given) and self._digest() == other._digest()

    def __hash__(self) -> int:
        return hash(self._digest())

    def check(self, shape: Sequence[int]) -> None:
        if tuple(shape) != self.values.shape:
            raise InputError(f"{self.words} has shape {self.values.shape}; the tensor has {tuple(shape)}")

    @property
    def mean(self) -> float:
        return float(self.values.mean(dtype=np.float64))

    @property
    def std(self) -> float:
        return float(self.values.std(dtype=np.float64))

    def std_of(self, shape: Sequence[int]) -> float:
        return self.std

    def describe(self) -> str:
        return self.words


__all__ = ["CURVES", "Curved", "Factor", "Given", "Opposed", "OverComplex", "Repeated", "WholeLaw"]
