"""`mnist-five-layers`: a 784-100-100-100-100-10 ReLU network under plain SGD, from three starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from initlab.experiments.claims import Claim, Judgement, every, greater, mean_above, mean_below
from initlab.experiments.lab import Lab
from initlab.experiments.networks import mlp
from initlab.experiments.registry import Experiment
from initlab.experiments.training import curves, finals, train, until
from initlab.reporting import Column, Table
from initlab.schemes import Scheme, get_scheme

SAITO = "Saito 2016, §6.2.4: comparison of starts on MNIST"


def _starts() -> dict[str, str | Scheme]:
    return {"std 0.01": get_scheme("normal", std=0.01), "Xavier": "lecun_normal", "He": "he_normal"}


def _measure(lab: Lab) -> dict[str, Any]:
    split = lab.data()
    inputs, classes = split.train[0].shape[1], 10
    return train(
        lab,
        "five layers",
        build=lambda: mlp((inputs, 100, 100, 100, 100, classes)),
        data=split,
        starts=_starts(),
        seeds=5 if lab.small else 10,
        optimizer="sgd",
        lr=0.01,
        batch_size=128,
        steps=500 if lab.small else 2000,
    )


def _chance(results: Mapping[str, Any]) -> Judgement:
    """ln 10 is the loss of guessing; 'does not learn' is a loss still within 1% of it at the end."""
    return mean_above(finals(results["std 0.01"], "loss"), 0.99 * float(np.log(10)), "final training loss of std 0.01")


CLAIMS = (
    Claim("With std 0.01 the network does not learn in the given steps.", SAITO, _chance),
    Claim(
        "With Xavier (std 1/√n) it learns.",
        SAITO,
        lambda r: mean_below(finals(r["Xavier"], "loss"), 0.8 * float(np.log(10)), "final training loss of Xavier"),
    ),
    Claim(
        "With He it learns.",
        SAITO,
        lambda r: mean_below(finals(r["He"], "loss"), 0.8 * float(np.log(10)), "final training loss of He"),
    ),
    Claim(
        "He learns faster than Xavier.",
        SAITO,
        lambda r: every(
            [
                greater(until(r["Xavier"], 1.5), until(r["He"], 1.5), "steps until the training loss is under 1.5"),
                greater(finals(r["Xavier"], "loss"), finals(r["He"], "loss"), "final training loss"),
            ]
        ),
    ),
    Claim(
        "He ends at the higher test accuracy.",
        "often concluded from the same figure",
        lambda r: greater(finals(r["He"], "accuracy"), finals(r["Xavier"], "accuracy"), "test accuracy, He − Xavier"),
    ),
)


def _show(results: Mapping[str, Any]) -> list[Any]:
    columns = (
        Column("start"),
        Column("final training loss", "right"),
        Column("test accuracy", "right"),
        Column("steps to loss 1.5", "right"),
    )
    rows = [
        (
            label,
            f"{np.mean(finals(runs, 'loss')):.3f}",
            f"{np.mean(finals(runs, 'accuracy')):.3f}",
            f"{np.mean(until(runs, 1.5)):.0f}",
        )
        for label, runs in results.items()
        if label != "settings"
    ]
    note = "A run that never gets there counts as its last step."
    return [
        curves(results, "Training loss"),
        curves(results, "Test accuracy", "accuracy"),
        Table("", columns, rows, note),
    ]


EXPERIMENT = Experiment(
    name="mnist-five-layers",
    title="Five layers on MNIST: std 0.01, Xavier and He",
    source=SAITO,
    asks="Does the start decide whether a five-layer ReLU network learns at all, and how fast?",
    measure=_measure,
    claims=CLAIMS,
    show=_show,
    minutes=(0.11, 1.05),
)
