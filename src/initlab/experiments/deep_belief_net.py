"""`deep-belief-net`: greedy RBM pre-training and fine-tuning, against the same network from random starts."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor, nn

from initlab.experiments.claims import Claim, Judgement, every, exactly, greater, mean_below, only_full
from initlab.experiments.lab import Lab
from initlab.experiments.networks import mlp
from initlab.experiments.registry import Experiment
from initlab.fitting import DbnResult, evaluate, finetune_, pretrain_dbn_
from initlab.planning import init_
from initlab.reporting import BarFigure, Column, ImageGrid, LineFigure, Series, Table
from initlab.sampling import derive_seed
from initlab.schemes import get_scheme

HINTON = "Hinton & Salakhutdinov 2006"
ERHAN = "Erhan, Bengio, Courville, Manzagol, Vincent & Bengio 2010"
STARTS: Mapping[str, Any] = {
    "pre-trained": None,
    "plain random (std 0.01)": get_scheme("normal", std=0.01),
    "Xavier": "xavier_normal",
    "He": "he_normal",
}
SHOWN = 20
DROPOUTS = (0.0, 0.3)  # recipes of fine-tuning; each network takes the one with the lower validation error


def _measure(lab: Lab) -> dict[str, Any]:
    split = lab.data()
    sizes = (64, 100, 100, 200, 10) if lab.small else (784, 500, 500, 2000, 10)
    seeds = 3 if lab.small else 2
    results: dict[str, Any] = {"small": lab.small, "image": list(split.image_shape)}
    for label, scheme in STARTS.items():
        results[label] = [
            lab.part(
                f"dbn {label} {sizes} seed {k} {DROPOUTS}",
                partial(_run, lab, split, sizes, scheme, derive_seed(lab.seed, "dbn", k), f"{label} {k}"),
            )
            for k in range(seeds)
        ]
    return results


def _run(lab: Lab, split: Any, sizes: Sequence[int], scheme: Any, seed: int, name: str) -> dict[str, Any]:
    """One network: its start, then the same fine-tuning whatever the start, its recipe chosen on validation rows.

    `seconds` counts the start and the chosen fine-tuning, in time of the processor, all threads together: on a machine
    that others use, it bounds the time on free cores from above.
    """
    model = mlp(sizes, nn.Sigmoid)
    init_(model, scheme or "xavier_normal", seed=seed)
    began = time.process_time()
    run: dict[str, Any] = {}
    if scheme is None:
        kept = lab.scratch(f"pretraining {name}")
        belief = pretrain_dbn_(model, split.train[0], epochs=15, checkpoint=kept, seed=seed)
        run |= _pictures(belief, split.test[0]) | {"pretraining": time.process_time() - began}
    epochs = 12 if lab.small else 32
    tried = [_tune(copy.deepcopy(model), split, epochs, dropout, seed) for dropout in DROPOUTS]
    chosen, best = min(tried, key=lambda item: min(error for _, error in item[1]["valid"]))
    loss, error = evaluate(chosen, split.test)
    seconds = run.get("pretraining", 0.0) + best["tuning"]
    return run | best | {"error": error, "loss": loss, "seconds": seconds}


def _tune(model: nn.Module, split: Any, epochs: int, dropout: float, seed: int) -> tuple[nn.Module, dict[str, Any]]:
    began = time.process_time()
    tuned = finetune_(
        model, split.train, valid_share=1 / 12, epochs=epochs, patience=epochs, dropout=dropout, seed=seed
    )
    valid = [[epoch.epoch, epoch.valid_error] for epoch in tuned.epochs]
    return model, {"dropout": dropout, "valid": valid, "tuning": time.process_time() - began}


def _pictures(belief: DbnResult, x: Tensor) -> dict[str, Any]:
    """Test images, their reconstructions, first-layer features, and each machine's reconstruction error by epoch."""
    first = belief.rbms[0]
    strongest = first.weight.norm(dim=0).argsort(descending=True)[: 2 * SHOWN]
    return {
        "originals": _rounded(x[:SHOWN]),
        "reconstructions": _rounded(belief.reconstruct(x[:SHOWN])),
        "features": _rounded(first.weight[:, strongest].T),
        "machines": [[e.reconstruction_error for e in rbm.history] for rbm in belief.rbms],
    }


def _rounded(rows: Tensor) -> list[list[float]]:
    return [[round(float(v), 3) for v in row] for row in rows]


def _errors(results: Mapping[str, Any], label: str) -> list[float]:
    return [100 * run["error"] for run in results[label]]


def _best(results: Mapping[str, Any]) -> Judgement:
    if results["small"]:
        return only_full("the digits' error is not MNIST's")
    errors = _errors(results, "pre-trained")
    return exactly(
        max(errors) <= 1.3, f"test error of each run: {', '.join(f'{e:.2f}%' for e in errors)}, against 1.3%"
    )


def _in_time(results: Mapping[str, Any]) -> Judgement:
    minutes = [run["seconds"] / 60 for run in results["pre-trained"]]
    return exactly(
        max(minutes) <= 15, f"pre-training and fine-tuning took {max(minutes):.1f} processor minutes at most"
    )


def _without(results: Mapping[str, Any]) -> Judgement:
    if results["small"]:
        return only_full("the digits' error is not MNIST's")
    best = min(float(np.mean(_errors(results, label))) for label in STARTS if label != "pre-trained")
    return exactly(best >= 1.5, f"lowest mean test error of a random start: {best:.2f}%, against 1.5%")


CLAIMS = (
    Claim("With pre-training the network reaches about 1.2% test error (at most 1.3% here).", HINTON, _best),
    Claim("Without it, it stays about 1.6% (no random start under 1.5%).", HINTON, _without),
    Claim(
        "Pre-training beats plain small random weights.",
        f"{HINTON}; {ERHAN}",
        lambda r: greater(_errors(r, "plain random (std 0.01)"), _errors(r, "pre-trained"), "test error in %"),
    ),
    Claim(
        "Pre-training beats Xavier's start as well.",
        ERHAN,
        lambda r: greater(_errors(r, "Xavier"), _errors(r, "pre-trained"), "test error in %"),
    ),
    Claim(
        "A good random start (Xavier) does most of what pre-training did: it is within 0.5 points.",
        "Glorot & Bengio 2010",
        lambda r: mean_below(
            [a - b for a, b in zip(_errors(r, "Xavier"), _errors(r, "pre-trained"), strict=True)],
            0.5,
            "difference in %",
        ),
    ),
    Claim(
        "Each machine's reconstruction error falls as it learns.",
        HINTON,
        lambda r: every(
            [
                exactly(errors[-1] < errors[0], f"machine {k}: {errors[0]:.4f} to {errors[-1]:.4f}")
                for run in r["pre-trained"]
                for k, errors in enumerate(run["machines"], 1)
            ]
        ),
    ),
    Claim("It takes at most fifteen minutes on two cores.", "the goal of this reproduction", _in_time),
)


def _show(results: Mapping[str, Any]) -> list[Any]:
    run = results["pre-trained"][0]
    shape = tuple(results["image"])
    labels = [label for label in STARTS if label in results]
    bars = BarFigure(
        "Test error after the same fine-tuning",
        "start",
        "test error, %",
        (Series("mean over seeds", labels, [float(np.mean(_errors(results, label))) for label in labels]),),
    )
    tuning = LineFigure(
        "Validation error during fine-tuning",
        "epoch",
        "error",
        tuple(
            Series(label, [e for e, _ in results[label][0]["valid"]], [v for _, v in results[label][0]["valid"]])
            for label in labels
        ),
        note="First seed.",
        log_y=True,
    )
    machines = LineFigure(
        "Reconstruction error of each machine",
        "epoch",
        "mean squared error per unit",
        tuple(Series(f"machine {k}", range(1, len(e) + 1), e) for k, e in enumerate(run["machines"], 1)),
    )
    columns = (
        Column("start"),
        Column("test error, %", "right"),
        Column("processor minutes", "right"),
        Column("dropout chosen", "right"),
    )
    rows = [
        (
            label,
            ", ".join(f"{e:.2f}" for e in _errors(results, label)),
            f"{np.mean([r['seconds'] for r in results[label]]) / 60:.1f}",
            ", ".join(f"{r['dropout']:g}" for r in results[label]),
        )
        for label in labels
    ]
    pictures = [
        ImageGrid("Test images", [np.reshape(i, shape) for i in run["originals"]], columns=SHOWN),
        ImageGrid(
            "Their reconstructions from the top layer",
            [np.reshape(i, shape) for i in run["reconstructions"]],
            columns=SHOWN,
        ),
        ImageGrid(
            "Strongest features of the first machine", [np.reshape(i, shape) for i in run["features"]], columns=SHOWN
        ),
    ]
    return [Table("Test error by seed", columns, rows), bars, tuning, *pictures, machines]


EXPERIMENT = Experiment(
    name="deep-belief-net",
    title="Deep belief network: pre-training against random starts",
    source=f"{HINTON}; {ERHAN}",
    asks="What does greedy pre-training give that a random start does not?",
    measure=_measure,
    claims=CLAIMS,
    show=_show,
    minutes=(0.21, 50),
)
