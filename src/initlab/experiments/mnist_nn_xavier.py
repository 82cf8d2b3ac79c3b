"""`mnist-nn-xavier`: 784-256-256-10 with xavier_uniform and Adam, against the costs that its source printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats
from torch import Tensor

from initlab.data import Split
from initlab.experiments.claims import Claim, Judgement, greater, mean_above, one_more_run, only_full, within
from initlab.experiments.lab import Lab
from initlab.experiments.networks import mlp
from initlab.experiments.registry import Experiment
from initlab.experiments.training import finals, train
from initlab.reporting import Column, LineFigure, Series, Table

SOURCE = "PyTorch MNIST tutorial notebook 'lab-09-3 mnist_nn_xavier' (deeplearningzerotoall)"
PUBLISHED = (
    0.2467,
    0.0929,
    0.0609,
    0.0442,
    0.0325,
    0.0253,
    0.0208,
    0.0189,
    0.0144,
    0.0140,
    0.0146,
    0.0135,
    0.0099,
    0.0073,
    0.0110,
)
ACCURACY, RAW = 0.9766, "raw pixels"
# The notebooks call xavier_uniform_ on the weights and leave the biases as torch draws them.
XAVIER = {"**": "torch_default", "*.weight": "xavier_uniform"}


def _measure(lab: Lab) -> dict[str, Any]:
    split = lab.data()
    inputs = split.train[0].shape[1]
    batch = 100
    return train(
        lab,
        "nn xavier",
        build=lambda: mlp((inputs, 256, 256, 10)),
        data=split,
        starts={"xavier_uniform": XAVIER, "torch default": "torch_default"},
        seeds=4 if lab.small else 10,
        optimizer="adam",
        lr=1e-3,
        batch_size=batch,
        steps=15 * (len(split.train[0]) // batch),
        every=len(split.train[0]) // batch,
        also=raw_pixels(split),
    )


def raw_pixels(split: Split) -> dict[str, tuple[Tensor, Tensor]]:
    """The test images as the notebooks give them to a network that was trained on 0 to 1: pixels from 0 to 255."""
    return {RAW: (split.test[0] * 255.0, split.test[1])}


def _costs(results: Mapping[str, Any], label: str = "xavier_uniform") -> np.ndarray:
    """(seeds, epochs): the mean training loss over each epoch's batches, as the source prints it."""
    return np.asarray([[loss for _, loss in run["loss"]] for run in results[label]], dtype=float)


def _in_prediction_interval(published: np.ndarray, costs: np.ndarray) -> Judgement:
    """Whether one more run with the printed costs would be ordinary: each inside the 95% prediction interval.

    By chance alone 5% of the epochs fall outside, so up to two of fifteen are allowed (binomial, p = 0.96).
    """
    n = len(costs)
    half = stats.t.ppf(0.975, n - 1) * costs.std(axis=0, ddof=1) * np.sqrt(1 + 1 / n)
    outside = int((np.abs(published - costs.mean(axis=0)) > half).sum())
    verdict: Any = "confirmed" if outside <= 2 else "refuted"
    numbers = (
        f"{outside} of {len(published)} printed costs lie outside; first epoch {costs[:, 0].mean():.4f} ± {half[0]:.4f}"
    )
    return Judgement(verdict, numbers, "95% prediction interval of one more run, at most 2 of 15 outside")


def _published_costs(results: Mapping[str, Any]) -> Judgement:
    if results["settings"]["small"]:
        return only_full("the digits' costs are not MNIST's")
    return _in_prediction_interval(np.asarray(PUBLISHED), _costs(results))


def _published_accuracy(results: Mapping[str, Any]) -> Judgement:
    if results["settings"]["small"]:
        return only_full("the digits' accuracy is not MNIST's")
    return one_more_run(finals(results["xavier_uniform"], RAW), ACCURACY, "accuracy on raw pixels")


CLAIMS = (
    Claim("The printed costs by epoch (0.2467 … 0.0110) are what the code gives.", SOURCE, _published_costs),
    Claim(
        "The printed accuracy of 0.9766 is what the code gives (it tests on raw pixels).", SOURCE, _published_accuracy
    ),
    Claim(
        "xavier_uniform learns faster than torch's default: its first epoch costs less.",
        "the notebook's own point, against 'lab-09-2 mnist_nn'",
        lambda r: greater(
            list(_costs(r, "torch default")[:, 0]), list(_costs(r)[:, 0]), "first-epoch cost, default − Xavier"
        ),
    ),
    Claim(
        "Training fits the data: the last epoch costs less than a tenth of the first.",
        SOURCE,
        lambda r: mean_above(list(_costs(r)[:, 0] / _costs(r)[:, -1]), 10.0, "first-epoch cost over last"),
    ),
    Claim(
        "Testing on pixels in 0–255 after training on 0–1 does no harm (accuracy within 0.2 points).",
        "implied by the notebook, which does so",
        lambda r: within(
            [
                a - b
                for a, b in zip(finals(r["xavier_uniform"], RAW), finals(r["xavier_uniform"], "accuracy"), strict=True)
            ],
            0.0,
            0.002,
            "accuracy on raw pixels − on scaled",
        ),
    ),
)


def _show(results: Mapping[str, Any]) -> list[Any]:
    epochs = tuple(range(1, _costs(results).shape[1] + 1))
    series = []
    for label in ("xavier_uniform", "torch default"):
        costs = _costs(results, label)
        series.append(Series(label, epochs, tuple(costs.mean(0)), low=tuple(costs.min(0)), high=tuple(costs.max(0))))
    if not results["settings"]["small"]:
        series.append(Series("printed in the source", epochs, PUBLISHED, dash="dot"))
    figure = LineFigure(
        "Cost by epoch", "epoch", "mean training loss", tuple(series), log_y=True, note="Band: range over seeds."
    )
    columns = (Column("start"), Column("test accuracy, pixels 0–1", "right"), Column("pixels 0–255", "right"))
    rows = [
        (
            label,
            f"{np.mean(finals(results[label], 'accuracy')):.4f}",
            f"{np.mean(finals(results[label], 'raw pixels')):.4f}",
        )
        for label in ("xavier_uniform", "torch default")
    ]
    return [figure, Table("Test accuracy, mean over seeds", columns, rows)]


EXPERIMENT = Experiment(
    name="mnist-nn-xavier",
    title="A small MNIST network with Xavier, against its printed costs",
    source=SOURCE,
    asks="Are the published costs and accuracy what the published code gives, and does Xavier matter here?",
    measure=_measure,
    claims=CLAIMS,
    show=_show,
    errata=("The source trains on pixels scaled to 0–1 and tests on raw pixels 0–255. Both ran.",),
    minutes=(0.02, None),
)
