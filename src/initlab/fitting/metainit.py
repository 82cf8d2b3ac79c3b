"""MetaInit: the norm of each weight is learned so that the gradient changes little along a step of descent."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from initlab.errors import InputError, argued, check_flags, finite_number, seed_number, whole_number
from initlab.fitting.learned import Batches, LearnedScales, Loss, loss_for, scalar_loss, twice_differentiable
from initlab.fitting.progress import progress_bar
from initlab.fitting.running import kept_on_failure, measuring
from initlab.guest.check import check_materialised
from initlab.guest.run import autograd_modes
from initlab.sampling import derive_seed

_LEAST = 0.01  # of the first norm


def gradient_quotient(loss: Tensor, parameters: list[Tensor], eps: float = 1e-5) -> Tensor:
    """GQ = mean |(g − Hg)/(g ± eps) − 1| over all elements: how much one unit step of descent changes the gradient g.

    Source: Dauphin & Schoenholz 2019, equation 3 (eps takes the sign of g).

    >>> x = torch.tensor([2.0], requires_grad=True)
    >>> round(float(gradient_quotient(0.25 * x.square().sum(), [x]).detach()), 3)
    0.5
    """
    gradients: tuple[Tensor | None, ...] = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
    pairs = [(p, g) for p, g in zip(parameters, gradients, strict=True) if g is not None]
    half_square = sum((g.square().sum() for _, g in pairs), start=loss.new_zeros(())) / 2
    used = [p for p, _ in pairs]
    products: tuple[Tensor | None, ...] = torch.autograd.grad(half_square, used, create_graph=True, allow_unused=True)
    total = loss.new_zeros(())
    for (_, gradient), product in zip(pairs, products, strict=True):
        if product is None:
            continue  # a gradient that does not depend on the parameter does not change
        guard = torch.where(gradient.detach() >= 0, eps, -eps)
        total = total + ((gradient - product) / (gradient + guard) - 1).abs().sum()
    return total / sum(p.numel() for p, _ in pairs)


@argued
@autograd_modes(gradients=True)
def metainit_(
    model: nn.Module,
    data: Any,
    *,
    loss: str | Loss | None = None,
    steps: int = 200,
    lr: float = 0.1,
    momentum: float = 0.9,
    batch_size: int = 128,
    seed: int = 0,
    progress: bool = False,
) -> LearnedScales:
    """MetaInit: adapt the norm of every weight by signed descent with momentum on the gradient quotient.

    v ← momentum · v − lr · sign(∂GQ/∂‖W‖), ‖W‖ ← ‖W‖ + v for each parameter of two or more axes, from the start that
    the model has, and no norm below a hundredth of its first. Meant for networks of up to a few million parameters:
    each step differentiates twice.

    Args:
        model: any module whose forward can be differentiated twice.
        data: (X, Y), a Dataset or a DataLoader.
        loss: (output, targets) -> scalar, or a name as `compare` takes it ("mse", "l1", …); None or "auto" for
            cross-entropy (classes) or mean squares (numbers).
        steps: how many steps.
        lr: step of the norm.
        momentum: in [0, 1).
        batch_size: rows for each step.
        seed: seed of the batches.
        progress: whether to show a bar.

    Returns:
        `LearnedScales`, whose history is the gradient quotient.

    Raises:
        InputError: a bad argument, bad data, a loss that is not finite, a model that cannot be differentiated twice, or
            one of whose weights none has a norm. The model is then as it was.

    Source: Dauphin & Schoenholz 2019, MetaInit: initializing learning by learning to initialize, algorithm 1.

    >>> net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    >>> rows = torch.linspace(-1, 1, 128).reshape(64, 2)
    >>> sorted(metainit_(net, (rows, (rows[:, 0] > 0).long()), steps=3).scales)
    ['0.weight', '2.weight']
    """
    check_flags(progress=progress)
    module = check_materialised(model, parameters=True)
    rate, inertia = finite_number("lr", lr, low=0), finite_number("momentum", momentum, low=0, high=0.9999)
    batches = Batches(data, whole_number("batch_size", batch_size), derive_seed(seed_number(seed), "metainit"))
    criterion, count = loss_for(loss, batches.y), whole_number("steps", steps)
    norms = {n: float(p.detach().norm()) for n, p in module.named_parameters() if p.ndim >= 2 and p.requires_grad}
    first = {name: norm for name, norm in norms.items() if norm != 0}
    if not first:
        raise InputError(
            "model must have trainable parameters of two or more axes that are not all zero, whose norms can be learned"
        )
    weights = {name: module.get_parameter(name) for name in first}
    velocity, history = dict.fromkeys(weights, 0.0), []
    guarded = kept_on_failure(module), measuring(module), twice_differentiable()
    with guarded[0], guarded[1], guarded[2], progress_bar("MetaInit", count, progress) as step:
        for _ in range(count):
            value, slopes = _slopes(module, criterion, batches, weights)
            history.append(value)
            _move(weights, slopes, velocity, first, rate, inertia)
            step(f"gradient quotient {value:.4g}")
    scales = {name: float(p.detach().norm()) / first[name] for name, p in weights.items()}
    return LearnedScales("MetaInit", scales, tuple(history))


def _slopes(
    model: nn.Module, loss: Loss, batches: Batches, weights: dict[str, nn.Parameter]
) -> tuple[float, dict[str, float]]:
    """The gradient quotient on a batch, and its derivative with respect to each weight's norm."""
    value = scalar_loss(model, loss, *batches.next())
    parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
    quotient = gradient_quotient(value, parameters)
    if not math.isfinite(float(quotient.detach())):
        raise InputError("the gradient quotient is not finite; choose a smaller start, or a smaller lr")
    if not quotient.requires_grad:
        return float(quotient.detach()), dict.fromkeys(weights, 0.0)
    gradients = torch.autograd.grad(quotient, list(weights.values()), allow_unused=True)
    slopes = {
        name: 0.0 if gradient is None else float((weight.detach() * gradient).sum() / weight.detach().norm())
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
    }
    return float(quotient.detach()), slopes


@torch.no_grad()
def _move(
    weights: dict[str, nn.Parameter],
    slopes: dict[str, float],
    velocity: dict[str, float],
    first: dict[str, float],
    rate: float,
    inertia: float,
) -> None:
    for name, weight in weights.items():
        slope = slopes[name]
        velocity[name] = inertia * velocity[name] - rate * ((slope > 0) - (slope < 0))
        norm = float(weight.norm())
        # A norm of zero has no direction to grow back in.
        weight.mul_(max(norm + velocity[name], _LEAST * first[name]) / norm)
