"""Several laws in one tensor, block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from initlab.errors import InputError, shown
from initlab.sampling.laws.base import Law, Shape


@dataclass(frozen=True)
class Stacked(Law):
    """Blocks along one axis, each with its own law: packed gates, groups, q/k/v.

    Blocks draw by the element's index in the whole tensor, so that equal normals stacked are one normal.

    Raises:
        InputError: no blocks, sizes that are not positive, or numbers of sizes, laws and labels that differ.

    >>> from initlab.sampling.laws import Constant
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
            raise InputError(f"axis must be an integer; got {shown(self.axis)}")
        if not self.sizes or any(isinstance(s, bool) or not isinstance(s, int) or s < 1 for s in self.sizes):
            raise InputError(f"sizes must be positive integers; got {shown(self.sizes)}")
        if len(self.laws) != len(self.sizes):
            raise InputError(f"laws must be one for each of the {len(self.sizes)} sizes; got {len(self.laws)}")
        if self.labels and len(self.labels) != len(self.sizes):
            raise InputError(f"labels must be one for each of the {len(self.sizes)} sizes; got {len(self.labels)}")
        if wrong := [law for law in self.laws if not isinstance(law, Law)]:
            raise InputError(f"laws must be laws; got {shown(wrong[0])}")

    @property
    def needs_whole(self) -> bool:  # type: ignore[override]  # a constant for every other law, a question to its blocks here
        return any(law.needs_whole for law in self.laws)

    @property
    def mean(self) -> float:
        return self._average(self._means)

    @property
    def std(self) -> float:
        return self._pooled(self._means, [float(getattr(law, "std", math.nan)) for law in self.laws])

    @property
    def _means(self) -> list[float]:
        return [float(getattr(law, "mean", 0.0)) for law in self.laws]

    def mean_of(self, shape: Sequence[int]) -> float:
        self.check(shape)
        return self._average([law.mean_of(block) for law, block in self._blocks(shape)])

    def std_of(self, shape: Sequence[int]) -> float:
        self.check(shape)
        means, stds = zip(*((law.mean_of(block), law.std_of(block)) for law, block in self._blocks(shape)), strict=True)
        return self._pooled(means, stds)

    def _blocks(self, shape: Sequence[int]) -> Iterator[tuple[Law, Shape]]:
        """Each law with its block's shape."""
        yield from zip(self.laws, (self.block_shape(shape, size) for size in self.sizes), strict=True)

    def block_shape(self, shape: Sequence[int], size: int) -> Shape:
        """The shape of a block of this length."""
        axis = self.axis % len(shape)
        return tuple(size if i == axis else n for i, n in enumerate(shape))

    def check(self, shape: Sequence[int]) -> None:
        rank = len(shape)
        if not -rank <= self.axis < rank or shape[self.axis] != sum(self.sizes):
            raise InputError(f"blocks of sizes {self.sizes} do not fill axis {self.axis} of shape {tuple(shape)}")
        for law, block in self._blocks(shape):
            law.check(block)

    def describe(self) -> str:
        labels = self.labels or tuple(str(i) for i in range(len(self.laws)))
        texts = [law.describe() for law in self.laws]
        if len(set(texts)) == 1:
            return f"{len(texts)} × {texts[0]}"
        return "; ".join(f"{label}: {text}" for label, text in zip(labels, texts, strict=True))

    def _average(self, values: Sequence[float]) -> float:
        """Over all elements, where each block's have one value."""
        return sum(size * value for size, value in zip(self.sizes, values, strict=True)) / sum(self.sizes)

    def _pooled(self, means: Sequence[float], stds: Sequence[float]) -> float:
        """√ of the mean square of each block's std and of its mean's distance from the whole's."""
        whole = self._average(means)
        return math.sqrt(self._average([std**2 + (mean - whole) ** 2 for mean, std in zip(means, stds, strict=True)]))
