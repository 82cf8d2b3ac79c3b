"""`identity-residual`: residual networks whose branches start at zero, and plain ones that start at the identity."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor, nn

from initlab.experiments.claims import Claim, every, greater, mean_above, mean_below
from initlab.experiments.lab import Lab
from initlab.experiments.registry import Experiment
from initlab.experiments.training import curves, finals, train, until
from initlab.reporting import Column, Table

ZERO = "Goyal et al. 2017, §5.1; Zhang, Dauphin & Ma 2019 (Fixup); Hardt & Ma 2017"
LE = "Le, Jaitly & Hinton 2015; Bartlett, Helmbold & Long 2018"
WIDTH, DEPTH = 64, 30

STARTS = {
    "He": {"*": "auto", "**": "he_normal"},
    "zero branches": {"*": "auto", "**": "he_normal", "blocks.*.second.weight": "zeros"},
}


class Block(nn.Module):
    """x + second(relu(first(x)))."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(WIDTH, WIDTH)
        self.second = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(self.first(x).relu())
        return out


class Residual(nn.Module):
    """`DEPTH` residual blocks without normalisation between an embedding and a read-out."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(DEPTH)))
        self.head = nn.Linear(WIDTH, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.blocks(self.embed(x)))
        return out


class Plain(nn.Module):
    """`DEPTH` linear layers with ReLU between the same ends."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, WIDTH)
        self.blocks = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(DEPTH))
        self.head = nn.Linear(WIDTH, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        for block in self.blocks:
            x = block(x).relu()
        out: Tensor = self.head(x)
        return out


PLAIN_STARTS = {
    "plain, He": {"*": "auto", "**": "he_normal"},
    "plain, identity": {"*": "auto", "**": "he_normal", "blocks.*.weight": "identity"},
    "plain, Xavier": {"*": "auto", "**": "xavier_normal"},
}


def _measure(lab: Lab) -> dict[str, Any]:
    split = lab.data()
    inputs = split.train[0].shape[1]
    results: dict[str, Any] = {}
    for build, starts in ((Residual, STARTS), (Plain, PLAIN_STARTS)):
        for rate in (0.01, 0.03):
            trained = train(
                lab,
                f"identity residual {build.__name__} {rate}",
                build=partial(build, inputs),
                data=split,
                starts={f"{label} | {rate:g}": policy for label, policy in starts.items()},
                seeds=4 if lab.small else 8,
                optimizer="sgd",
                lr=rate,
                batch_size=64,
                steps=200 if lab.small else 1500,
                tests=8,
            )
            results |= trained
    return results


def _first_loss(results: Mapping[str, Any], label: str) -> list[float]:
    return [run["loss"][0][1] if run["loss"] else 23.03 for run in results[label]]


CLAIMS = (
    Claim(
        "With He in every branch the signal of a residual net without norm doubles at each block: the first losses are "
        "far above chance (over 100).",
        ZERO,
        lambda r: mean_above(_first_loss(r, "He | 0.01"), 100.0, "mean loss up to the first point"),
    ),
    Claim(
        "Zero branches start near chance (first losses under 3).",
        ZERO,
        lambda r: mean_below(_first_loss(r, "zero branches | 0.01"), 3.0, "mean loss up to the first point"),
    ),
    Claim(
        "Zero branches train where He does not: over 50 points more accurate at lr 0.01.",
        ZERO,
        lambda r: greater(
            finals(r["zero branches | 0.01"], "accuracy"), finals(r["He | 0.01"], "accuracy"), "accuracy", least=0.5
        ),
    ),
    Claim(
        "Zero branches bear three times that learning rate: lr 0.03 reaches loss 0.5 sooner than 0.01.",
        ZERO,
        lambda r: greater(
            until(r["zero branches | 0.01"], 0.5), until(r["zero branches | 0.03"], 0.5), "steps to loss 0.5"
        ),
    ),
    Claim(
        "A plain ReLU net of 30 layers learns from the identity (accuracy over 80%).",
        LE,
        lambda r: mean_above(finals(r["plain, identity | 0.01"], "accuracy"), 0.8, "accuracy at lr 0.01"),
    ),
    Claim(
        "It learns sooner from the identity than from He.",
        LE,
        lambda r: every(
            [
                greater(
                    until(r["plain, He | 0.01"], 1.0),
                    until(r["plain, identity | 0.01"], 1.0),
                    "steps to loss 1 at lr 0.01",
                )
            ]
        ),
    ),
)


def _labels(results: Mapping[str, Any]) -> list[str]:
    return [label for label in results if label != "settings"]


def _show(results: Mapping[str, Any]) -> list[Any]:
    residual = {k: results[k] for k in _labels(results) if not k.startswith("plain")}
    plain = {k: results[k] for k in _labels(results) if k.startswith("plain")}
    columns = (
        Column("start | lr"),
        Column("final loss", "right"),
        Column("accuracy", "right"),
        Column("diverged", "right"),
    )
    rows = [
        (
            label,
            f"{np.mean(finals(results[label], 'loss')):.3g}",
            f"{np.mean(finals(results[label], 'accuracy')):.3f}",
            f"{sum(run['diverged'] for run in results[label])} of {len(results[label])}",
        )
        for label in _labels(results)
    ]
    return [
        curves(residual, "Residual network of 30 blocks: test accuracy", "accuracy"),
        curves(plain, "Plain network of 30 layers: test accuracy", "accuracy"),
        Table("At the end, mean over seeds", columns, rows, "A diverged run counts with loss 23.03."),
    ]


EXPERIMENT = Experiment(
    name="identity-residual",
    title="Identity and zero branches",
    source=f"{ZERO}; {LE}",
    asks="Why do residual branches start at zero, and what can the identity do for a plain network?",
    measure=_measure,
    claims=CLAIMS,
    show=_show,
    minutes=(0.18, 8),
)
