"""Every scheme of the catalogue, and every law, through the battery; Holm over the family, fixed seeds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import special, stats
from tests.statistical import battery

from initlab.sampling import laws, sample
from initlab.schemes import Geometry, get_scheme, list_schemes

SHAPE = (512, 640)
LEVEL = 1e-3

LAWS: dict[str, Any] = {
    "normal": laws.Normal(0.0, 1.0),
    "normal with a mean": laws.Normal(0.05, 0.02),
    "uniform": laws.Uniform(-0.05, 0.05),
    "truncated at 2": laws.TruncatedNormal.from_sigmas(0.02),
    "truncated at 6": laws.TruncatedNormal.from_sigmas(1.0, 6.0),
    "truncated on one side": laws.TruncatedNormal(0.3, 0.2, 0.0, math.inf),
}


def _failures(outcomes: list[battery.Outcome]) -> list[str]:
    return [f"{outcome.name}: p = {outcome.p:.2g}" for outcome in battery.holm(outcomes, LEVEL)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAWS)
def test_each_law_passes_the_battery(name: str, dtype: str) -> None:
    values = sample(LAWS[name], SHAPE, seed=11, name=f"{name}.{dtype}", dtype=dtype)
    assert _failures(battery.element_battery(values, LAWS[name])) == []


def _factor(values: np.ndarray[Any, Any], law: laws.Law) -> np.ndarray[Any, Any]:
    """The Haar-distributed matrix: A of mirrored blocks [[A, −A], [−A, A]], else the whole."""
    rows, columns = law.factor_shape(values.shape) if isinstance(law, laws.Mirrored) else values.shape
    return values[:rows, :columns]


def test_every_scheme_passes_the_battery() -> None:
    """One family: all tests of all schemes, so that the catalogue as a whole fails one time in a thousand."""
    outcomes, fixed = [], []
    geometry = Geometry.from_shape(SHAPE)
    for name in list_schemes():
        law = get_scheme(name).law(geometry)
        values = sample(law, SHAPE, seed=12, name=name)
        if law.family in ("normal", "uniform", "truncated_normal"):
            tests = battery.element_battery(values, law)
        elif law.family == "sparse":
            tests = _sparse_outcomes(values, law)
        elif law.needs_whole:
            factors = [_factor(sample(law, (24, 24), seed=seed, name=name), law) for seed in range(400)]
            tests = battery.orthogonal_battery(factors, law.gain)  # type: ignore[attr-defined]  # both laws have one
        else:
            fixed.append(name)
            tests = [battery.Outcome("fixed", float(_is_fixed(values, law)))]
        outcomes += [battery.Outcome(f"{name}: {test.name}", test.p) for test in tests]
    assert _failures(outcomes) == []
    assert set(fixed) <= {"zeros", "ones", "constant", "identity"}


def _sparse_outcomes(values: Any, law: Any) -> list[battery.Outcome]:
    zero = values == 0
    count = law.zeros(SHAPE)
    exact = bool((zero.sum(axis=0) == count).all())
    kept = values[~zero].astype(np.float64)
    rest = laws.Normal(0.0, law.std_nonzero)
    per_row = zero.sum(axis=1)
    share = count / SHAPE[0]
    z = (per_row - SHAPE[1] * share) / math.sqrt(SHAPE[1] * share * (1 - share))
    return [
        battery.Outcome("zeros in each column", float(exact)),
        battery.Outcome(
            "zeros over the rows", battery.two_sided(float(special.chdtr(SHAPE[0] - 1, np.square(z).sum())))
        ),
        battery.Outcome("variance", battery.variance_test(kept, rest)),
        battery.Outcome("kolmogorov", battery.kolmogorov_test(kept, rest)),
    ]


def _is_fixed(values: Any, law: Any) -> bool:
    if law.family == "identity":
        return np.array_equal(values, law.gain * np.eye(*SHAPE, dtype=np.float32))
    return bool((values == np.float32(law.value)).all())


@pytest.mark.parametrize("size", [1, 2, 3])
def test_small_orthogonal_factors_have_fair_determinants(size: int) -> None:
    """Under Haar on O(n) the determinant's sign is fair, whatever the first n - 1 columns are: so is its product with
    any sign of theirs. A sign left out of the last column shows here alone."""
    factors = np.stack([sample(laws.Orthogonal(), (size, size), seed=seed, dtype="float64") for seed in range(400)])
    determinants = np.sign(np.linalg.det(factors))
    counts = [int((determinants > 0).sum())]
    counts += [int((determinants * np.sign(factors[:, i, 0]) > 0).sum()) for i in range(size) if size > 1]
    counts += [int((determinants * np.sign(factors[:, 0, 0] * factors[:, 1, 1]) > 0).sum())] if size > 2 else []
    assert min(stats.binomtest(count, 400).pvalue for count in counts) > LEVEL / len(counts)


def test_layers_of_one_model_are_independent() -> None:
    tensors = [sample(laws.Normal(0.0, 1.0), (256, 256), seed=3, name=f"layers.{i}.weight") for i in range(24)]
    assert _failures(battery.independence_battery(tensors)) == []


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["normal", "uniform", "truncated at 2"])
def test_sixteen_million_elements_pass_the_battery(name: str) -> None:
    values = sample(LAWS[name], (4096, 4096), seed=13, name=name).astype(np.float64).reshape(-1)
    law = LAWS[name]
    tests = (battery.mean_test, battery.variance_test, battery.kolmogorov_test, battery.anderson_darling_test)
    outcomes = [
        battery.Outcome(t.__name__, t(values, law)) for t in (*tests, battery.kurtosis_test, battery.largest_test)
    ]
    assert _failures(outcomes) == []
