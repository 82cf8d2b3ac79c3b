"""Experiments as data: what is measured, which claims it tests, how it is shown; and the table of them all."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from initlab.errors import unknown
from initlab.experiments.claims import Claim, Judgement
from initlab.experiments.lab import Lab


@dataclass(frozen=True)
class Experiment:
    """One published experiment.

    Args:
        name: what `initlab reproduce NAME` takes.
        title: one line.
        source: the publications, with years.
        asks: what a reader wants to know, in a sentence or two.
        measure: runs it; `Lab` -> results that JSON can hold, keyed by name.
        claims: the sentences that the results are held against.
        show: results -> `reporting` blocks.
        errata: errors of the source, each with what was run beside it.
        minutes: (small, full) running time in minutes on two cores, as measured; None where it has not been. Shown
            before a start.
    """

    name: str
    title: str
    source: str
    asks: str
    measure: Callable[[Lab], dict[str, Any]]
    claims: tuple[Claim, ...]
    show: Callable[[Mapping[str, Any]], Sequence[Any]]
    errata: tuple[str, ...] = ()
    minutes: tuple[float | None, float | None] = (None, None)

    def judge(self, results: Mapping[str, Any]) -> list[tuple[Claim, Judgement]]:
        """Every claim beside what its test says of `results`."""
        return [(claim, claim.test(results)) for claim in self.claims]


# In the order in which the literature's story is best told. Each module holds one EXPERIMENT.
MODULES = {
    "activation-histograms": "activation_histograms",
    "zero-constant-symmetry": "zero_constant_symmetry",
    "gaussian-depth": "gaussian_depth",
    "why-two-why-six": "why_two_why_six",
    "lecun-std": "lecun_std",
    "mnist-five-layers": "mnist_five_layers",
    "mnist-nn-xavier": "mnist_nn_xavier",
    "mnist-nn-deep": "mnist_nn_deep",
    "cnn-optuna": "cnn_optuna",
    "deep-belief-net": "deep_belief_net",
    "initialization-and-batchnorm": "and_batchnorm",
    "initialization-and-dropout": "and_dropout",
    "initialization-and-weight-decay": "and_weight_decay",
    "initialization-and-learning-rate": "and_learning_rate",
    "initialization-and-depth": "and_depth",
    "orthogonal-rnn": "orthogonal_rnn",
    "identity-residual": "identity_residual",
    "lsuv": "lsuv",
    "ten-thousand-layers": "ten_thousand_layers",
}


def list_experiments() -> list[str]:
    """The names that `initlab reproduce` takes, in reading order."""
    return list(MODULES)


def get_experiment(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        InputError: there is none; the message names the nearest.
    """
    if not isinstance(name, str) or name not in MODULES:
        raise unknown("experiment", name, MODULES, "initlab reproduce lists all")
    module = importlib.import_module(f"initlab.experiments.{MODULES[name]}")
    experiment: Experiment = module.EXPERIMENT
    return experiment
