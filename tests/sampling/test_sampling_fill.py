"""Fill: the same bits for any block, layout, stride, thread count and path; rounding; bad arguments."""

from __future__ import annotations

import math
import random
import sys
import types
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from initlab.errors import InputError
from initlab.sampling import elements, fill, kernels, laws, permutation, reference, sample, signs
from initlab.sampling.request import DTYPES, make_request
from initlab.sampling.threads import share

ELEMENTWISE = {
    "normal": laws.Normal(0.3, 2.0),
    "uniform": laws.Uniform(-1.0, 3.0),
    "truncated": laws.TruncatedNormal.from_sigmas(1.0),
    "one_sided": laws.TruncatedNormal(0.3, 0.2, 0.0, math.inf),
    "wide": laws.TruncatedNormal.from_sigmas(1.0, 6.0),
}
ANY_BLOCK = ELEMENTWISE | {
    "constant": laws.Constant(0.1),
    "identity": laws.Identity(2.0),
    "sparse": laws.Sparse(1.0, 0.7),
    "stacked": laws.Stacked(
        1, (9, 20), (laws.Normal(0.0, 1.0), laws.Stacked(0, (7, 30), (laws.Sparse(1.0, 0.5), laws.Uniform(0.0, 1.0))))
    ),
}
SHAPE = (37, 29, 11)
# Half way between neighbours of bfloat16 (8 bits) and of float16 (11 bits), below and above.
TIES = [1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-11, 1 + 3 * 2**-11, 2.0**-9, 3 * 2.0**-9]


def _bits(values: np.ndarray[Any, Any]) -> bytes:
    return np.ascontiguousarray(values).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("law", ELEMENTWISE)
def test_the_kernel_matches_plain_numpy_bit_for_bit(law: str, dtype: str) -> None:
    """The reference uses one IEEE operation at a time, so a fused multiply-add or a libm call would show."""
    out, plain = (np.empty(SHAPE, DTYPES[dtype]) for _ in range(2))
    stream, target = make_request(out, ELEMENTWISE[law], 5, "w", None, None, dtype)
    key, transform = stream.key(ELEMENTWISE[law].family), reference.transform_of(ELEMENTWISE[law])
    kernels.draw(target, SHAPE, key, transform)
    elements.draw_plain(make_request(plain, ELEMENTWISE[law], 5, "w", None, None, dtype)[1], SHAPE, key, transform)
    assert _bits(out) == _bits(plain)


def test_the_compiled_code_has_no_fused_multiply_add() -> None:
    from numba import njit

    from initlab.sampling import compiled

    kernel = njit(nogil=True)(compiled._make_kernel(-1))
    for real in (np.float32, np.float64):
        kernel(
            np.empty(300, real), 0, 0, 300, 1, np.empty((3, 0), np.int64), 1, 0,
            np.zeros(4, np.uint32), 2, np.ones(7, real), (0, 1),
        )  # fmt: skip
    code = "".join(kernel.inspect_asm().values())
    assert "mul" in code
    assert not any(name in code for name in ("vfmadd", "vfmsub", "vfnmadd", "vfnmsub", "fmadd "))


@pytest.mark.parametrize(("dtype", "torch_dtype"), [("bfloat16", torch.bfloat16), ("float16", torch.float16)])
@pytest.mark.parametrize(
    "law",
    [
        *ELEMENTWISE.values(),
        laws.Normal(0.0, 1e-6),
        laws.Constant(0.1),
        laws.Constant(1 + 2**-8 + 2**-30),  # just above a tie, on it once it is float32
        laws.Constant(1 + 2**-11 + 2**-30),
        laws.Identity(0.1),
        laws.Sparse(1.0, 0.5),
        laws.Orthogonal(),
    ],
)
@pytest.mark.parametrize("shape", [(31, 7), (100, 90)])
def test_low_precision_is_float32_rounded_once(law: Any, dtype: str, torch_dtype: torch.dtype, shape: Any) -> None:
    wide = torch.from_numpy(sample(law, shape, seed=3)).to(torch_dtype).view(torch.uint16).numpy()
    assert _bits(sample(law, shape, seed=3, dtype=dtype)) == _bits(wide)


@pytest.mark.parametrize("draw", [kernels.draw, elements.draw_plain])
@pytest.mark.parametrize(("dtype", "torch_dtype"), [("bfloat16", torch.bfloat16), ("float16", torch.float16)])
@pytest.mark.parametrize("value", [sign * m * t for sign in (1, -1) for m in (1, 2**-16) for t in TIES])
def test_ties_go_to_the_even_neighbour(value: float, dtype: str, torch_dtype: torch.dtype, draw: Any) -> None:
    """A normal law of std 0 gives its mean, here half way between two values of low precision, subnormals included."""
    law = laws.Normal(value, 0.0)
    stream, target = make_request(np.empty(300, DTYPES[dtype]), law, 0, "w", None, None, dtype)
    draw(target, (300,), stream.key("normal"), reference.transform_of(law))
    assert _bits(target.out) == _bits(torch.full((300,), value).to(torch_dtype).view(torch.uint16).numpy())


@pytest.mark.parametrize("draw", [kernels.draw, elements.draw_plain])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("start", [0, 1, 63, 64, 254, 255, 256, 257, 511, 2**16 - 1, 2**16])
def test_a_slice_may_begin_and_end_anywhere(start: int, dtype: str, draw: Any) -> None:
    """At the borders of counters, groups and tasks."""
    size, law = 2**16 + 600, ELEMENTWISE["normal"]
    whole = sample(law, (size,), seed=2, dtype=dtype)
    for length in (1, 2, 255, 256, 257):
        part, cut = np.empty(length, whole.dtype), slice(start, start + length)
        stream, target = make_request(part, law, 2, "weight", (size,), (cut,), dtype)
        draw(target, (size,), stream.key("normal"), reference.transform_of(law))
        assert _bits(part) == _bits(whole[cut])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("start", [2**32 - 100, 2**34 - 100, 2**38 + 5, 2**50])
def test_a_slice_of_a_tensor_beyond_32_bits_is_the_same_from_both_paths(start: int, dtype: str) -> None:
    """Past 2^34 elements the number of a counter needs more than 32 bits."""
    shape, cut, law, parts = (2**51,), (slice(start, start + 300),), ELEMENTWISE["normal"], []
    for draw in (kernels.draw, elements.draw_plain):
        stream, target = make_request(np.empty(300, dtype), law, 2, "weight", shape, cut, None)
        draw(target, shape, stream.key("normal"), reference.transform_of(law))
        parts.append(_bits(target.out))
    assert parts[0] == parts[1]
    first = np.empty(300, dtype)
    fill(first, law, seed=2, shape=shape, block=(slice(start % 2**34, start % 2**34 + 300),))
    assert (_bits(first) == parts[0]) is (start < 2**34)


@pytest.mark.parametrize("failing", [0, 5, 9])
def test_an_error_in_any_thread_is_raised(failing: int) -> None:
    def work(first: int, last: int) -> None:
        if first <= failing < last:
            raise MemoryError(f"task {failing}")

    for threads in (1, 3):
        with pytest.raises(MemoryError, match=f"task {failing}"):
            share(work, 10, threads)


@pytest.mark.parametrize("law", ELEMENTWISE)
def test_float64_agrees_with_float32(law: str) -> None:
    """The upper 32 bits are the same; -Φ⁻¹ turns their rounding, 2^-32 of u, into at most 1e-4 at 6 sigma."""
    single, double = (sample(ELEMENTWISE[law], (300, 300), seed=1, dtype=d) for d in ("float32", "float64"))
    assert np.abs(single - double).max() < 4e-4
    assert np.unique(double).size == double.size


LAYOUTS = {
    "contiguous": lambda shape, dtype: np.empty(shape, dtype),
    "fortran": lambda shape, dtype: np.empty(shape, dtype, order="F"),
    "every second": lambda shape, dtype: np.empty(tuple(2 * n for n in shape), dtype)[
        (..., *(slice(None, None, 2) for _ in shape))
    ],
    "reversed": lambda shape, dtype: np.empty(shape, dtype)[(..., *(slice(None, None, -1) for _ in shape))],
    "padded": lambda shape, dtype: np.empty(tuple(n + 3 for n in shape), dtype)[
        (..., *(slice(1, n + 1) for n in shape))
    ],
    "odd strides": lambda shape, dtype: np.empty(shape, np.dtype([("before", np.uint8), ("values", dtype)]))["values"],
    "unaligned": lambda shape, dtype: np.ndarray(
        shape, dtype, np.empty(math.prod(shape) * 2 * np.dtype(dtype).itemsize + 1, np.uint8).data, 1
    ),
}


@pytest.mark.parametrize("threads", ["1", "2", "5"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(), (1,), (15,), (16,), (17,), (255,), (4095,), (4097,), (3, 5, 7), (700, 401)])
def test_bits_do_not_depend_on_layout_size_or_threads(
    shape: Any, layout: str, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INITLAB_THREADS", threads)
    law = ELEMENTWISE["normal"]
    out = LAYOUTS[layout](shape, np.float32)
    fill(out, law, seed=9, name="w")
    stream, target = make_request(np.empty(shape, np.float32), law, 9, "w", None, None, None)
    elements.draw_plain(target, shape, stream.key("normal"), reference.transform_of(law))
    assert _bits(out) == _bits(target.out)


@st.composite
def _blocks(draw: Any) -> tuple[slice, ...]:
    cuts = []
    for size in SHAPE:
        start = draw(st.integers(0, size - 1))
        cuts.append(slice(start, draw(st.integers(start, size))))
    return tuple(cuts)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(block=_blocks(), law=st.sampled_from(sorted(ANY_BLOCK)), dtype=st.sampled_from(sorted(DTYPES)))
def test_a_block_is_the_slice_of_the_whole(block: tuple[slice, ...], law: str, dtype: str) -> None:
    whole = sample(ANY_BLOCK[law], SHAPE, seed=2, dtype=dtype)
    part = np.empty(tuple(cut.stop - cut.start for cut in block), whole.dtype)
    fill(part, ANY_BLOCK[law], seed=2, shape=SHAPE, block=block, dtype=dtype)
    assert _bits(part) == _bits(whole[block])


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    names=st.lists(st.text(min_size=1, max_size=12), min_size=2, max_size=6, unique=True),
    seed=st.integers(0, 2**64 - 1),
)
def test_a_parameter_does_not_depend_on_the_others(names: list[str], seed: int) -> None:
    law = laws.Normal(0.0, 1.0)
    alone = {name: sample(law, (4, 5), seed=seed, name=name) for name in names}
    for name in reversed(names):
        assert _bits(sample(law, (4, 5), seed=seed, name=name)) == _bits(alone[name])


def test_streams_of_different_names_seeds_shapes_and_families_differ() -> None:
    base = sample(laws.Normal(0.0, 1.0), (64,), seed=0, name="w")
    others = [
        sample(laws.Normal(0.0, 1.0), (64,), seed=1, name="w"),
        sample(laws.Normal(0.0, 1.0), (64,), seed=2**32, name="w"),
        sample(laws.Normal(0.0, 1.0), (64,), seed=0, name="v"),
        sample(laws.Normal(0.0, 1.0), (8, 8), seed=0, name="w").reshape(-1),
        sample(laws.TruncatedNormal.from_sigmas(1.0, 8.0), (64,), seed=0, name="w"),
    ]
    for other in others:
        assert abs(np.corrcoef(base, other)[0, 1]) < 0.5
        assert not np.array_equal(base, other)


def test_all_pairs_of_a_models_tensors_are_uncorrelated() -> None:
    """|r| of independent normals is below 5.7/√n in all 780 pairs with probability above 0.99999."""
    tensors = np.stack([sample(laws.Normal(0.0, 1.0), (4000,), name=f"layers.{i}.weight") for i in range(40)])
    correlation = np.corrcoef(tensors) - np.eye(40)
    assert np.abs(correlation).max() < 5.7 / math.sqrt(4000)


def test_equal_normals_stacked_are_one_normal() -> None:
    whole = sample(laws.Normal(0.0, 1.0), (60, 50))
    assert _bits(sample(laws.Stacked(0, (20, 40), (laws.Normal(0.0, 1.0),) * 2), (60, 50))) == _bits(whole)


def test_two_stds_of_one_family_share_their_uniforms() -> None:
    one, two = (sample(laws.Normal(0.0, std), (50, 50)) for std in (0.5, 1.0))
    assert np.array_equal(2 * one, two)


def test_no_global_random_state_is_read_or_moved() -> None:
    random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()  # type: ignore[union-attr]
    first = [_bits(sample(law, SHAPE)) for law in ANY_BLOCK.values()]
    after = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()  # type: ignore[union-attr]
    assert before == after
    random.seed(2)
    np.random.seed(2)
    torch.manual_seed(2)
    assert [_bits(sample(law, SHAPE)) for law in ANY_BLOCK.values()] == first


BOUNDED = [
    laws.Uniform(0.1, 0.7),
    laws.Uniform(1.0, 1.0 + 2**-22),
    laws.TruncatedNormal.from_sigmas(1 / 3),
    ELEMENTWISE["one_sided"],
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("law", BOUNDED)
def test_values_never_leave_the_bounds(law: Any, dtype: str) -> None:
    values = sample(law, (400, 400), dtype=dtype).astype(np.float64)
    assert values.min() >= law.low
    assert values.max() <= law.high


def test_sparse_columns_have_exactly_their_zeros() -> None:
    values = sample(laws.Sparse(1.0, 0.9, out_axis=1, in_axis=0), (40, 25, 3))
    assert ((values == 0).sum(axis=1) == 23).all()


def test_identity_sits_at_the_kernels_centre() -> None:
    values = sample(laws.Identity(2.0), (5, 3, 3, 4))
    assert np.array_equal(values[:, :, 1, 2], 2 * np.eye(5, 3, dtype=np.float32))
    assert np.count_nonzero(values) == 3


def test_permutations_and_signs() -> None:
    assert sorted(permutation(1000, seed=1).tolist()) == list(range(1000))
    assert not np.array_equal(permutation(1000, seed=1), permutation(1000, seed=2))
    assert set(signs((20, 30), seed=1).ravel().tolist()) == {-1, 1}


NORMAL = laws.Normal(0.0, 1.0)
BAD: list[tuple[Any, str]] = [
    (lambda: fill([1.0], NORMAL), "out must be a numpy array"),  # type: ignore[arg-type]
    (lambda: fill(np.empty(3, np.int64), NORMAL), "unknown dtype 'int64'"),
    (lambda: fill(np.empty(3, bool), NORMAL), "unknown dtype 'bool'"),
    (lambda: fill(np.empty(3, np.complex64), NORMAL), "unknown dtype 'complex64'"),
    (lambda: fill(np.empty(3, np.uint16), NORMAL), "unknown dtype 'uint16'"),
    (lambda: fill(np.empty(3, np.float32), NORMAL, dtype="bfloat16"), "out must hold uint16"),
    (lambda: fill(np.empty(3, np.float32), NORMAL, dtype="float8"), "unknown dtype 'float8'"),
    (lambda: fill(np.broadcast_to(np.float32(0), (3,)), NORMAL), "out must be writable"),
    (lambda: fill(np.lib.stride_tricks.as_strided(np.empty(4, np.float32), (3, 2), (4, 4)), NORMAL), "one memory cell"),
    (lambda: fill(np.lib.stride_tricks.as_strided(np.empty(4, np.float32), (3,), (0,)), NORMAL), "one memory cell"),
    (lambda: fill(np.empty(3, np.float32), "normal"), "law must be a law"),  # type: ignore[arg-type]
    (lambda: fill(np.empty(3, np.float32), NORMAL, seed=-1), "seed must be an integer"),
    (lambda: fill(np.empty(3, np.float32), NORMAL, seed=2**64), "seed must be an integer"),
    (lambda: fill(np.empty(3, np.float32), NORMAL, seed=True), "seed must be an integer"),
    (lambda: fill(np.empty(3, np.float32), NORMAL, name=3), "name must be a string"),  # type: ignore[arg-type]
    (lambda: fill(np.empty(3, np.float32), NORMAL, shape=(4,)), "global shape"),
    (
        lambda: fill(np.empty(3, np.float32), NORMAL, shape=(4,), block=(slice(0, 2),)),
        "out must have the block's shape",
    ),
    (lambda: fill(np.empty(3, np.float32), NORMAL, shape=(4,), block=(slice(2, 5),)), "block must lie within"),
    (lambda: fill(np.empty(2, np.float32), NORMAL, shape=(4,), block=(slice(0, 4, 2),)), "block must lie within"),
    (lambda: fill(np.empty(3, np.float32), NORMAL, shape=(3, 1), block=(slice(0, 3),)), "one slice for each"),
    (lambda: fill(np.empty(3, np.float32), NORMAL, shape=(), block=()), "out must have the block's shape"),
    (lambda: fill(np.empty(2, np.float32), NORMAL, shape=(4,), block=(slice(1.5, 3.5),)), "block must lie within"),
    (lambda: fill(np.empty(2, np.float32), NORMAL, shape=(4,), block=(slice("a", 2),)), "block must lie within"),
    (lambda: fill(np.empty(3, np.float32), laws.Orthogonal()), "at least 2 axes"),
    (lambda: fill(np.empty(3, np.float32), laws.Constant(1e39)), "beyond .*the largest float32"),
    (lambda: fill(np.empty(3, np.float16), laws.Normal(0.0, 2e4)), "beyond 65504, the largest float16"),
    (lambda: fill(np.empty(3, np.float32), laws.Normal(0.0, 1e-300)), "lost in float32.*take zeros"),
    (lambda: fill(np.empty(3, np.float16), laws.Uniform(-1e-8, 1e-8)), "lost in float16"),
    (lambda: fill(np.empty(3, np.float16), laws.Normal(1.0, 1e-9)), "lost in float16.*take constant, value=1"),
    (lambda: fill(np.empty(3, np.float16), laws.Constant(1e-12)), "lost in float16.*take zeros"),
    (lambda: fill(np.empty((3, 3), np.float16), laws.Orthogonal(1e-12)), "lost in float16.*take zeros"),
    (
        lambda: fill(np.empty(3, np.float16), laws.Stacked(0, (1, 2), (laws.Normal(0.0, 1e-12), NORMAL))),
        "lost in float16.*take zeros",
    ),
    (lambda: sample(NORMAL, (-1,)), "shape must have no negative axis"),
    (lambda: sample(NORMAL, (2.0,)), "shape must be a sequence of integers"),  # type: ignore[arg-type]
    (lambda: sample(NORMAL, (2**24, 2**24)), "shape must fit in memory"),
    (lambda: permutation(-1), "count must be an integer"),
]


@pytest.mark.timeout(3)
@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_arguments_are_one_line_and_quick(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_refused_fill_writes_nothing() -> None:
    out = np.full((4, 4), 7.0, np.float32)
    with pytest.raises(InputError):
        fill(out, laws.Stacked(0, (2, 2), (laws.Normal(0.0, 1.0), laws.Constant(1e39))))
    assert (out == 7.0).all()


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 4)])
def test_tensors_without_elements_are_left_alone(shape: Any) -> None:
    assert sample(NORMAL, shape).size == 0


def test_a_small_tensor_is_drawn_while_another_thread_loads_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = sample(ELEMENTWISE["normal"], (8,), seed=2)
    monkeypatch.setitem(sys.modules, "initlab.sampling.kernels", types.ModuleType("half loaded"))
    monkeypatch.setattr(elements, "_COMPILED", set(), raising=False)
    assert _bits(sample(ELEMENTWISE["normal"], (8,), seed=2)) == _bits(expected)
