"""Training the runs of an experiment by `compare`, and reading numbers off them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from initlab.comparison import Comparison, compare
from initlab.data import Split
from initlab.errors import InputError
from initlab.experiments.lab import Lab
from initlab.reporting import LineFigure, Series
from initlab.sampling import derive_seed

DIVERGED_LOSS = 23.03  # ten times ln 10: what a run that diverged counts as
# How runs train is fixed here rather than chosen by timing, so that numbers repeat on one machine bit for bit.
STACKED = "stacked:8"
ENGINES = (f"processes:{STACKED}", STACKED, "processes:sequential")

Pair = tuple[Tensor, Tensor]


def train(
    lab: Lab,
    part: str,
    *,
    build: Callable[[], nn.Module],
    data: Split,
    starts: Mapping[str, Any],
    seeds: int,
    optimizer: str,
    lr: float,
    batch_size: int,
    steps: int,
    every: int | None = None,
    tests: int = 25,
    weight_decay: float = 0.0,
    options: Mapping[str, Any] | None = None,
    also: Mapping[str, Pair] | None = None,
) -> dict[str, Any]:
    """Train every start with every seed; the part is stored, so that a stopped experiment goes on.

    Args:
        part: names the runs; with `lab.small` and the seed it must determine everything else here.
        starts: label -> policy.
        every: steps between two points of the curves; steps // 25 by default. A point's loss is the mean over the
            steps since the last one.
        tests: how many points the curve of the test accuracy has, at most as many as that of the loss.
        also: more test sets by name, on which the final accuracy is taken; each trains the same runs anew.

    Returns:
        label -> one dict a seed: `loss` and `accuracy` as [step, value] points, `diverged`, and each name in `also`.
        Beside them, "settings".
    """
    how = f"{optimizer} {lr} {batch_size} {steps} {weight_decay} {dict(options or {})} {STACKED}"
    key = f"{part} {sorted(starts)} {seeds} {how}"
    settings = {"small": lab.small, "steps": steps, "lr": lr, "optimizer": optimizer, "batch_size": batch_size}
    points = steps // (every or max(1, steps // 25))
    shared = {
        "seeds": seeds, "optimizer": optimizer, "lr": lr, "batch_size": batch_size, "steps": steps,
        "weight_decay": weight_decay, "options": options, "seed": derive_seed(lab.seed, "training"), "progress": False,
    }  # fmt: skip

    def compute() -> dict[str, Any]:
        given = {"evaluations": min(tests, points), "curve_points": points, **shared}
        runs = _runs(_compared(build, data.train, data.test, starts, given), starts)
        for name, pair in (also or {}).items():
            again = _compared(build, data.train, pair, starts, {"evaluations": 1, **shared})
            for label in starts:
                for run, record in zip(runs[label], again.of(label), strict=True):
                    run[name] = float(record.tests[-1, 2])
        return runs

    runs: dict[str, Any] = lab.part(key, compute, words=part)
    return runs | {"settings": settings}


def _compared(
    build: Callable[[], nn.Module], train: Pair, test: Pair, starts: Mapping[str, Any], given: Mapping[str, Any]
) -> Comparison:
    """In stacks, in worker processes where that can be; else one run after another, which says what is wrong."""
    for engine in ENGINES:
        with contextlib.suppress(InputError):
            return compare(build, train, test, starts, engine=engine, **given)
    return compare(build, train, test, starts, engine="sequential", **given)


def _runs(compared: Comparison, starts: Mapping[str, Any]) -> dict[str, Any]:
    return {label: [_run(record, compared.settings["steps"]) for record in compared.of(label)] for label in starts}


def _run(record: Any, steps: int) -> dict[str, Any]:
    return {
        "loss": [[int(step), float(loss)] for step, loss in record.curve],
        "accuracy": [[int(step), float(accuracy)] for step, _, accuracy in record.tests],
        "diverged": record.status == "diverged",
        "steps": steps,
    }


def finals(runs: Sequence[Mapping[str, Any]], what: str) -> list[float]:
    """The last `loss` or `accuracy` of every run, or the number stored under `what`.

    A run that diverged has loss `DIVERGED_LOSS` and the accuracy that its last weights have, 0 where they have none.
    """
    return [_final(run, what) for run in runs]


def _final(run: Mapping[str, Any], what: str) -> float:
    if what == "loss" and run["diverged"]:
        return DIVERGED_LOSS
    value = run.get(what)
    if isinstance(value, list):
        value = value[-1][1] if value else None
    return float(value) if value is not None and math.isfinite(value) else 0.0


def until(runs: Sequence[Mapping[str, Any]], loss: float) -> list[float]:
    """Steps until the smoothed training loss is at most `loss`; a run that never is counts as all its steps."""
    return [next((s for s, value in run["loss"] if value <= loss), run["steps"]) for run in runs]


def curves(results: Mapping[str, Any], title: str, what: str = "loss") -> LineFigure:
    """Mean over seeds of the training loss or the test accuracy against the step, with the range as a band."""
    series = []
    for label, runs in results.items():
        if label == "settings":
            continue
        full = [run[what] for run in runs if not run["diverged"]]
        if not full:
            continue
        steps = [step for step, _ in full[0]]
        rows = np.asarray([[value for _, value in points] for points in full], dtype=float)
        series.append(Series(label, steps, rows.mean(0), low=rows.min(0), high=rows.max(0)))
    note = "Mean over seeds; band: their range. Diverged runs are left out."
    label = "training loss" if what == "loss" else "test accuracy"
    return LineFigure(title, "step", label, tuple(series), note=note)
