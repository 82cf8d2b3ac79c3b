"""Training the runs of an experiment through the comparison's engines, and reading numbers off them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from initlab.data import Split
from initlab.errors import InputError
from initlab.experiments.lab import Lab
from initlab.reporting import LineFigure, Series
from initlab.sampling import derive_seed
from initlab.training.engines import Session, get_engine
from initlab.training.engines.agree import CannotStack
from initlab.training.engines.machine import can_fork
from initlab.training.task import RunSpec, Task

DIVERGED_LOSS = 23.03  # ten times ln 10: what a run that diverged counts as
# How runs train is fixed here rather than chosen by timing, so that numbers repeat on one machine bit for bit.
STACKED, SEQUENTIAL, CHANNELS_LAST = "stacked:8", "sequential", "sequential:channels_last"


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
    also: Mapping[str, tuple[Tensor, Tensor]] | None = None,
) -> dict[str, Any]:
    """Train every start with every seed; the part is stored, so that a stopped experiment goes on.

    Args:
        part: names the runs; with `lab.small` and the seed it must determine everything else here.
        starts: label -> policy.
        every: steps between two points of the curves; steps // 25 by default. A point's loss is the mean over the
            steps since the last one.
        tests: about how many points the curve of the test accuracy has, at most as many as that of the loss.
        also: at most one more test set, by name, on which the final accuracy is taken.

    Returns:
        label -> one dict a seed: `loss` and `accuracy` as [step, value] points, `diverged`, and each name in `also`.
        Beside them, "settings".
    """
    extra = dict(also or {})
    task = Task(
        build=build,
        train=data.train,
        test=data.test,
        valid=next(iter(extra.values()), None),
        optimizer=optimizer,
        options=options or {},
        batch_size=batch_size,
        steps=steps,
        root_seed=derive_seed(lab.seed, "training"),
    )
    specs = {
        label: [RunSpec(f"{label}|{seed}", label, policy, seed, lr, weight_decay) for seed in range(seeds)]
        for label, policy in starts.items()
    }
    how = f"{optimizer} {lr} {batch_size} {steps} {weight_decay} {dict(options or {})} {STACKED}"
    key = f"{part} {sorted(starts)} {seeds} {how}"
    settings = {"small": lab.small, "steps": steps, "lr": lr, "optimizer": optimizer, "batch_size": batch_size}
    points = every or max(1, steps // 25)
    between = max(1, steps // points // tests)
    runs: dict[str, Any] = lab.part(key, lambda: _run(task, specs, points, between, extra))
    return runs | {"settings": settings}


def open_session(task: Task, specs: Sequence[RunSpec], plan: str = STACKED) -> Session:
    """Runs in worker processes of one thread each, or in this process where none can be forked.

    `plan` says what a worker does: `STACKED`, `CHANNELS_LAST` (convolutions; faster on a CPU), or `SEQUENTIAL`, which
    also takes what the others cannot.
    """
    place = "processes:" if can_fork() else ""
    if plan != SEQUENTIAL:
        try:
            return get_engine(place + plan).open(task, specs)
        except (CannotStack, InputError):
            pass  # what is wrong beside stacking, the plain loop says as well
    return get_engine(place + SEQUENTIAL).open(task, specs)


def _run(
    task: Task, specs: Mapping[str, Sequence[RunSpec]], points: int, between: int, extra: Mapping[str, Any]
) -> dict[str, Any]:
    every_spec = [spec for group in specs.values() for spec in group]
    runs: dict[str, dict[str, Any]] = {s.key: _blank(task) for s in every_spec}
    session = open_session(task, every_spec)
    try:
        done = point = 0
        while done < task.steps:
            chunk = min(points, task.steps - done)
            done, point = done + chunk, point + 1
            for key, progress in session.advance(chunk).items():
                _note(runs[key], progress, done)
            if done < task.steps and point % between:
                continue
            for key, (_, accuracy) in session.evaluate("test").items():
                runs[key]["accuracy"].append([done, accuracy])
        for name in extra:
            for key, (_, accuracy) in session.evaluate("valid").items():
                runs[key][name] = accuracy
    finally:
        session.close()
    return {label: [runs[spec.key] for spec in group] for label, group in specs.items()}


def _blank(task: Task) -> dict[str, Any]:
    return {"loss": [], "accuracy": [], "diverged": False, "steps": task.steps}


def _note(run: dict[str, Any], progress: Any, done: int) -> None:
    if progress.diverged:
        run["diverged"] = True
    finite = progress.losses[np.isfinite(progress.losses)]
    if len(finite):
        run["loss"].append([done, float(finite.mean())])


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
