"""The five-layer story on real data: eight starts of one network, what inspect predicts, what training then does."""

from __future__ import annotations

import itertools
import os
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from initlab.errors import seed_number, unknown
from initlab.reporting import (
    Callout,
    Column,
    HistogramGrid,
    LineFigure,
    Page,
    Panel,
    Section,
    Series,
    Table,
    Text,
    format_number,
    save_page,
    table_html,
    table_text,
    write_json,
)

if TYPE_CHECKING:
    from torch import nn

    from initlab.comparison import Comparison
    from initlab.inspection import Inspection, LayerStats
    from initlab.schemes import Scheme

LAYERS, WIDTH, CLASSES = 5, 100, 10
BATCH, STEPS, INSPECTED = 64, 600, 256
# Accuracy beyond which a run has learned something: ten classes give 0.1 by chance.
LEARNED = 0.5
SIGMOID_BINS = 40
OPTIMIZERS = {"sgd": 0.1, "adamw": 1e-3}


@dataclass(frozen=True)
class Start:
    """One way to begin: an activation, a scheme, and what the story calls it."""

    name: str
    activation: str
    scheme: str
    arguments: tuple[tuple[str, float], ...] = ()

    def policy(self) -> Scheme:
        """The scheme with its arguments set."""
        from initlab.schemes import get_scheme

        return get_scheme(self.scheme, **dict(self.arguments))


STARTS = (
    Start("sigmoid, std 1", "Sigmoid", "normal", (("std", 1.0),)),
    Start("sigmoid, std 0.01", "Sigmoid", "normal", (("std", 0.01),)),
    Start("sigmoid, Xavier", "Sigmoid", "xavier_normal"),
    Start("ReLU, std 0.01", "ReLU", "normal", (("std", 0.01),)),
    Start("ReLU, Xavier", "ReLU", "xavier_normal"),
    Start("ReLU, He", "ReLU", "he_normal"),
    Start("ReLU, zeros", "ReLU", "zeros"),
    Start("ReLU, constant 0.1", "ReLU", "constant", (("value", 0.1),)),
)


@dataclass(frozen=True)
class Trial:
    """One start under one optimizer: the prediction, and what training did.

    Attributes:
        start: how the weights began.
        optimizer: "sgd" or "adamw".
        inspection: made before the first step.
        steps: of the loss curve.
        losses: mean training loss up to each of `steps`.
        accuracy: on held-out digits after the last step; 0 for a run that diverged.
    """

    start: Start
    optimizer: str
    inspection: Inspection
    steps: tuple[float, ...]
    losses: tuple[float, ...]
    accuracy: float

    @property
    def learned(self) -> bool:
        """Whether training got beyond `LEARNED`."""
        return self.accuracy > LEARNED

    @property
    def agrees(self) -> bool:
        """Whether the verdict said so beforehand."""
        return (self.inspection.verdict != "untrainable") == self.learned


@dataclass(frozen=True)
class Demo:
    """All trials. `print(demo)` is the table, `demo.save("demo.html")` the report."""

    trials: tuple[Trial, ...]
    seed: int
    seconds: float

    def of(self, start: Start) -> tuple[Trial, ...]:
        """The trials of one start, by optimizer."""
        return tuple(trial for trial in self.trials if trial.start == start)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the report: `.html` for people, `.json` for machines.

        Raises:
            InputError: another ending, or a path that cannot be written.
        """
        ending = Path(path).suffix.lower()
        if ending in (".html", ".htm"):
            return save_page(page(self), path)
        if ending == ".json":
            return write_json(record(self), path)
        raise unknown("report ending", ending, [".html", ".json"], f"path {os.fspath(path)!r}")

    def __repr__(self) -> str:
        return f"{table_text(results(self))}\n\n{textwrap.fill(agreement(self), 80)}"

    def _repr_html_(self) -> str:
        return table_html(results(self))


def run(*, seed: int = 0, note: Callable[[str], None] = lambda line: None) -> Demo:
    """Inspect and train eight starts of a five-layer network on scikit-learn's digits, with SGD and with AdamW.

    Args:
        seed: root seed in [0, 2^64).
        note: called with one line as each part starts.

    Returns:
        A `Demo`.

    Source:
        X. Glorot, Y. Bengio: Understanding the difficulty of training deep feedforward neural networks (2010);
        K. He et al.: Delving deep into rectifiers (2015).
    """
    from initlab import data

    seed, began = seed_number(seed), time.perf_counter()
    split = data.digits()
    note(f"{split}; a network of {LAYERS} layers of {WIDTH} units, {STEPS} steps of {BATCH}")
    trials: list[Trial] = []
    for optimizer, lr in OPTIMIZERS.items():
        for activation in dict.fromkeys(start.activation for start in STARTS):
            starts = [start for start in STARTS if start.activation == activation]
            note(f"{activation} with {optimizer}, lr {lr:g}: {', '.join(s.name.split(', ')[1] for s in starts)}")
            trials += _trials(starts, optimizer, lr, split, seed)
    trials.sort(key=lambda trial: STARTS.index(trial.start))
    return Demo(tuple(trials), seed, time.perf_counter() - began)


def network(activation: str, features: int = 64) -> nn.Module:
    """Five hidden layers of 100 units, each followed by `activation`, and ten outputs.

    >>> sum(p.numel() for p in network("ReLU").parameters())
    47910
    """
    from torch import nn

    sizes = [features] + [WIDTH] * LAYERS
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), getattr(nn, activation)()]
    return nn.Sequential(*layers, nn.Linear(WIDTH, CLASSES))


def _trials(starts: Sequence[Start], optimizer: str, lr: float, split: Any, seed: int) -> list[Trial]:
    from initlab.comparison import compare
    from initlab.inspection import inspect
    from initlab.planning import init_

    def build() -> nn.Module:
        return network(starts[0].activation)

    inputs, targets = split.train[0][:INSPECTED], split.train[1][:INSPECTED]
    inspections = []
    for start in starts:
        model = build()
        init_(model, start.policy(), seed=seed)
        inspections.append(inspect(model, inputs, targets, optimizer=optimizer, lr=lr))
    trained = compare(
        build,
        split.train,
        split.test,
        {start.name: start.policy() for start in starts},
        seeds=1,
        optimizer=optimizer,
        lr=lr,
        batch_size=BATCH,
        steps=STEPS,
        seed=seed,
        progress=False,
    )
    return [_trial(start, optimizer, i, trained) for start, i in zip(starts, inspections, strict=True)]


def _trial(start: Start, optimizer: str, inspection: Inspection, trained: Comparison) -> Trial:
    record = trained.of(start.name)[0]
    steps, losses = (tuple(float(v) for v in column) for column in record.curve.T)
    accuracy = record.accuracy if record.status == "finished" else 0.0
    return Trial(start, optimizer, inspection, steps, losses, accuracy)


def results(demo: Demo) -> Table:
    """One row a start: what was found, and under each optimizer the prediction and the accuracy that came of it."""
    columns = [Column("start", keep=9), Column("found at step 0", keep=5)]
    for optimizer in OPTIMIZERS:
        columns += [Column(f"{optimizer}: verdict", kind="status", keep=8), Column("acc.", "right", "number", 7)]
    rows = []
    for start in STARTS:
        trials = demo.of(start)
        cells = [cell for trial in trials for cell in (trial.inspection.verdict, f"{trial.accuracy:.0%}")]
        rows.append((start.name, found(trials[0]), *cells))
    return Table(f"Eight starts of a {LAYERS}-layer network on digits", columns, rows)


def found(trial: Trial) -> str:
    """The kinds of finding, most severe first."""
    return ", ".join(dict.fromkeys(finding.kind for finding in trial.inspection.findings)) or "–"


def agreement(demo: Demo) -> str:
    """How often the prediction held, in a sentence."""
    right = sum(trial.agrees for trial in demo.trials)
    return (
        f"Training agreed with {right} of {len(demo.trials)} verdicts "
        f"(learned = more than {LEARNED:.0%} of held-out digits right after {STEPS} steps; chance is 10%)."
    )


def record(demo: Demo) -> dict[str, Any]:
    """The demo in what JSON holds."""
    trials = [
        {
            "start": t.start.name,
            "activation": t.start.activation,
            "scheme": t.start.policy().label,
            "optimizer": t.optimizer,
            "lr": OPTIMIZERS[t.optimizer],
            "verdict": t.inspection.verdict,
            "findings": t.inspection.findings,
            "accuracy": t.accuracy,
            "learned": t.learned,
            "agrees": t.agrees,
            "steps": t.steps,
            "losses": t.losses,
        }
        for t in demo.trials
    ]
    return {"seed": demo.seed, "seconds": round(demo.seconds, 2), "trials": trials}


def page(demo: Demo) -> Page:
    """The report: the table, the loss curves, and every layer's activations."""
    facts = (
        ("data", "digits, 1,442 to train on, 355 held out"),
        ("network", f"{LAYERS} layers of {WIDTH} units"),
        ("training", f"{STEPS} steps of {BATCH}"),
        ("optimizers", ", ".join(f"{name}, lr {lr:g}" for name, lr in OPTIMIZERS.items())),
        ("seed", str(demo.seed)),
    )
    lead = "One network, eight ways to begin. The verdicts were made before the first step, and then each was trained."
    sections = [
        Section("What was predicted, and what training did", [*_remarks(demo), results(demo)]),
        Section("Training", [_curves(demo, optimizer) for optimizer in OPTIMIZERS]),
        Section("Activations at step zero", [_histograms(demo.of(start)[0]) for start in STARTS], HISTOGRAMS),
    ]
    return Page("How a network begins decides whether it learns", lead, [*sections, *_findings(demo)], facts)


HISTOGRAMS = (
    "The output of each activation on one batch of digits, before any training. Healthy layers spread; saturated ones "
    "pile up at the ends; collapsed ones stand as one spike, where every digit looks alike."
)


def _remarks(demo: Demo) -> list[Callout]:
    wrong = [trial for trial in demo.trials if not trial.agrees]
    remarks = [Callout("good" if not wrong else "info", agreement(demo))]
    for trial in wrong:
        told = f"{trial.inspection.verdict} was predicted, and training reached {trial.accuracy:.0%}"
        remarks.append(Callout("warning", f"{trial.start.name}, {trial.optimizer}", told))
    return remarks


def _curves(demo: Demo, optimizer: str) -> LineFigure:
    series = [Series(t.start.name, t.steps, t.losses) for t in demo.trials if t.optimizer == optimizer]
    return LineFigure(f"Training loss, {optimizer}", "step", "cross-entropy", series, log_y=True)


def _histograms(trial: Trial) -> HistogramGrid:
    layers = [layer for layer in trial.inspection.layers if layer.activation]
    panels = [
        Panel(f"layer {number}", *_binned(layer, trial.start), note=f"std {format_number(layer.std, 2)}")
        for number, layer in enumerate(layers, start=1)
    ]
    return HistogramGrid(trial.start.name, panels, columns=LAYERS)


def _binned(layer: LayerStats, start: Start) -> tuple[Sequence[float], Sequence[int]]:
    """The layer's histogram; a sigmoid's over the whole of [0, 1], so that a collapsed layer shows as one spike."""
    if start.activation != "Sigmoid":
        return layer.edges, layer.counts
    counts = [0] * SIGMOID_BINS
    for left, right, count in zip(layer.edges[:-1], layer.edges[1:], layer.counts, strict=True):
        counts[min(SIGMOID_BINS - 1, int((left + right) / 2 * SIGMOID_BINS))] += count
    return [i / SIGMOID_BINS for i in range(SIGMOID_BINS + 1)], counts


def _findings(demo: Demo) -> list[Section]:
    levels: dict[str, Any] = {"error": "error", "warning": "warning", "info": "info"}
    blocks: list[Any] = []
    for trial in demo.trials:
        for finding in trial.inspection.findings:
            title = f"{trial.start.name}, {trial.optimizer}: {finding.kind} at {finding.where}"
            blocks.append(Callout(levels[finding.severity], title, f"{finding.evidence}. {finding.advice}"))
    return [Section("Every finding", blocks or [Text("Nothing was found.")])]
