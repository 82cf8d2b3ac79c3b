"""SGD with momentum, Adam and AdamW on stacked tensors, with each run's own learning rate and weight decay."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch

from initlab.training.engines.bundle import Bundle, Stacked, run_bytes
from initlab.training.engines.machine import memory_budget
from initlab.training.task import Task

# A number that all runs share, or one for each run.
PerRun = float | torch.Tensor
Whole = Callable[["StackedOptimizer", Stacked, Mapping[str, torch.Tensor]], None]
Update = Callable[["StackedOptimizer", str, torch.Tensor, torch.Tensor], None]


class StackedOptimizer:
    """The update of torch.optim, run by run, in place on a `Bundle`'s stacked parameters.

    Args:
        task: names the optimizer and its options.
        bundle: its `slots` are made here if it has none, and updated in place.
    """

    def __init__(self, task: Task, bundle: Bundle) -> None:
        self.options = task.options
        self.kind = task.optimizer
        self.lr = per_run([spec.lr for spec in bundle.specs], task)
        self.weight_decay = per_run([spec.weight_decay for spec in bundle.specs], task)
        self.decays = any(spec.weight_decay for spec in bundle.specs)
        self.slots = bundle.slots
        self.count = bundle.steps
        alike = not isinstance(self.lr, torch.Tensor) and not isinstance(self.weight_decay, torch.Tensor)
        self._whole = FUSED.get(task.optimizer) if alike else None
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
        update = UPDATES[self.kind]
        for name, gradient in gradients.items():
            update(self, name, parameters[name].detach(), gradient)


def per_run(values: list[float], task: Task) -> PerRun:
    """One number where all runs agree, else a (K,) tensor."""
    if len(set(values)) == 1:
        return values[0]
    return torch.tensor(values, dtype=task.dtype, device=task.device)


def wide(value: PerRun, like: torch.Tensor) -> PerRun:
    """`value` shaped to broadcast over a stacked tensor."""
    return value if isinstance(value, float | int) else value.view(-1, *[1] * (like.ndim - 1))


def slots_of(task: Task) -> tuple[str, ...]:
    """The optimizer's state tensors: those it keeps for each parameter."""
    if task.optimizer == "sgd":
        return ("momentum",) if task.options["momentum"] else ()
    return ("exp_avg", "exp_avg_sq")


def runs_that_fit(task: Task, bundle: Bundle) -> int:
    """How many runs like the bundle's may be held beside it: as fit a quarter of the free memory, at least one."""
    return max(1, memory_budget(task.device) // (4 * run_bytes(bundle, len(slots_of(task)))))


def add_scaled(target: torch.Tensor, scale: PerRun, values: torch.Tensor) -> None:
    """target += scale · values, the scale being each run's own."""
    if isinstance(scale, torch.Tensor):
        target.addcmul_(values, scale)
    else:
        target.add_(values, alpha=scale)


def _sgd(optimizer: StackedOptimizer, name: str, parameter: torch.Tensor, gradient: torch.Tensor) -> None:
    momentum = optimizer.options["momentum"]
    if optimizer.decays:
        add_scaled(gradient, wide(optimizer.weight_decay, parameter), parameter)
    if momentum:
        velocity = optimizer.slots["momentum"][name]
        velocity.mul_(momentum).add_(gradient)
        gradient = gradient.add_(velocity, alpha=momentum) if optimizer.options["nesterov"] else velocity
    add_scaled(parameter, -wide(optimizer.lr, parameter), gradient)


def _adam(optimizer: StackedOptimizer, name: str, parameter: torch.Tensor, gradient: torch.Tensor) -> None:
    if optimizer.decays:
        add_scaled(gradient, wide(optimizer.weight_decay, parameter), parameter)
    _adam_update(optimizer, name, parameter, gradient)


def _adamw(optimizer: StackedOptimizer, name: str, parameter: torch.Tensor, gradient: torch.Tensor) -> None:
    if optimizer.decays:
        parameter.mul_(1 - wide(optimizer.lr, parameter) * wide(optimizer.weight_decay, parameter))
    _adam_update(optimizer, name, parameter, gradient)


def _adam_update(optimizer: StackedOptimizer, name: str, parameter: torch.Tensor, gradient: torch.Tensor) -> None:
    (beta1, beta2), eps, count = optimizer.options["betas"], optimizer.options["eps"], optimizer.count
    mean, square = optimizer.slots["exp_avg"][name], optimizer.slots["exp_avg_sq"][name]
    mean.lerp_(gradient, 1 - beta1)
    square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    denominator = torch.sqrt(square, out=gradient)
    denominator.div_(math.sqrt(1 - beta2**count)).add_(eps)
    scale = wide(optimizer.lr, parameter) / (1 - beta1**count)
    if isinstance(scale, torch.Tensor):
        parameter.sub_(torch.div(mean, denominator, out=denominator).mul_(scale))
    else:
        parameter.addcdiv_(mean, denominator, value=-scale)


# Optimizer name -> its update of one stacked parameter.
UPDATES: dict[str, Update] = {"sgd": _sgd, "adam": _adam, "adamw": _adamw}


def _fused_adam(kernel: Callable[..., None]) -> Whole:
    """One pass over memory in place of seven, by the kernel of torch.optim's `fused=True`, for one lr and decay."""

    def whole(optimizer: StackedOptimizer, parameters: Stacked, gradients: Mapping[str, torch.Tensor]) -> None:
        beta1, beta2 = optimizer.options["betas"]
        names = list(gradients)
        count = torch.tensor(float(optimizer.count), device=gradients[names[0]].device)
        kernel(
            [parameters[name].detach() for name in names],
            # The kernel walks memory in order: what autograd returns may lie otherwise.
            [gradients[name].contiguous() for name in names],
            [optimizer.slots["exp_avg"][name] for name in names],
            [optimizer.slots["exp_avg_sq"][name] for name in names],
            [],
            [count] * len(names),
            lr=optimizer.lr,
            beta1=beta1,
            beta2=beta2,
            weight_decay=optimizer.weight_decay,
            eps=optimizer.options["eps"],
            amsgrad=False,
            maximize=False,
        )

    return whole


# Optimizer name -> its update of all stacked parameters at once, where this torch has the kernel.
FUSED: dict[str, Whole] = {
    name: _fused_adam(getattr(torch, kernel))
    for name, kernel in (("adam", "_fused_adam_"), ("adamw", "_fused_adamw_"))
    if hasattr(torch, kernel)
}
