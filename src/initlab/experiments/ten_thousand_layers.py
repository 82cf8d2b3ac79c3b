"""`ten-thousand-layers`: very deep plain tanh networks from orthogonal weights, and from Xavier's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from initlab.data import Split
from initlab.experiments.claims import Claim, Judgement, every, exactly, greater, mean_above, mean_below
from initlab.experiments.lab import Lab
from initlab.experiments.registry import Experiment
from initlab.experiments.training import curves, finals
from initlab.planning import init_
from initlab.reporting import Column, LineFigure, Series, Table
from initlab.sampling import derive_seed

XIAO = "Xiao, Bahri, Sohl-Dickstein, Schoenholz & Pennington 2018"
SAXE = "Saxe, McClelland & Ganguli 2014; Pennington, Schoenholz & Ganguli 2017"
WIDTH, BATCH, RATE = 64, 64, 3e-5
CHECKPOINT_EVERY = 20
DEEPEST_STEPS = 200
# A step of Adam moves every layer by the rate, and the function by that times the depth.
DEEPEST_RATE = RATE / 10
STARTS = {"orthogonal": "orthogonal", "Xavier": "xavier_normal"}


class Deep(nn.Module):
    """`depth` square tanh layers between a linear embedding and a linear read-out; no bias, norm or skip anywhere."""

    def __init__(self, inputs: int, depth: int, classes: int = 10) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, WIDTH, bias=False)
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(depth))
        self.head = nn.Linear(WIDTH, classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.embed(x))
        for layer in self.layers:
            x = torch.tanh(layer(x))
        out: Tensor = self.head(x)
        return out


def _measure(lab: Lab) -> dict[str, Any]:
    split = lab.data(normalize=True)
    depth, seeds, steps = (200, 3, 40) if lab.small else (1000, 3, 800)
    results: dict[str, Any] = {"depth": depth, "steps": steps}
    for label, scheme in STARTS.items():
        results[label] = [
            lab.part(
                f"{depth} layers {label} {seed} {steps}",
                partial(_train, lab, f"{depth} {scheme} {seed}", split, scheme, depth, steps, seed),
            )
            for seed in range(seeds)
        ]
    if not lab.small:
        results["deepest"] = lab.part(
            f"10000 layers orthogonal {DEEPEST_STEPS} {DEEPEST_RATE}",
            lambda: _train(
                lab, f"10000 orthogonal {DEEPEST_RATE}", split, "orthogonal", 10_000, DEEPEST_STEPS, 0, DEEPEST_RATE
            ),
        )
    return results


def _train(
    lab: Lab, name: str, split: Split, scheme: str, depth: int, steps: int, seed: int, rate: float = RATE
) -> dict[str, Any]:
    """Adam, batch 64; goes on from its checkpoint when it was stopped."""
    x, y = split.train
    model = Deep(x.shape[1], depth)
    init_(model, scheme, seed=derive_seed(lab.seed, "deep", seed))
    spectrum = _gradient_profile(model, x[:BATCH], y[:BATCH])
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    path = lab.scratch(name)
    run: dict[str, Any] = {"loss": [], "accuracy": [], "diverged": False, "gradients": spectrum}
    done = _resume(path, model, optimizer, run)
    points = max(1, steps // 20)
    losses: list[float] = []
    for step in range(done, steps):
        order = torch.Generator().manual_seed(derive_seed(lab.seed, "order", seed, step) >> 1)
        batch = torch.randint(0, len(x), (BATCH,), generator=order)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(float(loss.detach()))
        if (step + 1) % points == 0 or step + 1 == steps:
            run["loss"].append([step + 1, float(np.mean(losses))])
            run["accuracy"].append([step + 1, _accuracy(model, split.test)])
            losses = []
            if path is not None and (step + 1) % CHECKPOINT_EVERY == 0:
                _keep(path, model, optimizer, run, step + 1)
    return run


def _accuracy(model: nn.Module, pair: tuple[Tensor, Tensor]) -> float:
    """On the first 2,000 test samples."""
    with torch.no_grad():
        return float((model(pair[0][:2000]).argmax(1) == pair[1][:2000]).float().mean())


def _gradient_profile(model: Deep, x: Tensor, y: Tensor) -> list[float]:
    """rms of the weights' gradients at step 0 at eleven depths."""
    loss = nn.functional.cross_entropy(model(x), y)
    indices = np.linspace(0, len(model.layers) - 1, 11).astype(int)
    weights = [next(iter(model.layers[int(i)].parameters())) for i in indices]
    return [float(g.square().mean().sqrt()) for g in torch.autograd.grad(loss, weights)]


def _keep(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, run: dict[str, Any], done: int) -> None:
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "run": run, "done": done}
    temporary = path.with_suffix(".partial")
    torch.save(state, temporary)
    os.replace(temporary, path)


def _resume(path: Path | None, model: nn.Module, optimizer: torch.optim.Optimizer, run: dict[str, Any]) -> int:
    if path is None or not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    run.update(state["run"])
    return int(state["done"])


def _ten_thousand(results: Mapping[str, Any]) -> Judgement:
    if "deepest" not in results:
        return Judgement(
            "inconclusive", "10,000 layers are trained in the full form alone", "only the full form can tell"
        )
    best = max(accuracy for _, accuracy in results["deepest"]["accuracy"])
    return exactly(best > 0.5, f"best test accuracy of one run of 10,000 layers: {best:.3f}, against 0.5")


CLAIMS = (
    Claim(
        "A tanh network of this depth learns from orthogonal weights (accuracy over 60%).",
        XIAO,
        lambda r: mean_above(finals(r["orthogonal"], "accuracy"), 0.6, "accuracy"),
    ),
    Claim(
        "From Xavier's weights it stays at chance (accuracy under 25%).",
        XIAO,
        lambda r: mean_below(finals(r["Xavier"], "accuracy"), 0.25, "accuracy"),
    ),
    Claim(
        "Orthogonal ends more accurate than Xavier by at least 40 points.",
        XIAO,
        lambda r: greater(finals(r["orthogonal"], "accuracy"), finals(r["Xavier"], "accuracy"), "accuracy", least=0.4),
    ),
    Claim(
        "Orthogonal weights carry the gradient evenly: at the first layer it is within a factor of 10 of the last.",
        SAXE,
        lambda r: every(
            [
                mean_above(
                    [run["gradients"][0] / run["gradients"][-1] for run in r["orthogonal"]], 0.1, "first over last"
                ),
                mean_below(
                    [run["gradients"][0] / run["gradients"][-1] for run in r["orthogonal"]], 10, "first over last"
                ),
            ]
        ),
    ),
    Claim("A plain network of 10,000 layers can be trained (accuracy over 50%).", XIAO, _ten_thousand),
)


def _show(results: Mapping[str, Any]) -> list[Any]:
    shown = {label: results[label] for label in STARTS}
    series = []
    for label, runs in shown.items():
        profile = np.log(np.maximum([run["gradients"] for run in runs], 1e-45)).mean(0)
        series.append(Series(label, np.linspace(0, 1, len(profile)).tolist(), np.exp(profile).tolist()))
    gradients = LineFigure(
        f"Gradient of the weights at step 0, {results['depth']:,} layers",
        "depth (0 = first layer, 1 = last)",
        "rms of the gradient",
        tuple(series),
        log_y=True,
    )
    columns = (Column("start"), Column("layers", "right"), Column("steps", "right"), Column("accuracy", "right"))
    rows = [
        (label, f"{results['depth']:,}", str(results["steps"]), f"{np.mean(finals(runs, 'accuracy')):.3f}")
        for label, runs in shown.items()
    ]
    blocks: list[Any] = [curves(shown, "Training loss"), curves(shown, "Test accuracy", "accuracy"), gradients]
    if "deepest" in results:
        deepest = {"orthogonal, 10,000 layers": [results["deepest"]]}
        blocks.append(curves(deepest, "Ten thousand layers: test accuracy", "accuracy"))
        last = results["deepest"]["accuracy"][-1]
        rows.append(("orthogonal", "10,000", str(last[0]), f"{last[1]:.3f}"))
    return [*blocks, Table("What was learned", columns, rows)]


EXPERIMENT = Experiment(
    name="ten-thousand-layers",
    title="A thousand layers, and ten thousand",
    source=f"{XIAO}; {SAXE}",
    asks="How deep can a plain network be, with neither norm nor skip, and still learn?",
    measure=_measure,
    claims=CLAIMS,
    show=_show,
    minutes=(0.25, 15),
)
