"""Laws whose elements are drawn one by one: by the kernels, or in plain numpy where compiling would cost more."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from initlab.sampling import reference
from initlab.sampling.philox import GROUP, LOW_BITS, VALUES, element_words, range_words
from initlab.sampling.request import Array, Shape, Target
from initlab.sampling.streams import Key

# Below this many elements plain numpy is quicker than loading the compiled kernels.
PLAIN_LIMIT = 4096
# Forms of numbers that the kernels have drawn once, so that drawing more of them costs no compilation.
_COMPILED: set[str] = set()


def draw(target: Target, shape: Shape, key: Key, transform: reference.Transform) -> None:
    """Fill the target with the values of its elements of the global tensor of this shape."""
    if target.out.size == 0:
        return
    form = "uint16" if target.dtype in ("bfloat16", "float16") else target.dtype
    if target.out.size < PLAIN_LIMIT and form not in _COMPILED:
        draw_plain(target, shape, key, transform)
        return
    # lazy: numba takes half a second, and small tensors do without
    from initlab.sampling import kernels

    kernels.draw(target, shape, key, transform)
    _COMPILED.add(form)


def draw_plain(target: Target, shape: Shape, key: Key, transform: reference.Transform) -> None:
    """`draw` in plain numpy."""
    index = flat_index(target.start, target.out.shape, shape)
    target.out[...] = plain_values(index, key, transform, target.dtype).reshape(target.out.shape)


def flat_index(start: Shape, extent: Shape, shape: Shape) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The C-order numbers, in a tensor of this shape, of the elements of a box; one-dimensional."""
    index = np.zeros((), dtype=np.int64)
    for axis, (first, size) in enumerate(zip(start, extent, strict=True)):
        step = math.prod(shape[axis + 1 :])
        index = index[..., None] + np.arange(first, first + size, dtype=np.int64) * step
    return index.reshape(-1)


def plain_values(index: Array, key: Key, transform: reference.Transform, dtype: str) -> Array:
    """The values of elements with these numbers, in the target's own form."""
    start, stop = int(index[0]), int(index[-1]) + 1
    if stop - start == index.size:
        words = range_words(key, VALUES, start, stop)
        more = range_words(key, LOW_BITS, start, stop) if dtype == "float64" else None
        values = _values(words, more, transform).reshape(-1)
        skip = start - start // GROUP * GROUP
        return reference.rounded(values[skip : skip + index.size], dtype)
    four, own = element_words(key, VALUES, index)
    more = element_words(key, LOW_BITS, index)[0].T if dtype == "float64" else None
    values = _values(four.T, more, transform)
    return reference.rounded(np.take_along_axis(values, own[None, :], axis=0)[0], dtype)


def _values(words: Array, more: Array | None, transform: reference.Transform) -> Array:
    if more is None:
        return reference.values_32(np.ascontiguousarray(words), transform)
    return reference.values_64(np.ascontiguousarray(words), np.ascontiguousarray(more), transform)
