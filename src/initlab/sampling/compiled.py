"""The compiled kernel: groups of 256 elements, drawn in cache and stored straight into the target's memory."""

# mypy: ignore-errors
# (numba compiles these functions by its own types; it has none that mypy knows.)

from __future__ import annotations

import hashlib
import inspect

import numpy as np
from numba import njit, types
from numba.extending import overload

from initlab.sampling import arithmetic, coefficients, philox
from initlab.sampling.arithmetic import (
    normal_pair,
    normal_pair_64,
    to_bfloat16,
    to_float16,
    truncated,
    truncated_64,
    truncated_near,
    u32,
    u64,
    uniform,
    uniform_64,
)
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
# `TRUNCATED` with cut points so near that no tail is met.
TRUNCATED_NEAR = 3
PLAIN, BFLOAT_16 = 0, 1
_MASK, _SHIFT = u64(0xFFFFFFFF), u64(32)
_MULTIPLY_0, _MULTIPLY_1, _WEYL_0, _WEYL_1 = u64(MULTIPLIER_0), u64(MULTIPLIER_1), u64(WEYL_0), u64(WEYL_1)
_DOMAIN_STEP = u64(1 << DOMAIN_SHIFT)


@njit
def _draw_words(words, group, domain, key):
    """The 256 words of a group. Each 64-bit lane holds one 32-bit word, so that a round's multiply needs no shuffle."""
    block = u64(group) * u64(LANES) + u64(domain) * _DOMAIN_STEP
    for lane in range(LANES):
        x0, x1, x2, x3 = block + u64(lane), block >> _SHIFT, u64(key[2]), u64(key[3])
        k0, k1 = u64(key[0]), u64(key[1])
        for _ in range(ROUNDS):
            p0, p1 = (x0 & _MASK) * _MULTIPLY_0, (x2 & _MASK) * _MULTIPLY_1
            x0, x1 = (p1 >> _SHIFT) ^ x1 ^ k0, p1
            x2, x3 = (p0 >> _SHIFT) ^ x3 ^ k1, p0
            k0, k1 = (k0 + _WEYL_0) & _MASK, (k1 + _WEYL_1) & _MASK
        words[u64(lane)] = u32(x0)
        words[u64(lane) + u64(LANES)] = u32(x1)
        words[u64(lane) + u64(2 * LANES)] = u32(x2)
        words[u64(lane) + u64(3 * LANES)] = u32(x3)


def _draw_group(words, more, values, group, key, kind, numbers):
    """A group's values; the arithmetic is that of `values`' dtype."""
    raise NotImplementedError


@overload(_draw_group)
def _choose_group(words, more, values, group, key, kind, numbers):
    return _group_64 if values.dtype == types.float64 else _group_32


def _group_32(words, more, values, group, key, kind, numbers):
    shift, scale, low, high = numbers[0], numbers[1], numbers[2], numbers[3]
    below, inside, above = numbers[4], numbers[5], numbers[6]
    _draw_words(words, group, VALUES, key)
    if kind == NORMAL:
        for pair in range(2):
            for lane in range(LANES):
                i = u64(pair * 2 * LANES) + u64(lane)
                j = i + u64(LANES)
                values[i], values[j] = normal_pair(words[i], words[j], scale, shift)
    elif kind == UNIFORM:
        for i in range(GROUP):
            values[u64(i)] = uniform(words[u64(i)], scale, shift, low, high)
    elif kind == TRUNCATED_NEAR:
        for i in range(GROUP):
            values[u64(i)] = truncated_near(words[u64(i)], scale, shift, low, high, below, inside, above)
    else:
        for i in range(GROUP):
            values[u64(i)] = truncated(words[u64(i)], scale, shift, low, high, below, inside, above)


def _group_64(words, more, values, group, key, kind, numbers):
    shift, scale, low, high = numbers[0], numbers[1], numbers[2], numbers[3]
    below, inside, above = numbers[4], numbers[5], numbers[6]
    _draw_words(words, group, VALUES, key)
    _draw_words(more, group, LOW_BITS, key)
    if kind == NORMAL:
        for pair in range(2):
            for lane in range(LANES):
                i = u64(pair * 2 * LANES) + u64(lane)
                j = i + u64(LANES)
                values[i], values[j] = normal_pair_64(words[i], more[i], words[j], more[j], scale, shift)
    elif kind == UNIFORM:
        for i in range(GROUP):
            values[u64(i)] = uniform_64(words[u64(i)], more[u64(i)], scale, shift, low, high)
    else:
        for k in range(GROUP):
            i = u64(k)
            values[i] = truncated_64(words[i], more[i], scale, shift, low, high, below, inside, above)


def _store(out, at, stride, values, first, last, form):
    """values[first:last] into out from `at` in steps of `stride`, in the target's own form."""
    raise NotImplementedError


@overload(_store)
def _choose_store(out, at, stride, values, first, last, form):
    return _store_16 if out.dtype == types.uint16 else _store_plain


def _store_plain(out, at, stride, values, first, last, form):
    if stride == 1:
        for i in range(last - first):
            out[u64(at) + u64(i)] = values[u64(first) + u64(i)]
    else:
        for i in range(last - first):
            out[at + i * stride] = values[first + i]


def _store_16(out, at, stride, values, first, last, form):
    if stride != 1:
        for i in range(last - first):
            x = values[first + i]
            out[at + i * stride] = to_bfloat16(x) if form == BFLOAT_16 else to_float16(x)
    elif form == BFLOAT_16:
        for i in range(last - first):
            out[u64(at) + u64(i)] = to_bfloat16(values[u64(first) + u64(i)])
    else:
        for i in range(last - first):
            out[u64(at) + u64(i)] = to_float16(values[u64(first) + u64(i)])


@njit
def _draw_run(memory, at, stride, first, last, words, more, values, held, form, key, kind, numbers):
    """Elements first … last - 1 into memory; returns the group that `values` holds at the end."""
    while first < last:
        group = first // GROUP
        if group != held:
            _draw_group(words, more, values, group, key, kind, numbers)
            held = group
        begin = first - group * GROUP
        end = min(GROUP, begin + last - first)
        _store(memory, at, stride, values, begin, end, form)
        at += (end - begin) * stride
        first += end - begin
    return held


def _make_kernel(fingerprint):
    """The kernel over tasks. The fingerprint (below zero) enters its cache's key: numba looks at this file alone."""

    def run_tasks(memory, origin, start, length, stride, steps, runs, form, key, kind, numbers, tasks):
        """Draw tasks tasks[0] … tasks[1] - 1: pieces of one long run, or several short runs."""
        held = fingerprint
        words, more = np.empty(GROUP, np.uint32), np.empty(GROUP, np.uint32)
        values = np.empty(GROUP, numbers.dtype)
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
                    words, more, values, held, form, key, kind, numbers,
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
    sources = b"".join(inspect.getsource(module).encode() for module in (arithmetic, coefficients, philox))
    return -1 - int.from_bytes(hashlib.sha256(sources).digest()[:7], "little")


run_tasks = _compiled()
