"""The float transforms over lanes: the same operations in the same order as `reference`, to be compiled.

Nothing here is fused, reordered or approximated: without fast-math flags LLVM keeps each operation as it is written.
"""

from __future__ import annotations

from typing import NamedTuple

from initlab.sampling import coefficients as c
from initlab.sampling.lanes import Lanes, polynomial

_ROOT_HALF, _ROOT_HALF_64 = 0x3F3504F3, 0x3FE6A09E667F3BCD
_LOW_31, _LOW_53 = 0x7FFFFFFF, 2**53 - 1
_LOG_STEP = -1.3862943611198906
_PI, _LN2 = 3.141592653589793, 0.6931471805599453


class Numbers(NamedTuple):
    """What `reference.Transform.numbers` holds, each in every lane."""

    shift: Lanes
    scale: Lanes
    low: Lanes
    high: Lanes
    below: Lanes
    inside: Lanes
    above: Lanes


def normal_pair(radius: Lanes, angle: Lanes, n: Numbers) -> tuple[Lanes, Lanes]:
    """Two normals from two words (Box & Muller 1958)."""
    count = radius >> 1
    power, f = _split(count.to_float() + 0.5)
    power = power - 31
    rest = ((count ^ _LOW_31).to_float() + 0.5) * -(2.0**-31)
    f = power.equals(0).choose(rest, f)
    reach = (polynomial(f, c.LOG_32) * f + power.to_float() * _LOG_STEP).sqrt() * n.scale
    v = (angle.to_float() + 0.5) * 2.0**-32
    q = v * v
    cosine = (polynomial(q, c.COS_32).bits() ^ (radius << 31)).from_bits()
    return reach * (polynomial(q, c.SIN_32) * v) + n.shift, reach * cosine + n.shift


def uniform(word: Lanes, n: Numbers) -> Lanes:
    """The middle of one of 2^24 equal cells."""
    cell = (word & 0xFFFFFF00) | 0x80
    return _clamped(cell.to_float() * 2.0**-31 * n.scale + n.shift, n)


def truncated(word: Lanes, n: Numbers) -> Lanes:
    """The parent's quantile at below + u · inside; the tail's polynomial is computed where some lane lies in a tail."""
    count = word >> 1
    lower = n.below + (count.to_float() + 0.5) * 2.0**-31 * n.inside
    upper = n.above + ((count ^ _LOW_31).to_float() + 0.5) * 2.0**-31 * n.inside
    power, f = _split(lower * 4.0 * upper)
    w = (polynomial(f, c.LOG_32) * f + power.to_float() * _LOG_STEP) * 0.5
    ratio = polynomial(w - 2.5, c.CENTRE_32)
    ratio = w.at_least(5.0).rarely(lambda: polynomial(w.sqrt() - 3.0, c.TAIL_32), ratio)
    return _clamped((lower - upper) * ratio * n.scale + n.shift, n)


def _split(y: Lanes) -> tuple[Lanes, Lanes]:
    """y = 2^k · (1 + f) with 1 + f in [√½, √2): (k, f)."""
    bits = y.bits()
    power = (bits - _ROOT_HALF).shift_signed(23)
    return power, (bits - (power << 23)).from_bits() - 1.0


def _clamped(x: Lanes, n: Numbers) -> Lanes:
    x = x.more(n.high).choose(n.high, x)
    return x.less(n.low).choose(n.low, x)


def to_bfloat16(x: Lanes) -> Lanes:
    """The nearest bfloat16's bits, ties to even; x is finite."""
    bits = x.bits()
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).narrow(16)


def to_float16(x: Lanes) -> Lanes:
    """The nearest float16's bits, ties to even; |x| rounds to at most 65504.

    A normal result drops 13 bits of the significand and shifts the exponent's origin from 127 to 15; for a subnormal
    one, adding ½ leaves the rounded multiple of 2^-24 in the lowest bits of the sum.
    """
    bits = x.bits()
    size = bits & 0x7FFFFFFF
    normal = (size - 0x38000000 + 0xFFF + ((size >> 13) & 1)) >> 13
    small = (size.from_bits() + 0.5).bits() - 0x3F000000
    return (((bits >> 16) & 0x8000) | size.less(0x38800000).choose(small, normal)).narrow(16)


def normal_pair_64(
    radius: Lanes, more_radius: Lanes, angle: Lanes, more_angle: Lanes, n: Numbers
) -> tuple[Lanes, Lanes]:
    """`normal_pair` from 53 bits each."""
    count = _count_64(radius, more_radius)
    up, down = _share_64(count), _share_64(count ^ _LOW_53)
    log = down.less(0.25).choose(_log1p_64(down.negative()), _log_64(up))
    reach = (log * -2.0).sqrt() * n.scale
    theta = (_whole_64(angle, more_angle).shift_signed(11).to_float() + 0.5) * 2.0**-53 * _PI
    q = theta * theta
    sine, cosine = polynomial(q, c.SIN_64) * theta, polynomial(q, c.COS_64)
    cosine = (radius & 1).equals(1).choose(cosine.negative(), cosine)
    return reach * sine + n.shift, reach * cosine + n.shift


def uniform_64(word: Lanes, more: Lanes, n: Numbers) -> Lanes:
    """The middle of one of 2^53 equal cells."""
    cell = (_whole_64(word, more) & -2048) | 1024
    return _clamped(cell.to_float() * 2.0**-63 * n.scale + n.shift, n)


def truncated_64(word: Lanes, more: Lanes, n: Numbers) -> Lanes:
    """The parent's quantile at below + u · inside (Wichura 1988, AS241)."""
    count = _count_64(word, more)
    lower = n.below + _share_64(count) * n.inside
    upper = n.above + _share_64(count ^ _LOW_53) * n.inside
    q = (lower - upper) * 0.5
    centre = (q * q - 0.180625).negative()
    root = _log_64(lower.less(upper).choose(lower, upper)).negative().sqrt()
    middle, far = root - 1.6, root - 5.0
    tail = root.more(5.0).choose(
        polynomial(far, c.FAR_NUMERATOR) / polynomial(far, c.FAR_DENOMINATOR),
        polynomial(middle, c.MIDDLE_NUMERATOR) / polynomial(middle, c.MIDDLE_DENOMINATOR),
    )
    tail = q.less(0.0).choose(tail.negative(), tail)
    central = polynomial(centre, c.CENTRAL_NUMERATOR) / polynomial(centre, c.CENTRAL_DENOMINATOR) * q
    size = (q.bits() & (2**63 - 1)).from_bits()
    z = size.more(0.425).choose(tail, central)
    return _clamped(z * n.scale + n.shift, n)


def _log1p_64(f: Lanes) -> Lanes:
    s = f / (f + 2.0)
    return polynomial(s * s, c.LOG_64) * (s + s)


def _log_64(y: Lanes) -> Lanes:
    bits = y.bits()
    power = (bits - _ROOT_HALF_64).shift_signed(52)
    f = (bits - (power << 52)).from_bits() - 1.0
    return _log1p_64(f) + power.to_float() * _LN2


def _count_64(word: Lanes, more: Lanes) -> Lanes:
    """53 bits: 31 of the word, 22 of the further one."""
    return ((word >> 1) << 22) | (more >> 10)


def _share_64(count: Lanes) -> Lanes:
    return (count.to_float() + 0.5) * 2.0**-53


def _whole_64(word: Lanes, more: Lanes) -> Lanes:
    return (word << 32) | more
