"""Laws that are made whole: their moments, their structure, their parts, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from initlab.errors import InputError
from initlab.sampling import fill, sample
from initlab.sampling.laws import Law, Mirrored, Normal, Orthogonal, Sparse, Stacked, Uniform
from initlab.sampling.reference import log, softplus_inverse_of_exp
from initlab.sampling.whole import leading_size
from initlab.sampling.whole_laws import Curved, Factor, Given, Opposed, OverComplex, Repeated

MIMETIC = Factor("pair", "left", 0.7, 0.7, 4, leading_size(0.7, 0.7, 32, 8))
LAWS: list[tuple[Law, tuple[int, ...]]] = [
    (Curved("log", 1.0, 16.0), (64, 8)),
    (Curved("softplus_inverse_of_exp", math.log(0.001), math.log(0.1)), (512,)),
    (Opposed(4, 1, 0, Curved("log", 1.0, 99.0)), (64,)),
    (Repeated(Normal(0.0, 0.1), 4), (64, 4, 3, 3)),
    (MIMETIC, (32, 32)),
    (Given(np.arange(12.0).reshape(3, 4)), (3, 4)),
    (Stacked(0, (16, 16), (Repeated(Normal(), 4), Repeated(Normal(), 4))), (32, 4)),
    (OverComplex(Orthogonal(2.0)), (6, 5, 2)),
    (Stacked(0, (4, 4), (OverComplex(Mirrored()), OverComplex(Sparse(1.0, 0.5)))), (8, 3, 3, 2)),
]


def test_functions_by_plain_operations_are_those_of_the_library() -> None:
    x = np.linspace(0.1, 100, 1001)
    assert np.allclose(log(x), np.log(x), rtol=1e-14, atol=1e-15)
    step = np.exp(np.linspace(math.log(1e-4), math.log(2.0), 1001))
    assert np.allclose(softplus_inverse_of_exp(np.log(step)), np.log(np.expm1(step)), rtol=0, atol=1e-11)


@pytest.mark.parametrize(("law", "shape"), LAWS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_a_block_is_that_of_the_whole(law: Law, shape: tuple[int, ...], dtype: str) -> None:
    whole = sample(law, shape, seed=3, name="w", dtype=dtype)
    cut = (slice(1, shape[0] - 1), *(slice(0, n) for n in shape[1:]))
    part = np.empty((shape[0] - 2, *shape[1:]), whole.dtype)
    fill(part, law, seed=3, name="w", shape=shape, block=cut, dtype=dtype)
    assert np.array_equal(part, whole[cut])


@pytest.mark.parametrize(("law", "size"), [(LAWS[0][0], 40_000), (LAWS[1][0], 40_000), (LAWS[2][0], 40_000)], ids=str)
def test_stated_moments_are_those_of_the_values(law: Law, size: int) -> None:
    values = sample(law, (size,), dtype="float64")
    error = law.std_of((size,)) / math.sqrt(size)
    assert abs(values.mean() - law.mean_of((size,))) < 5 * error
    assert values.std() == pytest.approx(law.std_of((size,)), rel=0.02)


def test_repeated_rows_are_those_of_the_smaller_tensor() -> None:
    law = Repeated(Normal(0.0, 0.1), 4)
    values = sample(law, (64, 4, 3, 3), name="up.weight")
    assert np.array_equal(values, np.repeat(sample(law.law, (16, 4, 3, 3), name="up.weight"), 4, axis=0))


def test_blocks_of_one_tensor_are_not_alike() -> None:
    law, shape = LAWS[-1]
    values = sample(law, shape)
    assert not np.array_equal(values[:16], values[16:])


def test_factors_of_a_pair_make_its_matrix() -> None:
    """The leading rows of √S Uᵀ and √S Vᵀ give the best approximation of M of their rank (Eckart & Young)."""
    left = sample(MIMETIC, (32, 32), seed=5, name="q", dtype="float64")
    right = sample(Factor("pair", "right", 0.7, 0.7, 4), (32, 32), seed=5, name="k", dtype="float64")
    assert left.std() == pytest.approx(MIMETIC.std_of((32, 32)), rel=0.05)
    whole = [sample(Factor("pair", side, 0.7, 0.7), (32, 32), seed=5, dtype="float64") for side in ("left", "right")]
    matrix = whole[0].T @ whole[1]
    u, s, v = np.linalg.svd(matrix)
    assert np.allclose(left[:8].T @ right[:8], (u[:, :8] * s[:8]) @ v[:8])
    noise = (matrix - 0.7 * np.eye(32)) / 0.7 * math.sqrt(32)
    assert noise.std() == pytest.approx(1.0, rel=0.1)


def test_a_factor_is_undone_to_the_transposed_matrix() -> None:
    first = sample(Factor("p", "left", 0.4, -0.4), (32, 32), dtype="float64")
    second = sample(Factor("p", "back", 0.4, -0.4), (32, 32), dtype="float64")
    right = sample(Factor("p", "right", 0.4, -0.4), (32, 32), dtype="float64")
    assert np.allclose(second @ first, (first.T @ right).T)


def test_given_values_are_equal_by_what_they_hold() -> None:
    one, same, other = (Given(np.full((2, 2), value)) for value in (1.0, 1.0, 2.0))
    assert one == same
    assert hash(one) == hash(same)
    assert one != other


BAD: list[tuple[Any, str]] = [
    (lambda: Curved("tan", 0.0, 1.0), "function must be one of log, softplus_inverse_of_exp; got 'tan'"),
    (lambda: Curved("log", 0.0, 1.0), "low must be above 0 for a logarithm; got 0"),
    (lambda: sample(Opposed(4, 1, 0, Uniform(0.0, 1.0)), (6,)), "4 blocks do not fill the first axis"),
    (lambda: sample(Repeated(Normal(), 4), (6, 2)), "do not come in 4 copies each"),
    (lambda: Factor("p", "up", 0.7, 0.7), "side must be 'left', 'right' or 'back'; got 'up'"),
    (lambda: sample(Factor("p", "left", 0.7, 0.7, 3), (32, 32)), "3 heads has no tensor of shape"),
    (lambda: Given(np.array([np.nan])), "values must be finite"),
    (lambda: sample(Given(np.eye(2)), (3, 3)), r"has shape \(2, 2\); the tensor has \(3, 3\)"),
]


@pytest.mark.parametrize(("made", "message"), BAD)
def test_bad_numbers_are_refused(made: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        made()


def test_a_law_over_the_complex_numbers_has_a_last_axis_of_two() -> None:
    with pytest.raises(InputError, match="real and the imaginary part"):
        sample(OverComplex(Orthogonal()), (4, 4))
