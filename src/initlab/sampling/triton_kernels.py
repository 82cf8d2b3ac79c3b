"""The Triton kernels that draw elements into memory of a device: words, values, the cast and the store as one."""

# mypy: ignore-errors
# (Triton compiles these functions by its own types; it has none that mypy knows.)

from __future__ import annotations

import triton
import triton.language as tl

from initlab.sampling.triton_arithmetic import (
    BFLOAT_16,
    FLOAT_16,
    FLOATS,
    GROUP,
    LANES,
    LOW_DOMAIN,
    rounded,
    values_of,
    words_of,
)

# A dtype's form of a value in memory.
FORMS = {"float32": FLOATS, "float64": FLOATS, "bfloat16": BFLOAT_16, "float16": FLOAT_16}

# What no kernel is compiled anew for.
RUNTIME = ("start", "length", *(f"k{i}" for i in range(4)), *(f"n{i}" for i in range(7)))


@triton.jit(do_not_specialize=RUNTIME)
def draw_run(
    out,
    start: tl.int64,
    length: tl.int64,
    stride,
    k0: tl.int64, k1: tl.int64, k2: tl.int64, k3: tl.int64,
    n0: tl.int64, n1: tl.int64, n2: tl.int64, n3: tl.int64, n4: tl.int64, n5: tl.int64, n6: tl.int64,
    KIND: tl.constexpr, FORM: tl.constexpr, DOUBLE: tl.constexpr, COUNTERS: tl.constexpr,
):  # fmt: skip
    """Elements start … start + length - 1 of a tensor to out[0], out[stride], …; each counter is computed once."""
    start, length = start.to(tl.int64), length.to(tl.int64)
    i = tl.arange(0, COUNTERS)
    first = start // GROUP + tl.program_id(0).to(tl.int64) * (COUNTERS // LANES)
    group, lane = first + i // LANES, i % LANES
    counter = group * LANES + lane
    w0, w1, w2, w3 = words_of(counter, 0, k0, k1, k2, k3)
    if DOUBLE:
        m0, m1, m2, m3 = words_of(counter, LOW_DOMAIN, k0, k1, k2, k3)
    else:
        m0, m1, m2, m3 = w0, w1, w2, w3
    a, b, c, d = values_of(w0, w1, w2, w3, m0, m1, m2, m3, n0, n1, n2, n3, n4, n5, n6, KIND, DOUBLE)
    at = group * GROUP + lane - start
    tl.store(out + at * stride, rounded(a, FORM), mask=(at >= 0) & (at < length))
    at += LANES
    tl.store(out + at * stride, rounded(b, FORM), mask=(at >= 0) & (at < length))
    at += LANES
    tl.store(out + at * stride, rounded(c, FORM), mask=(at >= 0) & (at < length))
    at += LANES
    tl.store(out + at * stride, rounded(d, FORM), mask=(at >= 0) & (at < length))


@triton.jit(do_not_specialize=(*RUNTIME, *(f"{what}{axis}" for what in "sec" for axis in range(4))))
def draw_box(
    out,
    start: tl.int64,
    length: tl.int64,
    s0, e0, c0, s1, e1, c1, s2, e2, c2, s3, e3, c3,
    k0: tl.int64, k1: tl.int64, k2: tl.int64, k3: tl.int64,
    n0: tl.int64, n1: tl.int64, n2: tl.int64, n3: tl.int64, n4: tl.int64, n5: tl.int64, n6: tl.int64,
    KIND: tl.constexpr, FORM: tl.constexpr, DOUBLE: tl.constexpr, ELEMENTS: tl.constexpr,
):  # fmt: skip
    """A box of `length` elements in memory of any strides.

    Along each of four axes, the last the fastest: s indices, each e elements and c cells after the one before.
    """
    start = start.to(tl.int64)
    i = tl.program_id(0).to(tl.int64) * ELEMENTS + tl.arange(0, ELEMENTS)
    i3, rest = i % s3, i // s3
    i2, rest = rest % s2, rest // s2
    i1, i0 = rest % s1, rest // s1
    e = start + i0 * e0 + i1 * e1 + i2 * e2 + i3 * e3
    cell = i0 * c0 + i1 * c1 + i2 * c2 + i3 * c3
    counter, own = e // GROUP * LANES + e % LANES, e // LANES % 4
    w0, w1, w2, w3 = words_of(counter, 0, k0, k1, k2, k3)
    if DOUBLE:
        m0, m1, m2, m3 = words_of(counter, LOW_DOMAIN, k0, k1, k2, k3)
    else:
        m0, m1, m2, m3 = w0, w1, w2, w3
    a, b, c, d = values_of(w0, w1, w2, w3, m0, m1, m2, m3, n0, n1, n2, n3, n4, n5, n6, KIND, DOUBLE)
    x = tl.where(own == 0, a, tl.where(own == 1, b, tl.where(own == 2, c, d)))
    tl.store(out + cell, rounded(x, FORM), mask=i < length)
