"""The update of an optimizer's row on stacked tensors: each run's learning rate and decay, each parameter's factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from initlab.training.engines.bundle import Bundle, Stacked, run_bytes
from initlab.training.engines.machine import memory_budget
from initlab.training.optimizers import optimizer_of
from initlab.training.task import Factors, Task
from initlab.training.updates import PerRun, StackedUpdate


class StackedOptimizer:
    """The update of torch.optim, run by run, in place on a `Bundle`'s stacked parameters.

    Args:
        task: names the optimizer and its options.
        bundle: its `slots` are made here if it has none, and updated in place.
    """

    def __init__(self, task: Task, bundle: Bundle) -> None:
        self.task = task
        self.row = stacked_update(task)
        self.slots = bundle.slots
        self.count = bundle.steps
        by: dict[Factors, list[str]] = {}
        for name in bundle.parameters:
            by.setdefault(task.factors_of(name), []).append(name)
        self.parts = [_part(self, bundle, factors, frozenset(names)) for factors, names in by.items()]
        for slot in slots_of(task):
            self.slots.setdefault(slot, {name: torch.zeros_like(p) for name, p in bundle.parameters.items()})

    def part(self, name: str) -> Part:
        """What a parameter is updated with."""
        return next(part for part in self.parts if name in part.names)

    def step(self, parameters: Stacked, gradients: Mapping[str, torch.Tensor | None]) -> None:
        """Count a step, and update every parameter that has a gradient; gradients may be overwritten."""
        self.count += 1
        with torch.no_grad():
            self.update(parameters, {name: gradient for name, gradient in gradients.items() if gradient is not None})

    def update(self, parameters: Stacked, gradients: Mapping[str, torch.Tensor]) -> None:
        """The update of step `count`, outside of autograd."""
        for part in self.parts:
            own = {name: gradient for name, gradient in gradients.items() if name in part.names}
            if self.row.fused is not None and part.alike and own:
                self.row.fused(part, parameters, own)
                continue
            for name, gradient in own.items():
                self.row.update(part, name, parameters[name].detach(), gradient)


@dataclass(frozen=True)
class Part:
    """The parameters of equal factors: a `Stack` of the row's update.

    Args:
        whole: the optimizer that it is a part of.
        names: the parameters.
        options: the optimizer's own, as torch.optim takes them.
        lr, weight_decay: of each run.
        decays: whether any run decays.
    """

    whole: StackedOptimizer
    names: frozenset[str]
    options: Mapping[str, Any]
    lr: PerRun
    weight_decay: PerRun
    decays: bool

    @property
    def slots(self) -> dict[str, Stacked]:
        """The whole optimizer's."""
        return self.whole.slots

    @property
    def count(self) -> int:
        """The whole optimizer's."""
        return self.whole.count

    @property
    def alike(self) -> bool:
        """Whether one rate and decay are those of all runs."""
        return not isinstance(self.lr, torch.Tensor) and not isinstance(self.weight_decay, torch.Tensor)


def _part(whole: StackedOptimizer, bundle: Bundle, factors: Factors, names: frozenset[str]) -> Part:
    task = whole.task
    rates, decays = zip(*map(factors.on, bundle.specs), strict=True)
    return Part(whole, names, factors.options(task.options), per_run(rates, task), per_run(decays, task), any(decays))


def per_run(values: Sequence[float], task: Task) -> PerRun:
    """One number where all runs agree, else a (K,) tensor."""
    if len(set(values)) == 1:
        return values[0]
    return torch.tensor(values, dtype=task.dtype, device=task.device)


def stacked_update(task: Task) -> StackedUpdate:
    """How the task's optimizer updates runs that are trained as one; there is a way: `check_alike` asked."""
    found = optimizer_of(task.optimizer).stacked
    assert found is not None
    return found


def slots_of(task: Task) -> tuple[str, ...]:
    """The optimizer's state tensors: those it keeps for each parameter."""
    return stacked_update(task).slots(task.options)


def runs_that_fit(task: Task, bundle: Bundle) -> int:
    """How many runs like the bundle's may be held beside it: as fit a quarter of the free memory, at least one."""
    return max(1, memory_budget(task.device) // (4 * run_bytes(bundle, len(slots_of(task)))))
