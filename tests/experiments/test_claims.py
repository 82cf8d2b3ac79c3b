"""The tests that judge claims give the verdict that their numbers call for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from initlab.experiments import claims

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("judgement", "verdict"),
    [
        (claims.exactly(True, ""), "confirmed"),
        (claims.exactly(False, ""), "refuted"),
        (claims.mean_above([2.0, 2.1, 1.9], 1.0, ""), "confirmed"),
        (claims.mean_above([2.0, 2.1, 1.9], 3.0, ""), "refuted"),
        (claims.mean_above([0.0, 2.0], 1.0, ""), "inconclusive"),
        (claims.mean_above([5.0], 1.0, ""), "inconclusive"),
        (claims.mean_above([math.inf, 5.0, 5.0], 1.0, ""), "inconclusive"),
        (claims.mean_below([2.0, 2.1, 1.9], 3.0, ""), "confirmed"),
        (claims.mean_below([2.0, 2.1, 1.9], 1.0, ""), "refuted"),
        (claims.greater([3.0, 3.1, 3.2], [1.0, 1.2, 1.1], ""), "confirmed"),
        (claims.greater([1.0, 1.2, 1.1], [3.0, 3.1, 3.2], ""), "refuted"),
        (claims.greater([3.0, 3.1, 3.2], [1.0, 1.2, 1.1], "", least=5.0), "refuted"),
        (claims.greater([1.0, 3.0, 2.0], [2.0, 2.0, 2.0], ""), "inconclusive"),
        (claims.within([1.0, 1.01, 0.99], 1.0, 0.1, ""), "confirmed"),
        (claims.within([2.0, 2.01, 1.99], 1.0, 0.1, ""), "refuted"),
        (claims.within([1.0, 1.3, 0.7], 1.0, 0.1, ""), "inconclusive"),
        (claims.every([claims.exactly(True, "a"), claims.exactly(False, "b")]), "refuted"),
        (claims.every([claims.exactly(True, "a"), claims.mean_above([1.0], 0, "b")]), "inconclusive"),
        (claims.every([claims.exactly(True, "a")]), "confirmed"),
        (claims.greater([1.0, 1.3, 1.1], [0.5, 0.6, 0.7], "", level=1e-4), "inconclusive"),
        (claims.one_more_run([1.0, 1.1, 0.9], 1.05, ""), "confirmed"),
        (claims.one_more_run([1.0, 1.1, 0.9], 3.0, ""), "refuted"),
        (claims.one_more_run([1.0], 1.0, ""), "inconclusive"),
        (claims.trend([1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1], "", sign=-1), "confirmed"),
        (claims.trend([1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1], "", sign=1), "refuted"),
        (claims.trend([1, 2, 3, 4, 5, 6], [2, 6, 1, 5, 3, 4], "", sign=1), "inconclusive"),
        (claims.trend([1, 1, 1, 1, 1], [1, 2, 3, 4, 5], "", sign=1), "inconclusive"),
    ],
)
def test_verdict(judgement: claims.Judgement, verdict: str) -> None:
    assert judgement.verdict == verdict
    assert judgement.rule


def test_the_interval_covers_the_mean_as_stated() -> None:
    """95% intervals of normal samples miss the true mean in 5% of cases: 2,000 trials, binomial 99.9% bounds."""
    missed = 0
    for _ in range(2000):
        low, _, high = claims.t_interval(list(RNG.standard_normal(5)))
        missed += not low <= 0 <= high
    assert 68 <= missed <= 134


def test_a_claim_without_effect_is_rarely_confirmed() -> None:
    """`greater` on two samples of one law confirms in about 2.5% of cases: 2,000 trials, binomial 99.9% bound."""
    confirmed = sum(
        claims.greater(list(RNG.standard_normal(6)), list(RNG.standard_normal(6)), "").verdict == "confirmed"
        for _ in range(2000)
    )
    assert 27 <= confirmed <= 76
