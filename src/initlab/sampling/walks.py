"""How a block of a tensor lies in memory: runs of consecutive elements, cut into tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from initlab.sampling.request import Array, Shape, Target


@dataclass(frozen=True)
class Walk:
    """A block as runs: each run's elements follow one another in the global tensor, at one stride in memory.

    Args:
        memory: the target's memory, one-dimensional, from its lowest cell on.
        origin: where in it the block's first element is.
        start: that element's number in the global tensor.
        length, stride: of a run, in elements.
        steps: (3, k): the runs' box, and how far one step along each of its axes goes in elements and in memory.
    """

    memory: Array
    origin: int
    start: int
    length: int
    stride: int
    steps: np.ndarray[Any, np.dtype[np.int64]]

    @property
    def runs(self) -> int:
        return int(np.prod(self.steps[0], dtype=np.int64))


def walk_of(target: Target, shape: Shape) -> Walk | None:
    """The walk over a target's memory; None where its strides are no whole number of elements."""
    out, item = target.out, target.out.itemsize
    if any(stride % item for stride in out.strides):
        return None
    strides = [stride // item for stride in out.strides]
    start, axes = axes_of(out.shape, target.start, strides, shape)
    length, stride = 1, 1
    if axes and axes[-1][1] == 1:
        length, _, stride = axes.pop()
    low = sum(min(step, 0) * (size - 1) for size, step in zip(out.shape, strides, strict=True))
    steps = np.array(axes, dtype=np.int64).reshape(-1, 3).T.copy()
    return Walk(_memory(out), -low, start, length, stride, steps)


def axes_of(
    extent: Sequence[int], first: Sequence[int], strides: Sequence[int], shape: Shape
) -> tuple[int, list[tuple[int, int, int]]]:
    """The number of a box's first element, and the box's axes (size, element step, memory step), joined where they can.

    >>> axes_of((2, 3, 4), (0, 1, 0), (12, 4, 1), (2, 6, 4))
    (4, [(2, 24, 12), (12, 1, 1)])
    """
    element_steps = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    start = sum(index * step for index, step in zip(first, element_steps, strict=True))
    return start, _merged([axis for axis in zip(extent, element_steps, strides, strict=True) if axis[0] != 1])


def _merged(axes: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Axes (size, element step, memory step), with neighbours joined where both step on evenly."""
    joined: list[tuple[int, int, int]] = []
    for size, elements, cells in axes:
        if joined and joined[-1][1] == elements * size and joined[-1][2] == cells * size:
            size *= joined.pop()[0]
        joined.append((size, elements, cells))
    return joined


def _memory(out: Array) -> Array:
    """The memory that an array spans as one dimension; float16 as the uint16 bits."""
    plain = out.view(np.uint16) if out.dtype == np.float16 else out
    forward: tuple[Any, ...] = (..., *(slice(None, None, -1 if stride < 0 else 1) for stride in plain.strides))
    lowest = plain[forward]
    span = 1 + sum(
        abs(stride) // out.itemsize * (size - 1) for stride, size in zip(out.strides, out.shape, strict=True)
    )
    return np.lib.stride_tricks.as_strided(lowest, (span,), (out.itemsize,))
