"""Orthogonal factors: QR of a normal matrix by LAPACK, signs corrected; blocks of one shape are factored together.

LAPACK's results agree between machines to rounding, not bit by bit.
"""

from __future__ import annotations

import math

import numpy as np

from initlab.sampling import elements, reference
from initlab.sampling.laws import DeltaOrthogonal, Orthogonal
from initlab.sampling.patterns import centre_of
from initlab.sampling.request import Array, Region, Stream, Target
from initlab.sampling.streams import Key

_STANDARD = reference.Transform(reference.NORMAL, 0.0, 1.0)


def haar(rows: int, columns: int, key: Key, base: int, gain: float, precision: str) -> Array:
    """gain · Q as a C-ordered (rows, columns) array, orthonormal along the shorter side, Haar-distributed.

    Q R = A, A normal, with the columns of Q multiplied by the signs of R's diagonal: without that, LAPACK's own
    choice of signs biases Q. The normal matrix is elements base … base + rows · columns - 1 of the key's stream.

    Source: Mezzadri, How to generate random matrices from the classical compact groups, 2007, section 5.
    """
    short, tall = min(rows, columns), max(rows, columns)
    normal = np.empty((short, tall), dtype=precision)
    flat = Target(normal.reshape(-1), precision, (base,))
    elements.draw(flat, (base + normal.size,), key, _STANDARD)
    factor, diagonal = _qr(normal.T)
    sign = np.where(np.signbit(diagonal), -gain, gain).astype(precision)
    if rows <= columns:
        result: Array = factor.T
        result *= sign[:, None]
        return result
    result = np.ascontiguousarray(factor)
    result *= sign
    return result


def _qr(matrix: Array) -> tuple[Array, Array]:
    """Q and the diagonal of R, of a tall Fortran-ordered matrix, which is overwritten."""
    from scipy.linalg import lapack

    double = matrix.dtype == np.float64
    geqrf, orgqr = (lapack.dgeqrf, lapack.dorgqr) if double else (lapack.sgeqrf, lapack.sorgqr)
    room = max(64 * matrix.shape[1], 1)
    packed, tau, _, _ = geqrf(matrix, lwork=room, overwrite_a=1)
    diagonal = np.diagonal(packed).copy()
    factor, _, _ = orgqr(packed, tau, lwork=room, overwrite_a=1)
    return factor, diagonal


def precision_of(dtype: str) -> str:
    """The precision that the factor is computed in: bfloat16 and float16 go through float32."""
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
