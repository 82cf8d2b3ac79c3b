"""Noise in place of a value: Gaussian numbers of its moments, with what its positions have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from initlab.graph.draws import Draws
from initlab.graph.flow import Flow
from initlab.guest.doubles import doubled


@dataclass(frozen=True)
class Noise:
    """m + s·(√ρ·c + √(1 − ρ)·z): positions of one sample share c, so that two of them correlate by ρ in a feature.

    Args:
        shape: its shape.
        center: m.
        spread: s.
        alike: ρ, in steps of 0.02, so that regions of many layers are run a few times.
        own: the axes along which c differs: features, and samples where there are positions beside them.
        rows: 1 at rows that hold something and 0 at padding, beside which the others are larger.
        dtype: float32, or complex64.
        points: numbers in order, with mean zero and variance one, of a law that is no Gaussian's.
    """

    shape: tuple[int, ...]
    center: float
    spread: float
    alike: float
    own: frozenset[int]
    rows: torch.Tensor | None
    dtype: torch.dtype
    points: torch.Tensor | None = None

    @classmethod
    def of(cls, flow: Flow, value: int, center: float, spread: float) -> Noise:
        """What stands for a value of the walk, by its moments in round numbers."""
        given, alike = flow.value(value), round(flow.signals[value].alike * 50) / 50
        own = {flow.graph.feature_axis(value), *((0,) if len(given.shape) > 2 else ())}
        dtype = torch.complex64 if given.dtype.is_complex else torch.float32
        alike = min(max(alike, 0.0), 1.0) if len(given.shape) > 1 else 0.0
        return cls(
            given.shape, center, spread, alike, frozenset(own), flow.filled.get(value), dtype, flow.points.get(value)
        )

    @property
    def key(self) -> tuple[object, ...]:
        """What tells noise of one law from that of another."""
        law = None if self.points is None else tuple(round(float(self.points.pow(n).mean()), 1) for n in (3, 4))
        rows = self.rows is not None
        return self.shape, self.center, self.spread, self.alike, tuple(self.own), rows, self.dtype, law

    def drawn(self, draws: Draws) -> torch.Tensor:
        """The next numbers."""
        return self._of(draws, [draws.normal(shape, self.dtype) for shape in self._shapes])

    def turns(self, draws: Draws, count: int) -> torch.Tensor:
        """The next numbers so many times over, along an axis before its own."""
        return self._of(draws, draws.turns(count, self._shapes, self.dtype))

    @property
    def _shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of z, and of c where there is any."""
        common = tuple(size if axis in self.own else 1 for axis, size in enumerate(self.shape))
        return (self.shape, common) if self.alike else (self.shape,)

    def _of(self, draws: Draws, drawn: Sequence[torch.Tensor]) -> torch.Tensor:
        how = self.center, self.spread, self.alike, id(self.rows), id(self.points)
        return draws.made((*drawn, *filter(torch.is_tensor, (self.rows, self.points))), how, lambda: self._made(*drawn))

    def _made(self, made: torch.Tensor, shared: torch.Tensor | None = None) -> torch.Tensor:
        if shared is not None:
            made = math.sqrt(self.alike) * shared + math.sqrt(1 - self.alike) * made
        if self.points is not None:
            places = (torch.special.ndtr(made) * len(self.points)).long()
            made = self.points[places.clamp(0, len(self.points) - 1)].to(self.dtype)
        made = self.center + self.spread * made
        return made if self.rows is None else made * (self.rows / self.rows.mean().sqrt())

    def shared(self, made: torch.Tensor) -> list[float]:
        """By turn, E[yᵢyⱼ] over pairs of positions of what was made of it in its own shape; none of another shape."""
        axes = [axis for axis in range(len(self.shape)) if axis not in self.own]
        count, axes = math.prod(self.shape[axis] for axis in axes), [1 + axis for axis in axes]
        if tuple(made.shape[1:]) != self.shape or made.is_complex() or count < 2:
            return []
        numbers = doubled(made)
        pairs = (numbers.sum(axes).square() - numbers.square().sum(axes)).reshape(len(made), -1).mean(1)
        found: list[float] = (pairs / (count * (count - 1))).tolist()
        return found
