"""`orthogonal-rnn`: a recurrent network that must remember its first input over a long, noisy wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from initlab.experiments.claims import Claim, every, greater, mean_above
from initlab.experiments.lab import Lab
from initlab.experiments.registry import Experiment
from initlab.planning import init_
from initlab.reporting import Column, LineFigure, Series, Table
from initlab.sampling import derive_seed

SAXE = "Saxe, McClelland & Ganguli 2014; Vorontsov et al. 2017"
LE = "Le, Jaitly & Hinton 2015 (IRNN)"
SYMBOLS, HIDDEN, RATE, NOISE = 8, 64, 3e-4, 0.1
STARTS = {
    "orthogonal": {"*.weight_hh_l0": "orthogonal"},
    "Xavier": {"*.weight_hh_l0": "xavier_normal"},
    "identity": {"*.weight_hh_l0": "identity"},
}


class Recall(nn.Module):
    """A tanh RNN whose last state names the first symbol."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.RNN(SYMBOLS + 2, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, SYMBOLS)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.cell(x)
        out: Tensor = self.head(states[:, -1])
        return out


def _batch(samples: int, wait: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(samples, wait, SYMBOLS + 2) inputs: a one-hot symbol first, then noise on two further channels; the symbol."""
    y = torch.randint(0, SYMBOLS, (samples,), generator=generator)
    x = torch.zeros(samples, wait, SYMBOLS + 2)
    x[torch.arange(samples), 0, y] = 1.0
    x[:, 1:, SYMBOLS:] = NOISE * torch.randn(samples, wait - 1, 2, generator=generator)
    return x, y


def _measure(lab: Lab) -> dict[str, Any]:
    waits, seeds, steps = ((40,), 5, 60) if lab.small else ((50, 100, 200), 10, 400)
    results: dict[str, Any] = {"waits": list(waits), "steps": steps}
    for wait in waits:
        for label, policy in STARTS.items():

            def compute(policy: Any = policy, wait: int = wait) -> list[dict[str, Any]]:
                return [_train(policy, wait, steps, derive_seed(lab.seed, "recall", k)) for k in range(seeds)]

            results[f"{wait} {label}"] = lab.part(f"recall {wait} {label} {seeds} {steps}", compute)
    return results


def _train(policy: Any, wait: int, steps: int, seed: int) -> dict[str, Any]:
    """Adam with the gradient's norm clipped at 1, batch 64; accuracy on 500 fresh sequences at ten moments."""
    model = Recall()
    base = {"*": "auto", "*.weight_ih_l0": "xavier_normal", "head.weight": "xavier_normal"}
    init_(model, base | policy, seed=seed)
    generator = torch.Generator().manual_seed(seed >> 1)
    gradient = _gradient_ratio(model, wait, generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    accuracy = []
    for step in range(1, steps + 1):
        x, y = _batch(64, wait, generator)
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(model(x), y))
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % max(1, steps // 10) == 0:
            accuracy.append([step, _accuracy(model, wait, generator)])
    return {"accuracy": accuracy, "gradient": gradient}


def _accuracy(model: nn.Module, wait: int, generator: torch.Generator) -> float:
    x, y = _batch(500, wait, generator)
    with torch.no_grad():
        return float((model(x).argmax(1) == y).float().mean())


def _gradient_ratio(model: nn.Module, wait: int, generator: torch.Generator) -> float:
    """rms of the loss's gradient at the first input over that at the last, on the symbols' own channels."""
    x, y = _batch(64, wait, generator)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(model(x), y), x)
    return float(gradient[:, 0].norm() / gradient[:, -1].norm())


def _area(results: Mapping[str, Any], wait: int, label: str) -> list[float]:
    """Per seed, the mean accuracy over training: high when it is learned early."""
    return [float(np.mean([a for _, a in run["accuracy"]])) for run in results[f"{wait} {label}"]]


def _ends(results: Mapping[str, Any], wait: int, label: str) -> list[float]:
    return [run["accuracy"][-1][1] for run in results[f"{wait} {label}"]]


CLAIMS = (
    Claim(
        "From orthogonal recurrent weights the network learns to remember (accuracy over 90%).",
        SAXE,
        lambda r: every([mean_above(_ends(r, w, "orthogonal"), 0.9, f"accuracy, wait {w}") for w in r["waits"]]),
    ),
    Claim(
        "Orthogonal learns it earlier than Xavier.",
        SAXE,
        lambda r: every(
            [greater(_area(r, w, "orthogonal"), _area(r, w, "Xavier"), f"mean accuracy, wait {w}") for w in r["waits"]]
        ),
    ),
    Claim(
        "Orthogonal is the more reliable: its worst seed is better than Xavier's average.",
        SAXE,
        lambda r: every(
            [
                greater(
                    [min(_ends(r, w, "orthogonal"))] * len(_ends(r, w, "Xavier")),
                    _ends(r, w, "Xavier"),
                    f"worst of orthogonal − Xavier, wait {w}",
                )
                for w in r["waits"]
            ]
        ),
    ),
    Claim(
        "The identity does as well as an orthogonal start (mean accuracy over training no lower).",
        LE,
        lambda r: every(
            [
                greater(
                    _area(r, w, "identity"), _area(r, w, "orthogonal"), f"identity − orthogonal, wait {w}", least=-0.02
                )
                for w in r["waits"]
            ]
        ),
    ),
    Claim(
        "Orthogonal weights still bring a gradient to the first input: at least 1% of that at the last.",
        SAXE,
        lambda r: every(
            [
                mean_above([run["gradient"] for run in r[f"{w} orthogonal"]], 0.01, f"first over last, wait {w}")
                for w in r["waits"]
            ]
        ),
    ),
)


def _show(results: Mapping[str, Any]) -> list[Any]:
    blocks: list[Any] = []
    for wait in results["waits"]:
        series = []
        for label in STARTS:
            runs = results[f"{wait} {label}"]
            steps = [step for step, _ in runs[0]["accuracy"]]
            rows = np.asarray([[a for _, a in run["accuracy"]] for run in runs])
            series.append(
                Series(label, steps, rows.mean(0).tolist(), low=rows.min(0).tolist(), high=rows.max(0).tolist())
            )
        note = "Mean over seeds; band: their range. Chance is 1/8."
        blocks.append(
            LineFigure(f"Remembering over {wait} steps", "training step", "accuracy", tuple(series), note=note)
        )
    columns = (Column("start"), *(Column(f"wait {w}", "right") for w in results["waits"]))
    table = [(label, *(f"{np.mean(_ends(results, w, label)):.3f}" for w in results["waits"])) for label in STARTS]
    return [*blocks, Table("Final accuracy, mean over seeds", columns, table)]


EXPERIMENT = Experiment(
    name="orthogonal-rnn",
    title="Orthogonal recurrent weights and long memory",
    source=f"{SAXE}; {LE}",
    asks="Does an orthogonal start help a recurrent network to remember?",
    measure=_measure,
    claims=CLAIMS,
    show=_show,
    minutes=(0.13, None),
)
