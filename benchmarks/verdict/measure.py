"""What `inspect` measures of each recorded cell at step zero, beside how it ended: resumable, one line of JSON a cell.

INITLAB_DATA=... python -m benchmarks.verdict.measure TRUTH.jsonl OUT.jsonl
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks._lines import Lines
from benchmarks.verdict.architectures import BY_NAME
from benchmarks.verdict.starts import Cell, inputs_of, optimizer_for, started
from benchmarks.verdict.tasks import task_of
from initlab.inspection.evidence import Evidence
from initlab.inspection.features import features_of
from initlab.inspection.gathering import gathered
from initlab.inspection.optimizers import Step, step_of

BATCHES = (32, 64, 128)


def cell_of(key: str) -> Cell:
    architecture, start, fault, optimizer, seed = key.split("|")
    return Cell(architecture, start, fault, optimizer, int(seed))


def free(optimizer: torch.optim.Optimizer, model: nn.Module) -> Step:
    """The optimizer with its rate left open."""
    return replace(step_of(optimizer, None, model), given=False)


def measured(cell: Cell) -> Evidence:
    """What `inspect` measures of a cell; the batch's size follows from its seed."""
    task = task_of(BY_NAME[cell.architecture].task)
    model = started(cell, BY_NAME[cell.architecture].build, task)
    some = slice(BATCHES[cell.seed % len(BATCHES)])
    step = free(optimizer_for(cell, model, 0.01), model)
    return gathered(model, inputs_of(cell, task.x[some]), task.y[some], task.loss, step)


def at_rate(evidence: Evidence, lr: float) -> Evidence:
    """The same measurements as if the user had chosen that rate: what a step does is proportional to it."""
    ratio = lr / evidence.step.lr
    scaled = tuple(
        p if p.update_ratio is None else replace(
            p, update_ratio=p.update_ratio * ratio,
            pace=None if p.pace is None else p.pace * ratio, gain=None if p.gain is None else p.gain * ratio)
        for p in evidence.parameters
    )  # fmt: skip
    return replace(evidence, parameters=scaled, step=replace(evidence.step, lr=lr, given=True))


def line_of_cell(evidence: Evidence, rates: Iterable[float]) -> dict[str, Any]:
    """Features at the best rate and at each rate that was trained, and the loss along the first step."""
    best = rounded(features_of(evidence))
    given = {f"{lr:g}": rounded(features_of(at_rate(evidence, lr))) for lr in rates}
    changed = {lr: {k: v for k, v in f.items() if best[k] != v} for lr, f in given.items()}
    line = evidence.line
    points = (
        None
        if line is None
        else [[f"{p.lr:g}", _short(p.loss), _or_none(p.parted), _or_none(p.moved)] for p in line.points]
    )
    return {"best": best, "given": changed, "start": _short(evidence.seen.loss), "line": points,
            "rate": evidence.step.lr}  # fmt: skip


def rounded(features: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _short(value) for name, value in features.items()}


def _or_none(value: float | None) -> float | None:
    return None if value is None else _short(value)


def _short(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    lines = Lines(asked.out, "cell")
    for line in Lines(asked.truth, "cell").kept:
        cell = cell_of(line["cell"])
        if lines.has(cell.key):
            continue
        constant = task_of(BY_NAME[cell.architecture].task).constant
        kept = {"cell": cell.key, "kind": BY_NAME[cell.architecture].kind, "constant": round(constant, 5)}
        lines.add(kept | {"finals": line["finals"]} | line_of_cell(measured(cell), map(float, line["finals"])))


if __name__ == "__main__":
    main()
