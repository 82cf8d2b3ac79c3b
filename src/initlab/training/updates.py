"""The updates of torch.optim on stacked tensors, run by run, in place: what `StackedOptimizer` does with a row."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch

# A number that all runs share, or one for each run.
PerRun = float | torch.Tensor
Stacked = Mapping[str, torch.Tensor]


class Stack(Protocol):
    """The optimizer of K runs that are trained as one, for some of their parameters."""

    @property
    def options(self) -> Mapping[str, Any]:
        """The optimizer's own, as torch.optim takes them."""

    @property
    def lr(self) -> PerRun:
        """Learning rate."""

    @property
    def weight_decay(self) -> PerRun:
        """Weight decay."""

    @property
    def decays(self) -> bool:
        """Whether any run decays."""

    @property
    def slots(self) -> Mapping[str, Stacked]:
        """Slot -> parameter name -> (K, ...)."""

    @property
    def count(self) -> int:
        """Steps done, this one counted."""


Update = Callable[[Stack, str, torch.Tensor, torch.Tensor], None]
Whole = Callable[[Stack, Stacked, Stacked], None]


@dataclass(frozen=True)
class StackedUpdate:
    """How runs that are trained as one are updated.

    Args:
        update: of one stacked parameter: (stack, name, parameter, gradient), which may be overwritten.
        slots: the tensors that it keeps for each parameter, by its options.
        fused: torch's kernel for one learning rate and decay, where this torch has it.
        linear: whether, by its options, a step adds a multiple of the gradient to a tensor and needs nothing else.
    """

    update: Update
    slots: Callable[[Mapping[str, Any]], tuple[str, ...]]
    fused: Whole | None = None
    linear: Callable[[Mapping[str, Any]], bool] = lambda options: False


def wide(value: PerRun, like: torch.Tensor) -> PerRun:
    """`value` shaped to broadcast over a stacked tensor."""
    return value if isinstance(value, float | int) else value.view(-1, *[1] * (like.ndim - 1))


def add_scaled(target: torch.Tensor, scale: PerRun, values: torch.Tensor) -> None:
    """target += scale · values, the scale being each run's own."""
    if isinstance(scale, torch.Tensor):
        target.addcmul_(values, scale)
    else:
        target.add_(values, alpha=scale)


def _sgd(stack: Stack, name: str, parameter: torch.Tensor, gradient: torch.Tensor) -> None:
    momentum = stack.options["momentum"]
    if stack.decays:
        add_scaled(gradient, wide(stack.weight_decay, parameter), parameter)
    if momentum:
        velocity = stack.slots["momentum"][name]
        velocity.mul_(momentum).add_(gradient)
        gradient = gradient.add_(velocity, alpha=momentum) if stack.options["nesterov"] else velocity
    add_scaled(parameter, -wide(stack.lr, parameter), gradient)


def _adam(stack: Stack, name: str, parameter: torch.Tensor, gradient: torch.Tensor) -> None:
    if stack.decays:
        add_scaled(gradient, wide(stack.weight_decay, parameter), parameter)
    _adam_update(stack, name, parameter, gradient)


def _adamw(stack: Stack, name: str, parameter: torch.Tensor, gradient: torch.Tensor) -> None:
    if stack.decays:
        parameter.mul_(1 - wide(stack.lr, parameter) * wide(stack.weight_decay, parameter))
    _adam_update(stack, name, parameter, gradient)


def _adam_update(stack: Stack, name: str, parameter: torch.Tensor, gradient: torch.Tensor) -> None:
    (beta1, beta2), eps, count = stack.options["betas"], stack.options["eps"], stack.count
    mean, square = stack.slots["exp_avg"][name], stack.slots["exp_avg_sq"][name]
    mean.lerp_(gradient, 1 - beta1)
    square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    denominator = torch.sqrt(square, out=gradient)
    denominator.div_(math.sqrt(1 - beta2**count)).add_(eps)
    scale = wide(stack.lr, parameter) / (1 - beta1**count)
    if isinstance(scale, torch.Tensor):
        parameter.sub_(torch.div(mean, denominator, out=denominator).mul_(scale))
    else:
        parameter.addcdiv_(mean, denominator, value=-scale)


def _fused_adam(name: str) -> Whole | None:
    """One pass over memory in place of seven, by the kernel of torch.optim's `fused=True`, for one lr and decay."""
    kernel = getattr(torch, name, None)
    if kernel is None:
        return None

    def whole(stack: Stack, parameters: Stacked, gradients: Stacked) -> None:
        beta1, beta2 = stack.options["betas"]
        names = list(gradients)
        count = torch.tensor(float(stack.count), device=gradients[names[0]].device)
        kernel(
            [parameters[name].detach() for name in names],
            # The kernel walks memory in order: what autograd returns may lie otherwise.
            [gradients[name].contiguous() for name in names],
            [stack.slots["exp_avg"][name] for name in names],
            [stack.slots["exp_avg_sq"][name] for name in names],
            [],
            [count] * len(names),
            lr=stack.lr,
            beta1=beta1,
            beta2=beta2,
            weight_decay=stack.weight_decay,
            eps=stack.options["eps"],
            amsgrad=False,
            maximize=False,
        )

    return whole


def _velocity(options: Mapping[str, Any]) -> tuple[str, ...]:
    return ("momentum",) if options["momentum"] else ()


def _moments(options: Mapping[str, Any]) -> tuple[str, ...]:
    return ("exp_avg", "exp_avg_sq")


SGD = StackedUpdate(_sgd, _velocity, linear=lambda options: not options["nesterov"])
ADAM = StackedUpdate(_adam, _moments, _fused_adam("_fused_adam_"))
ADAMW = StackedUpdate(_adamw, _moments, _fused_adam("_fused_adamw_"))
