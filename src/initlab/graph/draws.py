"""Random numbers for running parts of a model again: every run draws the same, so that they are drawn once for all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

MOST = 2**24  # numbers of one walk that are kept
FEWEST = 2**12  # numbers of which it is quicker to look up what was made than to make it


@dataclass
class _Drawn:
    """Numbers, where the generator then stood, and what was drawn after them."""

    numbers: tuple[torch.Tensor, ...]
    state: torch.Tensor
    following: dict[object, _Drawn] = field(default_factory=dict)


@dataclass
class Kept:
    """What was drawn so far from the start on, by what was asked for; what was last made of it."""

    first: dict[object, _Drawn] = field(default_factory=dict)
    room: int = MOST
    _made: dict[object, tuple[tuple[torch.Tensor, ...], torch.Tensor]] = field(default_factory=dict)
    _taken: int = 0

    def made(self, drawn: tuple[torch.Tensor, ...], how: object, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """What is made of numbers; what regions of one root make of them again and again is kept, where it is little.

        Args:
            drawn: the numbers.
            how: all else that it hangs on.
            make: makes it.
        """
        question = (*map(id, drawn), how)
        if question in self._made:
            return self._made[question][1]
        made = make()
        if made.numel() >= FEWEST:
            if self._taken + made.numel() > MOST // 4:
                self._made.clear()
                self._taken = 0
            self._made[question] = drawn, made  # with the numbers, so that no others take up their ids
            self._taken += made.numel()
        return made


class Draws:
    """The numbers that one generator of seed 0 gives, in order; whoever asks for the same as one before is given those.

    They are shared: nobody may write to them.

    Args:
        kept: what was drawn before.

    >>> kept = Kept()
    >>> Draws(kept).normal((2, 3)) is Draws(kept).normal((2, 3))
    True
    """

    def __init__(self, kept: Kept) -> None:
        self._kept, self._here = kept, kept.first
        self._state: torch.Tensor | None = None
        self._generator: torch.Generator | None = None

    def normal(self, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """The next standard normal numbers."""
        return self._next(
            ("normal", shape, dtype),
            lambda generator: (torch.randn(shape, generator=generator, device="cpu", dtype=dtype),),
        )[0]

    def turns(
        self, count: int, shapes: tuple[tuple[int, ...], ...], dtype: torch.dtype = torch.float32
    ) -> tuple[torch.Tensor, ...]:
        """What `normal` gives of these shapes in order, many times over: by shape, with the turns along axis 0."""

        def draw(generator: torch.Generator) -> tuple[torch.Tensor, ...]:
            made = tuple(torch.empty((count, *shape), dtype=dtype, device="cpu") for shape in shapes)
            for turn in range(count):
                for numbers in made:
                    numbers[turn].normal_(generator=generator)
            return made

        return self._next(("normal", count, shapes, dtype), draw)

    def uniform(self, shape: tuple[int, ...]) -> torch.Tensor:
        """The next numbers in [0, 1), in torch's default precision."""
        return self._next(
            ("uniform", shape, torch.get_default_dtype()),
            lambda generator: (torch.rand(shape, generator=generator, device="cpu"),),
        )[0]

    def made(self, drawn: tuple[torch.Tensor, ...], how: object, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """What is made of numbers that were drawn, as `Kept.made`."""
        return self._kept.made(drawn, how, make)

    def _next(
        self, asked: object, draw: Callable[[torch.Generator], tuple[torch.Tensor, ...]]
    ) -> tuple[torch.Tensor, ...]:
        known = self._here.get(asked)
        if known is not None:
            self._here, self._state, self._generator = known.following, known.state, None
            return known.numbers
        if self._generator is None:
            self._generator = torch.Generator(device="cpu").manual_seed(0)
            if self._state is not None:
                self._generator.set_state(self._state)
        made, following = draw(self._generator), dict[object, _Drawn]()
        count = sum(numbers.numel() for numbers in made)
        if count <= self._kept.room:
            self._kept.room -= count
            self._here[asked] = _Drawn(made, self._generator.get_state(), following)
        self._here = following
        return made
