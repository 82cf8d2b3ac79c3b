"""Philox, the float transforms and the cast for Triton: the bits of `reference`, on the device.

Each operation is one IEEE add, multiply, divide or square root, rounded on its own: the kernels are launched with
`enable_fp_fusion=False`, float32 roots are `sqrt_rn`, float64 roots and quotients are correctly rounded as they are.
"""

# mypy: ignore-errors
# (Triton compiles these functions by its own types; it has none that mypy knows.)

from __future__ import annotations

import triton
import triton.language as tl

from initlab.sampling import coefficients, philox
from initlab.sampling.reference import NORMAL, UNIFORM


def _table(values):
    """A polynomial's degree, then its coefficients (Triton's compiler has no length of a tuple)."""
    return tl.constexpr((len(values) - 1, *(float(value) for value in values)))


LOG_32, SIN_32, COS_32 = (_table(t) for t in (coefficients.LOG_32, coefficients.SIN_32, coefficients.COS_32))
CENTRE_32, TAIL_32 = _table(coefficients.CENTRE_32), _table(coefficients.TAIL_32)
LOG_64, SIN_64, COS_64 = (_table(t) for t in (coefficients.LOG_64, coefficients.SIN_64, coefficients.COS_64))
CENTRAL_UP, CENTRAL_DOWN = _table(coefficients.CENTRAL_NUMERATOR), _table(coefficients.CENTRAL_DENOMINATOR)
MIDDLE_UP, MIDDLE_DOWN = _table(coefficients.MIDDLE_NUMERATOR), _table(coefficients.MIDDLE_DENOMINATOR)
FAR_UP, FAR_DOWN = _table(coefficients.FAR_NUMERATOR), _table(coefficients.FAR_DENOMINATOR)
LANES, GROUP, ROUNDS = tl.constexpr(philox.LANES), tl.constexpr(philox.GROUP), tl.constexpr(philox.ROUNDS)
MULTIPLIER_0, MULTIPLIER_1 = tl.constexpr(philox.MULTIPLIER_0), tl.constexpr(philox.MULTIPLIER_1)
WEYL_0, WEYL_1 = tl.constexpr(philox.WEYL_0), tl.constexpr(philox.WEYL_1)
LOW_DOMAIN = tl.constexpr(philox.LOW_BITS << philox.DOMAIN_SHIFT >> 32)
IS_NORMAL, IS_UNIFORM = tl.constexpr(NORMAL), tl.constexpr(UNIFORM)
# Forms of a value in memory.
FLOATS, BFLOAT_16, FLOAT_16 = 0, 1, 2
TO_BFLOAT_16, TO_FLOAT_16 = tl.constexpr(BFLOAT_16), tl.constexpr(FLOAT_16)
MASK_32, LOW_31, LOW_53 = tl.constexpr(0xFFFFFFFF), tl.constexpr(0x7FFFFFFF), tl.constexpr(2**53 - 1)
ROOT_HALF_32, ROOT_HALF_64 = tl.constexpr(0x3F3504F3), tl.constexpr(0x3FE6A09E667F3BCD)
LOG_STEP, PI, LN2 = (tl.constexpr(x) for x in (-1.3862943611198906, 3.141592653589793, 0.6931471805599453))
STEP_31, STEP_32, STEP_53, STEP_63 = (tl.constexpr(2.0**-bits) for bits in (31, 32, 53, 63))


@triton.jit
def _polynomial(x, table: tl.constexpr):
    """table[0] + x · (table[1] + x · (…)), each step rounded twice."""
    degree: tl.constexpr = table[0]
    total = x * table[degree + 1] + table[degree]
    for i in tl.static_range(1, degree):
        total = total * x + table[degree - i]
    return total


@triton.jit
def _float(bits):
    return bits.to(tl.int32).to(tl.float32, bitcast=True)


@triton.jit
def _double(bits):
    return bits.to(tl.int64).to(tl.float64, bitcast=True)


@triton.jit
def words_of(counter, upper: tl.constexpr, k0, k1, k2, k3):
    """The four words of counters below 2^56; `upper` is the domain in the second word's place."""
    k0, k1 = k0.to(tl.uint64), k1.to(tl.uint64)
    x0 = (counter & MASK_32).to(tl.uint32)
    x1 = ((counter >> 32) | upper).to(tl.uint32)
    x2, x3 = tl.zeros_like(x0) + k2.to(tl.uint32), tl.zeros_like(x0) + k3.to(tl.uint32)
    for _ in tl.static_range(ROUNDS):
        p0, p1 = x0.to(tl.uint64) * MULTIPLIER_0, x2.to(tl.uint64) * MULTIPLIER_1
        x0, x2 = (p1 >> 32).to(tl.uint32) ^ x1 ^ k0.to(tl.uint32), (p0 >> 32).to(tl.uint32) ^ x3 ^ k1.to(tl.uint32)
        x1, x3 = (p1 & MASK_32).to(tl.uint32), (p0 & MASK_32).to(tl.uint32)
        k0, k1 = (k0 + WEYL_0) & MASK_32, (k1 + WEYL_1) & MASK_32
    return x0, x1, x2, x3


@triton.jit
def _split_32(y):
    """y = 2^k · (1 + f) with 1 + f in [√½, √2): (k, f)."""
    bits = y.to(tl.int32, bitcast=True)
    power = (bits - ROOT_HALF_32) >> 23
    return power, (bits - (power << 23)).to(tl.float32, bitcast=True) - 1.0


@triton.jit
def _count_32(word):
    return (word >> 1).to(tl.int32)


@triton.jit
def _normal_32(radius, angle, shift, scale):
    count = _count_32(radius)
    power, f = _split_32(count.to(tl.float32) + 0.5)
    power = power - 31
    rest = ((count ^ LOW_31).to(tl.float32) + 0.5) * -STEP_31
    f = tl.where(power == 0, rest, f)
    reach = tl.sqrt_rn(_polynomial(f, LOG_32) * f + power.to(tl.float32) * LOG_STEP) * scale
    v = (angle.to(tl.int32, bitcast=True).to(tl.float32) + 0.5) * STEP_32
    q = v * v
    sign = (radius << 31).to(tl.int32, bitcast=True)
    cosine = (_polynomial(q, COS_32).to(tl.int32, bitcast=True) ^ sign).to(tl.float32, bitcast=True)
    return reach * (_polynomial(q, SIN_32) * v) + shift, reach * cosine + shift


@triton.jit
def _clamped(x, low, high):
    x = tl.where(x > high, high, x)
    return tl.where(x < low, low, x)


@triton.jit
def _uniform_32(word, shift, scale, low, high):
    cell = ((word & 0xFFFFFF00) | 0x80).to(tl.int32, bitcast=True)
    return _clamped(cell.to(tl.float32) * STEP_31 * scale + shift, low, high)


@triton.jit
def _truncated_32(word, shift, scale, low, high, below, inside, above):
    count = _count_32(word)
    lower = below + (count.to(tl.float32) + 0.5) * STEP_31 * inside
    upper = above + ((count ^ LOW_31).to(tl.float32) + 0.5) * STEP_31 * inside
    power, f = _split_32(lower * 4.0 * upper)
    w = (_polynomial(f, LOG_32) * f + power.to(tl.float32) * LOG_STEP) * 0.5
    tail = w >= 5.0
    far = _polynomial(tl.sqrt_rn(tl.where(tail, w, 9.0)) - 3.0, TAIL_32)
    ratio = tl.where(tail, far, _polynomial(w - 2.5, CENTRE_32))
    return _clamped((lower - upper) * ratio * scale + shift, low, high)


@triton.jit
def _count_64(word, more):
    return (((word.to(tl.uint64) >> 1) << 22) | (more.to(tl.uint64) >> 10)).to(tl.int64)


@triton.jit
def _whole_64(word, more):
    return ((word.to(tl.uint64) << 32) | more.to(tl.uint64)).to(tl.int64, bitcast=True)


@triton.jit
def _share_64(count):
    return (count.to(tl.float64) + 0.5) * STEP_53


@triton.jit
def _log1p_64(f):
    s = f / (f + 2.0)
    return _polynomial(s * s, LOG_64) * (s + s)


@triton.jit
def _log_64(y):
    bits = y.to(tl.int64, bitcast=True)
    power = (bits - ROOT_HALF_64) >> 52
    f = (bits - (power << 52)).to(tl.float64, bitcast=True) - 1.0
    return _log1p_64(f) + power.to(tl.float64) * LN2


@triton.jit
def _normal_64(radius, more_radius, angle, more_angle, shift, scale):
    count = _count_64(radius, more_radius)
    up, down = _share_64(count), _share_64(count ^ LOW_53)
    log = tl.where(down < 0.25, _log1p_64(down * -1.0), _log_64(up))
    reach = tl.sqrt(log * -2.0) * scale
    theta = ((_whole_64(angle, more_angle) >> 11).to(tl.float64) + 0.5) * STEP_53 * PI
    q = theta * theta
    sine, cosine = _polynomial(q, SIN_64) * theta, _polynomial(q, COS_64)
    cosine = tl.where((radius & 1) == 1, cosine * -1.0, cosine)
    return reach * sine + shift, reach * cosine + shift


@triton.jit
def _uniform_64(word, more, shift, scale, low, high):
    cell = (_whole_64(word, more) & -2048) | 1024
    return _clamped(cell.to(tl.float64) * STEP_63 * scale + shift, low, high)


@triton.jit
def _truncated_64(word, more, shift, scale, low, high, below, inside, above):
    count = _count_64(word, more)
    lower = below + _share_64(count) * inside
    upper = above + _share_64(count ^ LOW_53) * inside
    q = (lower - upper) * 0.5
    centre = (q * q - 0.180625) * -1.0
    root = tl.sqrt(_log_64(tl.where(lower < upper, lower, upper)) * -1.0)
    middle, far = root - 1.6, root - 5.0
    outer = _polynomial(far, FAR_UP) / _polynomial(far, FAR_DOWN)
    tail = tl.where(root > 5.0, outer, _polynomial(middle, MIDDLE_UP) / _polynomial(middle, MIDDLE_DOWN))
    tail = tl.where(q < 0.0, tail * -1.0, tail)
    central = _polynomial(centre, CENTRAL_UP) / _polynomial(centre, CENTRAL_DOWN) * q
    z = tl.where(tl.where(q < 0.0, q * -1.0, q) > 0.425, tail, central)
    return _clamped(z * scale + shift, low, high)


@triton.jit
def values_of(w0, w1, w2, w3, m0, m1, m2, m3, n0, n1, n2, n3, n4, n5, n6, KIND: tl.constexpr, DOUBLE: tl.constexpr):
    """The values of four words; in float64 each with its further word."""
    if DOUBLE:
        shift, scale, low, high = _double(n0), _double(n1), _double(n2), _double(n3)
        below, inside, above = _double(n4), _double(n5), _double(n6)
        if KIND == IS_NORMAL:
            a, b = _normal_64(w0, m0, w1, m1, shift, scale)
            c, d = _normal_64(w2, m2, w3, m3, shift, scale)
        elif KIND == IS_UNIFORM:
            a, b = _uniform_64(w0, m0, shift, scale, low, high), _uniform_64(w1, m1, shift, scale, low, high)
            c, d = _uniform_64(w2, m2, shift, scale, low, high), _uniform_64(w3, m3, shift, scale, low, high)
        else:
            a = _truncated_64(w0, m0, shift, scale, low, high, below, inside, above)
            b = _truncated_64(w1, m1, shift, scale, low, high, below, inside, above)
            c = _truncated_64(w2, m2, shift, scale, low, high, below, inside, above)
            d = _truncated_64(w3, m3, shift, scale, low, high, below, inside, above)
    else:
        shift, scale, low, high = _float(n0), _float(n1), _float(n2), _float(n3)
        below, inside, above = _float(n4), _float(n5), _float(n6)
        if KIND == IS_NORMAL:
            a, b = _normal_32(w0, w1, shift, scale)
            c, d = _normal_32(w2, w3, shift, scale)
        elif KIND == IS_UNIFORM:
            a, b = _uniform_32(w0, shift, scale, low, high), _uniform_32(w1, shift, scale, low, high)
            c, d = _uniform_32(w2, shift, scale, low, high), _uniform_32(w3, shift, scale, low, high)
        else:
            a = _truncated_32(w0, shift, scale, low, high, below, inside, above)
            b = _truncated_32(w1, shift, scale, low, high, below, inside, above)
            c = _truncated_32(w2, shift, scale, low, high, below, inside, above)
            d = _truncated_32(w3, shift, scale, low, high, below, inside, above)
    return a, b, c, d


@triton.jit
def rounded(x, FORM: tl.constexpr):
    """As it lies in memory: the nearest bfloat16's or float16's bits, ties to even, or the float itself."""
    if FORM == TO_BFLOAT_16:
        bits = x.to(tl.uint32, bitcast=True)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).to(tl.uint16).to(tl.int16, bitcast=True)
    elif FORM == TO_FLOAT_16:
        bits = x.to(tl.uint32, bitcast=True)
        size = bits & 0x7FFFFFFF
        normal = (size - 0x38000000 + 0xFFF + ((size >> 13) & 1)) >> 13
        small = (size.to(tl.float32, bitcast=True) + 0.5).to(tl.uint32, bitcast=True) - 0x3F000000
        half = ((bits >> 16) & 0x8000) | tl.where(size < 0x38800000, small, normal)
        return half.to(tl.uint16).to(tl.int16, bitcast=True)
    else:
        return x
