"""As `measure`, of library models whose training was recorded on a GPU: every loss of 60 steps at one to three rates.

    INITLAB_DATA=... python -m benchmarks.verdict.measure_library LOSSES.json OUT.jsonl

Cells under `auto` and he_normal are left out: later versions draw other weights than those that were trained.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from benchmarks._lines import Lines
from benchmarks.verdict.library import TEXT, chain, images, started
from benchmarks.verdict.measure import free, line_of_cell
from initlab.inspection.gathering import gathered

BATCH, TAIL = 32, 10
SECOND = {"adamw": "adamw", "sgd": "momentum"}  # what the cells call an optimizer -> what the small cells call it
DRAWN_OTHERWISE = ("auto", "he_normal")


def final(losses: list[float | None]) -> float | None:
    """The mean of the last losses; None where one was no number."""
    tail = [loss for loss in losses[-TAIL:] if loss is not None]
    return round(sum(tail) / len(tail), 4) if tail and len(tail) == len(losses[-TAIL:]) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("losses", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    lines = Lines(asked.out, "cell")
    for key, losses in json.loads(asked.losses.read_text()).items():
        name, start, optimizer = key.split("|")
        cell = f"{name}|{start}||{SECOND[optimizer]}|0"
        if start in DRAWN_OTHERWISE or lines.has(cell):
            continue
        task = chain(BATCH) if name in TEXT else images(start, BATCH)
        model = started(name, start, task.x)
        held = [p for p in model.parameters() if p.requires_grad]
        step = torch.optim.AdamW(held, 1e-3) if optimizer == "adamw" else torch.optim.SGD(held, 1e-2, momentum=0.9)
        evidence = gathered(model, task.x, task.y, task.loss, free(step, model))
        finals = {rate: [final(curve)] for rate, curve in losses.items()}
        kept = {"cell": cell, "kind": "library", "constant": round(task.constant, 5), "finals": finals}
        lines.add(kept | line_of_cell(evidence, map(float, finals)))


if __name__ == "__main__":
    main()
