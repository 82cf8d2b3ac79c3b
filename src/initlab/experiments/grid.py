"""The `initialization-and-*` experiments: starts crossed with one other choice, so that the two can be told apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from initlab.experiments.claims import Claim
from initlab.experiments.lab import Lab
from initlab.experiments.registry import Experiment
from initlab.experiments.training import curves, finals, train
from initlab.reporting import Column, HeatmapFigure, Table
from initlab.schemes import Scheme, get_scheme

STARTS: Mapping[str, str | Scheme] = {
    "std 0.01": get_scheme("normal", std=0.01),
    "std 0.1": get_scheme("normal", std=0.1),
    "std 0.5": get_scheme("normal", std=0.5),
    "Xavier": "xavier_normal",
    "He": "he_normal",
}


@dataclass(frozen=True)
class Setting:
    """One value of the choice that is crossed with the starts; `lab.small` shortens the run, never the choice."""

    label: str
    build: Callable[[int], nn.Module]
    lr: float = 0.05
    weight_decay: float = 0.0


def grid(
    *,
    name: str,
    title: str,
    source: str,
    asks: str,
    settings: Sequence[Setting],
    claims: tuple[Claim, ...],
    errata: tuple[str, ...] = (),
    minutes: tuple[float | None, float | None] = (None, None),
) -> Experiment:
    """An experiment that trains every start under every setting with SGD (batch 128) and the same seeds.

    Results are keyed 'setting | start', each a list of runs as `training.train` gives them.
    """

    def measure(lab: Lab) -> dict[str, Any]:
        split = lab.data()
        inputs = split.train[0].shape[1]
        results: dict[str, Any] = {}
        for setting in settings:
            trained = train(
                lab,
                f"{name} {setting.label}",
                build=partial(setting.build, inputs),
                data=split,
                starts={f"{setting.label} | {start}": scheme for start, scheme in STARTS.items()},
                seeds=4 if lab.small else 8,
                optimizer="sgd",
                lr=setting.lr,
                weight_decay=setting.weight_decay,
                batch_size=128,
                steps=250 if lab.small else 1500,
                tests=8,
            )
            results |= trained
        return results

    def show(results: Mapping[str, Any]) -> list[Any]:
        labels = [setting.label for setting in settings]
        accuracy = [[mean_accuracy(results, label, start) for start in STARTS] for label in labels]
        heat = HeatmapFigure(
            title="Test accuracy",
            x_label="start",
            y_label="",
            x=tuple(STARTS),
            y=tuple(labels),
            z=accuracy,
            z_label="accuracy",
        )
        columns = (Column("setting"), *(Column(start, "right") for start in STARTS), Column("range", "right"))
        rows = [
            (label, *(f"{a:.3f}" for a in row), f"{max(row) - min(row):.3f}")
            for label, row in zip(labels, accuracy, strict=True)
        ]
        pictures = [
            curves({s: results[f"{label} | {s}"] for s in STARTS}, f"Training loss, {label}") for label in labels
        ]
        return [heat, Table("Test accuracy, mean over seeds", columns, rows), *pictures]

    return Experiment(name, title, source, asks, measure, claims, show, errata, minutes)


def mean_accuracy(results: Mapping[str, Any], setting: str, start: str) -> float:
    """Mean final test accuracy over seeds; a diverged run counts as it stands (chance)."""
    return float(np.mean(finals(results[f"{setting} | {start}"], "accuracy")))


def accuracy(results: Mapping[str, Any], setting: str, start: str) -> list[float]:
    """Final test accuracy of every seed."""
    return finals(results[f"{setting} | {start}"], "accuracy")


def loss(results: Mapping[str, Any], setting: str, start: str) -> list[float]:
    """Final training loss of every seed; a diverged run counts as 10 times chance."""
    return finals(results[f"{setting} | {start}"], "loss")


def spread(results: Mapping[str, Any], setting: str) -> list[float]:
    """Per seed, the best start's final test accuracy minus the worst start's: how much the choice of start matters."""
    table = np.asarray([accuracy(results, setting, start) for start in STARTS])
    return list(table.max(0) - table.min(0))
