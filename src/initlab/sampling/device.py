"""Elements drawn into memory of a device by Triton: the bits of `elements`, without a copy through the host.

A tensor is torch's, of which nothing but its shape and its strides is used: this room imports no torch.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from typing import Any

import numpy as np

from initlab.sampling.philox import GROUP, LANES
from initlab.sampling.reference import Transform
from initlab.sampling.request import Shape
from initlab.sampling.streams import Key
from initlab.sampling.walks import axes_of

COUNTERS = 512  # of one program: 2,048 elements of a run
ELEMENTS = 1024  # of one program over a box
MOST_AXES = 4  # of a box, once axes that step on evenly are one


@functools.cache
def has_triton() -> bool:
    """Whether Triton is installed, as it is with torch's builds for GPUs."""
    return importlib.util.find_spec("triton") is not None


def can_walk(extent: Shape, start: Shape, strides: Shape, shape: Shape) -> bool:
    """Whether `draw` can walk a box in memory of these strides."""
    return len(axes_of(extent, start, strides, shape)[1]) <= MOST_AXES


def draw(out: Any, dtype: str, start: Shape, shape: Shape, key: Key, transform: Transform) -> None:
    """Fill a tensor with the values of its elements of the global tensor of this shape.

    Args:
        out: float32 or float64, or int16 that holds the bits of bfloat16 and float16; any strides that can be walked.
        dtype: "float32", "float64", "float16" or "bfloat16".
        start: the first index of the box that `out` is, along each axis of the global tensor.
        shape: of the global tensor.
        key: of its stream.
        transform: makes values of random words.
    """
    # lazy: Triton is there on machines with a GPU only, and takes a second to import
    from initlab.sampling import triton_kernels as kernels

    first, axes = axes_of(tuple(out.shape), start, tuple(out.stride()), shape)
    double, count = dtype == "float64", math.prod(out.shape)
    bits = transform.numbers(np.dtype(np.float64 if double else np.float32)).view(np.int64 if double else np.int32)
    words = (*(int(word) for word in key), *(int(number) for number in bits))
    settings = {"KIND": transform.kind, "FORM": kernels.FORMS[dtype], "DOUBLE": double, "enable_fp_fusion": False}
    if len(axes) <= 1 and (not axes or axes[0][1] == 1):
        groups = -(-(first + count) // GROUP) - first // GROUP
        grid = (-(-groups * LANES // COUNTERS),)
        stride = axes[0][2] if axes else 1
        kernels.draw_run[grid](out, first, count, stride, *words, COUNTERS=COUNTERS, **settings)
        return
    padded = [(1, 0, 0)] * (MOST_AXES - len(axes)) + axes
    grid = (-(-count // ELEMENTS),)
    kernels.draw_box[grid](out, first, count, *sum(padded, ()), *words, ELEMENTS=ELEMENTS, **settings)
