"""The optimizer as the inspection sees it: rate, momentum, decay, and what its first step does to a parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from initlab.errors import InputError, finite_number
from initlab.training.optimizers import of_families, optimizer_of

Tensor = torch.Tensor

FAMILIES = ("sgd", "sign")  # whose first step is known


@dataclass(frozen=True)
class Group:
    """What an optimizer object does to one parameter: its rate over that of the first group, and its weight decay."""

    share: float
    decay: float


@dataclass(frozen=True)
class Step:
    """The optimizer.

    Attributes:
        name: of a row of `training.optimizers`.
        lr: its learning rate.
        given: whether the user chose that rate; the verdict then is about it, and about the best rate otherwise.
        momentum: of SGD: its steps add up to those of plain SGD at `rate`.
        eps: what keeps Adam and its kin from dividing by zero.
        groups: {parameter name: what an optimizer object does to it}; None where every parameter is treated alike. A
            parameter that is not in it does not move.
    """

    name: str
    lr: float
    given: bool = True
    momentum: float = 0.0
    eps: float = 0.0
    groups: Mapping[str, Group] | None = None

    @property
    def family(self) -> str:
        """What its first step is like: "sgd" goes by the gradient's size, "sign" does not."""
        return optimizer_of(self.name).family

    @property
    def sign_like(self) -> bool:
        return self.family == "sign"

    @property
    def boost(self) -> float:
        """1 / (1 - momentum): how many steps of plain SGD one step is worth in the end."""
        return 1.0 / (1.0 - self.momentum)

    @property
    def rate(self) -> float:
        """The learning rate, momentum counted."""
        return self.lr * self.boost

    def at(self, lr: float) -> Step:
        """The same optimizer at another learning rate."""
        return replace(self, lr=lr)

    def whole(self) -> Step:
        """The same optimizer with every parameter at the rate of its fastest group."""
        fastest = max((abs(group.share) for group in (self.groups or {}).values()), default=1.0)
        return replace(self, lr=self.lr * (fastest or 1.0), groups=None)

    def share(self, name: str) -> float:
        """Learning rate of that parameter over `lr`; 0 for one that the optimizer does not hold."""
        if self.groups is None:
            return 1.0
        return self.groups[name].share if name in self.groups else 0.0

    def direction(self, name: str, parameter: Tensor, gradient: Tensor) -> Tensor | None:
        """d with w - lr · d the parameter after one step at `lr`; None for a parameter that does not move.

        SGD: the gradient, times `boost`. Adam and its kin: g / (|g| + eps), their first step. Weight decay is added.
        """
        share = self.share(name)
        if share == 0.0:
            return None
        g = gradient.detach()
        g = (g.to_dense() if g.is_sparse else g).to(parameter.dtype)
        d = _sign(g, self.eps) if self.sign_like else g * self.boost
        decay = self.groups[name].decay if self.groups is not None else 0.0
        if decay:
            d = d.add(parameter.detach(), alpha=decay * (1.0 if self.sign_like else self.boost))
        return d if share == 1.0 else d * share

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """The same optimizer, fresh, for a trial on a copy of the weights: torch's own, at this rate."""
        kind: Any = optimizer_of(self.name).made_by or torch.optim.AdamW
        groups = [
            {"params": [p], "lr": self.lr * abs(self.share(name)), "maximize": self.share(name) < 0,
             "weight_decay": self.groups[name].decay if self.groups is not None else 0.0}
            for name, p in model.named_parameters()
            if p.requires_grad and self.share(name) != 0.0
        ]  # fmt: skip
        own = {"momentum": self.momentum} if self.name == "sgd" else {"eps": self.eps}
        fresh: torch.optim.Optimizer = kind(groups, lr=self.lr, **own)
        return fresh


def step_of(optimizer: Any, lr: float | None, model: nn.Module) -> Step:
    """What `optimizer` (a name, an Optimizer class or an Optimizer) does to the parameters of `model`.

    Raises:
        InputError: an unknown optimizer, or a learning rate that is not above 0.
    """
    inner = getattr(optimizer, "optimizer", None)  # what accelerate and Lightning wrap
    if isinstance(inner, torch.optim.Optimizer):
        optimizer = inner
    if isinstance(optimizer, torch.optim.Optimizer):
        return _of_object(optimizer, lr, model)
    row = optimizer_of(optimizer, of_families(*FAMILIES))
    return Step(row.name, _rate(row.lr if lr is None else lr), lr is not None, 0.0, row.eps)


def _of_object(optimizer: torch.optim.Optimizer, lr: float | None, model: nn.Module) -> Step:
    row = optimizer_of(optimizer, of_families(*FAMILIES))
    first = next((group for group in optimizer.param_groups if _lr(group)), optimizer.param_groups[0])
    own = _rate(_lr(first))
    held = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    sign = -1.0 if first.get("maximize") else 1.0
    groups = {
        parameter: Group(sign * _lr(held[id(p)]) / own, float(held[id(p)].get("weight_decay") or 0.0))
        for parameter, p in model.named_parameters()
        if id(p) in held
    }
    eps = float(first.get("eps", row.eps))
    return Step(row.name, own if lr is None else _rate(lr), True, float(first.get("momentum") or 0.0), eps, groups)


def _lr(group: Mapping[str, Any]) -> float:
    """The group's learning rate; where a warm-up holds it at 0, the rate that the warm-up leads to."""
    return float(group["lr"]) or float(group.get("initial_lr", 0.0))


def _rate(lr: float) -> float:
    rate = finite_number("lr", lr)
    if rate <= 0:
        raise InputError(f"lr must be greater than 0; got {rate:g}")
    return rate


def _sign(g: Tensor, eps: float) -> Tensor:
    """g / (|g| + eps); real and imaginary parts apart, as torch's optimizers take them."""
    if g.is_complex():
        return torch.view_as_complex(_sign(torch.view_as_real(g).contiguous(), eps))
    tiny = torch.finfo(g.dtype).tiny  # a gradient of 0 gives 0 also without eps
    return g / (g.abs() + max(eps, tiny))
