"""`initialization-and-learning-rate`: does the best learning rate move with the start?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from initlab.experiments.claims import Claim, Judgement, every, greater, mean_below
from initlab.experiments.grid import Setting, accuracy, grid, loss
from initlab.experiments.networks import mlp

SOURCE = "practice; the learning rate and the start are usually tuned together"
SIZES = (100, 100, 100, 10)
RATES = (0.001, 0.005, 0.02, 0.1, 0.5)


def _name(rate: float) -> str:
    return f"lr {rate:g}"


def best_rates(results: Mapping[str, Any], start: str) -> list[float]:
    """Per seed, the log10 of the rate with the lowest final training loss."""
    table = np.asarray([loss(results, _name(rate), start) for rate in RATES])
    return [float(np.log10(RATES[i])) for i in table.argmin(0)]


def _moves(results: Mapping[str, Any]) -> Judgement:
    return greater(
        best_rates(results, "Xavier"), best_rates(results, "std 0.5"), "log₁₀ of the best rate, Xavier − std 0.5"
    )


EXPERIMENT = grid(
    name="initialization-and-learning-rate",
    title="The start and the learning rate",
    source=SOURCE,
    asks="Does the best learning rate move with the start, and can the rate make up for a bad one?",
    settings=tuple(Setting(_name(rate), lambda n: mlp((n, *SIZES)), lr=rate) for rate in RATES),
    claims=(
        Claim("The best learning rate moves with the start: larger weights want a smaller one.", SOURCE, _moves),
        Claim(
            "No learning rate rescues std 0.01: under 50% accuracy at all five.",
            SOURCE,
            lambda r: every(
                [mean_below(accuracy(r, _name(rate), "std 0.01"), 0.5, f"accuracy at {rate:g}") for rate in RATES]
            ),
        ),
        Claim(
            "At a small learning rate the start matters more: He leads Xavier by more at 0.005 than at 0.1.",
            "practice",
            lambda r: greater(
                [
                    a - b
                    for a, b in zip(accuracy(r, _name(0.005), "He"), accuracy(r, _name(0.005), "Xavier"), strict=True)
                ],
                [a - b for a, b in zip(accuracy(r, _name(0.1), "He"), accuracy(r, _name(0.1), "Xavier"), strict=True)],
                "accuracy He − Xavier, at 0.005 − at 0.1",
            ),
        ),
        Claim(
            "At lr 0.5 the larger start (std 0.5) does worse than He.",
            "practice",
            lambda r: greater(accuracy(r, _name(0.5), "He"), accuracy(r, _name(0.5), "std 0.5"), "accuracy at lr 0.5"),
        ),
    ),
    minutes=(0.09, 4.1),
)
