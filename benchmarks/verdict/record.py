"""Trains cells for real and keeps how each ended: resumable, one line of JSON a cell.

Cells are drawn in an order of their own (a fixed seed), so that any beginning of the file is a varied sample. Every
cell trains at each of its optimizer's rates for 80 steps, and where none of them learns, for 400; kept is the mean loss
of the last ten steps, None where it was no number.

    INITLAB_DATA=... python -m benchmarks.verdict.record OUT.jsonl --cells 1500 --seconds 3600
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from benchmarks._lines import Lines
from benchmarks.verdict.architectures import BY_NAME, WAVES
from benchmarks.verdict.fresh_architectures import KINDS
from benchmarks.verdict.layouts import Architecture
from benchmarks.verdict.library_architectures import LIBRARY
from benchmarks.verdict.starts import (
    INPUT_FAULTS,
    MODEL_FAULTS,
    NORMS,
    RATES,
    STARTS,
    Cell,
    fits,
    inputs_of,
    optimizer_for,
    started,
    weight_of,
)
from benchmarks.verdict.tasks import Task, task_of

STEPS, LONG, BATCH, TAIL = 80, 400, 32, 10
FEW, SOME = (
    6,
    14,
)  # cells of an architecture beside its default start: of one that is drawn or of the fifth wave, and of another
DIVERGED = 2.0  # times the constant answer's loss from which a rate is too large
LEARNED = 0.9  # share of the constant answer's loss under which a training has learned something


def cells(wave: int = 1) -> Iterator[Cell]:
    """Endless cells, each once; the plain default and `auto` of every architecture of that wave come first.

    Of the later waves, whose architectures are many, a handful of each, one architecture after another, and no more of
    those held out; of the fifth, in rounds: one of each, another of each, models of libraries last.
    """
    if wave >= 3:
        if wave == 5:
            yield from itertools.chain(_in_rounds(KINDS), _in_rounds(LIBRARY))
        else:
            yield from _few_of_each(WAVES[wave])
    if wave >= 4:
        return
    seen: set[str] = set()
    chance = random.Random(wave - 1)
    architectures = WAVES[wave]
    kinds = {a.name: _kind(a.name) for a in architectures}
    first = [Cell(a.name, s, "", o, 0) for a in architectures for s in ("default", "auto") for o in ("adamw", "sgd")]
    chance.shuffle(first)
    yield from first
    seen.update(cell.key for cell in first)
    often = [0.25 if a.slow else 1.0 for a in architectures]
    while True:
        cell = _any(chance, chance.choices(architectures, often)[0].name)
        if cell.key not in seen and fits(cell, *kinds[cell.architecture]):
            seen.add(cell.key)
            yield cell


def _few_of_each(architectures: tuple[Architecture, ...]) -> Iterator[Cell]:
    return itertools.chain.from_iterable(map(_few_of, architectures))


def _in_rounds(architectures: tuple[Architecture, ...]) -> Iterator[Cell]:
    return itertools.chain.from_iterable(zip(*map(_few_of, architectures), strict=True))


def _few_of(a: Architecture) -> Iterator[Cell]:
    chance = random.Random(a.name)
    kind = _kind(a.name)
    yield Cell(a.name, "default", "", "adamw", 0)
    drawn = (_any(chance, a.name) for _ in itertools.count())
    few = a.kind == "drawn" or a in WAVES[5]
    yield from itertools.islice((cell for cell in drawn if fits(cell, *kind)), FEW if few else SOME)


def _any(chance: random.Random, name: str) -> Cell:
    """A start, a fault, an optimizer and a seed, drawn."""
    faults = [*INPUT_FAULTS, *MODEL_FAULTS]
    return Cell(
        name,
        *chance.choices(list(STARTS), [weight for weight, _ in STARTS.values()]),
        *chance.choices(faults, [weight_of(fault) for fault in faults]),
        chance.choice(list(RATES)),
        chance.randrange(1, 1000),
    )


def _kind(name: str) -> tuple[bool, bool, bool]:
    """(takes tokens, answers with classes, has normalization)."""
    architecture = BY_NAME[name]
    task = task_of(architecture.task)
    normed = any(isinstance(m, NORMS) for m in architecture.build().modules())
    return not task.x.is_floating_point(), not task.y.is_floating_point(), normed


def trained(cell: Cell) -> dict[str, list[float | None]]:
    """{rate: mean loss at the end of the short training, and of the long one where no rate had learned}.

    The long training is that of the two rates that had come furthest, and of the largest that had not diverged: it is
    the one that gets away late from where small weights hold it.
    """
    architecture = BY_NAME[cell.architecture]
    task = task_of(architecture.task)
    runs = {f"{lr:g}": Run(cell, started(cell, architecture.build, task), task, lr) for lr in RATES[cell.optimizer]}
    finals = {rate: [run.until(STEPS)] for rate, run in runs.items()}
    if not any(final < LEARNED * task.constant for (final,) in finals.values() if final is not None):
        ended = {rate: final for rate, (final,) in finals.items() if final is not None}
        furthest = sorted(ended, key=ended.__getitem__)[:2]
        held = [rate for rate, final in ended.items() if final < DIVERGED * task.constant]
        for rate in dict.fromkeys([*furthest, *held[-1:]]):
            finals[rate].append(runs[rate].until(LONG))
    return finals


class Run:
    """One training, which can go on."""

    def __init__(self, cell: Cell, model: nn.Module, task: Task, lr: float) -> None:
        self.model, self.task, self.x = model, task, inputs_of(cell, task.x)
        self.optimizer = optimizer_for(cell, model, lr)
        self.generator = torch.Generator().manual_seed(cell.seed + 1)
        self.losses: list[float] = []

    def until(self, steps: int) -> float | None:
        """Mean loss of the last `TAIL` of `steps` steps; None once a loss was no number."""
        while len(self.losses) < steps and all(math.isfinite(loss) for loss in self.losses[-1:]):
            batch = torch.randint(0, len(self.x), (BATCH,), generator=self.generator)
            loss = self.task.loss(self.model(self.x[batch]), self.task.y[batch])
            self.losses.append(float(loss.detach()))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        tail = sum(self.losses[-TAIL:]) / TAIL
        return float(f"{tail:.5g}") if math.isfinite(tail) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cells", type=int, default=1500)
    parser.add_argument("--wave", type=int, default=1, choices=WAVES, help="which architectures")
    parser.add_argument(
        "--part", type=int, nargs=2, default=(0, 1), metavar=("I", "N"), help="only each Nth cell, from I"
    )
    parser.add_argument("--seconds", type=float, default=3600)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # vanishing gradients would take a hundred times as long
    lines = Lines(asked.out, "cell")
    began = time.perf_counter()
    for number, cell in enumerate(cells(asked.wave)):
        if number >= asked.cells or time.perf_counter() - began > asked.seconds:
            break
        if number % asked.part[1] != asked.part[0]:
            continue
        if not lines.has(cell.key):
            began_cell = time.perf_counter()
            finals = trained(cell)
            seconds = round(time.perf_counter() - began_cell, 2)
            lines.add({"cell": cell.key, "finals": finals, "seconds": seconds})


if __name__ == "__main__":
    main()
