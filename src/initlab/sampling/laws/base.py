"""What every law has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

Shape = tuple[int, ...]


class Law:
    """What every law has.

    Attributes:
        family: the name that enters the stream key.
        needs_whole: True when a block of the tensor cannot be drawn without drawing it all.
        mean, std: of one element; nan where they depend on the shape or the place (see `mean_of`, `std_of`).
    """

    family: ClassVar[str]
    needs_whole: ClassVar[bool] = False

    def mean_of(self, shape: Sequence[int]) -> float:
        """The mean over the elements of a tensor of this shape."""
        return float(getattr(self, "mean", 0.0))

    def std_of(self, shape: Sequence[int]) -> float:
        """The root mean square deviation of the elements of a tensor of this shape."""
        return float(getattr(self, "std", 0.0))

    def check(self, shape: Sequence[int]) -> None:
        """Raise `InputError` when a tensor of this shape cannot have this law."""

    def describe(self) -> str:
        """The law in one short formula."""
        raise NotImplementedError


def assign(law: object, **values: float) -> None:
    """Set fields of a frozen law while it is made."""
    for name, value in values.items():
        object.__setattr__(law, name, value)
