"""Orthogonal laws: orthonormal along the shorter side, equal to the QR factor that they stand for, blocks, dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.linalg import blas

from initlab.sampling import fill, laws, sample
from initlab.sampling.orthogonal import _solver, one_blas_thread, product, reflections

SHAPES = [(40, 50), (50, 40), (33, 33), (1, 7), (7, 1), (1, 1), (300, 300), (8, 3, 3, 2), (64, 4, 3, 3)]


def _gram_error(matrix: np.ndarray[Any, Any], gain: float) -> float:
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide.astype(np.float64) / gain
    return float(np.abs(wide @ wide.T - np.eye(wide.shape[0])).max())


@pytest.mark.parametrize(("dtype", "unit"), [("float32", 2.0**-24), ("float64", 2.0**-53), ("float16", 2.0**-11)])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_shorter_side_is_orthonormal(shape: tuple[int, ...], dtype: str, unit: float) -> None:
    """The bound of Higham 2002, theorem 19.4, is c · m · n · u; roundings that do not conspire stay below 20 √n u."""
    values = sample(laws.Orthogonal(2.0), shape, seed=1, dtype=dtype)
    matrix = values.reshape(shape[0], -1)
    assert _gram_error(matrix, 2.0) < 20 * unit * max(matrix.shape) ** 0.5


def test_rows_are_the_out_axis() -> None:
    values = sample(laws.Orthogonal(1.0, out_axis=1, in_axis=0), (6, 4, 3), seed=1)
    assert _gram_error(np.moveaxis(values, 1, 0).reshape(4, 18), 1.0) < 1e-6


@pytest.mark.parametrize("shape", [(5, 5), (4, 9), (1, 3)])
def test_a_reflection_sends_its_vector_to_the_first_axis(shape: tuple[int, int]) -> None:
    vectors = np.random.default_rng(0).standard_normal((1, *shape))
    normal = vectors[0].copy()
    (tau,), (signs,) = reflections(vectors)
    for k in range(shape[0]):
        v = vectors[0, k, k:]
        assert v[0] == 1.0
        assert not vectors[0, k, :k].any()
        x = normal[k, k:]
        image = x - tau[k] * v * (v @ x)
        assert image[0] == pytest.approx(signs[k] * np.linalg.norm(x), rel=1e-12)
        assert np.abs(image[1:]).max(initial=0.0) < 1e-12


@pytest.mark.parametrize("shape", [(5, 5), (4, 9), (1, 1), (70, 70), (64, 200), (600, 650)])
def test_the_product_is_that_of_its_reflections_one_by_one(shape: tuple[int, int]) -> None:
    """Panels and bands of every kind: one short panel, several, a last one that is not full."""
    vectors = np.random.default_rng(1).standard_normal((2, *shape))
    tau, _ = reflections(vectors)
    factors = product(vectors, tau)
    for v, scale, factor in zip(vectors, tau, factors, strict=True):
        expected = np.eye(*shape)
        for k in reversed(range(shape[0])):
            expected -= np.outer(expected @ v[k], scale[k] * v[k])
        assert np.abs(factor - expected).max() < 1e-12


@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (4, 6, 3, 3), (5, 5, 4)])
def test_delta_orthogonal_has_its_factor_at_the_centre_alone(shape: tuple[int, ...]) -> None:
    values = sample(laws.DeltaOrthogonal(1.5), shape, seed=1)
    centre = values[(slice(None), slice(None), *(size // 2 for size in shape[2:]))]
    assert _gram_error(centre, 1.5) < 1e-6
    assert np.count_nonzero(values) == centre.size


def test_equal_blocks_get_different_factors() -> None:
    values = sample(laws.Stacked(0, (8, 8, 8), (laws.Orthogonal(),) * 3), (24, 8), seed=1)
    blocks = values.reshape(3, 8, 8)
    assert all(_gram_error(block, 1.0) < 1e-6 for block in blocks)
    assert not np.allclose(blocks[0], blocks[1])


def test_blocks_that_are_drawn_together_are_those_drawn_alone() -> None:
    """Gains of their own, another shape between them, a last batch that is not full, a target that cuts two of them."""
    gains = (1.0, 2.0, 0.5, 1.0, 3.0)
    sizes = (300, 300, 7, 300, 300)
    law = laws.Stacked(0, sizes, tuple(laws.Orthogonal(gain) for gain in gains))
    whole = sample(law, (1207, 300), seed=1, dtype="float64")
    for start, size, gain in zip(np.cumsum((0, *sizes)), sizes, gains, strict=False):
        block, alone = whole[start : start + size], np.empty((size, 300))
        assert _gram_error(block, gain) < 1e-12
        fill(alone, law, seed=1, shape=(1207, 300), block=(slice(start, start + size), slice(0, 300)))
        assert np.abs(block - alone).max() < 1e-13
    cut = np.empty((500, 120))
    fill(cut, law, seed=1, shape=(1207, 300), block=(slice(250, 750), slice(9, 129)))
    assert np.abs(cut - whole[250:750, 9:129]).max() < 1e-13


@pytest.mark.parametrize("law", [laws.Orthogonal(), laws.DeltaOrthogonal()])
def test_a_block_is_the_slice_of_the_whole(law: laws.Law) -> None:
    shape, block = (12, 10, 3, 3), (slice(2, 9), slice(0, 10), slice(1, 3), slice(0, 2))
    whole, part = sample(law, shape, seed=4), np.empty((7, 10, 2, 2), np.float32)
    fill(part, law, seed=4, shape=shape, block=block)
    assert np.array_equal(part, whole[block])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 9), (64, 300)])
def test_the_triangle_is_solved_in_place_to_the_bits_of_scipys_wrapper(shape: tuple[int, int], dtype: str) -> None:
    draws = np.random.default_rng(0)
    lower, right = draws.standard_normal((shape[0],) * 2).astype(dtype), draws.standard_normal(shape).astype(dtype)
    trsm = blas.dtrsm if dtype == "float64" else blas.strsm
    with one_blas_thread():
        expected = trsm(1.0, lower.T, right.T.copy(order="F"), side=1, diag=1).T
        _solver(right.dtype.char)(lower, right)
    np.testing.assert_array_equal(right, expected)
