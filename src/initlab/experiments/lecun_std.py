"""`lecun-std`: two misprints that are widely copied, and what each does to a ten-layer network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from initlab.experiments.claims import Claim, every, mean_above, mean_below, within
from initlab.experiments.lab import Lab
from initlab.experiments.registry import Experiment
from initlab.experiments.signals import at_last, last_over_first, over_seeds
from initlab.reporting import Column, LineFigure, Series, Table
from initlab.sampling import derive_seed
from initlab.schemes import get_scheme

LECUN = "LeCun, Bottou, Orr & Müller 1998, eq. 16"
GLOROT = "Glorot & Bengio 2010, eq. 12"
DEPTH, WIDTH = 10, 100

# label -> std of a square layer of n units; √(2/(n_in+n_out)) printed as the variance makes the std its root.
STDS = {
    "LeCun as meant: std √(1/n)": math.sqrt(1 / WIDTH),
    "LeCun misprint: std 1/n": 1 / WIDTH,
    "Xavier as meant: variance 2/(n+n)": math.sqrt(2 / (2 * WIDTH)),
    "Xavier misprint: variance √(2/(n+n))": math.sqrt(math.sqrt(2 / (2 * WIDTH))),
}
MEANT, SMALL, _, LARGE = STDS


def _measure(lab: Lab) -> dict[str, Any]:
    runs = 5 if lab.small else 10
    seeds = [derive_seed(lab.seed, "lecun-std", run) for run in range(runs)]
    return {
        f"{activation}, {label}": over_seeds(
            seeds, get_scheme("normal", std=std), activation, width=WIDTH, depth=DEPTH, samples=500
        )
        for activation in ("linear", "tanh", "sigmoid")
        for label, std in STDS.items()
    }


def _per_layer(rows: Any) -> list[float]:
    return [(row[-1] / row[0]) ** (1 / (len(row) - 1)) for row in rows]


CLAIMS = (
    Claim(
        "Std √(1/fan_in) keeps the signal of a linear network level.",
        LECUN,
        lambda r: within(_per_layer(r[f"linear, {MEANT}"]["second_moment"]), 1.0, 0.1, "second moment per layer ×"),
    ),
    Claim(
        "The snippet's std 1/fan_in also keeps the signal level.",
        "a widely copied snippet, taken at its word",
        lambda r: within(_per_layer(r[f"linear, {SMALL}"]["second_moment"]), 1.0, 0.1, "second moment per layer ×"),
    ),
    Claim(
        "Std 1/fan_in divides the second moment by fan_in at every layer.",
        "consequence of the misprint",
        lambda r: within(
            [WIDTH * factor for factor in _per_layer(r[f"linear, {SMALL}"]["second_moment"])],
            1.0,
            0.1,
            "second moment per layer × fan_in",
        ),
    ),
    Claim(
        "Std 1/fan_in leaves nothing of a tanh signal after ten layers.",
        "consequence of the misprint",
        lambda r: mean_below(
            last_over_first(r[f"tanh, {SMALL}"]["second_moment"]), 1e-12, "second moment, layer 10 over layer 1"
        ),
    ),
    Claim(
        "√(2/(n_in+n_out)) read as the variance keeps the signal level.",
        "a widely copied text, taken at its word",
        lambda r: within(_per_layer(r[f"linear, {LARGE}"]["second_moment"]), 1.0, 0.1, "second moment per layer ×"),
    ),
    Claim(
        "Read as the variance, it multiplies the second moment by √n at every layer.",
        "consequence of the misprint",
        lambda r: within(
            [factor / math.sqrt(WIDTH) for factor in _per_layer(r[f"linear, {LARGE}"]["second_moment"])],
            1.0,
            0.1,
            "second moment per layer / √n",
        ),
    ),
    Claim(
        "Read as the variance, it drives a tanh network towards its limits: over three times as many saturated units.",
        "consequence of the misprint",
        lambda r: every(
            [
                mean_above(
                    [
                        bad / max(good, 1e-9)
                        for bad, good in zip(
                            at_last(r[f"tanh, {LARGE}"]["saturated"]),
                            at_last(r[f"tanh, {MEANT}"]["saturated"]),
                            strict=True,
                        )
                    ],
                    3.0,
                    "saturated share over that of the formula as meant",
                )
            ]
        ),
    ),
    Claim(
        "As meant, LeCun's and Xavier's formulas agree on a square layer.",
        f"{LECUN}; {GLOROT}",
        lambda r: within(
            [
                a / b
                for a, b in zip(
                    at_last(r[f"tanh, {MEANT}"]["std"]), at_last(r[f"tanh, {list(STDS)[2]}"]["std"]), strict=True
                )
            ],
            1.0,
            1e-6,
            "std at layer 10, one over the other",
        ),
    ),
)


def _show(results: Mapping[str, Any]) -> list[Any]:
    blocks: list[Any] = []
    for activation in ("linear", "tanh"):
        series = tuple(
            Series(
                name=label,
                x=tuple(range(1, DEPTH + 1)),
                y=tuple(np.exp(np.log(np.asarray(results[f"{activation}, {label}"]["second_moment"])).mean(0))),
            )
            for label in STDS
        )
        title = f"{activation}: second moment over ten layers of {WIDTH} units"
        blocks.append(LineFigure(title=title, x_label="layer", y_label="second moment", series=series, log_y=True))
    rows = tuple(
        (
            label,
            f"{std:.4g}",
            f"{np.mean(_per_layer(results[f'linear, {label}']['second_moment'])):.3g}",
            f"{np.mean(at_last(results[f'tanh, {label}']['saturated'])):.1%}",
        )
        for label, std in STDS.items()
    )
    columns = (
        Column("formula"),
        Column("std", align="right"),
        Column("linear moment per layer ×", align="right"),
        Column("tanh saturated", align="right"),
    )
    return [*blocks, Table(title="As meant and as printed", columns=columns, rows=rows)]


EXPERIMENT = Experiment(
    name="lecun-std",
    title="Two misprints: LeCun's std and Xavier's variance",
    source=f"{LECUN}; {GLOROT}; two widely copied snippets",
    asks="What does a ten-layer network become when the root is left out, or taken twice?",
    measure=_measure,
    claims=CLAIMS,
    show=_show,
    errata=(
        "A widely copied snippet draws LeCun weights with std = 1/fan_in; the source has std = √(1/fan_in). Both ran.",
        "A widely copied text prints √(2/(n_in+n_out)) as the variance; it is the std. Both ran.",
    ),
    minutes=(0.02, 0.04),
)
