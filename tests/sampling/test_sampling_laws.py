"""Laws: their moments against scipy, and every bad argument refused by name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from initlab.errors import InputError
from initlab.sampling import laws, sample
from initlab.sampling.truncation import cut_moments, find_parent

INF = math.inf

BAD = [
    (lambda: laws.Constant(math.nan), "value must be a finite number"),
    (lambda: laws.Constant(INF), "value must be a finite number"),
    (lambda: laws.Uniform(1.0, 0.0), "low must not exceed high; got low=1, high=0"),
    (lambda: laws.Uniform(math.nan, 0.0), "low must be a finite number"),
    (lambda: laws.Uniform(0.0, INF), "high must be a finite number"),
    (lambda: laws.Uniform(-1.7e308, 1.7e308), "high - low must be finite"),
    (lambda: laws.Normal(0.0, -1.0), "std must be at least 0; got -1"),
    (lambda: laws.Normal(math.nan, 1.0), "mean must be a finite number"),
    (lambda: laws.Normal(0.0, INF), "std must be a finite number"),
    (lambda: laws.Normal(0.0, "1"), "std must be a finite number"),  # type: ignore[arg-type]
    (lambda: laws.Normal(0.0, True), "std must be a finite number"),
    (lambda: laws.TruncatedNormal(0.0, 1.0, 2.0, -2.0), "low must be below high"),
    (lambda: laws.TruncatedNormal(0.0, 1.0, 40.0, 41.0), "mean must lie near"),
    (lambda: laws.TruncatedNormal(0.0, 1.0, math.nan, 2.0), "low must be a finite number"),
    (lambda: laws.TruncatedNormal(0.0, 1.2, -2.0, 2.0), "std must be less than 1.1547"),
    (lambda: laws.TruncatedNormal(1.0, 1.0, 0.0, INF), "std must be smaller"),
    (lambda: laws.TruncatedNormal(0.1, 0.9, 0.0, 1.0), "std must be smaller"),
    (lambda: laws.TruncatedNormal(0.0, 1.0, INF, INF), "low and high|low must be below"),
    (lambda: laws.TruncatedNormal.from_sigmas(1.0, sigmas=40.0), "sigmas must be at most 8"),
    (lambda: laws.TruncatedNormal.from_sigmas(1.0, sigmas=0.0), "sigmas must be at least 0.05"),
    (lambda: laws.TruncatedNormal.from_sigmas(-1.0), "std must be at least 0"),
    (lambda: laws.Orthogonal(math.nan), "gain must be a finite number"),
    (lambda: laws.Orthogonal().check((3,)), "at least 2 axes"),
    (lambda: laws.Orthogonal(1.0, 0, 0).check((3, 3)), "out_axis and in_axis must differ"),
    (lambda: laws.Orthogonal(1.0, 5, 1).check((3, 3)), "out_axis must be an axis"),
    (lambda: laws.DeltaOrthogonal().check((3, 0, 3)), "needs a tensor with elements"),
    (lambda: laws.Identity(INF), "gain must be a finite number"),
    (lambda: laws.Sparse(1.0, 1.5), "sparsity must be at most 1"),
    (lambda: laws.Sparse(1.0, -0.1), "sparsity must be at least 0"),
    (lambda: laws.Sparse(1.0, math.nan), "sparsity must be a finite number"),
    (lambda: laws.Stacked(0, (2, 3), (laws.Normal(),)), "laws must be one for each of the 2 sizes"),
    (lambda: laws.Stacked(0, (), ()), "sizes must be positive"),
    (lambda: laws.Stacked(0, (2, 0), (laws.Normal(), laws.Normal())), "sizes must be positive"),
    (lambda: laws.Stacked(0, (2,), ("normal",)), "laws must be laws"),  # type: ignore[arg-type]
    (lambda: laws.Stacked(0, (2, 2), (laws.Normal(),) * 2).check((5, 2)), "do not fill axis 0"),
    (lambda: laws.Stacked(1.0, (2,), (laws.Normal(),)), "axis must be an integer"),  # type: ignore[arg-type]
]


@pytest.mark.timeout(3)
@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_arguments_are_one_line_with_the_argument(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


# (mean, std, low, high), each a law that a normal can have.
CUTS = [
    (0.0, 1.0, -2.0, 2.0),
    (0.0, 1.0, -40.0, 40.0),
    (0.3, 0.2, 0.0, INF),
    (0.0, 0.7, -2.0, 1.0),
    (5.0, 0.4, 4.5, INF),
    (-1.0, 0.9, -INF, 0.5),
    (1.0, 0.95, 0.0, INF),
    (1e-3, 1.2e-4, 5e-4, 1.2e-3),
]


@pytest.mark.parametrize("cut", CUTS)
def test_the_parent_gives_the_stated_moments(cut: tuple[float, float, float, float]) -> None:
    mean, std, low, high = cut
    parent = find_parent(*cut)
    a, b = (low - parent.mean) / parent.std, (high - parent.mean) / parent.std
    law = stats.truncnorm(a, b, loc=parent.mean, scale=parent.std)
    assert law.std() == pytest.approx(std, rel=1e-8)
    assert law.mean() == pytest.approx(mean, abs=1e-8 * std)
    assert parent.below == pytest.approx(stats.norm.cdf(a), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("sigmas", [0.05, 1.0, 2.0, 3.0, 8.0])
def test_from_sigmas_cuts_at_its_parents_sigmas(sigmas: float) -> None:
    law = laws.TruncatedNormal.from_sigmas(0.02, sigmas, mean=1.0)
    parent = find_parent(law.mean, law.std, law.low, law.high)
    assert (law.high - 1.0) / parent.std == pytest.approx(sigmas, rel=1e-6)


@pytest.mark.parametrize(("a", "b"), [(-2.0, 2.0), (0.0, 5.0), (4.0, INF), (-INF, 1.0), (-8.0, 8.0)])
def test_cut_moments_against_scipy(a: float, b: float) -> None:
    mean, variance = cut_moments(a, b)
    law = stats.truncnorm(a, b)
    assert mean == pytest.approx(law.mean(), abs=1e-10)
    assert variance == pytest.approx(law.var(), rel=1e-8)


def test_a_stack_has_the_pooled_moments() -> None:
    law = laws.Stacked(0, (1, 3), (laws.Constant(4.0), laws.Normal(0.0, 2.0)))
    assert law.mean == 1.0
    assert law.std == pytest.approx(math.sqrt(0.25 * 9 + 0.75 * (4 + 1)))


@pytest.mark.parametrize(
    ("law", "shape"),
    [
        (laws.Identity(2.0), (6, 4, 3)),
        (laws.Stacked(0, (4, 4), (laws.Identity(1.0), laws.Identity(1.0))), (8, 2, 3, 3)),
        (laws.Stacked(1, (2, 3), (laws.Identity(1.0), laws.Constant(1.0))), (5, 5)),
    ],
)
def test_the_moments_of_an_identity_are_those_of_its_elements(law: laws.Law, shape: tuple[int, ...]) -> None:
    values = sample(law, shape, dtype="float64")
    assert law.mean_of(shape) == pytest.approx(values.mean())
    assert law.std_of(shape) == pytest.approx(values.std())


def test_a_cut_point_may_be_numpys_infinity() -> None:
    assert laws.TruncatedNormal(1.0, 0.5, 0.0, np.float32(np.inf)).high == INF
