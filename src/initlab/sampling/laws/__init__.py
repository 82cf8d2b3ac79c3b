"""Laws: the distributions that a weight's values are drawn from, as plain frozen data.

A law knows its numbers (`mean`, `std`) and how to say itself; it does not draw. `sampling.fill` draws it.
`family` is what the stream key holds, so that two laws of one family on one parameter share their uniform
numbers: normal(std=0.1) is exactly twice normal(std=0.05) up to rounding. Studies of schemes are paired by that.
"""

from initlab.sampling.laws.base import Law
from initlab.sampling.laws.elementwise import (
    FEWEST_SIGMAS,
    MOST_SIGMAS,
    Constant,
    Normal,
    TruncatedNormal,
    Uniform,
)
from initlab.sampling.laws.matrices import DeltaOrthogonal, Identity, MatrixLaw, Mirrored, Orthogonal, Sparse
from initlab.sampling.laws.stacked import Stacked

__all__ = [
    "FEWEST_SIGMAS",
    "MOST_SIGMAS",
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
