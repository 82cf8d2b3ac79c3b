"""`gaussian-depth`: fixed-std normal weights against depth, and where the border between shrinking and growing lies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from initlab.experiments.claims import Claim, Judgement, every, mean_above, mean_below, within
from initlab.experiments.lab import Lab
from initlab.experiments.registry import Experiment
from initlab.experiments.signals import at_last, last_over_first, over_seeds, propagate
from initlab.reporting import Column, LineFigure, Series, Table
from initlab.sampling import derive_seed
from initlab.schemes import get_scheme

SOURCE = "common teaching of fixed-std Gaussian starts; Glorot & Bengio 2010; He et al. 2015"
STDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
GAINS = {"linear": 1.0, "relu": math.sqrt(2.0), "tanh": 1.0}
DEPTH = 10
NARROW, WIDE = 32, 256


def _measure(lab: Lab) -> dict[str, Any]:
    runs = 5 if lab.small else 10
    seeds = [derive_seed(lab.seed, "gaussian-depth", run) for run in range(runs)]
    profiles = {
        f"{activation}, {std:g}": over_seeds(seeds, get_scheme("normal", std=std), activation, depth=DEPTH, samples=200)
        for activation in ("linear", "relu", "tanh", "sigmoid")
        for std in STDS
    }
    widths = (32, 64, 128, 256) if lab.small else (32, 64, 128, 256, 512, 1024)
    many = [*seeds, *(derive_seed(lab.seed, "gaussian-depth", run) for run in range(runs, 30 if lab.small else 60))]
    borders = {
        f"{activation}, {width}": [_border(activation, width, seed) for seed in (many if width == NARROW else seeds)]
        for activation in ("linear", "relu")
        for width in widths
    }
    return {"profiles": profiles, "borders": borders, "widths": list(widths)}


def _border(activation: str, width: int, seed: int) -> float:
    """The std at which the second moment neither shrinks nor grows over `DEPTH` layers.

    The network is homogeneous in its weights, so one pass at std s with a factor m per layer gives s / √m.
    """
    std = 1.0 / math.sqrt(width)
    moments = propagate(get_scheme("normal", std=std), activation, seed=seed, width=width, depth=DEPTH, samples=200)
    rows = moments["second_moment"]
    per_layer = (rows[-1] / rows[0]) ** (1 / (DEPTH - 1))
    return float(std / math.sqrt(per_layer))


def _border_rule(activation: str) -> Any:
    """The law is about wide layers: judged at `WIDE` units and more, to 5%."""

    def test(results: Mapping[str, Any]) -> Judgement:
        gain = GAINS[activation]
        return every(
            [
                within(_scaled(results, activation, width), gain, 0.05 * gain, f"width {width}: border × √width")
                for width in results["widths"]
                if width >= WIDE
            ]
        )

    return test


def _scaled(results: Mapping[str, Any], activation: str, width: int) -> list[float]:
    return [border * math.sqrt(width) for border in results["borders"][f"{activation}, {width}"]]


CLAIMS = (
    Claim(
        "With std 0.1 and 100 units a ReLU signal shrinks layer by layer.",
        SOURCE,
        lambda r: mean_below(
            last_over_first(r["profiles"]["relu, 0.1"]["second_moment"]), 0.1, "second moment, layer 10 over layer 1"
        ),
    ),
    Claim(
        "With std 0.1 and 100 units a tanh signal shrinks layer by layer.",
        SOURCE,
        lambda r: mean_below(
            last_over_first(r["profiles"]["tanh, 0.1"]["second_moment"]), 1.0, "second moment, layer 10 over layer 1"
        ),
    ),
    Claim(
        "With std 10 a ReLU signal explodes.",
        SOURCE,
        lambda r: mean_above(
            [math.log10(x) for x in last_over_first(r["profiles"]["relu, 10"]["second_moment"])],
            6.0,
            "log₁₀ of the second moment, layer 10 over layer 1",
        ),
    ),
    Claim(
        "With std 10 a ReLU signal of 100 layers leaves what float32 can hold.",
        SOURCE,
        lambda r: mean_above(
            [100 / 9 * math.log10(x) for x in last_over_first(r["profiles"]["relu, 10"]["second_moment"])],
            2 * math.log10(3.4e38),
            "log₁₀ of the second moment, carried on to 100 layers",
        ),
    ),
    Claim(
        "With std 10 tanh units saturate.",
        SOURCE,
        lambda r: mean_above(at_last(r["profiles"]["tanh, 10"]["saturated"]), 0.9, "share within 1% of ±1, layer 10"),
    ),
    Claim(
        "With std 10 sigmoid units saturate.",
        SOURCE,
        lambda r: mean_above(at_last(r["profiles"]["sigmoid, 10"]["saturated"]), 0.9, "share within 1% of 0 or 1"),
    ),
    Claim(
        f"The border lies at std 1/√n for linear layers of n units (to 5%, from {WIDE} units on): with n = 100 that is "
        "0.1 itself.",
        "variance 1/fan_in (LeCun et al. 1998)",
        _border_rule("linear"),
    ),
    Claim(
        f"The border lies at std √(2/n) for ReLU layers of n units (to 5%, from {WIDE} units on).",
        "He et al. 2015, eq. 10",
        _border_rule("relu"),
    ),
    Claim(
        "In narrow ReLU layers a typical draw needs more: at 32 units the border lies above √(2/n), since the mean "
        "that √(2/n) keeps is carried by few large draws.",
        "Hanin & Rolnick 2018, on the variance of the signal's length",
        lambda r: mean_above(_scaled(r, "relu", 32), GAINS["relu"], "width 32: border × √width"),
    ),
    Claim(
        "One fixed std cannot suit two widths: the border at 32 units is more than 1.5 times that at 256.",
        "consequence of the 1/√n law",
        lambda r: mean_above(
            [a / b for a, b in zip(r["borders"]["relu, 32"], r["borders"]["relu, 256"], strict=False)],
            1.5,
            "border at width 32 over border at width 256",
        ),
    ),
)


def _show(results: Mapping[str, Any]) -> list[Any]:
    figures = []
    for activation in ("relu", "tanh", "sigmoid"):
        series = []
        for std in STDS:
            rows = np.maximum(np.asarray(results["profiles"][f"{activation}, {std:g}"]["second_moment"]), 1e-300)
            series.append(
                Series(name=f"std {std:g}", x=tuple(range(1, DEPTH + 1)), y=tuple(np.exp(np.log(rows).mean(0))))
            )
        figures.append(
            LineFigure(
                title=f"{activation}: second moment of the activations, 100 units a layer",
                x_label="layer",
                y_label="second moment",
                series=tuple(series),
                log_y=True,
            )
        )
    rows = tuple(
        (
            str(width),
            *(f"{np.mean(results['borders'][f'{a}, {width}']):.4f}" for a in ("linear", "relu")),
            f"{1 / math.sqrt(width):.4f}",
            f"{math.sqrt(2 / width):.4f}",
        )
        for width in results["widths"]
    )
    names = ("width", "linear", "relu", "1/√n", "√(2/n)")
    columns = tuple(Column(name, align="right") for name in names)
    return [
        *figures,
        Table(title="Where the border lies: std that keeps the second moment", columns=columns, rows=rows),
    ]


EXPERIMENT = Experiment(
    name="gaussian-depth",
    title="Normal weights of a fixed std, against depth",
    source=SOURCE,
    asks="How does a std chosen by hand fare with depth, and where is the border between too small and too large?",
    measure=_measure,
    claims=CLAIMS,
    show=_show,
    minutes=(0.03, 0.12),
)
