"""Drawing on a parameter's own device: elements by Triton's kernels, orthogonal factors by the device's LAPACK."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from initlab.planning.memory.tensors import DTYPES, Block
from initlab.sampling import device
from initlab.sampling.laws import (
    Constant,
    DeltaOrthogonal,
    Law,
    Normal,
    Orthogonal,
    Stacked,
    TruncatedNormal,
    Uniform,
)
from initlab.sampling.orthogonal import precision_of
from initlab.sampling.patterns import centre_of
from initlab.sampling.reference import NORMAL, Transform, transform_of
from initlab.sampling.request import Region, Stream, Target
from initlab.sampling.streams import Key, canonical_name

_STANDARD = Transform(NORMAL, 0.0, 1.0)


def can_draw(law: Law, tensor: torch.Tensor) -> bool:
    """Whether `draw` draws this law on the tensor's device; else the host draws and the values are copied."""
    return tensor.device.type == "cuda" and device.has_triton() and _drawable(law) and _compiles(tensor.device)


def _drawable(law: Law) -> bool:
    if isinstance(law, Stacked):
        return all(_drawable(block) for block in law.laws)
    return type(law) in _LAWS


@functools.cache
def _compiles(where: torch.device) -> bool:
    """Whether a kernel compiles and runs here; where not, it is said once."""
    try:
        with torch.cuda.device(where):
            _elements(torch.empty(1, device=where), (0,), (1,), (0, 0, 0, 0), _STANDARD)
    except Exception as problem:  # a missing C compiler, an old driver: whatever Triton meets
        warnings.warn(
            f"Triton does not run on {where} ({problem}): values are drawn by the host and copied", stacklevel=2
        )
        return False
    return True


def draw(
    tensor: torch.Tensor, blocks: tuple[tuple[Block, Block], ...], law: Law, seed: int, name: str, shape: Any
) -> bool:
    """Draw the blocks of a tensor on its own device; whether their memory can be walked (nothing is written if not).

    Elements have the bits that the host draws; orthogonal factors agree with the host's to rounding.

    Args:
        tensor: the local tensor.
        blocks: (slices of the local tensor, slices of the global tensor) that cover it.
        law, seed, name, shape: of the whole tensor.
    """
    stream, region = Stream(seed, canonical_name(name), shape), Region((0,) * len(shape), tuple(shape))
    targets = [
        Target(tensor.detach()[local], DTYPES[tensor.dtype], tuple(cut.start for cut in place))  # type: ignore[arg-type]  # of its array: shape and slices, which a tensor has
        for local, place in blocks
    ]
    if not all(_walkable(target, stream.shape) for target in targets):
        return False
    with torch.cuda.device(tensor.device) if tensor.device.type == "cuda" else torch.no_grad():
        for target in targets:
            _draw(target, law, stream, region)
    return True


def _walkable(target: Target, shape: tuple[int, ...]) -> bool:
    out: Any = target.out
    return device.can_walk(tuple(out.shape), target.start, tuple(out.stride()), shape)


def _draw(target: Target, law: Law, stream: Stream, region: Region) -> None:
    if not isinstance(law, Stacked):
        _LAWS[type(law)](target, law, stream, region)
        return
    axis, start = law.axis % len(region.shape), 0
    for size, block in zip(law.sizes, law.laws, strict=True):
        part = region.cut(axis, start, size)
        inside = target.within(part)
        if inside is not None:
            _draw(inside, block, stream, part)
        start += size


def _elements(out: torch.Tensor, start: Any, shape: Any, key: Key, transform: Transform) -> None:
    memory = out.view(torch.int16) if out.element_size() == 2 else out
    device.draw(memory, DTYPES[out.dtype], start, shape, key, transform)


def _draw_elements(target: Target, law: Law, stream: Stream, region: Region) -> None:
    out: Any = target.out
    _elements(out, target.start, stream.shape, stream.key(law.family), transform_of(law))


def _draw_constant(target: Target, law: Constant, stream: Stream, region: Region) -> None:
    """In 16 bits what float32 holds is rounded once."""
    out: Any = target.out
    out.fill_(law.value if target.dtype == "float64" else float(np.float32(law.value)))


def _draw_orthogonal(target: Target, law: Orthogonal, stream: Stream, region: Region) -> None:
    out: Any = target.out
    rank = len(region.shape)
    axis = law.out_axis % rank
    rows, others = region.shape[axis], tuple(size for i, size in enumerate(region.shape) if i != axis)
    factor = _haar(rows, math.prod(others), stream.key(law.family), region.base, target.dtype, out.device)
    whole = (factor * law.gain).reshape(rows, *others).movedim(0, axis)
    cut = tuple(
        slice(at - first, at - first + size)
        for at, first, size in zip(target.start, region.start, out.shape, strict=True)
    )
    out.copy_(whole[cut])


def _draw_delta_orthogonal(target: Target, law: DeltaOrthogonal, stream: Stream, region: Region) -> None:
    out: Any = target.out
    out.zero_()
    centre: Any = centre_of(target, law, region)
    if centre is None:
        return
    plane, row, column = centre
    rows, columns = region.shape[law.out_axis], region.shape[law.in_axis]
    factor = _haar(rows, columns, stream.key(law.family), region.base, target.dtype, out.device) * law.gain
    plane.copy_(factor[row : row + plane.shape[0], column : column + plane.shape[1]])


def _haar(rows: int, columns: int, key: Key, base: int, dtype: str, where: torch.device) -> torch.Tensor:
    """`sampling.orthogonal.haar` of one matrix, on the device."""
    short, tall = min(rows, columns), max(rows, columns)
    precision = torch.float64 if precision_of(dtype) == "float64" else torch.float32
    vectors = torch.empty(short * tall, dtype=precision, device=where)
    _elements(vectors, (base,), (base + short * tall,), key, _STANDARD)
    factor = product(vectors.view(short, tall))
    return factor if rows <= columns else factor.T


def product(normal: torch.Tensor) -> torch.Tensor:
    """The orthonormal rows that `sampling.orthogonal` makes of the reflections in a (short, tall) normal matrix.

    τ and the signs are computed in float64 as there; the product is the device's own (LAPACK's orgqr).
    """
    short, tall = normal.shape
    upper = normal.triu()
    first = normal.diagonal().double()
    beta = -torch.copysign(torch.sum(upper * upper, 1, dtype=torch.float64).sqrt(), first)
    if short == tall:
        beta[-1] = first[-1]
    lead = torch.where(first == beta, 1.0, first - beta)
    vectors = upper * (1.0 / lead).to(normal.dtype)[:, None]
    tau = torch.where(beta == 0.0, 0.0, (beta - first) / torch.where(beta == 0.0, 1.0, beta)).to(normal.dtype)
    factor = torch.linalg.householder_product(vectors.T.contiguous(), tau).T
    signs: torch.Tensor = torch.where(torch.signbit(beta), -1.0, 1.0).to(normal.dtype)
    signed: torch.Tensor = factor * signs[:, None]
    return signed


_LAWS: dict[type[Law], Callable[[Target, Any, Stream, Region], None]] = {
    Constant: _draw_constant,
    Uniform: _draw_elements,
    Normal: _draw_elements,
    TruncatedNormal: _draw_elements,
    Orthogonal: _draw_orthogonal,
    DeltaOrthogonal: _draw_delta_orthogonal,
}
