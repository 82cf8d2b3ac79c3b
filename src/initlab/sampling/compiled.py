"""The compiled kernel: groups of 256 elements, drawn in cache and stored into the target's memory."""

# mypy: ignore-errors
# (numba compiles these functions by its own types; it has none that mypy knows.)

from __future__ import annotations

import hashlib
import inspect

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

from initlab.sampling import arithmetic, coefficients, lanes, philox
from initlab.sampling.arithmetic import Numbers
from initlab.sampling.lanes import counting, splat, store
from initlab.sampling.philox import (
    DOMAIN_SHIFT,
    GROUP,
    LANES,
    LOW_BITS,
    MULTIPLIER_0,
    MULTIPLIER_1,
    ROUNDS,
    VALUES,
    WEYL_0,
    WEYL_1,
)
from initlab.sampling.reference import NORMAL, UNIFORM

# Elements of one task.
TASK = 2**16
PLAIN, BFLOAT_16 = 0, 1
# Counters of one step: enough vectors side by side to hide an operation's latency, few enough for the registers.
COUNTERS = 16
_MASK = 0xFFFFFFFF
i64, u64 = np.int64, np.uint64


def _four_words(builder, block, key):
    """The four words of `COUNTERS` counters from `block` on.

    A 64-bit lane holds one 32-bit word, so that a round's multiply needs no shuffle; what lies above it is ignored.
    """
    k0, k1 = key[0], key[1]
    x0 = splat(builder, block, COUNTERS) + counting(builder, COUNTERS)
    x1, x2, x3 = (splat(builder, word, COUNTERS) for word in (_upper(builder, block), key[2], key[3]))
    for _ in range(ROUNDS):
        p0, p1 = (x0 & _MASK) * MULTIPLIER_0, (x2 & _MASK) * MULTIPLIER_1
        x0, x1 = (p1 >> 32) ^ (x1 ^ splat(builder, k0, COUNTERS)), p1
        x2, x3 = (p0 >> 32) ^ (x3 ^ splat(builder, k1, COUNTERS)), p0
        k0, k1 = _next_key(builder, k0, WEYL_0), _next_key(builder, k1, WEYL_1)
    return [x.narrow(32) for x in (x0, x1, x2, x3)]


def _upper(builder, block):
    return builder.lshr(block, ir.Constant(block.type, 32))


def _next_key(builder, key, step):
    return builder.and_(builder.add(key, ir.Constant(key.type, step)), ir.Constant(key.type, _MASK))


def _pointer(context, builder, kind, array, index, offset=0):
    """Where an element of a contiguous array lies."""
    place = builder.add(index, ir.Constant(index.type, offset))
    return builder.gep(context.make_array(kind)(context, builder, array).data, [place])


def _numbers(context, builder, kind, array, count):
    places = (ir.Constant(ir.IntType(64), place) for place in range(len(Numbers._fields)))
    pointers = (_pointer(context, builder, kind, array, place) for place in places)
    return Numbers(*(splat(builder, builder.load(pointer), count) for pointer in pointers))


class _Step:
    """What a step has at hand while it is compiled: `COUNTERS` counters, the law's numbers, and where values go."""

    def __init__(self, context, builder, signature, arguments, rounded):
        self.context, self.builder, self.kinds, self.arguments = context, builder, signature.args, arguments
        self.rounded, self.is_double = rounded, signature.args[2].dtype == types.float64

    def words(self):
        """Four times `COUNTERS` words; for float64 each with its further word."""
        group_block, key = self.arguments[3], self.arguments[4:]
        words = _four_words(self.builder, group_block, key)
        if not self.is_double:
            return [(word,) for word in words]
        step = ir.Constant(group_block.type, (LOW_BITS - VALUES) << DOMAIN_SHIFT)
        more = _four_words(self.builder, self.builder.add(group_block, step), key)
        return [(word.widen(64), further.widen(64)) for word, further in zip(words, more, strict=True)]

    def numbers(self, count):
        return _numbers(self.context, self.builder, self.kinds[2], self.arguments[2], count)

    def put(self, values):
        """Four times `COUNTERS` values in the target's own form, `LANES` apart."""
        for word, x in enumerate(values):
            store(
                self.rounded(x), _pointer(self.context, self.builder, self.kinds[0], *self.arguments[:2], word * LANES)
            )


def _step(emit, rounded):
    """The values of `COUNTERS` counters from `block` on into out[at], out[at + 64], out[at + 128], out[at + 192]."""

    @intrinsic
    def step(typing, out, at, numbers, block, key_0, key_1, key_2, key_3):
        def generate(context, builder, signature, arguments):
            emit(_Step(context, builder, signature, arguments, rounded))
            return context.get_dummy_value()

        return types.void(out, types.int64, numbers, *[types.uint64] * 5), generate

    return step


def _each(single, double):
    """Every word becomes a value: in float32 two vectors at a time, in float64 one, by the number of registers."""

    def emit(step):
        words = step.words()
        if step.is_double:
            numbers = step.numbers(COUNTERS)
            step.put([double(*word, numbers) for word in words])
            return
        numbers = step.numbers(2 * COUNTERS)
        first, second = (single(words[i][0].beside(words[i + 1][0]), numbers) for i in (0, 2))
        step.put([*first.halves(), *second.halves()])

    return emit


def _emit_normals(step):
    """Words 64 apart become a pair of values."""
    numbers, words = step.numbers(COUNTERS), step.words()
    transform = arithmetic.normal_pair_64 if step.is_double else arithmetic.normal_pair
    step.put([x for i in (0, 2) for x in transform(*words[i], *words[i + 1], numbers)])


def _drawer(rounded):
    """What draws a group into a target whose form is `rounded` of the arithmetic's floats."""
    normal = _step(_emit_normals, rounded)
    uniform = _step(_each(arithmetic.uniform, arithmetic.uniform_64), rounded)
    truncated = _step(_each(arithmetic.truncated, arithmetic.truncated_64), rounded)

    @njit
    def draw_group(out, at, group, key, kind, numbers):
        key_0, key_1, key_2, key_3 = u64(key[0]), u64(key[1]), u64(key[2]), u64(key[3])
        block = u64(group) * u64(LANES) + (u64(VALUES) << u64(DOMAIN_SHIFT))
        if kind == NORMAL:
            for lane in range(0, LANES, COUNTERS):
                normal(out, i64(at + lane), numbers, block + u64(lane), key_0, key_1, key_2, key_3)
        elif kind == UNIFORM:
            for lane in range(0, LANES, COUNTERS):
                uniform(out, i64(at + lane), numbers, block + u64(lane), key_0, key_1, key_2, key_3)
        else:
            for lane in range(0, LANES, COUNTERS):
                truncated(out, i64(at + lane), numbers, block + u64(lane), key_0, key_1, key_2, key_3)

    return draw_group


_draw_floats = _drawer(lambda x: x)
_draw_bfloat16, _draw_float16 = _drawer(arithmetic.to_bfloat16), _drawer(arithmetic.to_float16)


def _draw_group(out, at, group, form, key, kind, numbers):
    """A group's 256 values into out[at], …, out[at + 255]."""
    raise NotImplementedError


@overload(_draw_group)
def _choose_group(out, at, group, form, key, kind, numbers):
    return _group_of_16 if out.dtype == types.uint16 else _group_of_floats


def _group_of_floats(out, at, group, form, key, kind, numbers):
    _draw_floats(out, at, group, key, kind, numbers)


def _group_of_16(out, at, group, form, key, kind, numbers):
    if form == BFLOAT_16:
        _draw_bfloat16(out, at, group, key, kind, numbers)
    else:
        _draw_float16(out, at, group, key, kind, numbers)


@njit
def _draw_run(memory, at, stride, first, last, drawn, held, form, key, kind, numbers):
    """Elements first … last - 1 into memory; returns the group that `drawn` holds at the end."""
    while first < last:
        group = first // GROUP
        begin = first - group * GROUP
        end = min(GROUP, begin + last - first)
        if stride == 1 and end - begin == GROUP:
            _draw_group(memory, at, group, form, key, kind, numbers)
        else:
            if group != held:
                _draw_group(drawn, 0, group, form, key, kind, numbers)
                held = group
            for i in range(end - begin):
                memory[at + i * stride] = drawn[begin + i]
        at += (end - begin) * stride
        first += end - begin
    return held


def _make_kernel(fingerprint):
    """The kernel over tasks. The fingerprint (below zero) enters its cache's key: numba looks at this file alone."""

    def run_tasks(memory, origin, start, length, stride, steps, runs, form, key, kind, numbers, tasks):
        """Draw tasks tasks[0] … tasks[1] - 1: pieces of one long run, or several short runs."""
        held = fingerprint
        drawn = np.empty(GROUP, memory.dtype)
        pieces, together = max(1, -(-length // TASK)), max(1, TASK // length)
        for task in range(tasks[0], tasks[1]):
            low, high = 0, length
            if pieces > 1:
                first_run, last_run = task // pieces, task // pieces + 1
                low = task % pieces * TASK
                high = min(length, low + TASK)
            else:
                first_run, last_run = task * together, min(runs, task * together + together)
            for run in range(first_run, last_run):
                at, first, rest = origin, start, run
                for axis in range(steps.shape[1] - 1, -1, -1):
                    index = rest % steps[0, axis]
                    rest //= steps[0, axis]
                    first += index * steps[1, axis]
                    at += index * steps[2, axis]
                held = _draw_run(
                    memory, at + low * stride, stride, first + low, first + high,
                    drawn, held, form, key, kind, numbers,
                )  # fmt: skip

    return run_tasks


def _compiled():
    """The kernel, cached on disk beside this file or in the user's cache directory, or not at all where neither is."""
    kernel = _make_kernel(_fingerprint())
    try:
        return njit(nogil=True, cache=True)(kernel)
    except RuntimeError:
        return njit(nogil=True)(kernel)


def _fingerprint():
    """A negative number that stands for the sources that the kernels are compiled from."""
    sources = b"".join(inspect.getsource(module).encode() for module in (arithmetic, coefficients, lanes, philox))
    return -1 - int.from_bytes(hashlib.sha256(sources).digest()[:7], "little")


run_tasks = _compiled()
