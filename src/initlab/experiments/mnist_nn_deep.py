"""`mnist-nn-deep`: 'deeper is better', as printed (three layers and a 512-way head) and as meant (five layers)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from initlab.experiments.claims import Claim, Judgement, greater, one_more_run, only_full, within
from initlab.experiments.lab import Lab
from initlab.experiments.mnist_nn_xavier import RAW, XAVIER, raw_pixels
from initlab.experiments.networks import mlp
from initlab.experiments.registry import Experiment
from initlab.experiments.training import finals, train
from initlab.reporting import Column, LineFigure, Series, Table

SOURCE = "PyTorch MNIST tutorial notebook 'lab-09-4 mnist_nn_deep' (deeplearningzerotoall)"
PRINTED_SHALLOW, PRINTED_DEEP = 0.9766, 0.9769
WIDTH = 512


def _networks(inputs: int) -> dict[str, Any]:
    return {
        "shallow": lambda: mlp((inputs, 256, 256, 10)),
        "as printed": lambda: mlp((inputs, WIDTH, WIDTH, WIDTH)),
        "as meant": lambda: mlp((inputs, WIDTH, WIDTH, WIDTH, WIDTH, 10)),
    }


def _measure(lab: Lab) -> dict[str, Any]:
    split = lab.data()
    batch = 100
    per_epoch = len(split.train[0]) // batch
    results: dict[str, Any] = {}
    for label, build in _networks(split.train[0].shape[1]).items():
        trained = train(
            lab,
            f"nn deep, {label}",
            build=build,
            data=split,
            starts={label: XAVIER},
            seeds=4 if lab.small else 10,
            optimizer="adam",
            lr=1e-3,
            batch_size=batch,
            steps=(8 if lab.small else 15) * per_epoch,
            every=per_epoch,
            also=raw_pixels(split),
        )
        results |= trained
    return results


def _last_cost(results: Mapping[str, Any], label: str) -> list[float]:
    return finals(results[label], "loss")


def _is_a_difference(results: Mapping[str, Any]) -> Judgement:
    """Whether two single runs that differ by 0.0003 differ beyond what the seed alone does."""
    values = finals(results["as printed"], RAW)
    seed_difference = float(np.std(values, ddof=1)) * np.sqrt(2) * 1.96
    numbers = (
        f"two runs of one network differ by up to {seed_difference:.4f} (95%) from the seed alone; "
        f"printed difference {PRINTED_DEEP - PRINTED_SHALLOW:.4f}"
    )
    rule = "printed difference against 1.96 √2 standard deviations of one network over seeds"
    return Judgement("confirmed" if seed_difference < PRINTED_DEEP - PRINTED_SHALLOW else "refuted", numbers, rule)


def _published(results: Mapping[str, Any]) -> Judgement:
    if results["settings"]["small"]:
        return only_full("the digits' accuracy is not MNIST's")
    return one_more_run(finals(results["as printed"], RAW), PRINTED_DEEP, "accuracy on raw pixels, as printed")


def _head(results: Mapping[str, Any]) -> Judgement:
    meant, printed = (finals(results[label], "accuracy") for label in ("as meant", "as printed"))
    difference = [a - b for a, b in zip(meant, printed, strict=True)]
    return within(difference, 0.0, 0.003, "accuracy, meant − printed")


CLAIMS = (
    Claim("0.9769 against 0.9766 shows that the deeper network is better.", SOURCE, _is_a_difference),
    Claim(
        "The printed accuracy of 0.9769 is what the printed network gives (tested on raw pixels).", SOURCE, _published
    ),
    Claim(
        "Deeper lowers the cost (network as printed against the shallow one, last epoch).",
        SOURCE,
        lambda r: greater(_last_cost(r, "shallow"), _last_cost(r, "as printed"), "last-epoch cost, shallow − printed"),
    ),
    Claim(
        "Deeper lowers the cost (five layers as meant against the shallow one, last epoch).",
        SOURCE,
        lambda r: greater(_last_cost(r, "shallow"), _last_cost(r, "as meant"), "last-epoch cost, shallow − meant"),
    ),
    Claim(
        "Deeper raises the accuracy (network as printed).",
        SOURCE,
        lambda r: greater(
            finals(r["as printed"], "accuracy"), finals(r["shallow"], "accuracy"), "accuracy, printed − shallow"
        ),
    ),
    Claim(
        "Deeper raises the accuracy (five layers as meant).",
        SOURCE,
        lambda r: greater(
            finals(r["as meant"], "accuracy"), finals(r["shallow"], "accuracy"), "accuracy, meant − shallow"
        ),
    ),
    Claim(
        "A head of 512 classes for ten digits changes nothing that matters (within 0.3 points).", "the misprint", _head
    ),
)


def _show(results: Mapping[str, Any]) -> list[Any]:
    series = []
    for label in ("shallow", "as printed", "as meant"):
        costs = np.asarray([[loss for _, loss in run["loss"]] for run in results[label]])
        epochs = tuple(range(1, costs.shape[1] + 1))
        series.append(Series(label, epochs, tuple(costs.mean(0)), low=tuple(costs.min(0)), high=tuple(costs.max(0))))
    figure = LineFigure(
        "Cost by epoch", "epoch", "mean training loss", tuple(series), log_y=True, note="Band: range over seeds."
    )
    columns = (
        Column("network"),
        Column("last-epoch cost", "right"),
        Column("test accuracy", "right"),
        Column("its std over seeds", "right"),
        Column("pixels 0–255", "right"),
        Column("its std", "right"),
    )
    rows = [
        (
            label,
            f"{np.mean(_last_cost(results, label)):.4f}",
            f"{np.mean(finals(results[label], 'accuracy')):.4f}",
            f"{np.std(finals(results[label], 'accuracy'), ddof=1):.4f}",
            f"{np.mean(finals(results[label], RAW)):.4f}",
            f"{np.std(finals(results[label], RAW), ddof=1):.4f}",
        )
        for label in ("shallow", "as printed", "as meant")
    ]
    return [figure, Table("Fifteen epochs, mean over seeds", columns, rows)]


EXPERIMENT = Experiment(
    name="mnist-nn-deep",
    title="Deeper is better? 0.0003 on MNIST",
    source=SOURCE,
    asks="With ten seeds, is 0.0003 a difference, and does depth lower the cost?",
    measure=_measure,
    claims=CLAIMS,
    show=_show,
    errata=(
        "The source defines five layers but stacks linear1, ReLU, linear2, ReLU, linear3, and so trains a head of 512 "
        "classes on ten digits. Both ran.",
        "It compares two single runs, and tests on raw pixels 0–255 after training on 0–1. Both are given.",
    ),
    minutes=(0.13, 18),
)
