"""How often the second moment that rules say of a layer's output is within 20% of what the calibrating pass measures.

`python -m benchmarks.predicted [development|held-out] [PART …]`, in the zoo's environment (`make zoo`); PART is the
beginning of names. Models are drawn by a seed, by turns one to develop on and one to judge by. Every layer is measured
on several draws of all weights: `first` counts one draw, as a plan shows it; `mean` the mean over draws, which is what
a rule can say: a layer that is out by one and in by the other is scatter. Layers out by their mean are named.
"""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any
from unittest import mock

import torch

import initlab
from benchmarks.zoo.diffusion import diffusion_models
from benchmarks.zoo.families import Family
from benchmarks.zoo.hugging_face import classifiers, language_models, perceivers
from benchmarks.zoo.measure import call, training
from benchmarks.zoo.running import share
from benchmarks.zoo.vision import timm_models, torchvision_models
from initlab.planning import planner
from initlab.planning.calibration import stand_ins
from initlab.planning.plan import PlanEntry

SEED = 20261129
DRAWS = 6
MISSED = 0.2
MODELS: dict[str, tuple[Callable[[], Iterable[Family]], int]] = {
    "timm": (timm_models, 36),
    "torchvision": (torchvision_models, 10),
    "transformers": (lambda: chain(language_models(), classifiers(), perceivers()), 36),
    "diffusers": (diffusion_models, 8),
}


def drawn(split: str) -> Iterator[Family]:
    """The models of a split: every second one of those that a seed draws and that can be built and run here."""
    for library, (families, count) in MODELS.items():
        found = list({family.name: family for family in families()}.values())
        random.Random(f"{SEED} {library}").shuffle(found)
        yield from islice(filter(_runs, found), int(split != "development"), count, 2)


def _runs(family: Family) -> bool:
    try:
        with torch.no_grad():
            call(training(family.build()), family.inputs())
    except Exception:  # whatever a library's model meets at sizes that it was not made for
        return False
    return True


def passes(family: Family) -> list[dict[str, PlanEntry]]:
    """The plan's entries as the calibrating pass leaves them, for each of several draws of all weights."""
    torch.manual_seed(0)
    model, found, measure, write = training(family.build()), [], planner.calibrated, stand_ins.write_one

    def repeated(*args: Any, **kwargs: Any) -> Any:
        for seed in range(DRAWS):
            with mock.patch.object(stand_ins, "write_one", lambda job, _, seed=seed: write(job, seed)):
                made = measure(*args, **kwargs)
            found.append({entry.name: entry for entry in made[0]})
        return made

    with mock.patch.object(planner, "calibrated", repeated):
        initlab.plan(model, family.inputs(), "auto")
    return found


def compared(entries: list[dict[str, PlanEntry]]) -> tuple[dict[str, tuple[float, list[float]]], int]:
    """By weight (what rules say, what each draw measures), and the number of weights of which rules say nothing."""
    found, silent = {}, 0
    for name, first in entries[0].items():
        seen = [draw[name].measured for draw in entries]
        numbers = [pair[0] for pair in seen if pair is not None]
        if first.role != "weight" or len(numbers) < len(seen):
            continue
        if first.predicted:
            found[name] = first.predicted, numbers
        else:
            silent += 1
    return found, silent


def within(rule: float, seen: float) -> bool:
    return abs(seen / rule - 1) <= MISSED


def main() -> None:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    warnings.filterwarnings("ignore")
    split, *parts = sys.argv[1:] or ["development"]
    every: list[tuple[float, list[float]]] = []
    silent = 0
    for family in drawn(split):
        if parts and not family.name.startswith(tuple(parts)):
            continue
        found, untold = compared(passes(family))
        every, silent = [*every, *found.values()], silent + untold
        print(f"{family.name:45} {_counts(found.values())}, untold {untold}", flush=True)
        for name, (rule, seen) in found.items():
            mean = sum(seen) / len(seen)
            if not within(rule, mean):
                print(f"    {name:60} {rule:.3g} for {mean:.3g}, from {min(seen):.3g} to {max(seen):.3g}")
    print(f"{'all':45} {_counts(every)}, untold {silent}")


def _counts(found: Iterable[tuple[float, list[float]]]) -> str:
    pairs = list(found)
    first = share(within(rule, seen[0]) for rule, seen in pairs)
    return f"first {first}, mean {share(within(rule, sum(seen) / len(seen)) for rule, seen in pairs)}"


if __name__ == "__main__":
    main()
