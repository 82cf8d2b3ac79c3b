"""`python -m benchmarks.papers PART [--label WORD] [NAME …]`: models of papers trained from their own start and `auto`.

PART is `developed` or `held`: which half a model belongs to was drawn by a seed before anything was measured. 150
fresh batches, AdamW at 1e-3 and 1e-2, SGD with momentum 0.9 at 0.01 and 0.1, rates falling linearly to zero; the figure
is the mean loss of the last 15 steps. Of two seeds, which draw weights and data, the geometric mean is taken, and of an
optimizer's two rates the better. One line a model in benchmarks/papers/trained.jsonl: the own start's four figures, and
under each label those of `auto`.
"""

from __future__ import annotations

import json
import math
import random
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

import initlab
from benchmarks.papers import codes, conditioned, functions, pictures, radial, sequences, sets
from benchmarks.papers.case import Case

KEPT = Path(__file__).with_name("trained.jsonl")
STEPS, SEEDS, LAST = 150, (0, 1), 15
RATES = {"adamw": (1e-3, 1e-2), "sgd": (0.01, 0.1)}
CASES = {
    case.name: case
    for part in (codes, conditioned, functions, pictures, radial, sequences, sets)
    for case in part.CASES
}


def halves() -> dict[str, list[str]]:
    """The names of both halves, drawn by a seed."""
    names = sorted(CASES)
    random.Random(14).shuffle(names)
    half = len(names) // 2
    return {"developed": sorted(names[:half]), "held": sorted(names[half:])}


def built(case: Case, start: str, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = case.build()
    if start != "own":
        inputs, _ = next(case.batches(1000 + seed))
        initlab.init_(model, start, example_inputs=inputs, seed=seed)
    return model.train()


def trained(case: Case, model: nn.Module, optimizer: str, rate: float, seed: int) -> float:
    """The mean loss of the last steps; infinite where it is no number."""
    torch.manual_seed(seed)
    own = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[optimizer]
    steps: Any = own(model.parameters(), lr=rate, **({"momentum": 0.9} if optimizer == "sgd" else {}))
    falling, losses = torch.optim.lr_scheduler.LinearLR(steps, 1.0, 1 / STEPS, STEPS), []
    for inputs, targets in islice(case.batches(seed), STEPS):
        loss = case.loss(model(*inputs), targets)
        if not math.isfinite(loss.item()):
            return math.inf
        steps.zero_grad()
        loss.backward()
        steps.step()
        falling.step()
        losses.append(loss.item())
    return sum(losses[-LAST:]) / LAST


def figures(case: Case, start: str) -> list[float]:
    """Per optimizer and rate, the geometric mean over seeds."""
    found = []
    for optimizer, rates in RATES.items():
        for rate in rates:
            logs = [math.log(trained(case, built(case, start, seed), optimizer, rate, seed)) for seed in SEEDS]
            found.append(float(f"{math.exp(sum(logs) / len(logs)):.4g}"))
    return found


def ratios(own: list[float], auto: list[float]) -> list[float]:
    """AdamW's and SGD's better figure of `auto` over that of the own start."""
    return [min(auto[i : i + 2]) / min(own[i : i + 2]) for i in (0, 2)]


def kept() -> dict[str, dict[str, Any]]:
    lines = map(json.loads, KEPT.read_text().splitlines()) if KEPT.exists() else ()
    return {line["name"]: line for line in lines}


def main(asked: list[str]) -> None:
    torch.set_num_threads(1)
    label = asked.pop(asked.index("--label") + 1) if "--label" in asked else "auto"
    part, names = asked[0], [name for name in asked[1:] if name != "--label"]
    for name in halves()[part]:
        if names and not name.startswith(tuple(names)):
            continue
        case, began = CASES[name], time.process_time()
        line = kept().get(name, {"name": name, "part": part})
        if "own" not in line:
            line["own"] = figures(case, "own")
        if label not in line:
            line[label] = figures(case, "auto")
            lines = {**kept(), name: line}
            KEPT.write_text("".join(json.dumps(lines[each]) + "\n" for each in sorted(lines)))
        both = ratios(line["own"], line[label])
        words = " ".join(f"{ratio:.2f}{'*' if ratio > 1.05 else ''}" for ratio in both)
        print(
            f"{name:34} {words:14} own {line['own']} {label} {line[label]} {time.process_time() - began:.0f}s",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
