"""Whether the rate that is best at width 64 is best up to width 1,024: `transfer_check` on an MLP and a GPT; resumable.

`python -m benchmarks transfer`, or `python -m benchmarks.transfer MODEL …` for a part. Rates are in factors of two; the
loss is that of all training samples after the steps. Each width is checked against the narrowest and kept as a line of
benchmarks/transfer.jsonl, from which the page of the documentation is made.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

import initlab
from benchmarks._lines import Lines
from benchmarks.recipes_models import Decoder, GptBlock, data_of

KEPT = Path(__file__).with_name("transfer.jsonl")
BASE, WIDTHS = 64, (128, 256, 512, 1024)
PIXELS, SEQUENCES = 32, 32  # of the digits that the GPT reads: the upper half of each


def mlp(width: int) -> nn.Module:
    """Two hidden layers of ReLU on the digits' 64 pixels."""
    return nn.Sequential(
        nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
    )  # fmt: skip


def gpt(width: int) -> nn.Module:
    """Two blocks over the pixels before each pixel, of heads of 32."""
    return Decoder(partial(GptBlock, width=width, heads=width // 32), True, width, PIXELS)


def by_pixel(output: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy with the classes along axis 1."""
    return F.cross_entropy(output, levels)


@dataclass(frozen=True)
class Trained:
    """What is trained how.

    Args:
        build: width -> a new model.
        data: (inputs, targets).
        rates: exponents of two.
        loss, batch, steps, seeds: as `transfer_check` takes them.
        widest: (exponents of two, seeds) of the widest model.
        falls: how many factors of two lower the rates are for each doubling of the width under one rate for all layers.
    """

    build: Callable[[int], nn.Module]
    data: Callable[[], tuple[torch.Tensor, torch.Tensor]]
    rates: range
    loss: Any
    batch: int
    steps: int
    seeds: int
    widest: tuple[range, int]
    falls: int = 0


def _rows() -> tuple[torch.Tensor, torch.Tensor]:
    return data_of("rows")[0]


def _pixels() -> tuple[torch.Tensor, torch.Tensor]:
    before, levels = data_of("pixels")[0]
    return before[:SEQUENCES, :PIXELS], levels[:SEQUENCES, :PIXELS]


MODELS = {
    "mlp": Trained(mlp, _rows, range(-9, -2), None, 128, 100, 3, (range(-9, -2), 3)),
    "gpt": Trained(gpt, _pixels, range(-9, -3), by_pixel, 32, 30, 2, (range(-8, -4), 1), 1),
}


def check(name: str, rule: str, width: int) -> list[dict[str, Any]]:
    """What one wide model and the narrowest find, a line each."""
    made = MODELS[name]
    inputs, targets = made.data()
    rates, seeds = made.widest if width == WIDTHS[-1] else (made.rates, made.seeds)
    lower = made.falls * int(math.log2(width / BASE)) if rule == "standard" else 0
    start = time.perf_counter()
    found = initlab.transfer_check(
        made.build, (BASE, width), [2.0 ** (k - lower) for k in rates], steps=made.steps, inputs=inputs,
        targets=targets, loss=made.loss, rule=rule, policy="mup", seeds=seeds, batch_size=made.batch,
    )  # fmt: skip
    print(f"{name} {rule} {width}: {found.best} ({time.perf_counter() - start:.0f} s)", flush=True)
    shared = {"model": name, "rule": rule, "steps": made.steps, "batch": made.batch, "seeds": seeds}
    return [
        {**shared, "width": size, "best": best, "lrs": list(found.lrs), "losses": [round(loss, 5) for loss in losses]}
        for size, best, losses in zip(found.widths, found.best, found.losses, strict=True)
    ]


def main() -> None:
    """Every model under mup, the MLP under one rate for all layers too, or the models of the command line."""
    names = [name for name in sys.argv[1:] if name != "transfer"] or list(MODELS)
    lines = Lines(KEPT, "model", "rule", "width")
    for rule in ("mup", "standard"):
        for name in names:
            for width in WIDTHS:
                if not lines.has(name, rule, width):
                    for line in check(name, rule, width):
                        if not lines.has(name, rule, line["width"]):
                            lines.add(line)


if __name__ == "__main__":
    main()
