"""Orthogonal laws: orthonormal along the shorter side, equal to the QR factor that they stand for, blocks, dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from initlab.sampling import fill, laws, sample
from initlab.sampling.orthogonal import reflections

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
    vectors = np.random.default_rng(0).standard_normal(shape)
    normal = vectors.copy()
    tau, signs = reflections(vectors)
    for k in range(shape[0]):
        v = np.concatenate([[1.0], vectors[k, k + 1 :]])
        x = normal[k, k:]
        image = x - tau[k] * v * (v @ x)
        assert image[0] == pytest.approx(signs[k] * np.linalg.norm(x), rel=1e-12)
        assert np.abs(image[1:]).max(initial=0.0) < 1e-12


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


@pytest.mark.parametrize("law", [laws.Orthogonal(), laws.DeltaOrthogonal()])
def test_a_block_is_the_slice_of_the_whole(law: laws.Law) -> None:
    shape, block = (12, 10, 3, 3), (slice(2, 9), slice(0, 10), slice(1, 3), slice(0, 2))
    whole, part = sample(law, shape, seed=4), np.empty((7, 10, 2, 2), np.float32)
    fill(part, law, seed=4, shape=shape, block=block)
    assert np.array_equal(part, whole[block])
