"""Tensors that are made whole by their law, and the part of them that a target holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from initlab.sampling import elements, reference
from initlab.sampling.laws import Law, Mirrored, Normal, Orthogonal, Sparse
from initlab.sampling.orthogonal import mirrored
from initlab.sampling.patterns import centre_of
from initlab.sampling.request import DTYPES, Array, Region, Shape, Stream, Target
from initlab.sampling.whole_laws import CURVES, Curved, Factor, Given, Opposed, OverComplex, Repeated, WholeLaw

Inner = Callable[[Law, Shape, Stream], Array]


def draw(target: Target, law: WholeLaw, stream: Stream, region: Region, inner: Callable[..., None]) -> None:
    """Make the region's tensor, and write the part that the target holds.

    Args:
        target: what is written.
        law: the law.
        stream: whose random numbers.
        region: the law's box of the tensor; blocks of one tensor have streams of their own.
        inner: what draws a law below this one into a target.
    """
    precision = "float64" if target.dtype == "float64" else "float32"
    own = replace(stream, name=f"{stream.name}[{region.base}]") if region.base else stream

    def values(below: Law, shape: Shape, source: Stream) -> Array:
        made = np.empty(shape, DTYPES[precision])
        here = replace(source, shape=shape)
        start = (0,) * len(shape)
        inner(Target(made, precision, start), below, here, Region(start, shape))
        return made

    whole = MAKERS[type(law)](law, region.shape, own, values)
    cut = tuple(
        slice(at - first, at - first + size)
        for at, first, size in zip(target.start, region.start, target.out.shape, strict=True)
    )
    target.out[...] = reference.rounded(np.ascontiguousarray(whole[cut]).astype(DTYPES[precision]), target.dtype)


def _curved(law: Curved, shape: Shape, stream: Stream, values: Inner) -> Array:
    return CURVES[law.function](values(law.inner, shape, stream).astype(np.float64))


def _opposed(law: Opposed, shape: Shape, stream: Stream, values: Inner) -> Array:
    size = shape[0] // law.blocks
    made = np.zeros(shape)
    drawn = values(law.law, (size, *shape[1:]), stream)
    made[law.drawn * size : (law.drawn + 1) * size] = drawn
    made[law.negated * size : (law.negated + 1) * size] = -drawn
    return made


def _repeated(law: Repeated, shape: Shape, stream: Stream, values: Inner) -> Array:
    return np.repeat(values(law.law, law.inner_shape(shape), stream), law.times, axis=0)


def _factor(law: Factor, shape: Shape, stream: Stream, values: Inner) -> Array:
    rows = shape[0] // law.heads
    parts = []
    for head in range(law.heads):
        left, sizes, right = _factored(law, shape[1], stream.seed, head)
        scale = np.sqrt(sizes)
        made = {"left": scale[:, None] * left.T, "right": scale[:, None] * right, "back": right.T * scale}[law.side]
        parts.append(made[:rows])
    return np.concatenate(parts)


def _over_complex(law: OverComplex, shape: Shape, stream: Stream, values: Inner) -> Array:
    own, whole = law.law, shape[:-1]
    if isinstance(own, Sparse):
        kept = values(replace(own, std_nonzero=1.0), whole, stream) != 0
        drawn = values(Normal(0.0, math.sqrt(0.5) * own.std_nonzero), shape, stream)
        return np.where(kept[..., None], drawn, 0.0)
    rows, columns = whole[own.out_axis], whole[own.in_axis]
    made, plain = np.zeros(whole, np.complex128), isinstance(own, Orthogonal)
    sizes = own.factor_shape(whole) if isinstance(own, Mirrored) else (rows, made.size // rows if plain else columns)
    factor = own.gain * _unitary(values(Normal(), (*sizes, 2), stream))
    if plain:
        front = np.moveaxis(made, own.out_axis, 0)
        front[...] = factor.reshape(front.shape)
    else:
        region = Region((0,) * made.ndim, whole)
        centre = centre_of(Target(made, "complex128", region.start), own, region)
        assert centre is not None  # all of the tensor is here
        centre[0][...] = mirrored(factor, np.arange(rows), np.arange(columns))
    return made.view(np.float64).reshape(shape)


def _unitary(parts: Array) -> Array:
    """Haar-distributed, orthonormal along the shorter side: QR of normals, the phases of R's diagonal taken away."""
    noise = parts.astype(np.float64).view(np.complex128)[..., 0]
    wide = noise.shape[0] < noise.shape[1]
    factor, triangle = np.linalg.qr(noise.T if wide else noise)
    diagonal = np.diagonal(triangle)
    haar: Array = factor * (diagonal / np.abs(diagonal))
    return haar.T if wide else haar


def _given(law: Given, shape: Shape, stream: Stream, values: Inner) -> Array:
    return law.values


def _factored(law: Factor, width: int, seed: int, head: int) -> tuple[Array, Array, Array]:
    """U, S and Vᵀ of one head's M; the largest number of each column of U is positive, since LAPACK chooses signs."""
    noise = np.empty((width, width))
    key = Stream(seed, f"{law.pair}[{head}]", noise.shape).key(Normal.family)
    elements.draw(Target(noise, "float64", (0, 0)), noise.shape, key, reference.transform_of(Normal()))
    matrix = law.alpha * noise / np.sqrt(width) + law.beta * np.eye(width)
    left, sizes, right = np.linalg.svd(matrix)
    signs = np.sign(left[np.abs(left).argmax(0), np.arange(width)])
    return left * signs, sizes, right * signs[:, None]


def leading_size(alpha: float, beta: float, width: int, rows: int) -> float:
    """The mean of the `rows` largest singular values of α Z + β I, in one draw; they hardly vary from draw to draw."""
    return float(_factored(Factor("singular values", "left", alpha, beta), width, 0, 0)[1][:rows].mean())


MAKERS: dict[type[Law], Callable[[Any, Shape, Stream, Inner], Array]] = {
    Curved: _curved,
    Opposed: _opposed,
    Repeated: _repeated,
    OverComplex: _over_complex,
    Factor: _factor,
    Given: _given,
}
