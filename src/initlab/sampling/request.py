"""What a fill is asked for: the target array, the global tensor, the block of it; all checked before any write."""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from initlab.errors import InputError, seed_number, shown, text, unknown
from initlab.sampling.laws import (
    Constant,
    Law,
    MatrixLaw,
    Normal,
    Sparse,
    Stacked,
    TruncatedNormal,
    Uniform,
)
from initlab.sampling.streams import Key, canonical_name, stream_key
from initlab.sampling.truncation import find_parent
from initlab.sampling.whole_laws import CURVES, Curved, Factor, Given, Opposed, OverComplex, Repeated, WholeLaw

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]

DTYPES = {"float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": np.uint16}
LARGEST = {"float32": 3.4028234e38, "float64": 1.7976931e308, "float16": 65504.0, "bfloat16": 3.3895313e38}
SMALLEST = {"float32": 2.0**-149, "float64": 2.0**-1074, "float16": 2.0**-24, "bfloat16": 2.0**-133}
# Box–Muller on 53 bits reaches √(2 · 54 ln 2) = 8.66 sigma.
_FARTHEST = 8.7


@dataclass(frozen=True)
class Stream:
    """Whose random numbers: the seed, the canonical name and the global shape; a law's family completes the key."""

    seed: int
    name: str
    shape: Shape

    def key(self, family: str) -> Key:
        return stream_key(self.seed, self.name, self.shape, family)


@dataclass(frozen=True)
class Region:
    """The box of the global tensor that one law owns: all of it, or one block of a `Stacked` law.

    Args:
        start: its first index along each axis.
        shape: its extent.
        base: where its own index space begins, for laws that number their elements themselves; the index spaces of
            different blocks do not meet.
    """

    start: Shape
    shape: Shape
    base: int = 0

    def cut(self, axis: int, start: int, size: int) -> Region:
        """The part of the region from `start` along `axis`."""
        per_index = math.prod(self.shape) // self.shape[axis]
        begin, shape = list(self.start), list(self.shape)
        begin[axis] += start
        shape[axis] = size
        return Region(tuple(begin), tuple(shape), self.base + start * per_index)


@dataclass(frozen=True)
class Target:
    """Memory to be written: `out` holds the box of the global tensor that begins at `start`.

    Args:
        out: an array of float32, float64 or float16, or the bits of bfloat16 as uint16; any strides.
        dtype: "float32", "float64", "float16" or "bfloat16".
        start: the box's first index along each axis of the global tensor.
    """

    out: Array
    dtype: str
    start: Shape

    def within(self, region: Region) -> Target | None:
        """The part of the target that lies in a region, or None."""
        cuts, start = [], []
        for own, size, first, extent in zip(self.start, self.out.shape, region.start, region.shape, strict=True):
            low, high = max(own, first), min(own + size, first + extent)
            if low >= high:
                return None
            cuts.append(slice(low - own, high - own))
            start.append(low)
        return replace(self, out=self.out[tuple(cuts)], start=tuple(start))


def make_request(
    out: Array,
    law: Law,
    seed: int,
    name: str,
    shape: Sequence[int] | None,
    block: Sequence[slice] | None,
    dtype: str | None,
) -> tuple[Stream, Target]:
    """The checked stream and target of a `fill`.

    Raises:
        InputError: whatever is wrong with the arguments.
    """
    kind = _check_out(out, dtype)
    if not isinstance(law, Law):
        raise InputError(f"law must be a law of initlab.sampling.laws; got {shown(law)}")
    full = out.shape if shape is None else check_shape(shape)
    start = _check_block(out.shape, full, block)
    law.check(full)
    check_range(law, kind)
    return Stream(seed_number(seed), canonical_name(name), full), Target(out, kind, start)


def check_shape(shape: Sequence[int]) -> Shape:
    """A shape as a tuple of non-negative ints, or an `InputError`."""
    try:
        sizes = tuple(int(size.__index__()) for size in shape)
    except (TypeError, AttributeError):
        raise InputError(f"shape must be a sequence of integers; got {shown(shape)}") from None
    if any(size < 0 for size in sizes):
        raise InputError(f"shape must have no negative axis; got {sizes}")
    if math.prod(sizes) >= 2**56:
        raise InputError(f"shape must have fewer than 2^56 elements; got {sizes}")
    return sizes


def check_dtype(dtype: object) -> str:
    """The name of a dtype that can be drawn, or an `InputError`."""
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", getattr(dtype, "__name__", text(dtype)))
    if name not in DTYPES:
        raise unknown("dtype", name, DTYPES)
    return str(name)


def _check_out(out: Array, dtype: str | None) -> str:
    if not isinstance(out, np.ndarray):
        raise InputError(f"out must be a numpy array; got {type(out).__name__}")
    kind = check_dtype(out.dtype.name if dtype is None else dtype)
    if out.dtype != DTYPES[kind]:
        held = np.dtype(DTYPES[kind]).name
        raise InputError(f"out must hold {held} for dtype={kind!r}; got {out.dtype.name}")
    if not out.flags.writeable:
        raise InputError("out must be writable; got a read-only array")
    if overlaps_itself(out):
        raise InputError(
            f"out must have one memory cell for each element; got shape {out.shape} with strides {out.strides} bytes"
        )
    return kind


def overlaps_itself(out: Array) -> bool:
    """Whether two indices can share memory: sorted by stride, each axis must step over what those before it reach."""
    if out.size < 2:
        return False
    reach = out.itemsize
    for stride, size in sorted((abs(stride), size) for stride, size in zip(out.strides, out.shape, strict=True)):
        if size == 1:
            continue
        if stride < reach:
            return True
        reach += stride * (size - 1)
    return False


def _check_block(held: Shape, full: Shape, block: Sequence[slice] | None) -> Shape:
    if block is None:
        if held != full:
            raise InputError(f"out must have the global shape {full} when no block is given; got {held}")
        return (0,) * len(full)
    cuts = tuple(block) if isinstance(block, tuple | list) else (block,)
    if len(cuts) != len(full) or not all(isinstance(cut, slice) for cut in cuts):
        raise InputError(f"block must be one slice for each of the {len(full)} axes; got {shown(block)}")
    spans = [_span(cut, size, axis, full) for axis, (cut, size) in enumerate(zip(cuts, full, strict=True))]
    if held != tuple(last - first for first, last in spans):
        raise InputError(f"out must have the block's shape; got {held} for {block!r}")
    return tuple(first for first, _ in spans)


def _span(cut: slice, size: int, axis: int, full: Shape) -> tuple[int, int]:
    """The first index of a slice of an axis and the one behind its last."""
    with contextlib.suppress(TypeError):
        first = 0 if cut.start is None else operator.index(cut.start)
        last = size if cut.stop is None else operator.index(cut.stop)
        if cut.step in (None, 1) and 0 <= first <= last <= size:
            return first, last
    raise InputError(f"block must lie within the shape {full} with step 1; got {cut} on axis {axis}")


def check_range(law: Law, dtype: str) -> None:
    """Refuse a law whose values this dtype cannot hold.

    Raises:
        InputError: values beyond its largest number, or so small that they all become zero.
    """
    reach = farthest(law)
    if reach > LARGEST[dtype]:
        raise InputError(f"{law.describe()} reaches {reach:.3g}, beyond {LARGEST[dtype]:.6g}, the largest {dtype}")
    _check_not_lost(law, dtype)


def _check_not_lost(law: Law, dtype: str) -> None:
    if isinstance(law, Stacked):
        for block in law.laws:
            _check_not_lost(block, dtype)
        return
    least = SMALLEST[dtype]
    spread = law.std if isinstance(law, Uniform | Normal | TruncatedNormal) else farthest(law)
    if 0 < spread < least:
        middle = law.mean if isinstance(law, Uniform | Normal | TruncatedNormal) else 0.0
        instead = "zeros" if abs(middle) < least else f"constant, value={middle:g}"
        raise InputError(f"{law.describe()} is lost in {dtype}, whose least number is {least:.2g}: take {instead}")


def farthest(law: Law) -> float:
    """A bound on the absolute value of anything a law can give, and of what is computed on the way."""
    if isinstance(law, Stacked):
        return max(farthest(block) for block in law.laws)
    if isinstance(law, Constant):
        return abs(law.value)
    if isinstance(law, Uniform):
        return max(abs(law.low), abs(law.high), law.high / 2 - law.low / 2)
    if isinstance(law, TruncatedNormal):
        parent = find_parent(law.mean, law.std, law.low, law.high)
        return abs(parent.mean) + _FARTHEST * parent.std
    if isinstance(law, Normal):
        return abs(law.mean) + _FARTHEST * law.std
    if isinstance(law, Sparse):
        return _FARTHEST * law.std_nonzero
    if isinstance(law, WholeLaw):
        return _farthest_whole(law)
    assert isinstance(law, MatrixLaw)
    return abs(law.gain)


def _farthest_whole(law: WholeLaw) -> float:
    if isinstance(law, Curved):
        return float(abs(CURVES[law.function](np.array([law.low, law.high]))).max())
    if isinstance(law, Opposed | OverComplex | Repeated):
        return farthest(law.law)
    if isinstance(law, Given):
        return float(abs(law.values).max(initial=0.0))
    assert isinstance(law, Factor)
    return _FARTHEST * abs(law.alpha) + abs(law.beta)
