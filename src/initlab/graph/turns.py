"""A region run on noise many times: several turns at once where torch can, and what was seen of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from initlab.graph.noise import Noise
from initlab.guest.doubles import doubled
from initlab.guest.transformed import quietly

AT_ONCE = 1 << 17  # numbers of the largest tensor of a region in turns that run at once
_STEP = 8  # turns after which it is asked whether they are enough
_CLOSE = 0.003  # relative standard error at which they are


class AtOnce:
    """Runs a region on several turns of noise at once by `vmap`; where torch cannot, one after another.

    Args:
        run: what the region makes of noise.
    """

    def __init__(self, run: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._run, self._vmapped = run, True

    def __call__(self, given: torch.Tensor) -> Iterator[torch.Tensor]:
        """What is made of turns, along the first axis of each part."""
        if self._vmapped and len(given) > 1:
            try:
                with quietly():
                    made = torch.vmap(self._run)(given)
            except Exception:  # an operation that reads numbers, or writes what is of one turn into what all have
                self._vmapped = False
            else:
                yield made
                return
        yield from (self._run(turn)[None] for turn in given)


def squared(made: torch.Tensor) -> torch.Tensor:
    """|x|², of complex numbers too, in double precision."""
    return doubled(made.abs() if made.is_complex() else made).square()


@dataclass
class Seen:
    """What turns made, a number of each; of `blocks`, as many as it has parts.

    Args:
        parts: of how many parts of a turn the squares are kept.
        means: E[y].
        seconds: E[y²].
        blocks: E[y²] of each part.
        shared: E[yᵢyⱼ] of two positions, where it makes what is of its noise's shape.
        numbers: how many numbers one turn makes.
    """

    parts: int
    means: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    blocks: list[float] = field(default_factory=list)
    shared: list[float] = field(default_factory=list)
    numbers: int = 0

    def add(self, made: torch.Tensor, noise: Noise) -> None:
        """Takes in what some turns made."""
        squares = squared(made).reshape(len(made), -1)
        self.numbers = squares.shape[1]
        self.means += doubled(made.real).reshape(len(made), -1).mean(1).tolist()
        self.seconds += squares.mean(1).tolist()
        self.blocks += torch.stack([part.mean(1) for part in squares.chunk(self.parts, 1)], 1).flatten().tolist()
        if noise.alike:
            self.shared += noise.shared(made)

    def following(self, repeats: int, largest: int) -> int:
        """How many turns are to run at once now, of so many in all."""
        return min(max(len(self.means), _STEP), max(1, AT_ONCE // largest), repeats - len(self.means))

    def enough(self, before: int, repeats: int) -> bool:
        """Whether some of the turns are enough; then those behind them are forgotten.

        Args:
            before: the turns that were not.
            repeats: how many there may be.
        """
        total = len(self.seconds)
        counts = np.arange(_STEP * (before // _STEP + 1), min(total + 1, repeats), _STEP)
        apart = np.asarray(self.seconds) - self.seconds[0]
        mean = np.cumsum(apart)[counts - 1] / counts
        spread = np.sqrt(np.maximum(np.cumsum(apart**2)[counts - 1] / counts - mean**2, 0.0))
        close = counts[spread / np.sqrt(counts) <= _CLOSE * (self.seconds[0] + mean)]
        if close.size:
            for numbers in (self.means, self.seconds, self.blocks, self.shared):
                del numbers[int(close[0]) * len(numbers) // total :]
        return bool(close.size)

    @property
    def finite(self) -> bool:
        return math.isfinite(sum(self.means) + sum(self.seconds))
