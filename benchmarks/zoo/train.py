"""`python -m benchmarks.zoo.train [--again] [PART …]`: every model trained from its own start and from `auto`.

What is trained on, and in which order, is said in `tasks.py`; the rate falls linearly to zero, and the figure is the
mean loss of the last tenth of the steps. Where `auto` misses, the own start is drawn once more, which says what luck
alone does. One line each in benchmarks/zoo/trained.jsonl, of which benchmarks/TRAINED.md tells; goes on where it
stopped. `--again` trains `auto` again and keeps the rest of a line.
"""

from __future__ import annotations

import math
import sys
import time
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

import initlab
from benchmarks._lines import Lines
from benchmarks.zoo.measure import call, logits_of
from benchmarks.zoo.outcome import KEPT, PAGE, holds, page
from benchmarks.zoo.running import each
from benchmarks.zoo.tasks import Task, tasks

SECONDS = 400  # by the wall, for a task
OWN_SECONDS, FEWEST = 12, 40  # of the process for one training, and steps below which a model is too slow


def built(task: Task, start: str, seed: int = 0) -> nn.Module:
    """The model in training mode, from its own start or from a policy's."""
    torch.manual_seed(seed)
    model = task.build()
    if start != "own":
        initlab.init_(model, start, example_inputs=next(task.batches())[0], seed=seed)
    return model.train()


def trained(model: nn.Module, task: Task, steps: int) -> float:
    """The mean loss of the last tenth of the steps; infinite where it is no number."""
    torch.manual_seed(0)
    optimizer, losses = task.optimize(model), []
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 1 / steps, steps)
    for given, targets in islice(task.batches(), steps):
        logits = logits_of(call(model, given))
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        falling.step()
        losses.append(loss.item())
    last = losses[-max(1, steps // 10) :]
    return sum(last) / len(last) if all(map(math.isfinite, last)) else math.inf


def affordable(task: Task) -> int:
    """The steps that a training has time for."""
    model = built(task, "own")
    trained(model, task, 1)
    began = time.process_time()
    trained(model, task, 2)
    return min(task.steps, int(OWN_SECONDS / max((time.process_time() - began) / 2, 1e-9)) // 10 * 10)


def compared(task: Task, before: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """One line; `failed` says what a library's own model could not do here, an exception what ours did."""
    line: dict[str, Any] = {key: before[task.name][key] for key in ("name", "steps", "own") if task.name in before}
    if not line:
        line["name"] = task.name
        try:
            line["steps"] = affordable(task)
            if line["steps"] < FEWEST:
                return {**line, "failed": "too slow"}
            line["own"] = [result(task, "own", 0, line["steps"])]
        except Exception as error:
            return {**line, "failed": f"{type(error).__name__}: {error}"[:160]}
    line["auto"] = result(task, "auto", 0, line["steps"])
    if not holds(line) and len(line["own"]) == 1:
        line["own"] = [*line["own"], result(task, "own", 1, line["steps"])]
    return line


def result(task: Task, start: str, seed: int, steps: int) -> float:
    return round(trained(built(task, start, seed), task, steps), 4)


def main(parts: list[str]) -> None:
    again, parts = "--again" in parts, [part for part in parts if part != "--again"]
    lines, asked = Lines(KEPT, "name"), tasks()
    before = {line["name"]: line for line in lines.kept if "auto" in line}
    if again:
        lines.forget(name for name in before if name.startswith(tuple(parts)))
    each(asked, lines, parts, partial(compared, before=before if again else {}), SECONDS)
    PAGE.write_text(page())
    print(PAGE.read_text())


if __name__ == "__main__":
    main(sys.argv[1:])
