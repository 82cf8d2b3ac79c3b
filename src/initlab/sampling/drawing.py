"""Drawing a law's values: `fill` writes them into memory that is there, `sample` into a new array."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from initlab.errors import InputError, shown
from initlab.sampling import elements, orthogonal, patterns, reference, whole
from initlab.sampling.laws import (
    Constant,
    DeltaOrthogonal,
    Identity,
    Law,
    Mirrored,
    Normal,
    Orthogonal,
    Sparse,
    Stacked,
    TruncatedNormal,
    Uniform,
)
from initlab.sampling.request import DTYPES, Array, Region, Stream, Target, check_dtype, check_shape, make_request
from initlab.sampling.threads import share, thread_count
from initlab.sampling.whole_laws import WholeLaw

Draw = Callable[[Target, Any, Stream, Region], None]


def fill(
    out: Array,
    law: Law,
    *,
    seed: int = 0,
    name: str = "weight",
    shape: Sequence[int] | None = None,
    block: Sequence[slice] | None = None,
    dtype: str | None = None,
) -> None:
    """Write a law's values into an array, in place.

    The values are a function of (stream version, seed, canonical name, global shape, law) and of nothing else: any
    block of a tensor gets what the whole tensor would have there, whatever the threads, strides and machine
    (orthogonal laws: to rounding). bfloat16 and float16 are the float32 value rounded once to nearest even.

    Args:
        out: float32, float64 or float16, or uint16 that holds the bits of bfloat16; any strides.
        law: what to draw.
        seed: an integer in [0, 2^64).
        name: the parameter's name; what wrappers add to it is dropped.
        shape: the global shape; default `out.shape`.
        block: one slice for each axis of the global tensor, where `out` is only that part of it.
        dtype: "float32", "float64", "float16" or "bfloat16"; default `out.dtype`.

    Raises:
        InputError: a bad argument; nothing has been written.

    Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011.

    >>> whole, part = np.empty((4, 6), np.float32), np.empty((2, 3), np.float32)
    >>> fill(whole, Normal(0.0, 1.0), seed=1, name="fc.weight")
    >>> fill(part, Normal(0.0, 1.0), seed=1, name="fc.weight", shape=(4, 6), block=(slice(1, 3), slice(2, 5)))
    >>> bool((part == whole[1:3, 2:5]).all())
    True
    """
    stream, target = make_request(out, law, seed, name, shape, block, dtype)
    if target.out.size:
        draw(target, law, stream, Region((0,) * len(stream.shape), stream.shape))


def sample(
    law: Law, shape: Sequence[int], *, seed: int = 0, name: str = "weight", dtype: str = "float32"
) -> np.ndarray[Any, Any]:
    """A new array of a law's values, as `fill` would write them.

    Args:
        law: what to draw.
        shape: the array's shape.
        seed: an integer in [0, 2^64).
        name: the parameter's name.
        dtype: "float32", "float64", "float16", or "bfloat16" (whose bits come as uint16).

    Raises:
        InputError: a bad argument.

    >>> sample(Uniform(-1.0, 1.0), (2, 3), seed=7).shape
    (2, 3)
    """
    kind, sizes = check_dtype(dtype), check_shape(shape)
    if not isinstance(law, Law):
        raise InputError(f"law must be a law of initlab.sampling.laws; got {shown(law)}")
    law.check(sizes)
    try:
        out = np.empty(sizes, dtype=DTYPES[kind])
    except MemoryError:
        raise InputError(f"shape must fit in memory; got {sizes}, {math.prod(sizes):,} elements") from None
    fill(out, law, seed=seed, name=name, dtype=kind)
    return out


def draw(target: Target, law: Law, stream: Stream, region: Region) -> None:
    """Draw the part of a region that the target holds."""
    LAWS[type(law)](target, law, stream, region)


def _draw_elements(target: Target, law: Law, stream: Stream, region: Region) -> None:
    elements.draw(target, stream.shape, stream.key(law.family), reference.transform_of(law))


def _draw_stacked(target: Target, law: Stacked, stream: Stream, region: Region) -> None:
    axis, start = law.axis % len(region.shape), 0
    blocks: list[orthogonal.Block] = []
    for size, block in zip(law.sizes, law.laws, strict=True):
        part = region.cut(axis, start, size)
        inside = target.within(part)
        if inside is not None:
            blocks.append((inside, block, part))
        start += size

    batches = list(orthogonal.batches(blocks))

    def work(first: int, last: int) -> None:
        for batch in batches[first:last]:
            if len(batch) > 1:
                orthogonal.draw_together(batch, stream)
            else:
                ((inside, block, part),) = batch
                draw(inside, block, stream, part)

    # Element-wise laws share their own elements among threads; factors are one thread's work, so batches are shared.
    matrices = sum(batch[0][1].needs_whole for batch in batches)
    if matrices > 1:
        with orthogonal.one_blas_thread():  # once for all blocks, not anew for each
            share(work, len(batches), min(thread_count(), matrices))
    else:
        work(0, len(batches))


def _draw_whole(target: Target, law: WholeLaw, stream: Stream, region: Region) -> None:
    whole.draw(target, law, stream, region, draw)


LAWS: dict[type[Law], Draw] = {
    Constant: patterns.draw_constant,
    Uniform: _draw_elements,
    Normal: _draw_elements,
    TruncatedNormal: _draw_elements,
    Identity: patterns.draw_identity,
    Sparse: patterns.draw_sparse,
    Orthogonal: orthogonal.draw_orthogonal,
    DeltaOrthogonal: orthogonal.draw_delta_orthogonal,
    Mirrored: orthogonal.draw_mirrored,
    Stacked: _draw_stacked,
    **dict.fromkeys(whole.MAKERS, _draw_whole),
}
