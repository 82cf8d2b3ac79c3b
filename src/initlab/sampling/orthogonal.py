"""Orthogonal factors, drawn as products of random Householder reflections; LAPACK multiplies them out.

LAPACK's results agree between machines to rounding, not bit by bit.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from initlab.sampling import elements, reference
from initlab.sampling.laws import DeltaOrthogonal, Orthogonal
from initlab.sampling.patterns import centre_of
from initlab.sampling.request import Array, Region, Stream, Target
from initlab.sampling.streams import Key

# Rows whose squares are summed at a time, in double precision.
_ROWS = 256
_LOCK = threading.Lock()
_within = 0
_limit: Any = None
_STANDARD = reference.Transform(reference.NORMAL, 0.0, 1.0)


def haar(rows: int, columns: int, key: Key, base: int, gain: float, precision: str) -> Array:
    """gain · Q as a C-ordered (rows, columns) array, orthonormal along the shorter side, Haar-distributed.

    The reflections are those that a QR factorization of a normal matrix would find: after k of them what is left of the
    matrix is normal again and independent of them, so each can be drawn by itself, and the factorization, half of the
    work, is not needed. The columns of Q take the signs of R's diagonal: without that, the choice of signs biases Q.
    Row k of the elements base … base + rows · columns - 1 of the key's stream, from column k on, is reflection k.

    Source: Stewart, The efficient generation of random orthogonal matrices, 1980, theorem 3.3; signs: Mezzadri 2007.
    """
    from scipy.linalg import lapack

    short, tall = min(rows, columns), max(rows, columns)
    vectors = np.empty((short, tall), dtype=precision)
    flat = Target(vectors.reshape(-1), precision, (base,))
    elements.draw(flat, (base + vectors.size,), key, _STANDARD)
    tau, signs = reflections(vectors)
    orgqr = lapack.dorgqr if precision == "float64" else lapack.sorgqr
    with one_blas_thread():
        factor, _, _ = orgqr(vectors.T, tau, lwork=64 * short, overwrite_a=1)
    scale = (gain * signs).astype(precision)
    if rows <= columns:
        result: Array = factor.T
        result *= scale[:, None]
        return result
    result = np.ascontiguousarray(factor)
    result *= scale
    return result


def reflections(vectors: Array) -> tuple[Array, Array]:
    """Turn row k's normal vector x, from column k on, into LAPACK's reflector; return its factors and R's signs.

    H = I - τ v vᵀ sends x to β e₁ with β = -sign(x₁) ‖x‖, v = (1, x₂ …)/(x₁ - β), τ = (β - x₁)/β.
    """
    short, tall = vectors.shape
    square = np.empty(short)
    below = np.tri(min(short, _ROWS), k=-1, dtype=bool)
    for k in range(0, short, _ROWS):
        some = vectors[k : k + _ROWS, k:].astype(np.float64)
        some[:, : len(some)][below[: len(some), : len(some)]] = 0.0
        square[k : k + _ROWS] = np.square(some, out=some).sum(axis=1)
    first = np.diagonal(vectors).astype(np.float64)
    beta = -np.copysign(np.sqrt(square), first)
    if short == tall:
        beta[-1] = first[-1]
    lead = np.where(first == beta, 1.0, first - beta)
    vectors *= (1.0 / lead).astype(vectors.dtype)[:, None]
    tau = np.where(beta == 0.0, 0.0, (beta - first) / np.where(beta == 0.0, 1.0, beta))
    return tau.astype(vectors.dtype), np.where(np.signbit(beta), -1.0, 1.0)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS on one thread: its own threads wait in loops, which on busy machines takes seconds.

    Several threads may be within at once: the first to enter sets the limit and the last to leave lifts it.
    """
    global _within, _limit
    with _LOCK:
        _within += 1
        if _within == 1:
            _limit = _controller().limit(limits=1, user_api="blas")
    try:
        yield
    finally:
        with _LOCK:
            _within -= 1
            if _within == 0:
                _limit.restore_original_limits()


@lru_cache(maxsize=1)
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def precision_of(dtype: str) -> str:
    """The precision that the factor is computed in: bfloat16 and float16 go through float32.

    Householder products stay orthogonal to a few roundings, so that the target's own precision is enough.
    """
    return "float64" if dtype == "float64" else "float32"


def draw_orthogonal(target: Target, law: Orthogonal, stream: Stream, region: Region) -> None:
    """The whole factor of the region, then the target's part of it."""
    rank = len(region.shape)
    axis = law.out_axis % rank
    rows = region.shape[axis]
    others = tuple(size for i, size in enumerate(region.shape) if i != axis)
    matrix = haar(rows, math.prod(others), stream.key(law.family), region.base, law.gain, precision_of(target.dtype))
    whole = np.moveaxis(matrix.reshape(rows, *others), 0, axis)
    cut = tuple(
        slice(own - first, own - first + size)
        for own, first, size in zip(target.start, region.start, target.out.shape, strict=True)
    )
    store(target.out, whole[cut], target.dtype)


def draw_delta_orthogonal(target: Target, law: DeltaOrthogonal, stream: Stream, region: Region) -> None:
    """Zeros everywhere but in the kernel's centre, which alone is factored."""
    target.out[...] = 0
    centre = centre_of(target, law, region)
    if centre is None:
        return
    plane, row, column = centre
    rows, columns = region.shape[law.out_axis], region.shape[law.in_axis]
    matrix = haar(rows, columns, stream.key(law.family), region.base, law.gain, precision_of(target.dtype))
    store(plane, matrix[row : row + plane.shape[0], column : column + plane.shape[1]], target.dtype)


def store(out: Array, values: Array, dtype: str) -> None:
    """Values into the target's own form."""
    out[...] = reference.rounded(values, dtype)
