"""Laws of fixed places: constant, identity, sparse; and permutations and signs drawn with bounded work."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from initlab.errors import InputError, seed_number, shown
from initlab.sampling import elements, reference
from initlab.sampling.laws import Constant, Identity, MatrixLaw, Sparse
from initlab.sampling.philox import GROUP, MASK, ORDER, element_words, range_words
from initlab.sampling.request import Array, Region, Shape, Stream, Target
from initlab.sampling.streams import Key, stream_key

# Sparse masks are ordered this many keys at a time.
_MASK_KEYS = 2**20


def constant(value: float, dtype: str) -> Any:
    """A value in the target's own form; low precision is the float32 value rounded once."""
    if dtype == "float64":
        return np.float64(value)
    return reference.rounded(np.array([value], dtype=np.float32), dtype)[0]


def draw_constant(target: Target, law: Constant, stream: Stream, region: Region) -> None:
    target.out[...] = constant(law.value, target.dtype)


def draw_identity(target: Target, law: Identity, stream: Stream, region: Region) -> None:
    """Zeros, then the diagonal of the kernel's centre."""
    target.out[...] = 0
    centre = centre_of(target, law, region)
    if centre is None:
        return
    plane, first_row, first_column = centre
    step = first_row - first_column
    count = min(plane.shape[0] + min(step, 0), plane.shape[1] - max(step, 0))
    if count > 0:
        at = np.arange(count)
        plane[at + max(-step, 0), at + max(step, 0)] = constant(law.gain, target.dtype)


def centre_of(target: Target, law: MatrixLaw, region: Region) -> tuple[Array, int, int] | None:
    """The target's view of the kernel's centre as (rows, columns), its first row and column; None if it has none."""
    rank = len(region.shape)
    row_axis, column_axis = law.out_axis % rank, law.in_axis % rank
    local = [own - first for own, first in zip(target.start, region.start, strict=True)]
    index: list[int | slice] = [slice(None)] * rank
    for axis in range(rank):
        if axis in (row_axis, column_axis):
            continue
        place = region.shape[axis] // 2 - local[axis]
        if not 0 <= place < target.out.shape[axis]:
            return None
        index[axis] = place
    plane = target.out[tuple(index)]
    return plane if row_axis < column_axis else plane.T, local[row_axis], local[column_axis]


def draw_sparse(target: Target, law: Sparse, stream: Stream, region: Region) -> None:
    """Normal values, then in each column the rows with the smallest keys set to zero."""
    key = stream.key(law.family)
    elements.draw(target, stream.shape, key, reference.transform_of(law))
    rows, rank = region.shape[law.out_axis], len(region.shape)
    zeros, axis = law.zeros(region.shape), law.out_axis % rank
    matrix = np.moveaxis(target.out, axis, 0)
    first = target.start[axis] - region.start[axis]
    others = [i for i in range(rank) if i != axis]
    sides: tuple[int, ...] = matrix.shape[1:]
    columns = elements.flat_index(
        tuple(target.start[i] - region.start[i] for i in others),
        tuple(target.out.shape[i] for i in others),
        tuple(region.shape[i] for i in others),
    )
    for begin in range(0, columns.size, step := max(1, _MASK_KEYS // rows)):
        some = columns[begin : begin + step]
        hit = _zero_rows(key, region.base, some, rows, zeros)[:, first : first + matrix.shape[0]]
        at = np.unravel_index(np.arange(begin, begin + some.size), sides)
        place: tuple[Any, ...] = (slice(None), *at)
        matrix[place] = np.where(hit.T, matrix.dtype.type(0), matrix[place])


def _zero_rows(key: Key, base: int, columns: Array, rows: int, zeros: int) -> Array:
    """For each column, which rows are zero: those of the `zeros` smallest keys; equal keys are ordered by row."""
    if zeros == 0:
        return np.zeros((columns.size, rows), dtype=bool)
    index = base + columns[:, None] * rows + np.arange(rows)
    words = _words(key, MASK, index.reshape(-1)).reshape(index.shape)
    order = (words.astype(np.uint64) << np.uint64(32)) | np.arange(rows, dtype=np.uint64)
    last = np.partition(order, zeros - 1, axis=1)[:, zeros - 1 : zeros]
    hit: Array = order <= last
    return hit


def _words(key: Key, domain: int, index: Array) -> Array:
    start, stop = int(index[0]), int(index[-1]) + 1
    if stop - start == index.size:
        skip = start - start // GROUP * GROUP
        return range_words(key, domain, start, stop).reshape(-1)[skip : skip + index.size]
    four, own = element_words(key, domain, index)
    return np.take_along_axis(four, own[:, None], axis=1)[:, 0]


def permutation(count: int, *, seed: int = 0, name: str = "permutation") -> np.ndarray[Any, np.dtype[np.int64]]:
    """A random order of 0 … count - 1: the numbers sorted by 64 random bits each, so the work is bounded.

    Args:
        count: how many, at least 0.
        seed: an integer in [0, 2^64).
        name: whose stream it is.

    Raises:
        InputError: a negative count, or a bad seed.

    >>> sorted(permutation(5, seed=3).tolist())
    [0, 1, 2, 3, 4]
    """
    size = _count(count)
    key = stream_key(seed_number(seed), name, (size,), "permutation")
    high, low = (range_words(key, domain, 0, size).reshape(-1)[:size].astype(np.uint64) for domain in (ORDER, MASK))
    order: np.ndarray[Any, np.dtype[np.int64]] = np.argsort((high << np.uint64(32)) | low, kind="stable")
    return order


def signs(shape: int | Shape, *, seed: int = 0, name: str = "signs") -> np.ndarray[Any, np.dtype[np.int8]]:
    """Random signs, -1 or 1 with equal chance, as int8.

    Raises:
        InputError: a negative size, or a bad seed.

    >>> set(signs(64).tolist()) == {-1, 1}
    True
    """
    sizes = tuple(_count(size) for size in (shape if isinstance(shape, tuple) else (shape,)))
    total = math.prod(sizes)
    key = stream_key(seed_number(seed), name, sizes, "signs")
    bits = range_words(key, ORDER, 0, total).reshape(-1)[:total] >> np.uint32(31)
    return (1 - 2 * bits.astype(np.int8)).reshape(sizes)


def _count(value: object) -> int:
    index = getattr(value, "__index__", None)
    if index is None or isinstance(value, bool) or index() < 0:
        raise InputError(f"count must be an integer at least 0; got {shown(value)}")
    return int(index())
