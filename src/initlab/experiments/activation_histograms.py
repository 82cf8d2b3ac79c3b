"""`activation-histograms`: 1,000 normal inputs through five layers of 100 units, under each start."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from initlab.experiments.claims import Claim, Judgement, every, mean_above, mean_below, within
from initlab.experiments.lab import Lab
from initlab.experiments.registry import Experiment
from initlab.experiments.signals import ACTIVATIONS, BINS, at_last, last_over_first, over_seeds
from initlab.reporting import HistogramGrid, LineFigure, Panel, Series, axis_note
from initlab.sampling import derive_seed
from initlab.schemes import Scheme, get_scheme

WIDTH = 100
TUTORIALS = "textbook experiment: 1,000 inputs, five layers of 100 units (Saito 2016, ch. 6.2)"
GLOROT = "Glorot & Bengio 2010"
HE = "He, Zhang, Ren & Sun 2015"


def _schemes() -> dict[str, str | Scheme]:
    """The starts of the sources: two fixed stds, Xavier one-sided (std 1/√n) and two-sided, He."""
    return {
        "std 1": get_scheme("normal", std=1.0),
        "std 0.01": get_scheme("normal", std=0.01),
        "1/√n": "lecun_normal",
        "Xavier": "xavier_normal",
        "He": "he_normal",
    }


def _measure(lab: Lab) -> dict[str, Any]:
    runs = 3 if lab.small else 10
    seeds = [derive_seed(lab.seed, "activation-histograms", run) for run in range(runs)]
    results: dict[str, Any] = {}
    for activation in ("sigmoid", "tanh", "relu"):
        for label, scheme in _schemes().items():
            for depth, samples in ((5, 1000), (50, 200)):
                results[f"{activation}, {label}, {depth}"] = over_seeds(
                    seeds, scheme, activation, width=WIDTH, depth=depth, samples=samples
                )
    return results


def _per_layer(rows: Any) -> list[float]:
    """Per seed, the mean factor by which the second moment changes from one layer to the next."""
    return [math.exp(math.log(max(row[-1], 1e-300) / row[0]) / (len(row) - 1)) for row in rows]


def _vanishes(results: Mapping[str, Any], *, depth: int, least: float, start: str) -> Judgement:
    """Saturated units pass on little, but large weights make up for it: what counts is the product of both."""
    ratios = last_over_first(results[f"sigmoid, {start}, {depth}"]["gradient"])
    return mean_above(ratios, least, f"gradient at layer {depth} over layer 1")


CLAIMS = (
    Claim(
        "Sigmoid with std 1 piles activations up at 0 and 1.",
        TUTORIALS,
        lambda r: mean_above(at_last(r["sigmoid, std 1, 5"]["saturated"]), 0.25, "share within 1% of 0 or 1, layer 5"),
    ),
    Claim(
        "Sigmoid with std 1 leaves the units little slope: at layer 5 its rms is under half of the largest, 1/4.",
        TUTORIALS,
        lambda r: mean_below(at_last(r["sigmoid, std 1, 5"]["slope"]), 0.125, "rms slope of the units, layer 5"),
    ),
    *(
        Claim(
            f"Sigmoid with std 1 lets gradients vanish on their way back over {words} layers (tenfold at least).",
            TUTORIALS,
            partial(_vanishes, depth=depth, least=10.0, start="std 1"),
        )
        for words, depth in (("five", 5), ("fifty", 50))
    ),
    Claim(
        "Where sigmoid's gradients do vanish is with the weights that look right forward: with std 1/√n, at least "
        "fiftyfold over five layers.",
        GLOROT,
        partial(_vanishes, depth=5, least=50.0, start="1/√n"),
    ),
    Claim(
        "Sigmoid with std 0.01 gathers activations around 0.5.",
        TUTORIALS,
        lambda r: every(
            [
                mean_below(at_last(r["sigmoid, std 0.01, 5"]["std"]), 0.05, "std of activations, layer 5"),
                within([m**0.5 for m in at_last(r["sigmoid, std 0.01, 5"]["second_moment"])], 0.5, 0.05, "their rms"),
            ]
        ),
    ),
    Claim(
        "With std 0.01 the inputs of a sigmoid network become one: what remains at layer 5 does not tell them apart.",
        TUTORIALS,
        lambda r: mean_below(at_last(r["sigmoid, std 0.01, 5"]["between"]), 0.01, "between-sample share, layer 5"),
    ),
    Claim(
        "Xavier (std 1/√n) spreads sigmoid activations: neither piled up nor gathered, at five layers.",
        TUTORIALS,
        lambda r: every(
            [
                mean_above(at_last(r["sigmoid, 1/√n, 5"]["std"]), 0.05, "std, layer 5"),
                mean_below(at_last(r["sigmoid, 1/√n, 5"]["saturated"]), 0.05, "saturated share, layer 5"),
            ]
        ),
    ),
    Claim(
        "Xavier keeps apart what a sigmoid network is shown: at layer 5 at least half of the second moment is "
        "between inputs.",
        "the same source, put as a number",
        lambda r: mean_above(at_last(r["sigmoid, 1/√n, 5"]["between"]), 0.5, "between-sample share, layer 5"),
    ),
    Claim(
        "Tanh with std 1 saturates.",
        TUTORIALS,
        lambda r: mean_above(at_last(r["tanh, std 1, 5"]["saturated"]), 0.25, "share within 1% of −1 or 1, layer 5"),
    ),
    Claim(
        "Tanh with std 0.01 shrinks to zero.",
        GLOROT,
        lambda r: mean_below(
            last_over_first(r["tanh, std 0.01, 5"]["second_moment"]), 1e-3, "second moment, layer 5 over layer 1"
        ),
    ),
    Claim(
        "Tanh with Xavier keeps a spread at five layers.",
        GLOROT,
        lambda r: mean_above(at_last(r["tanh, Xavier, 5"]["std"]), 0.3, "std, layer 5"),
    ),
    Claim(
        "ReLU with std 0.01 goes to zero.",
        HE,
        lambda r: mean_below(
            last_over_first(r["relu, std 0.01, 5"]["second_moment"]), 1e-3, "second moment, layer 5 over layer 1"
        ),
    ),
    Claim(
        "ReLU with Xavier drifts: the second moment shrinks with depth, about twofold at each layer.",
        HE,
        lambda r: within(_per_layer(r["relu, Xavier, 50"]["second_moment"]), 0.5, 0.1, "second moment per layer ×"),
    ),
    Claim(
        "ReLU with He stays even, at five layers and at fifty.",
        HE,
        lambda r: every(
            [
                within(_per_layer(r[f"relu, He, {depth}"]["second_moment"]), 1.0, 0.15, f"{depth} layers: per layer ×")
                for depth in (5, 50)
            ]
        ),
    ),
    Claim(
        "What five layers forgive fifty do not: ReLU with Xavier still carries a signal at layer 5 "
        "(at least 1% of the first layer's), and none at layer 50 (under 1e-9).",
        "five against fifty layers",
        lambda r: every(
            [
                mean_above(last_over_first(r["relu, Xavier, 5"]["second_moment"]), 0.01, "5 layers: last over first"),
                mean_below(last_over_first(r["relu, Xavier, 50"]["second_moment"]), 1e-9, "50 layers: last over first"),
            ]
        ),
    ),
)


def _grid(results: Mapping[str, Any], activation: str) -> HistogramGrid:
    low, high = ACTIVATIONS[activation][1]
    edges = tuple(np.linspace(low, high, BINS + 1))
    panels = []
    for label in _schemes():
        rows = results[f"{activation}, {label}, 5"]["counts"][0]
        for layer, counts in enumerate(rows, 1):
            panels.append(Panel(title=f"{label} · layer {layer}", edges=edges, counts=tuple(counts)))
    return HistogramGrid(
        title=f"{activation}: activations of five layers (rows: start, columns: layer)",
        panels=tuple(panels),
        columns=5,
        note=f"First seed. {axis_note(low, high)} Values outside it fall into the end bins.",
    )


def _profile(results: Mapping[str, Any], activation: str) -> LineFigure:
    series = []
    for label in _schemes():
        rows = np.maximum(np.asarray(results[f"{activation}, {label}, 50"]["second_moment"]), 1e-300)
        layers = tuple(range(1, rows.shape[1] + 1))
        series.append(Series(name=label, x=layers, y=tuple(np.exp(np.log(rows).mean(0)))))
    return LineFigure(
        title=f"{activation}: second moment of the activations in a stack of fifty layers",
        x_label="layer",
        y_label="second moment",
        series=tuple(series),
        log_y=True,
        note="Geometric mean over seeds.",
    )


def _show(results: Mapping[str, Any]) -> list[Any]:
    return [block(results, a) for a in ("sigmoid", "tanh", "relu") for block in (_grid, _profile)]


EXPERIMENT = Experiment(
    name="activation-histograms",
    title="Histograms of activations under five starts",
    source=f"{TUTORIALS}; {GLOROT}; {HE}",
    asks="What does each start do to the values that a network computes before it has learned anything?",
    measure=_measure,
    claims=CLAIMS,
    show=_show,
    minutes=(0.09, 0.13),
)
