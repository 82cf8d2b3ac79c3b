"""`zero-constant-symmetry`: equal weights make equal units, and training cannot part them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from initlab.experiments.claims import Claim, Judgement, every, exactly, greater, mean_above
from initlab.experiments.lab import Lab
from initlab.experiments.registry import Experiment
from initlab.planning import init_
from initlab.reporting import Column, LineFigure, Series, Table
from initlab.sampling import derive_seed
from initlab.schemes import Scheme, get_scheme

SOURCE = "Goodfellow, Bengio & Courville 2016, §8.4; common teaching"
HIDDEN = (32, 32)


def _starts() -> dict[str, str | Scheme]:
    return {
        "all 0": "zeros",
        "all 0.5": get_scheme("constant", value=0.5),
        "all 1": "ones",
        "0, jittered": get_scheme("normal", std=0.1),
        "xavier_normal": "xavier_normal",
    }


def _net(inputs: int, classes: int) -> nn.Sequential:
    sizes = (inputs, *HIDDEN)
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(HIDDEN[-1], classes))


def _measure(lab: Lab) -> dict[str, Any]:
    split = lab.data()
    seeds, steps = (3, 150) if lab.small else (10, 1000)
    results = {}
    for label, scheme in _starts().items():

        def compute(scheme: str | Scheme = scheme) -> list[dict[str, Any]]:
            return [_run(scheme, split, derive_seed(lab.seed, "symmetry", k), steps) for k in range(seeds)]

        results[label] = lab.part(f"symmetry {label} {seeds} {steps}", compute)
    return results


def _run(scheme: str | Scheme, split: Any, seed: int, steps: int) -> dict[str, Any]:
    """Train with SGD (lr 0.1, batch 64); report the units' spread, the first gradients and the test accuracy."""
    x, y = split.train
    model = _net(x.shape[1], int(y.max()) + 1)
    init_(model, scheme, seed=seed)
    linears = [m for m in model if isinstance(m, nn.Linear)]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    order = torch.Generator().manual_seed(seed % 2**63)
    spreads, first_gradients = [_spreads(linears)], []
    for step in range(steps):
        batch = torch.randint(0, len(x), (64,), generator=order)
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(model(x[batch]), y[batch]))
        if step == 0:
            first_gradients = [float(m.weight.grad.abs().max()) for m in linears if m.weight.grad is not None]
        optimizer.step()
        if step + 1 in _moments(steps):
            spreads.append(_spreads(linears))
    with torch.no_grad():
        accuracy = float((model(split.test[0]).argmax(1) == split.test[1]).float().mean())
    return {
        "gradients": first_gradients,
        "spreads": spreads,
        "steps": [0, *_moments(steps)],
        "accuracy": accuracy,
        "majority": float(split.test[1].bincount().max() / len(split.test[1])),
    }


def _moments(steps: int) -> list[int]:
    return sorted({max(1, steps * k // 10) for k in range(1, 11)})


def _spreads(linears: list[nn.Linear]) -> list[float]:
    """For each hidden layer, the largest distance between two units' incoming weights, over their rms.

    Rounding may part units in the last bits: a spread below 1e-4 counts as equal.
    """
    return [_spread(m.weight.detach()) for m in linears[:-1]]


def _spread(weight: Tensor) -> float:
    scale = float(weight.square().mean().sqrt())
    return float((weight - weight.mean(0)).abs().max()) / scale if scale > 0 else 0.0


EQUAL = 1e-4


def _stay_equal(label: str) -> Any:
    def test(results: Mapping[str, Any]) -> Judgement:
        largest = max(max(spread) for run in results[label] for spread in run["spreads"])
        numbers = f"largest spread between units over training: {largest:.2g} of their rms, {len(results[label])} runs"
        return exactly(largest < EQUAL, numbers)

    return test


def _zero_gradients(results: Mapping[str, Any]) -> Judgement:
    runs = results["all 0"]
    before = max(max(run["gradients"][:-1]) for run in runs)
    numbers = f"largest |gradient| of the weights before the last layer, first step: {before:.2g} in {len(runs)} runs"
    return exactly(before == 0.0, numbers)


def _last_gradient(results: Mapping[str, Any]) -> Judgement:
    """With tanh and zero biases the last hidden layer's output is zero, so even the last weights get no gradient."""
    last = [run["gradients"][-1] for run in results["all 0"]]
    return exactly(
        min(last) > 0, f"|gradient| of the last layer's weights, first step: {min(last):.2g} to {max(last):.2g}"
    )


def _accuracy(results: Mapping[str, Any], label: str) -> list[float]:
    return [run["accuracy"] for run in results[label]]


CLAIMS = (
    Claim("With all weights zero, units of a layer stay equal through training.", SOURCE, _stay_equal("all 0")),
    Claim("With all weights 0.5, units of a layer stay equal through training.", SOURCE, _stay_equal("all 0.5")),
    Claim("With all weights 1, units of a layer stay equal through training.", SOURCE, _stay_equal("all 1")),
    Claim(
        "With all weights zero the gradients of all layers before the last are zero.",
        SOURCE,
        _zero_gradients,
    ),
    Claim(
        "With all weights zero the last layer's weights still get a gradient.",
        "implied by the usual wording 'all but the last'; with tanh and zero biases",
        _last_gradient,
    ),
    Claim(
        "A zero start does no better than always naming the commonest class.",
        SOURCE,
        lambda r: every(
            [
                exactly(
                    max(_accuracy(r, "all 0")) <= r["all 0"][0]["majority"] + 1e-6,
                    f"best accuracy {max(_accuracy(r, 'all 0')):.3f} against {r['all 0'][0]['majority']:.3f}",
                )
            ]
        ),
    ),
    Claim(
        "Only breaking the symmetry helps: a small jitter (std 0.1) beats the zeros that it is put on.",
        SOURCE,
        lambda r: greater(_accuracy(r, "0, jittered"), _accuracy(r, "all 0"), "test accuracy"),
    ),
    Claim(
        "A random start (Xavier) learns what no constant start learns.",
        SOURCE,
        lambda r: every(
            [
                greater(_accuracy(r, "xavier_normal"), _accuracy(r, c), f"accuracy against {c}")
                for c in ("all 0", "all 0.5", "all 1")
            ]
            + [mean_above(_accuracy(r, "xavier_normal"), 0.8, "accuracy of Xavier")]
        ),
    ),
)


def _show(results: Mapping[str, Any]) -> list[Any]:
    series = []
    for label, runs in results.items():
        spreads = np.asarray([[max(spread) for spread in run["spreads"]] for run in runs])
        series.append(Series(name=label, x=tuple(runs[0]["steps"]), y=tuple(spreads.mean(0) + 1e-9)))
    figure = LineFigure(
        title="How far the units of a layer have parted",
        x_label="step",
        y_label="spread of the units / rms of the weights",
        series=tuple(series),
        log_y=True,
        note="Mean over seeds, the layer with the largest spread; 1e-9 is exact equality.",
    )
    columns = (Column("start", kind="code"), Column("test accuracy", align="right"), Column("units parted"))
    rows = [
        (
            label,
            f"{np.mean([r['accuracy'] for r in runs]):.3f}",
            "yes" if max(max(s) for r in runs for s in r["spreads"]) >= EQUAL else "no",
        )
        for label, runs in results.items()
    ]
    return [figure, Table("What training made of it", columns, rows)]


EXPERIMENT = Experiment(
    name="zero-constant-symmetry",
    title="Zero and constant starts, and the symmetry they keep",
    source=SOURCE,
    asks="Why may the weights of a layer not start equal?",
    measure=_measure,
    claims=CLAIMS,
    show=_show,
    errata=(
        "'All but the last layer get no gradient' is itself too kind: with tanh and zero biases the last layer's "
        "weights get none either, since their inputs are zero; only its bias learns.",
    ),
    minutes=(0.05, 0.46),
)
