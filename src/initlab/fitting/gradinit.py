"""GradInit: one factor for each parameter is learned so that the first step of training lowers the loss the most."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from initlab.errors import InputError, argued, check_flags, finite_number, seed_number, whole_number
from initlab.fitting.learned import Batches, LearnedScales, Loss, loss_for, scalar_loss, twice_differentiable
from initlab.fitting.progress import progress_bar
from initlab.fitting.running import kept_on_failure, measuring
from initlab.guest.check import check_materialised
from initlab.guest.run import autograd_modes
from initlab.sampling import derive_seed
from initlab.training.optimizers import of_families, optimizer_of

_FALL = 0.1  # first-order fall of the loss in the first step that the bound on the gradient allows
_SMALLEST = 0.01


@argued
@autograd_modes(gradients=True)
def gradinit_(
    model: nn.Module,
    data: Any,
    *,
    loss: str | Loss | None = None,
    optimizer: str = "adam",
    lr: float = 1e-3,
    steps: int = 200,
    scale_lr: float = 1e-2,
    bound: float | None = None,
    batch_size: int = 64,
    seed: int = 0,
    progress: bool = False,
) -> LearnedScales:
    """GradInit: learn factors m for the parameters θ so that one step of the optimizer is as good as it can be.

    With g = ∇L(S; m∘θ): if ‖g‖ > bound, lower ‖g‖; else lower L(S̃; m∘θ − lr · A(g)) on a batch S̃ of which half is new,
    where A(g) = g and ‖·‖₂ for sgd, A(g) = sign g and ‖·‖₁ for adam. m follows Adam, and stays at least 0.01; what is
    all zero (biases, gates) has no factor, but its gradient counts and the step moves it.

    Args:
        model: any module whose forward can be differentiated twice, of up to a few million parameters.
        data: (X, Y), a Dataset or a DataLoader.
        loss: (output, targets) -> scalar, or a name as `compare` takes it ("mse", "l1", …); None or "auto" for
            cross-entropy (classes) or mean squares (numbers).
        optimizer: the one that will train: "adam" and its kin, whose steps have a size of their own, or "sgd".
        lr: its learning rate.
        steps: how many updates of m.
        scale_lr: step of m.
        bound: largest norm of the gradient; None for the norm at which the first step lowers the loss by 0.1 to first
            order: 0.1/lr for adam, √(0.1/lr) for sgd.
        batch_size: rows for each step.
        seed: seed of the batches.
        progress: whether to show a bar.

    Returns:
        `LearnedScales`, whose history is the loss after the optimizer's step (before it, where the bound was passed).

    Raises:
        InputError: a bad argument, bad data, a loss that is not finite, or a model that cannot be differentiated twice.
            The model is then as it was.

    Source: Zhu, Ni, Xu, Kong, Huang & Goldstein 2021, GradInit: learning to initialize neural networks, algorithm 1.

    >>> net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    >>> rows = torch.linspace(-1, 1, 128).reshape(64, 2)
    >>> sorted(gradinit_(net, (rows, (rows[:, 0] > 0).long()), steps=3).scales)[:2]
    ['0.bias', '0.weight']
    """
    check_flags(progress=progress)
    module = check_materialised(model, parameters=True)
    signed = optimizer_of(optimizer, of_families("sgd", "sign")).family == "sign"
    rate, step_size = finite_number("lr", lr, low=1e-12), finite_number("scale_lr", scale_lr, low=0)
    usual = _FALL / rate if signed else math.sqrt(_FALL / rate)
    most = usual if bound is None else finite_number("bound", bound, low=1e-12)
    batches = Batches(data, whole_number("batch_size", batch_size), derive_seed(seed_number(seed), "gradinit"))
    criterion, count = loss_for(loss, batches.y), whole_number("steps", steps)
    parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
    if not any(bool(p.detach().any()) for p in parameters.values()):
        raise InputError("model must have trainable parameters that are not all zero; write a start first")
    with kept_on_failure(module), measuring(module), twice_differentiable():
        learner = _Learner(module, criterion, signed, rate, most, parameters)
        with progress_bar("GradInit", count, progress) as step:
            for _ in range(count):
                learner.update(batches.next(), batches.next(), step_size)
                step(f"loss {learner.history[-1]:.4g}")
        learner.write()
    scales = {name: float(m.detach()) for name, m in learner.factors.items()}
    note = f"the gradient was over its bound in {learner.over} of {count} steps" if learner.over else ""
    return LearnedScales("GradInit", scales, tuple(learner.history), note)


class _Learner:
    """The factors and the optimizer that moves them. What is all zero has no factor, but moves with the first step."""

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        signed: bool,
        rate: float,
        bound: float,
        parameters: dict[str, nn.Parameter],
    ) -> None:
        self.model, self.loss, self.rate, self.bound = model, loss, rate, bound
        self.signed = signed
        self.fixed = {name: p.detach().clone() for name, p in parameters.items()}
        self.parameters = parameters
        self.factors = {n: p.new_ones(()).requires_grad_() for n, p in self.fixed.items() if bool(p.any())}
        self.optimizer: torch.optim.Adam | None = None
        self.history: list[float] = []
        self.over = 0

    def update(self, first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], step_size: float) -> None:
        """One step of the factors."""
        if self.optimizer is None:
            self.optimizer = torch.optim.Adam(self.factors.values(), lr=step_size)
        scaled = {
            name: value * self.factors[name] if name in self.factors else value.requires_grad_()
            for name, value in self.fixed.items()
        }
        before = self._loss(scaled, first)
        found = torch.autograd.grad(before, list(scaled.values()), create_graph=True, allow_unused=True)
        gradients = {n: g for n, g in zip(scaled, found, strict=True) if g is not None}
        norm = self._norm(list(gradients.values()))
        if float(norm.detach()) > self.bound:
            self.over += 1
            objective, shown = norm, float(before.detach())
        else:
            after = {
                n: scaled[n] - self.rate * self._step(gradients[n]) if n in gradients else scaled[n] for n in scaled
            }
            objective = self._loss(after, _half_of_each(first, second))
            shown = float(objective.detach())
        self.optimizer.zero_grad()
        gradients_of_m = torch.autograd.grad(objective, list(self.factors.values()), allow_unused=True)
        for m, gradient in zip(self.factors.values(), gradients_of_m, strict=True):
            m.grad = torch.zeros_like(m) if gradient is None else gradient
        self.optimizer.step()
        with torch.no_grad():
            for m in self.factors.values():
                m.clamp_(min=_SMALLEST)
        self.history.append(shown)

    @torch.no_grad()
    def write(self) -> None:
        """The factors into the parameters."""
        for name, factor in self.factors.items():
            self.parameters[name].mul_(factor)

    def _loss(self, values: dict[str, Tensor], batch: tuple[Tensor, Tensor]) -> Tensor:
        return scalar_loss(_Substituted(self.model, values), self.loss, *batch)

    def _norm(self, gradients: list[Tensor]) -> Tensor:
        sums = [(g.abs() if self.signed else g.square()).sum() for g in gradients]
        total = torch.stack([one.to(sums[0].device) for one in sums]).sum()  # a model may lie on several devices
        return total if self.signed else total.sqrt()

    def _step(self, gradient: Tensor) -> Tensor:
        return gradient.sign() if self.signed else gradient


class _Substituted(nn.Module):
    """The model with other values in the place of some parameters."""

    def __init__(self, model: nn.Module, values: dict[str, Tensor]) -> None:
        super().__init__()
        self.module, self._values = model, values

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return functional_call(self.module, self._values, args, kwargs)


def _half_of_each(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    half = len(first[0]) // 2
    x = torch.cat([first[0][:half], second[0][half:]])
    return x, torch.cat([first[1][:half], second[1][half:]])
