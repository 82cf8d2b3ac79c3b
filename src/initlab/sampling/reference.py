"""The float transforms in plain numpy: the arithmetic that the kernels match bit for bit, and small tensors' path.

Each operation is one IEEE add, multiply, divide or square root, rounded on its own; there is no libm and no fused
multiply-add. A transform takes an array of words whose axis -2 is the four words of a counter, or pairs of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from initlab.sampling import coefficients as c
from initlab.sampling.laws import Law, Normal, Sparse, TruncatedNormal, Uniform
from initlab.sampling.truncation import find_parent

Array = np.ndarray[Any, Any]

NORMAL, UNIFORM, TRUNCATED = 0, 1, 2
_ROOT_HALF_32 = np.int32(0x3F3504F3)
_ROOT_HALF_64 = np.int64(0x3FE6A09E667F3BCD)
_MINUS_TWO_LN2 = -1.3862943611198906


@dataclass(frozen=True)
class Transform:
    """A law's transform from words to values: which one, and its numbers.

    Args:
        kind: NORMAL, UNIFORM or TRUNCATED.
        shift, scale: the last multiply and add.
        low, high: values are clamped to these.
        below, inside, above: the parent's probabilities outside and inside the cut points (TRUNCATED).
    """

    kind: int
    shift: float
    scale: float
    low: float = -np.inf
    high: float = np.inf
    below: float = 0.0
    inside: float = 1.0
    above: float = 0.0

    def numbers(self, dtype: np.dtype[Any]) -> Array:
        """(shift, scale, low, high, below, inside, above) in the arithmetic's precision; bounds are rounded inward."""
        numbers = np.array([self.shift, self.scale, self.low, self.high, self.below, self.inside, self.above], dtype)
        if numbers[2] < self.low:
            numbers[2] = np.nextafter(numbers[2], dtype.type(np.inf))
        if numbers[3] > self.high:
            numbers[3] = np.nextafter(numbers[3], dtype.type(-np.inf))
        if numbers[2] > numbers[3]:
            numbers[2] = numbers[3] = dtype.type(self.shift)
        return numbers


def transform_of(law: Law) -> Transform:
    """The transform of a law whose elements are drawn one by one."""
    if isinstance(law, Uniform):
        half = (law.high - law.low) / 2
        return Transform(UNIFORM, law.low + half, half, law.low, law.high)
    if isinstance(law, TruncatedNormal):
        parent = find_parent(law.mean, law.std, law.low, law.high)
        probabilities = (parent.below, parent.inside, parent.above)
        return Transform(TRUNCATED, parent.mean, parent.std, law.low, law.high, *probabilities)
    if isinstance(law, Normal):
        return Transform(NORMAL, law.mean, law.std)
    assert isinstance(law, Sparse)
    return Transform(NORMAL, 0.0, law.std_nonzero)


def horner(x: Array, table: Sequence[Any]) -> Array:
    """table[0] + x · (table[1] + x · (…)), each step rounded twice."""
    total: Array = x * table[-1] + table[-2]
    for value in table[-3::-1]:
        total = total * x + value
    return total


def values_32(words: Array, transform: Transform) -> Array:
    """float32 values of words (…, 4, n)."""
    shift, scale, low, high, below, inside, above = transform.numbers(np.dtype(np.float32))
    if transform.kind == UNIFORM:
        exact = ((words & np.uint32(0xFFFFFF00)) | np.uint32(0x80)).view(np.int32).astype(np.float32)
        return _clamped(exact * np.float32(2.0**-31) * scale + shift, low, high)
    if transform.kind == TRUNCATED:
        up, down = _both_sides_32(words)
        z = _quantile_32(below + up * inside, above + down * inside)
        return _clamped(z * scale + shift, low, high)
    pairs = words.reshape(*words.shape[:-2], 2, 2, words.shape[-1])
    radius, angle = pairs[..., 0, :], pairs[..., 1, :]
    reach = np.sqrt(_minus_two_log_32(radius)) * scale
    sine, cosine = _circle_32(angle, radius)
    both = np.stack([reach * sine + shift, reach * cosine + shift], axis=-2)
    return both.reshape(words.shape)


def values_64(words: Array, more: Array, transform: Transform) -> Array:
    """float64 values of words (…, 4, n) and 32 further bits of each; the upper bits are those of `values_32`."""
    shift, scale, low, high, below, inside, above = transform.numbers(np.dtype(np.float64))
    if transform.kind == UNIFORM:
        whole = ((words.astype(np.uint64) << np.uint64(32)) | more).view(np.int64)
        exact = ((whole & np.int64(-2048)) | np.int64(1024)).astype(np.float64)
        return _clamped(exact * 2.0**-63 * scale + shift, low, high)
    if transform.kind == TRUNCATED:
        count = _count_64(words, more)
        up, down = _share_64(count), _share_64(count ^ np.int64(2**53 - 1))
        z = _quantile_64(below + up * inside, above + down * inside)
        return _clamped(z * scale + shift, low, high)
    shape = (*words.shape[:-2], 2, 2, words.shape[-1])
    pairs, more_pairs = words.reshape(shape), more.reshape(shape)
    reach = np.sqrt(_minus_two_log_64(_count_64(pairs[..., 0, :], more_pairs[..., 0, :]))) * scale
    sine, cosine = _circle_64(pairs[..., 1, :], more_pairs[..., 1, :], pairs[..., 0, :])
    return np.stack([reach * sine + shift, reach * cosine + shift], axis=-2).reshape(words.shape)


def _clamped(x: Array, low: Any, high: Any) -> Array:
    return np.where(x < low, low, np.where(x > high, high, x))


def _both_sides_32(words: Array) -> tuple[Array, Array]:
    """u and 1 - u in (0, 1), each to full relative precision."""
    count = (words >> np.uint32(1)).view(np.int32)
    half, step = np.float32(0.5), np.float32(2.0**-31)
    up = (count.astype(np.float32) + half) * step
    down = ((count ^ np.int32(0x7FFFFFFF)).astype(np.float32) + half) * step
    return up, down


def _split_32(y: Array) -> tuple[Array, Array]:
    """y = 2^k · (1 + f) with 1 + f in [√½, √2): (k, f)."""
    bits = y.view(np.int32)
    power = (bits - _ROOT_HALF_32) >> np.int32(23)
    return power, (bits - (power << np.int32(23))).view(np.float32) - np.float32(1)


def _minus_two_log_32(words: Array) -> Array:
    """-2 log u, u from the upper 31 bits; near u = 1 from 1 - u, so that the smallest radii are exact too."""
    count = (words >> np.uint32(1)).view(np.int32)
    power, f = _split_32(count.astype(np.float32) + np.float32(0.5))
    power = power - np.int32(31)
    rest = (count ^ np.int32(0x7FFFFFFF)).astype(np.float32) + np.float32(0.5)
    f = np.where(power == 0, rest * np.float32(-(2.0**-31)), f)
    total: Array = horner(f, c.LOG_32) * f + power.astype(np.float32) * np.float32(_MINUS_TWO_LN2)
    return total


def _circle_32(angle: Array, radius: Array) -> tuple[Array, Array]:
    """A point on the unit circle: an angle in (-π/2, π/2), and the cosine's sign from the radius word's last bit."""
    v = (angle.view(np.int32).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-32)
    square = v * v
    cosine = horner(square, c.COS_32).view(np.uint32) ^ (radius << np.uint32(31))
    return horner(square, c.SIN_32) * v, cosine.view(np.float32)


def _quantile_32(lower: Array, upper: Array) -> Array:
    """Φ⁻¹(lower), where upper = 1 - lower is given to full precision as well."""
    power, f = _split_32(np.float32(4) * lower * upper)
    w = (horner(f, c.LOG_32) * f + power.astype(np.float32) * np.float32(_MINUS_TWO_LN2)) * np.float32(0.5)
    root = np.sqrt(np.where(w < np.float32(5), np.float32(5), w))
    centre, tail = horner(w - np.float32(2.5), c.CENTRE_32), horner(root - np.float32(3), c.TAIL_32)
    z: Array = (lower - upper) * np.where(w < np.float32(5), centre, tail)
    return z


def _count_64(words: Array, more: Array) -> Array:
    """53 bits: 31 of the word, 22 of the further one."""
    return ((words >> np.uint32(1)).astype(np.int64) << np.int64(22)) | (more >> np.uint32(10)).astype(np.int64)


def _share_64(count: Array) -> Array:
    return (count.astype(np.float64) + 0.5) * 2.0**-53


def _log_64(y: Array) -> Array:
    bits = y.view(np.int64)
    power = (bits - _ROOT_HALF_64) >> np.int64(52)
    f = (bits - (power << np.int64(52))).view(np.float64) - 1.0
    return _log1p_64(f) + power.astype(np.float64) * (0.5 * -_MINUS_TWO_LN2)


def _log1p_64(f: Array) -> Array:
    s = f / (f + 2.0)
    return horner(s * s, c.LOG_64) * (s + s)


def _minus_two_log_64(count: Array) -> Array:
    up, down = _share_64(count), _share_64(count ^ np.int64(2**53 - 1))
    return np.where(down < 0.25, _log1p_64(-np.minimum(down, 0.25)), _log_64(up)) * -2.0


def _circle_64(angle: Array, more: Array, radius: Array) -> tuple[Array, Array]:
    whole = ((angle.astype(np.uint64) << np.uint64(32)) | more).view(np.int64) >> np.int64(11)
    theta = (whole.astype(np.float64) + 0.5) * 2.0**-53 * np.pi
    square = theta * theta
    cosine = horner(square, c.COS_64)
    return horner(square, c.SIN_64) * theta, np.where((radius & np.uint32(1)) == 1, -cosine, cosine)


def _quantile_64(lower: Array, upper: Array) -> Array:
    q = (lower - upper) * 0.5
    r = np.where(abs(q) <= 0.425, 0.180625 - q * q, 0.0)
    central = horner(r, c.CENTRAL_NUMERATOR) / horner(r, c.CENTRAL_DENOMINATOR) * q
    root = np.sqrt(-_log_64(np.where(lower < upper, lower, upper)))
    near, far = np.where(root <= 5.0, root, 5.0) - 1.6, np.where(root > 5.0, root, 5.0) - 5.0
    middle = horner(near, c.MIDDLE_NUMERATOR) / horner(near, c.MIDDLE_DENOMINATOR)
    outer = horner(far, c.FAR_NUMERATOR) / horner(far, c.FAR_DENOMINATOR)
    tail = np.where(root <= 5.0, middle, outer)
    z: Array = np.where(abs(q) <= 0.425, central, np.where(q < 0.0, -tail, tail))
    return z


def log(x: Array | Sequence[float]) -> Array:
    """The natural logarithm of positive float64 numbers, by operations whose bits agree on every CPU."""
    return _log_64(np.ascontiguousarray(x, dtype=np.float64))


def softplus_inverse_of_exp(u: Array) -> Array:
    """log(exp(s) − 1) with s = exp(u), for u ≤ 3: what softplus makes s of. By plain operations, as `log`."""
    step = _expm1(np.asarray(u, dtype=np.float64)) + 1.0
    return step + log(-_expm1(-step))


def _expm1(x: Array) -> Array:
    """exp(x) − 1 for |x| ≤ 32: the series at x / 2^k, then (1 + y)² − 1 = y (2 + y), k times."""
    y = x * 2.0**-8
    total = horner(y, tuple(1.0 / math.factorial(n + 1) for n in range(9))) * y
    for _ in range(8):
        total = total * (2.0 + total)
    return total


def round_to_bfloat16(x: Array) -> Array:
    """The bits of finite float32 values rounded once to the nearest bfloat16, ties to even."""
    bits = x.view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)


def rounded(x: Array, dtype: str) -> Array:
    """float32 values in the target's own form (bfloat16 as uint16 bits)."""
    if dtype == "bfloat16":
        return round_to_bfloat16(x)
    return x.astype(np.float16) if dtype == "float16" else x
