"""The statistics against scipy, hand values and simulation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from initlab.comparison.times import first_at_most, kaplan_meier_median
from initlab.statistics import (
    bootstrap_interval,
    detectable_difference,
    holm,
    odds_of_best,
    paired_t,
    resolution,
    sign_flip,
    t_interval,
)


def differences(n: int, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1.0, size=n)


@pytest.mark.parametrize("n", [2, 3, 5, 12, 40])
def test_paired_t_and_its_interval_are_scipys(n: int) -> None:
    d = differences(n, 0.7, seed=n)
    assert paired_t(d) == pytest.approx(stats.ttest_1samp(d, 0).pvalue, rel=1e-10)
    expected = stats.t.interval(0.95, n - 1, loc=d.mean(), scale=stats.sem(d))
    interval = t_interval(d)
    assert (interval.low, interval.high) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("n", [3, 5, 9])
def test_sign_flip_is_scipys_exact_permutation_test(n: int) -> None:
    d = differences(n, 0.5, seed=n)
    exact = stats.permutation_test(
        (d,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    assert sign_flip(d) == pytest.approx(exact.pvalue, abs=1e-12)


def test_sign_flip_by_sampling_agrees_with_the_exact_test() -> None:
    d = differences(16, 0.4, seed=3)
    patterns = 1 - 2 * ((np.arange(2**16)[:, None] >> np.arange(16)) & 1)
    exact = float((np.abs(patterns @ d) >= abs(d.sum()) - 1e-12).mean())
    # 10,000 patterns: five standard errors of a share
    assert sign_flip(d) == pytest.approx(exact, abs=5 * math.sqrt(exact * (1 - exact) / 10_000))


@pytest.mark.parametrize(
    ("function", "values", "expected"),
    [
        (paired_t, [0.0, 0.0, 0.0], 1.0),
        (paired_t, [0.2, 0.2, 0.2], 0.0),
        (lambda d: paired_t(d, 0.2), [0.2, 0.2, 0.2], stats.t.sf(math.sqrt(18), 2) * 2),
        (lambda d: paired_t(d, 0.0), [0.0, 0.0, 0.0], 1.0),
        (paired_t, [0.2], math.nan),
        (paired_t, [0.2, math.inf], math.nan),
        (sign_flip, [1.0, 1.0, 1.0, 1.0, 1.0], 2 / 32),
        (sign_flip, [], math.nan),
        (sign_flip, [0.0, 0.0], 1.0),
    ],
)
def test_edges(function: Callable[[np.ndarray], float], values: list[float], expected: float) -> None:
    assert function(np.array(values)) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("raw", "adjusted"),
    [
        ([0.01, 0.02, 0.03, 0.04], [0.04, 0.06, 0.06, 0.06]),
        ([0.04, 0.01], [0.04, 0.02]),
        ([0.9, 0.8], [1.0, 1.0]),
        ([0.01, math.nan, 0.04], [0.02, math.nan, 0.04]),
        ([], []),
    ],
)
def test_holm_by_hand(raw: list[float], adjusted: list[float]) -> None:
    assert holm(raw) == pytest.approx(adjusted, nan_ok=True)


@pytest.mark.parametrize(
    ("times", "happened", "median"),
    [
        # S: 4/5, 3/5, 2/5: at most one half from 30 on
        ([10, 20, 30, 40, 50], [True] * 5, 30.0),
        # 20 is censored: S(10) = 3/4, S(30) = 3/4 · 1/2 = 3/8
        ([10, 20, 30, 40], [True, False, True, True], 30.0),
        ([10, 10, 10, 10], [False] * 4, math.inf),
        ([5, 10, 10, 10], [True, False, False, False], math.inf),
        ([5, math.inf], [True, False], 5.0),
    ],
)
def test_kaplan_meier_median_by_hand(times: list[float], happened: list[bool], median: float) -> None:
    assert kaplan_meier_median(times, happened) == median


def test_kaplan_meier_median_is_scipys() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        death, end = rng.integers(1, 40, 15), rng.integers(1, 60, 15)
        times, happened = np.minimum(death, end), death <= end
        curve = stats.ecdf(stats.CensoredData.right_censored(times, ~happened)).sf
        below = curve.quantiles[curve.probabilities <= 0.5 + 1e-12]
        assert kaplan_meier_median(times, happened) == (below[0] if len(below) else math.inf)


def test_first_step_at_a_loss() -> None:
    curve = np.array([[10, 2.0], [20, 1.0], [30, 1.2], [40, 0.5]])
    assert [first_at_most(curve, level) for level in (2.0, 1.1, 0.7, 0.1)] == [10, 20, 40, math.inf]


def test_odds_of_best() -> None:
    sure = odds_of_best(np.array([[0.9, 0.91, 0.92], [0.5, 0.51, 0.52], [0.1, 0.1, 0.1]]))
    assert sure.tolist() == [1.0, 0.0, 0.0]
    twins = odds_of_best(np.array([[0.9, 0.8], [0.9, 0.8]]))
    assert twins.tolist() == [0.5, 0.5]
    # Arm 0 wins only resamples with more of seed 0 (gap +2) than of seed 1 (gap -1): 2·first > second
    mixed = odds_of_best(np.array([[2.0, 0.0], [0.0, 1.0]]))
    assert mixed[0] == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize(("seeds", "tests"), [(3, 1), (5, 1), (5, 6), (20, 10)])
def test_detectable_difference_has_the_power_it_says(seeds: int, tests: int) -> None:
    shift = detectable_difference(2.0, seeds, tests)
    rng = np.random.default_rng(seeds)
    d = rng.normal(shift, 2.0, size=(20_000, seeds))
    p = stats.ttest_1samp(d, 0, axis=1).pvalue
    # five standard errors of a share of 20,000
    assert (p < 0.05 / tests).mean() == pytest.approx(0.8, abs=0.015)


def _coverage(n: int, draw: Callable[[np.random.Generator, int], np.ndarray], mean: float, studies: int) -> float:
    rng = np.random.default_rng(n)
    intervals = [bootstrap_interval(draw(rng, n)) for _ in range(studies)]
    return float(np.mean([i.low <= mean <= i.high for i in intervals]))


@pytest.mark.parametrize("n", [3, 5, 10])
def test_interval_covers_what_it_says(n: int) -> None:
    # 400 studies: four standard errors of a share of 0.95 are 0.044
    assert _coverage(n, lambda rng, k: rng.normal(size=k), 0.0, 400) == pytest.approx(0.95, abs=0.044)


@pytest.mark.nightly
@pytest.mark.parametrize("n", [5, 10, 20])
@pytest.mark.parametrize("law", ["normal", "exponential", "binomial"])
def test_interval_covers_many_studies(n: int, law: str) -> None:
    laws: dict[str, tuple[Callable[[np.random.Generator, int], np.ndarray], float]] = {
        "normal": (lambda rng, k: rng.normal(size=k), 0.0),
        "exponential": (lambda rng, k: -rng.exponential(size=k), -1.0),
        "binomial": (lambda rng, k: rng.binomial(355, 0.97, size=k) / 355, 0.97),
    }
    draw, mean = laws[law]
    # Skewed scores of few seeds: the bootstrap keeps at least 92%
    assert 0.92 <= _coverage(n, draw, mean, 4000) <= 0.985


def test_the_same_data_give_the_same_numbers_and_no_global_state_moves() -> None:
    before = np.random.get_state()[1].copy()
    d = differences(20, 0.3)
    first = bootstrap_interval(d), sign_flip(d), odds_of_best(np.stack([d, -d])).tolist()
    again = bootstrap_interval(d), sign_flip(d), odds_of_best(np.stack([d, -d])).tolist()
    assert first == again
    assert (np.random.get_state()[1] == before).all()


@pytest.mark.parametrize(("arms", "seeds"), [(2, 2), (7, 2), (7, 3), (7, 5)])
@pytest.mark.parametrize("spread", [1, 3])
def test_the_level_holds_where_accuracies_are_few_answers_apart(arms: int, seeds: int, spread: float) -> None:
    """Equally good arms, whose accuracies on 360 samples often agree: differences without spread show nothing."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(200):
        answers = np.round(300 + spread * (rng.normal(size=(arms, seeds)) + rng.normal(size=seeds)))
        scores = answers / 360
        step = resolution(scores.ravel())
        wrong += min(holm([paired_t(a - b, step) for a, b in itertools.combinations(scores, 2)])) < 0.05
    # At the stated 5%, more than 20 of 200 come up less than once in 500
    assert wrong <= 20


def test_an_interval_of_values_that_repeat_is_students() -> None:
    """Four equal values and one other: a third of the resamples have no spread, and say nothing about the upper end."""
    values = [0.98, 0.98, 0.98, 0.98, 1.0]
    assert bootstrap_interval(values) == t_interval(values)
