"""The float transforms as compiled scalar functions: the same operations in the same order as `reference`.

They are compiled without fastmath, so LLVM may not fuse, reorder or approximate any of them; inlined into a loop over a
group's lanes they become vector instructions.
"""

# mypy: ignore-errors
# (numba compiles these functions by its own types; it has none that mypy knows.)

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from initlab.sampling import coefficients as c

i32, i64, u32, u64, f32, f64 = np.int32, np.int64, np.uint32, np.uint64, np.float32, np.float64


def _bits(source: Any, target: Any) -> Callable[..., Any]:
    """A compiled function that reads one type's bits as another's."""

    @intrinsic
    def cast(typing: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], context.get_value_type(target))

        return target(source), generate

    return cast


@intrinsic
def choose(typing: Any, condition: Any, one: Any, other: Any) -> Any:
    """`one` where the condition holds, else `other`: a select, where a conditional expression becomes a branch."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(*arguments)

    return one(condition, one, one), generate


float_bits, float_of = _bits(types.float32, types.int32), _bits(types.int32, types.float32)
double_bits, double_of = _bits(types.float64, types.int64), _bits(types.int64, types.float64)
signed, signed_64 = _bits(types.uint32, types.int32), _bits(types.uint64, types.int64)


def _polynomial(table: Sequence[Any], kind: Any) -> Callable[..., Any]:
    """A compiled function that evaluates table[0] + x · (table[1] + x · (…)), each multiply and add rounded."""

    @intrinsic
    def evaluate(typing: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            constants = [context.get_constant(kind, float(entry)) for entry in table]
            total = builder.fadd(builder.fmul(arguments[0], constants[-1]), constants[-2])
            for constant in constants[-3::-1]:
                total = builder.fadd(builder.fmul(total, arguments[0]), constant)
            return total

        return kind(kind), generate

    return evaluate


_log_32, _sin_32, _cos_32 = (_polynomial(t, types.float32) for t in (c.LOG_32, c.SIN_32, c.COS_32))
_centre_32, _tail_32 = (_polynomial(t, types.float32) for t in (c.CENTRE_32, c.TAIL_32))
_log_terms, _sin_64, _cos_64 = (_polynomial(t, types.float64) for t in (c.LOG_64, c.SIN_64, c.COS_64))
_central_up, _central_down = (_polynomial(t, types.float64) for t in (c.CENTRAL_NUMERATOR, c.CENTRAL_DENOMINATOR))
_middle_up, _middle_down = (_polynomial(t, types.float64) for t in (c.MIDDLE_NUMERATOR, c.MIDDLE_DENOMINATOR))
_far_up, _far_down = (_polynomial(t, types.float64) for t in (c.FAR_NUMERATOR, c.FAR_DENOMINATOR))

_HALF, _ONE, _FIVE, _FOUR = f32(0.5), f32(1.0), f32(5.0), f32(4.0)
_CENTRE, _THREE = f32(2.5), f32(3.0)
_TO_31, _TO_32, _BACK_31 = f32(2.0**-31), f32(2.0**-32), f32(-(2.0**-31))
_LOG_STEP = f32(-1.3862943611198906)
_ROOT_HALF, _ROOT_HALF_64 = i32(0x3F3504F3), i64(0x3FE6A09E667F3BCD)
_LOW_31, _LOW_53 = i32(0x7FFFFFFF), i64(2**53 - 1)

_inline = njit(forceinline=True, error_model="numpy")


@_inline
def normal_pair(radius, angle, scale, shift):
    """Two normals from two words (Box & Muller 1958)."""
    count = signed(u32(radius >> u32(1)))
    bits = float_bits(f32(count) + _HALF)
    power = i32(i32(bits - _ROOT_HALF) >> i32(23))
    f = float_of(i32(bits - i32(power << i32(23)))) - _ONE
    power = i32(power - i32(31))
    rest = (f32(i32(count ^ _LOW_31)) + _HALF) * _BACK_31
    f = choose(power == i32(0), rest, f)
    reach = np.sqrt(_log_32(f) * f + f32(power) * _LOG_STEP) * scale
    v = (f32(signed(angle)) + _HALF) * _TO_32
    q = v * v
    cosine = float_of(i32(float_bits(_cos_32(q)) ^ signed(u32(radius << u32(31)))))
    return reach * (_sin_32(q) * v) + shift, reach * cosine + shift


@_inline
def uniform(word, half, middle, low, high):
    """The middle of one of 2^24 equal cells."""
    cell = signed(u32(u32(word & u32(0xFFFFFF00)) | u32(0x80)))
    x = f32(cell) * _TO_31 * half + middle
    return _clamped(x, low, high)


@_inline
def truncated(word, scale, shift, low, high, below, inside, above):
    """The parent's quantile at below + u · inside."""
    lower, upper, w = _sides(word, below, inside, above)
    tail = _tail_32(np.sqrt(choose(w < _FIVE, _FIVE, w)) - _THREE)
    return _clamped((lower - upper) * choose(w < _FIVE, _centre_32(w - _CENTRE), tail) * scale + shift, low, high)


@_inline
def truncated_near(word, scale, shift, low, high, below, inside, above):
    """`truncated` where both cut points leave at least 0.002 of the parent outside, so that no tail is met."""
    lower, upper, w = _sides(word, below, inside, above)
    return _clamped((lower - upper) * _centre_32(w - _CENTRE) * scale + shift, low, high)


@_inline
def _sides(word, below, inside, above):
    count = signed(u32(word >> u32(1)))
    lower = below + (f32(count) + _HALF) * _TO_31 * inside
    upper = above + (f32(i32(count ^ _LOW_31)) + _HALF) * _TO_31 * inside
    bits = float_bits(_FOUR * lower * upper)
    power = i32(i32(bits - _ROOT_HALF) >> i32(23))
    f = float_of(i32(bits - i32(power << i32(23)))) - _ONE
    return lower, upper, (_log_32(f) * f + f32(power) * _LOG_STEP) * _HALF


@_inline
def _clamped(x, low, high):
    x = choose(x > high, high, x)
    return choose(x < low, low, x)


@_inline
def to_bfloat16(x):
    """The nearest bfloat16's bits, ties to even; x is finite."""
    bits = u32(float_bits(x))
    return np.uint16(u32(bits + u32(0x7FFF) + u32(u32(bits >> u32(16)) & u32(1))) >> u32(16))


@_inline
def to_float16(x):
    """The nearest float16's bits, ties to even; |x| rounds to at most 65504.

    A normal result drops 13 bits of the significand and shifts the exponent's origin from 127 to 15; for a subnormal
    one, adding ½ leaves the rounded multiple of 2^-24 in the lowest bits of the sum.
    """
    bits = u32(float_bits(x))
    size = u32(bits & u32(0x7FFFFFFF))
    odd = u32(u32(size >> u32(13)) & u32(1))
    normal = u32(u32(size - u32(0x38000000) + u32(0xFFF) + odd) >> u32(13))
    small = u32(u32(float_bits(float_of(i32(size)) + _HALF)) - u32(0x3F000000))
    return np.uint16(u32(u32(bits >> u32(16)) & u32(0x8000)) | choose(size < u32(0x38800000), small, normal))


@_inline
def _log1p_64(f):
    s = f / (f + 2.0)
    return _log_terms(s * s) * (s + s)


@_inline
def _log_64(y):
    bits = double_bits(y)
    power = (bits - _ROOT_HALF_64) >> i64(52)
    f = double_of(bits - (power << i64(52))) - 1.0
    return _log1p_64(f) + f64(power) * 0.6931471805599453


@_inline
def count_64(word, more):
    return (i64(word >> u32(1)) << i64(22)) | i64(more >> u32(10))


@_inline
def _whole_64(word, more):
    return signed_64((u64(word) << u64(32)) | u64(more))


@_inline
def normal_pair_64(radius, more_radius, angle, more_angle, scale, shift):
    count = count_64(radius, more_radius)
    up, down = (f64(count) + 0.5) * 2.0**-53, (f64(count ^ _LOW_53) + 0.5) * 2.0**-53
    log = choose(down < 0.25, _log1p_64(-down), _log_64(up))
    reach = np.sqrt(log * -2.0) * scale
    theta = (f64(_whole_64(angle, more_angle) >> i64(11)) + 0.5) * 2.0**-53 * np.pi
    q = theta * theta
    sine, cosine = _sin_64(q) * theta, _cos_64(q)
    cosine = choose(u32(radius & u32(1)) == u32(1), -cosine, cosine)
    return reach * sine + shift, reach * cosine + shift


@_inline
def uniform_64(word, more, half, middle, low, high):
    cell = (_whole_64(word, more) & i64(-2048)) | i64(1024)
    x = f64(cell) * 2.0**-63 * half + middle
    return _clamped(x, low, high)


@_inline
def truncated_64(word, more, scale, shift, low, high, below, inside, above):
    count = count_64(word, more)
    lower = below + (f64(count) + 0.5) * 2.0**-53 * inside
    upper = above + (f64(count ^ _LOW_53) + 0.5) * 2.0**-53 * inside
    q = (lower - upper) * 0.5
    centre = 0.180625 - q * q
    root = np.sqrt(-_log_64(choose(lower < upper, lower, upper)))
    middle, far = root - 1.6, root - 5.0
    tail = choose(root <= 5.0, _middle_up(middle) / _middle_down(middle), _far_up(far) / _far_down(far))
    tail = choose(q < 0.0, -tail, tail)
    z = choose(abs(q) <= 0.425, _central_up(centre) / _central_down(centre) * q, tail)
    x = z * scale + shift
    return _clamped(x, low, high)
