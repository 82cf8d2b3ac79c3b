"""`python -m benchmarks.zoo.train [PART …]`: each causal language model trained from its own start and from `auto`.

Fresh batches of a token chain with four successors a token (probabilities 0.7, 0.15, 0.1, 0.05), AdamW, 80 steps; the
figure is the mean loss of the last ten. One line each in benchmarks/zoo/trained.jsonl; goes on where it stopped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

import initlab
from benchmarks._lines import Lines
from benchmarks.zoo.families import VOCABULARY, Family
from benchmarks.zoo.hugging_face import language_models
from benchmarks.zoo.measure import logits_of
from benchmarks.zoo.running import each, share

KEPT = Path(__file__).with_name("trained.jsonl")
STEPS, ROWS, LENGTH, RATE, SECONDS = 80, 16, 48, 3e-3, 240


def chain() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(tokens, next tokens), each (ROWS, LENGTH), always the same sequence of batches."""
    rows = torch.Generator().manual_seed(0)
    after = torch.randint(3, VOCABULARY, (VOCABULARY, 4), generator=rows)
    odds = torch.tensor([0.7, 0.15, 0.1, 0.05]).expand(ROWS, 4)
    while True:
        made = [torch.randint(3, VOCABULARY, (ROWS,), generator=rows)]
        for _ in range(LENGTH):
            made.append(after[made[-1], torch.multinomial(odds, 1, generator=rows)[:, 0]])
        tokens = torch.stack(made, 1)
        yield tokens[:, :-1], tokens[:, 1:]


def trained(model: nn.Module) -> float:
    """The mean loss of the last ten of the steps."""
    torch.manual_seed(0)
    steps, batches, last = torch.optim.AdamW(model.train().parameters(), lr=RATE), chain(), []
    for _ in range(STEPS):
        tokens, targets = next(batches)
        loss = F.cross_entropy(logits_of(model(tokens)).reshape(-1, VOCABULARY), targets.reshape(-1))
        steps.zero_grad()
        loss.backward()
        steps.step()
        last.append(loss.item())
    return sum(last[-10:]) / 10


def both(family: Family) -> dict[str, Any]:
    line: dict[str, Any] = {"name": family.name}
    try:
        torch.manual_seed(0)
        line["own"] = round(trained(family.build()), 4)
    except Exception as error:
        return {**line, "failed": f"{type(error).__name__}: {error}"[:200]}
    torch.manual_seed(0)
    model = family.build().eval()
    initlab.init_(model, "auto", example_inputs=next(chain())[0], seed=0)
    return {**line, "auto": round(trained(model), 4)}


def main(parts: list[str]) -> None:
    lines = Lines(KEPT, "name")
    each(language_models(), lines, parts, both, SECONDS)
    pairs = [line for line in lines.kept if "auto" in line]
    print(f"auto within 5% + 0.05 of the own start's loss, or below: {share(_holds(line) for line in pairs)}")
    for line in pairs:
        if not _holds(line):
            print(f"  {line['name']}: own {line['own']}, auto {line['auto']}")


def _holds(line: dict[str, Any]) -> bool:
    return bool(line["auto"] <= line["own"] * 1.05 + 0.05)


if __name__ == "__main__":
    main(sys.argv[1:])
