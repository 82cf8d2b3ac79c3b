"""`lsuv`: plain networks from 10 to 50 layers from LSUV, against He, Xavier and orthogonal starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from initlab.experiments.claims import Claim, Judgement, every, exactly, greater, mean_above, mean_below
from initlab.experiments.lab import Lab
from initlab.experiments.networks import mlp
from initlab.experiments.registry import Experiment
from initlab.experiments.training import curves, finals, train
from initlab.fitting import lsuv_
from initlab.reporting import Column, Table
from initlab.schemes import get_scheme

MISHKIN = "Mishkin & Matas 2016"
WIDTH = 64
ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}
STARTS: Mapping[str, Any] = {
    "He": "he_normal",
    "Xavier": "xavier_normal",
    "orthogonal": "orthogonal",
    "orthogonal × √2": get_scheme("orthogonal", gain=2**0.5),
}


def _depths(lab: Lab) -> tuple[int, ...]:
    return (10, 30) if lab.small else (10, 30, 50)


def _measure(lab: Lab) -> dict[str, Any]:
    split = lab.data(normalize=True)
    inputs = split.train[0].shape[1]
    batch = split.train[0][:256]
    results: dict[str, Any] = {"depths": list(_depths(lab)), "iterations": {}}
    for name, activation in ACTIVATIONS.items():
        for depth in _depths(lab):
            place = f"{name}, {depth} layers"
            sizes = (inputs, *(WIDTH,) * (depth - 1), 10)
            fitted: dict[str, Any] = {"tolerance": 0.02, "max_iterations": 10}
            results["iterations"][place] = _iterations(sizes, activation, batch, fitted)
            for starts, build in (
                (STARTS, _plain(sizes, activation)),
                ({"LSUV": None}, _fitted(sizes, activation, batch, fitted)),
            ):
                results |= train(
                    lab,
                    f"lsuv {place}",
                    build=build,
                    data=split,
                    starts={f"{place} | {start}": policy for start, policy in starts.items()},
                    seeds=4 if lab.small else 8,
                    optimizer="sgd",
                    options={"momentum": 0.9},
                    lr=0.01 if depth < 50 else 0.005,
                    batch_size=64,
                    steps=150 if lab.small else 1500,
                    tests=8,
                )
    return results


def _plain(sizes: tuple[int, ...], activation: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: mlp(sizes, activation)


def _fitted(
    sizes: tuple[int, ...], activation: Callable[[], nn.Module], batch: Tensor, settings: Mapping[str, Any]
) -> Callable[[], nn.Module]:
    """A builder whose model has been through LSUV; its seed comes from the seeded state that builders run under."""

    def build() -> nn.Module:
        model = mlp(sizes, activation)
        lsuv_(model, batch, seed=int(torch.randint(0, 2**31, ())), **settings)
        return model

    return build


def _iterations(
    sizes: tuple[int, ...], activation: Callable[[], nn.Module], batch: Tensor, settings: Mapping[str, Any]
) -> list[int]:
    result = lsuv_(mlp(sizes, activation), batch, seed=0, **settings)
    return [layer.iterations if layer.converged else 10**6 for layer in result.layers]


def _accuracy(results: Mapping[str, Any], activation: str, depth: int, start: str) -> list[float]:
    return finals(results[f"{activation}, {depth} layers | {start}"], "accuracy")


def _few_iterations(results: Mapping[str, Any]) -> Judgement:
    worst = max(max(counts) for counts in results["iterations"].values())
    return exactly(worst <= 5, f"most iterations of any layer of any network: {worst}")


def _no_worse_than_he(results: Mapping[str, Any]) -> Judgement:
    return every(
        [
            greater(
                _accuracy(results, "relu", d, "LSUV"), _accuracy(results, "relu", d, "He"), f"{d} layers", least=-0.02
            )
            for d in results["depths"]
        ]
    )


CLAIMS = (
    Claim("LSUV reaches unit variance within a few iterations a layer (at most five).", MISHKIN, _few_iterations),
    Claim(
        "LSUV trains plain ReLU networks of every depth tried (accuracy over 70%).",
        MISHKIN,
        lambda r: every([mean_above(_accuracy(r, "relu", d, "LSUV"), 0.7, f"{d} layers") for d in r["depths"]]),
    ),
    Claim(
        "LSUV trains plain tanh networks of every depth tried (accuracy over 70%).",
        MISHKIN,
        lambda r: every([mean_above(_accuracy(r, "tanh", d, "LSUV"), 0.7, f"{d} layers") for d in r["depths"]]),
    ),
    Claim("For ReLU, LSUV is no worse than He (within 2 points) at any depth tried.", MISHKIN, _no_worse_than_he),
    Claim(
        "Orthogonal weights without the variance step do not train a deep ReLU network (30 layers: under 50%).",
        MISHKIN,
        lambda r: mean_below(_accuracy(r, "relu", 30, "orthogonal"), 0.5, "accuracy, gain 1"),
    ),
    Claim(
        "At 30 layers LSUV beats Xavier with ReLU.",
        MISHKIN,
        lambda r: greater(_accuracy(r, "relu", 30, "LSUV"), _accuracy(r, "relu", 30, "Xavier"), "LSUV − Xavier"),
    ),
    Claim(
        "For tanh LSUV is no worse than Xavier (within 2 points) at any depth tried.",
        MISHKIN,
        lambda r: every(
            [
                greater(_accuracy(r, "tanh", d, "LSUV"), _accuracy(r, "tanh", d, "Xavier"), f"{d} layers", least=-0.02)
                for d in r["depths"]
            ]
        ),
    ),
)


def _show(results: Mapping[str, Any]) -> list[Any]:
    starts = (*STARTS, "LSUV")
    places = [f"{a}, {d} layers" for a in ACTIVATIONS for d in results["depths"]]
    columns = (Column("network"), *(Column(start, "right") for start in starts), Column("LSUV iterations", "right"))
    rows = [
        (
            place,
            *(f"{np.mean(finals(results[f'{place} | {start}'], 'accuracy')):.3f}" for start in starts),
            f"{np.mean(results['iterations'][place]):.1f}",
        )
        for place in places
    ]
    figures = [
        curves({s: results[f"{place} | {s}"] for s in starts}, f"{place}: test accuracy", "accuracy")
        for place in places
    ]
    return [Table("Test accuracy, mean over seeds", columns, rows), *figures]


EXPERIMENT = Experiment(
    name="lsuv",
    title="Layer-sequential unit variance against He and orthogonal starts",
    source=MISHKIN,
    asks="Does setting each layer's output variance on a batch train deeper plain networks than a formula does?",
    measure=_measure,
    claims=CLAIMS,
    show=_show,
    minutes=(0.19, 7),
)
