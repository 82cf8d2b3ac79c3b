"""Orthogonal factors, drawn as products of random Householder reflections, which BLAS multiplies out in panels.

BLAS's results agree between machines to rounding, not bit by bit.
"""

from __future__ import annotations

import ctypes
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from initlab.sampling import elements, reference
from initlab.sampling.laws import DeltaOrthogonal, Mirrored, Orthogonal
from initlab.sampling.patterns import centre_of
from initlab.sampling.request import Array, Region, Stream, Target
from initlab.sampling.streams import Key
from initlab.shared import Shared

# Rows that are worked on at a time: what is held beside the factor stays small.
_ROWS = 256
# Elements of all the matrices that are multiplied out together: as many as a core's own cache takes.
_TOGETHER = 1 << 18

Block = tuple[Target, Any, Region]  # with its law

_STANDARD = reference.Transform(reference.NORMAL, 0.0, 1.0)


def haar(rows: int, columns: int, key: Key, bases: Sequence[int], precision: str) -> Array:
    """A (len(bases), rows, columns) stack of Q, each orthonormal along its shorter side, Haar-distributed.

    The reflections are those that a QR factorization of a normal matrix would find: after k of them what is left of the
    matrix is normal again and independent of them, so each can be drawn by itself, and the factorization, half of the
    work, is not needed. The columns of Q take the signs of R's diagonal: without that, the choice of signs biases Q.
    Row k of the elements base … base + rows · columns - 1 of the key's stream, from column k on, is reflection k.

    Source: Stewart, The efficient generation of random orthogonal matrices, 1980, theorem 3.3; signs: Mezzadri 2007.
    """
    short, tall = min(rows, columns), max(rows, columns)
    vectors = np.empty((len(bases), short, tall), dtype=precision)
    for base, own in zip(bases, vectors, strict=True):
        flat = Target(own.reshape(-1), precision, (base,))
        elements.draw(flat, (base + own.size,), key, _STANDARD)
    tau, signs = reflections(vectors)
    with one_blas_thread():
        factors = product(vectors, tau)
    factors *= signs.astype(precision)[:, :, None]
    return factors if rows <= columns else factors.transpose(0, 2, 1)


def reflections(vectors: Array) -> tuple[Array, Array]:
    """Turn row k's normal vector x, from column k on, into the v of a reflection; return the τs and R's signs.

    H = I - τ v vᵀ sends x to β e₁ with β = -sign(x₁) ‖x‖, v = (1, x₂ …)/(x₁ - β), τ = (β - x₁)/β. What stands before
    column k becomes zero.

    Args:
        vectors: (matrices, short, tall), overwritten.

    Returns:
        τ and the signs, each (matrices, short).
    """
    matrices, short, tall = vectors.shape
    first = np.diagonal(vectors, axis1=1, axis2=2).astype(np.float64)
    square = np.empty((matrices, short))
    upper = np.tri(min(short, _ROWS), dtype=vectors.dtype).T
    for k in range(0, short, _ROWS):
        some = vectors[:, k : k + _ROWS]
        size = some.shape[1]
        some[:, :, :k] = 0.0
        some[:, :, k : k + size] *= upper[:size, :size]
        square[:, k : k + _ROWS] = np.einsum("mij,mij->mi", some[:, :, k:], some[:, :, k:], dtype=np.float64)
    beta = -np.copysign(np.sqrt(square), first)
    if short == tall:
        beta[:, -1] = first[:, -1]
    lead = np.where(first == beta, 1.0, first - beta)
    vectors *= (1.0 / lead).astype(vectors.dtype)[:, :, None]
    vectors[:, range(short), range(short)] = 1.0
    tau = np.where(beta == 0.0, 0.0, (beta - first) / np.where(beta == 0.0, 1.0, beta))
    return tau.astype(vectors.dtype), np.where(np.signbit(beta), -1.0, 1.0)


def product(vectors: Array, tau: Array) -> Array:
    """The first columns of H₁ H₂ …, transposed: (matrices, short, tall), a row for each reflection, orthonormal.

    From the last panel of reflections to the first, each as I - Vᵀ T V with T⁻¹ = diag(1/τ) + the strict upper triangle
    of V Vᵀ. A panel's own rows are still the identity when its turn comes, and the rows below it zero before its end.
    LAPACK's orgqr does the same in narrower panels, whose products take 1.5 times as long.

    Source: Schreiber & Van Loan 1989; Puglisi 1992 (T by its inverse).
    """
    short = vectors.shape[1]
    solve = _solver(vectors.dtype.char)
    panel = min(max(short // 8, 64), 256)
    result = np.zeros_like(vectors)
    for begin in reversed(range(0, short, panel)):
        end = min(begin + panel, short)
        size, own = end - begin, np.arange(begin, end)
        v, scale = vectors[:, begin:end, begin:], tau[:, begin:end, None]
        overlaps = v @ v.transpose(0, 2, 1)
        overlaps *= scale
        scaled = scale * v
        for triangle, right in zip(overlaps, scaled, strict=True):
            solve(triangle, right)  # right becomes Tᵀ V
        block = np.matmul(v[:, :, :size].transpose(0, 2, 1), scaled, out=result[:, begin:end, begin:])
        np.negative(block, out=block)
        result[:, own, own] += 1.0
        for row in range(end, short, _ROWS):
            band = result[:, row : row + _ROWS]
            band[:, :, begin:] -= (band[:, :, end:] @ v[:, :, size:].transpose(0, 2, 1)) @ scaled
    return result


@lru_cache(maxsize=2)
def _solver(kind: str) -> Callable[[Array, Array], None]:
    """BLAS's trsm for a dtype, on C-ordered matrices in place: X ← L⁻¹ X, L unit lower triangular.

    Called by its address, since SciPy's wrapper keeps the interpreter's lock while it computes, and threads wait.
    """
    # lazy: SciPy's linear algebra takes a third of a second, and other laws do without
    from scipy.linalg import cython_blas

    number = ctypes.c_double if kind == "d" else ctypes.c_float
    capsule = cython_blas.__pyx_capi__["dtrsm" if kind == "d" else "strsm"]
    name = ctypes.pythonapi.PyCapsule_GetName
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    address_of = ctypes.pythonapi.PyCapsule_GetPointer
    address_of.restype, address_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    address = address_of(capsule, name(capsule))
    pointer = ctypes.c_void_p
    trsm = ctypes.CFUNCTYPE(None, *[ctypes.c_char_p] * 4, *[pointer] * 7)(address)

    def solve(lower: Array, right: Array) -> None:
        rows, columns = right.shape
        m, n, one = ctypes.byref(ctypes.c_int(columns)), ctypes.byref(ctypes.c_int(rows)), ctypes.byref(number(1.0))
        # Of the transposes that Fortran sees: Xᵀ ← Xᵀ (Lᵀ)⁻¹, Lᵀ upper.
        trsm(b"R", b"U", b"N", b"U", m, n, one, lower.ctypes.data, n, right.ctypes.data, m)

    return solve


@lru_cache(maxsize=1)
def _controller() -> Any:
    return ThreadpoolController()


def _one_thread() -> Callable[[], object]:
    take_back: Callable[[], object] = _controller().limit(limits=1, user_api="blas").restore_original_limits
    return take_back


# BLAS on one thread: its own threads wait in loops, which on busy machines takes seconds.
one_blas_thread = Shared(_one_thread).held


def precision_of(dtype: str) -> str:
    """The precision that the factor is computed in: bfloat16 and float16 go through float32.

    Householder products stay orthogonal to a few roundings, so that the target's own precision is enough.
    """
    return "float64" if dtype == "float64" else "float32"


def draw_orthogonal(target: Target, law: Orthogonal, stream: Stream, region: Region) -> None:
    """The whole factor of the region, then the target's part of it."""
    draw_together([(target, law, region)], stream)


def draw_together(blocks: Sequence[Block], stream: Stream) -> None:
    """Blocks of one shape, axis, family and dtype at once: short matrix products cost more to start than to do."""
    target, law, region = blocks[0]
    rank = len(region.shape)
    axis = law.out_axis % rank
    rows = region.shape[axis]
    others = tuple(size for i, size in enumerate(region.shape) if i != axis)
    bases = [own.base for _, _, own in blocks]
    matrices = haar(rows, math.prod(others), stream.key(law.family), bases, precision_of(target.dtype))
    for (inside, block, own), matrix in zip(blocks, matrices, strict=True):
        matrix *= block.gain
        cut = tuple(
            slice(at - first, at - first + size)
            for at, first, size in zip(inside.start, own.start, inside.out.shape, strict=True)
        )
        store(inside.out, np.moveaxis(matrix.reshape(rows, *others), 0, axis)[cut], inside.dtype)


def batches(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    """Neighbours that `draw_together` takes, at most `_TOGETHER` elements at a time; any other block by itself."""

    def alike(block: Block) -> object:
        target, law, region = block
        return (law.out_axis, law.family, region.shape, target.dtype) if isinstance(law, Orthogonal) else id(block)

    for _, found in itertools.groupby(blocks, alike):
        same = list(found)
        count = max(1, _TOGETHER // math.prod(same[0][2].shape))
        yield from (same[first : first + count] for first in range(0, len(same), count))


def draw_delta_orthogonal(target: Target, law: DeltaOrthogonal, stream: Stream, region: Region) -> None:
    """Zeros everywhere but in the kernel's centre, which alone is factored."""
    _draw_centre(target, law, stream, region, (region.shape[law.out_axis], region.shape[law.in_axis]))


def draw_mirrored(target: Target, law: Mirrored, stream: Stream, region: Region) -> None:
    """The factor A and its mirror images in the kernel's centre; zeros elsewhere."""
    _draw_centre(target, law, stream, region, law.factor_shape(region.shape))


def _draw_centre(
    target: Target, law: DeltaOrthogonal | Mirrored, stream: Stream, region: Region, factor: tuple[int, int]
) -> None:
    """The factor in the kernel's centre; beyond its own rows and columns it goes on with the sign changed."""
    target.out[...] = 0
    centre = centre_of(target, law, region)
    if centre is None:
        return
    plane, row, column = centre
    (matrix,) = haar(*factor, stream.key(law.family), [region.base], precision_of(target.dtype))
    matrix *= law.gain
    store(plane, mirrored(matrix, row + np.arange(plane.shape[0]), column + np.arange(plane.shape[1])), target.dtype)


def mirrored(matrix: Array, rows: Array, columns: Array) -> Array:
    """These rows and columns of a matrix that goes on beyond its own with the sign changed."""
    part: Array = matrix[np.ix_(rows % matrix.shape[0], columns % matrix.shape[1])]
    part[(rows >= matrix.shape[0])[:, None] ^ (columns >= matrix.shape[1])[None, :]] *= -1.0
    return part


def store(out: Array, values: Array, dtype: str) -> None:
    """Values into the target's own form."""
    out[...] = reference.rounded(values, dtype)
