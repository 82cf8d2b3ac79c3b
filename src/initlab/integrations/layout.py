"""How a framework stores a weight against how torch does, so that both hold the same numbers under one name.

Values are drawn in torch's layout, (out, in, *window), and turned: a Dense kernel named "fc.weight" is the transpose of
what `initlab.init_` writes into that `nn.Linear` weight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from initlab.errors import InputError, shown
from initlab.planning.memory.complex_laws import law_of_parts
from initlab.sampling import fill
from initlab.sampling.laws import Law
from initlab.schemes import Geometry, Scheme, get_scheme

Shape = tuple[int, ...]
PARTS = {"complex64": "float32", "complex128": "float64"}  # complex dtype -> that of its real and imaginary parts


@dataclass(frozen=True)
class Layout:
    """torch's tensor is the stored one, its axes permuted, reshaped, some of them reversed, and equal blocks reordered.

    Args:
        stored: the shape in the framework.
        axes: the stored axes in torch's order.
        shape: torch's shape.
        flipped: torch's axes that run backwards in the framework.
        blocks: for each of the equal blocks along torch's axis 0, which stored block it is; () for the same order.

    >>> kernel = np.arange(6.0).reshape(2, 3)
    >>> bool((Layout.kernel((2, 3)).to_torch(kernel) == kernel.T).all())
    True
    """

    stored: Shape
    axes: tuple[int, ...]
    shape: Shape
    flipped: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()

    @classmethod
    def same(cls, shape: Sequence[int]) -> Layout:
        """Stored as torch stores it."""
        return cls(tuple(shape), tuple(range(len(shape))), tuple(shape))

    @classmethod
    def kernel(cls, shape: Sequence[int], blocks: tuple[int, ...] = (), flipped: bool = False) -> Layout:
        """(*window, in, out), as Keras and Flax store kernels; (*window, out, in) for a transposed convolution's."""
        rank = len(shape)
        if rank < 2:
            return cls.same(shape)
        axes = (rank - 1, rank - 2, *range(rank - 2))
        turned = tuple(shape[axis] for axis in axes)
        return cls(tuple(shape), axes, turned, tuple(range(2, rank)) if flipped else (), blocks)

    @classmethod
    def depthwise(cls, shape: Sequence[int]) -> Layout:
        """(*window, in, multiplier) against torch's (in · multiplier, 1, *window)."""
        rank = len(shape)
        axes = (rank - 2, rank - 1, *range(rank - 2))
        return cls(tuple(shape), axes, (shape[-2] * shape[-1], 1, *shape[:-2]))

    @classmethod
    def product(
        cls, shape: Sequence[int], summed: Sequence[int], made: Sequence[int], batch: Sequence[int] = ()
    ) -> Layout:
        """A weight of which a product sums over some axes and makes others, as the matrix (batch · made, summed)."""
        axes = (*batch, *made, *summed)
        rows = math.prod(shape[axis] for axis in (*batch, *made))
        return cls(tuple(shape), axes, (rows, math.prod(shape[axis] for axis in summed)))

    @classmethod
    def flat(cls, shape: Sequence[int]) -> Layout:
        """A bias with one axis for heads and one for units, against torch's vector."""
        return cls(tuple(shape), tuple(range(len(shape))), (math.prod(shape),))

    @property
    def plain(self) -> bool:
        """Whether it only permutes axes, so that a block of one is a block of the other."""
        return not self.flipped and not self.blocks and self.shape == tuple(self.stored[axis] for axis in self.axes)

    def to_torch(self, array: Any) -> Any:
        """A stored array (numpy or torch) in torch's layout."""
        made = _permuted(array, self.axes).reshape(self.shape)
        return _reordered(_flipped(made, self.flipped), self.blocks)

    def from_torch(self, array: Any) -> Any:
        """An array (numpy or torch) of torch's layout as the framework stores it."""
        inverse = tuple(self.blocks.index(place) for place in range(len(self.blocks)))
        made = _flipped(_reordered(array, inverse), self.flipped)
        turned = tuple(self.stored[axis] for axis in self.axes)
        made = made if turned == self.shape else made.reshape(turned)
        return _permuted(made, tuple(self.axes.index(axis) for axis in range(len(self.axes))))

    def block(self, cut: Sequence[slice]) -> tuple[slice, ...]:
        """The slices of torch's tensor that a block of the stored one covers; only where `plain`."""
        return tuple(slice(*cut[axis].indices(self.stored[axis])[:2]) for axis in self.axes)


def _permuted(array: Any, axes: tuple[int, ...]) -> Any:
    if axes == tuple(range(len(axes))):
        return array
    return array.permute(*axes) if hasattr(array, "permute") else array.transpose(axes)


def _flipped(array: Any, axes: tuple[int, ...]) -> Any:
    if not axes:
        return array
    return array.flip(axes) if hasattr(array, "permute") else np.flip(array, axes)


def _reordered(array: Any, blocks: tuple[int, ...]) -> Any:
    if blocks == tuple(range(len(blocks))):
        return array
    size = array.shape[0] // len(blocks)
    return array[np.concatenate([np.arange(size) + size * place for place in blocks]).tolist()]


def draw(
    law: Law, layout: Layout, *, seed: int, name: str, dtype: str = "float32", cut: Sequence[slice] | None = None
) -> np.ndarray[Any, Any]:
    """Values of a law for a weight that a framework stores in `layout`, or for the block `cut` of it.

    Args:
        law: what to draw, for torch's shape.
        layout: how the framework stores it.
        seed: in [0, 2^64).
        name: the stream's name, as torch would name the parameter.
        dtype: "float32" or "float64"; "complex64" or "complex128", whose parts are drawn as in torch.
        cut: slices of the stored array; all of it where None. A block is drawn alone where the law and the layout
            allow that; the whole is drawn and cut where they do not.

    Raises:
        InputError: a bad seed or name.
    """
    if cut is not None and layout.plain and not law.needs_whole and dtype not in PARTS:
        block = layout.block(cut)
        out = np.empty(tuple(part.stop - part.start for part in block), dtype)
        fill(out, law, seed=seed, name=name, shape=layout.shape, block=block)
        return np.asarray(_permuted(out, tuple(layout.axes.index(axis) for axis in range(len(layout.axes)))), order="C")
    if dtype in PARTS:
        pairs = np.empty((*layout.shape, 2), PARTS[dtype])
        fill(pairs, law_of_parts(law, layout.shape), seed=seed, name=name)
        out = pairs.view(dtype)[..., 0]
    else:
        out = np.empty(layout.shape, dtype)
        fill(out, law, seed=seed, name=name)
    made = np.asarray(layout.from_torch(out), order="C")  # of no axes too, to which ascontiguousarray gives one
    return made if cut is None else np.asarray(made[tuple(cut)], order="C")


def chosen(scheme: str | Scheme) -> Scheme:
    """A scheme from its name or itself; anything else is an `InputError`."""
    if isinstance(scheme, Scheme):
        return scheme
    if not isinstance(scheme, str):
        raise InputError(f"scheme must be a name or a Scheme; got {shown(scheme)}")
    return get_scheme(scheme)


def law_of(scheme: Scheme, geometry: Geometry) -> Law:
    """The law of a scheme for a weight of torch's layout.

    Raises:
        InputError: the scheme has no law for it.
    """
    law = scheme.law(geometry)
    law.check(geometry.shape)
    return law
