"""How long `plan`, `init_` and `inspect` take on models that grow, beside a bare pass: the process's own seconds.

`python -m benchmarks.planning_time [plan|init|inspect] [SIZE,SIZE,…] [KIND …]`: KIND is a part of a name of `KINDS`.

Goals: linear in the operations, `^1` of the size before; at most three passes and 2 s for a model as people have them.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable

import torch
from torch import nn

import initlab
from benchmarks.growing import KINDS

SIZES = (100, 400, 1_600)


def planned(model: nn.Module, x: torch.Tensor) -> Callable[[], object]:
    return lambda: initlab.plan(model, x)


def written(model: nn.Module, x: torch.Tensor) -> Callable[[], object]:
    plan = initlab.plan(model, policy="torch_default")
    return lambda: initlab.init_(model, plan, seed=0)


def inspected(model: nn.Module, x: torch.Tensor) -> Callable[[], object]:
    return lambda: initlab.inspect(model, x, torch.arange(len(x)) % 4)


VERBS = {"plan": planned, "init": written, "inspect": inspected}


def main(verb: str = "plan", sizes: str = "", *kinds: str) -> None:
    lengths = [int(size) for size in sizes.split(",")] if sizes else SIZES
    VERBS[verb](*KINDS["layers"](10))()  # imports and compiled kernels
    for kind, build in KINDS.items():
        if not kinds or any(part in kind for part in kinds):
            print(f"{kind:<42}", *_line(VERBS[verb], build, lengths), sep=" | ", flush=True)


def _line(
    make: Callable[[nn.Module, torch.Tensor], Callable[[], object]],
    build: Callable[[int], tuple[nn.Module, torch.Tensor]],
    lengths: list[int] | tuple[int, ...],
) -> list[str]:
    found, before = [], None
    for length in lengths:
        model, x = build(length)
        model(x)
        bare, taken = _seconds(lambda: model(x)), _seconds(make(model, x))  # noqa: B023
        power = "" if before is None else f" ^{math.log(taken / before[1]) / math.log(length / before[0]):.2f}"
        found.append(f"{length}: pass {bare:.3f} s, {taken:.2f} s{power}")
        before = length, taken
    return found


def _seconds(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


if __name__ == "__main__":
    main(*sys.argv[1:])
