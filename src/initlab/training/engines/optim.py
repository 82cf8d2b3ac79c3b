"""The update of an optimizer's row on stacked tensors, with each run's own learning rate and weight decay."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from initlab.training.engines.bundle import Bundle, Stacked, run_bytes
from initlab.training.engines.machine import memory_budget
from initlab.training.optimizers import optimizer_of
from initlab.training.task import Task
from initlab.training.updates import PerRun, StackedUpdate


class StackedOptimizer:
    """The update of torch.optim, run by run, in place on a `Bundle`'s stacked parameters.

    Args:
        task: names the optimizer and its options.
        bundle: its `slots` are made here if it has none, and updated in place.
    """

    def __init__(self, task: Task, bundle: Bundle) -> None:
        self.options = task.options
        self.row = stacked_update(task)
        self.lr = per_run([spec.lr for spec in bundle.specs], task)
        self.weight_decay = per_run([spec.weight_decay for spec in bundle.specs], task)
        self.decays = any(spec.weight_decay for spec in bundle.specs)
        self.slots = bundle.slots
        self.count = bundle.steps
        alike = not isinstance(self.lr, torch.Tensor) and not isinstance(self.weight_decay, torch.Tensor)
        self._whole = self.row.fused if alike else None
        for slot in slots_of(task):
            self.slots.setdefault(slot, {name: torch.zeros_like(p) for name, p in bundle.parameters.items()})

    def step(self, parameters: Stacked, gradients: Mapping[str, torch.Tensor | None]) -> None:
        """Count a step, and update every parameter that has a gradient; gradients may be overwritten."""
        self.count += 1
        with torch.no_grad():
            self.update(parameters, {name: gradient for name, gradient in gradients.items() if gradient is not None})

    def update(self, parameters: Stacked, gradients: Mapping[str, torch.Tensor]) -> None:
        """The update of step `count`, outside of autograd."""
        if self._whole is not None:
            self._whole(self, parameters, gradients)
            return
        for name, gradient in gradients.items():
            self.row.update(self, name, parameters[name].detach(), gradient)


def per_run(values: list[float], task: Task) -> PerRun:
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
