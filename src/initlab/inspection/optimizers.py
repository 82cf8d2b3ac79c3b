"""The optimizer as the inspection sees it: rate, momentum, decay, and what its steps, and its first, do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from initlab.errors import InputError, finite_number
from initlab.guest.doubles import doubles_at
from initlab.inspection.real_steps import Maker, maker_of
from initlab.training.optimizers import of_families, optimizer_of

Tensor = torch.Tensor

FAMILIES = ("sgd", "sign")  # whose steps are known
PLAIN = ("sgd", "adam", "adamw", "lion")  # whose first step is that of their family
LIKE_SGD = 3.0  # growth of a step with ten times the gradient, from which it goes by the gradient's size


@dataclass(frozen=True)
class Group:
    """What an optimizer object does to one parameter.

    Attributes:
        share: its rate over that of the first group.
        decay: weight decay.
        decoupled: whether the decay stands beside the step, and not in the gradient that the step is made of.
    """

    share: float
    decay: float
    decoupled: bool = True


@dataclass(frozen=True)
class Step:
    """The optimizer.

    Attributes:
        name: of a row of `training.optimizers`, or of the class of an object that has none.
        lr: its learning rate.
        given: whether the user chose that rate; the verdict then is about it, and about the best rate otherwise.
        momentum: of SGD: its steps add up to those of plain SGD at `rate`.
        eps: what keeps Adam and its kin from dividing by zero.
        groups: {parameter name: what an optimizer object does to it}; None where every parameter is treated alike. A
            parameter that is not in it does not move.
        maker: makes it anew, for the steps that it takes itself; None where its first step is its family's.
        nesterov: of SGD: whether its first step counts the gradient once more, by its momentum.
        other: of an optimizer that no row describes: its family, and the size of its first step at a rate of 1, over
            that of Adam or of plain SGD. Its steps are taken to be like its first one.
        beside: the `id` of each tensor that an optimizer object holds and that is none of the model's parameters.
    """

    name: str
    lr: float
    given: bool = True
    momentum: float = 0.0
    eps: float = 0.0
    groups: Mapping[str, Group] | None = None
    maker: Maker | None = field(default=None, repr=False)
    nesterov: bool = False
    other: tuple[str, float] | None = None
    beside: frozenset[int] = frozenset()

    @property
    def family(self) -> str:
        """What its steps are like: "sgd" goes by the gradient's size, "sign" does not."""
        return optimizer_of(self.name).family if self.other is None else self.other[0]

    @property
    def sign_like(self) -> bool:
        return self.family == "sign"

    @property
    def boost(self) -> float:
        """1 / (1 - momentum): how many steps of plain SGD, or of Adam, one step is worth in the end."""
        return 1.0 / (1.0 - self.momentum) if self.other is None else self.other[1]

    @property
    def rate(self) -> float:
        """The learning rate, momentum counted."""
        return self.lr * self.boost

    def at(self, lr: float) -> Step:
        """The same optimizer at another learning rate."""
        return replace(self, lr=lr)

    def decayed(self, factor: float) -> Step:
        """The same optimizer with every weight decay times `factor`."""
        own = (self.groups or {}).items()
        return replace(self, groups={name: replace(group, decay=group.decay * factor) for name, group in own})

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
        """d with w - lr · d the parameter after a step at `lr`; None for a parameter that does not move.

        SGD: the gradient, times `boost`. Adam and its kin: g / (|g| + eps), their steps once what they average is
        full: RMSprop's very first is ten times that. Weight decay is added. Of other optimizers it is the first step.
        """
        share = self.share(name)
        if share == 0.0:
            return None
        g = gradient.detach()
        g = (g.to_dense() if g.is_sparse else g).to(parameter.dtype)
        if self.other is not None:
            return (self._taken(name, parameter, g) / self.lr).to(parameter.dtype)
        d = self._stepped(name, parameter, g)
        d = d if self.sign_like else d * self.boost
        return d if share == 1.0 else d * share

    def plain(self, name: str) -> bool:
        """Whether the first step of that parameter follows from the gradient alone, by the formula of the family."""
        return self.maker is None and not self._decay(name)

    def first(self, name: str, parameter: Tensor, gradient: Tensor) -> Tensor | None:
        """w - w' of the very first step, no momentum and no average behind it; None for a parameter that stays."""
        share = self.share(name)
        if share == 0.0:
            return None
        g = gradient.to_dense() if gradient.is_sparse else gradient.detach()
        g = g.to(torch.promote_types(g.dtype, torch.float32))
        if self.maker is not None:
            return self._taken(name, parameter, g)
        d = self._stepped(name, parameter.detach().to(g), g)
        return d * (self.lr * share * (1.0 + self.momentum * self.nesterov))

    def _stepped(self, name: str, parameter: Tensor, g: Tensor) -> Tensor:
        """The step of the family at a rate of 1, the weight decay in it."""
        decay = self._decay(name)
        coupled = decay and self.groups is not None and not self.groups[name].decoupled
        if coupled:
            g = g.add(parameter.detach(), alpha=decay)
        d = _sign(g, self.eps) if self.sign_like else g
        return d.add(parameter.detach(), alpha=decay) if decay and not coupled else d

    def _decay(self, name: str) -> float:
        return self.groups[name].decay if self.groups is not None and name in self.groups else 0.0

    def _taken(self, name: str, parameter: Tensor, gradient: Tensor) -> Tensor:
        assert self.maker is not None
        return self.maker.first(name, parameter, gradient, self.lr * abs(self.share(name)))

    def _options(self, name: str) -> dict[str, Any]:
        """The options of a parameter's group, the decay as it is here."""
        assert self.maker is not None
        own = self.maker.options(name)
        return {**own, "weight_decay": self._decay(name)} if "weight_decay" in own else own

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """The same optimizer, fresh, for a trial on a copy of the weights, at this rate."""
        moved = {name: p for name, p in model.named_parameters() if p.requires_grad and self.share(name) != 0.0}
        rates = {name: self.lr * abs(self.share(name)) for name in moved}
        if self.maker is not None:
            return self.maker.fresh(
                [{**self._options(name), "params": [p], "lr": rates[name]} for name, p in moved.items()]
            )
        kind: Any = optimizer_of(self.name).made_by or torch.optim.AdamW
        groups = [
            {"params": [p], "lr": rates[name], "maximize": self.share(name) < 0, "weight_decay": self._decay(name)}
            for name, p in moved.items()
        ]
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
    maker = (
        None
        if row.name in PLAIN or row.made_by is None
        else Maker(row.made_by, {**row.options, "weight_decay": 0.0}, {})
    )
    return Step(row.name, _rate(row.lr if lr is None else lr), lr is not None, 0.0, row.eps, maker=maker)


def _of_object(optimizer: torch.optim.Optimizer, lr: float | None, model: nn.Module) -> Step:
    name = type(optimizer).__name__.lower()
    first = next((group for group in optimizer.param_groups if _lr(group)), optimizer.param_groups[0])
    own = _rate(_lr(first))
    held = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    sign = -1.0 if first.get("maximize") else 1.0
    groups = {
        parameter: Group(
            sign * _lr(group := held[id(p)]) / own, float(group.get("weight_decay") or 0.0), _apart(group, name)
        )
        for parameter, p in model.named_parameters()
        if id(p) in held
    }
    rate = own if lr is None else _rate(lr)
    own_names = {id(p): parameter for parameter, p in model.named_parameters()}
    maker, beside = maker_of(optimizer, own_names), frozenset(held.keys() - own_names.keys())
    if name not in of_families(*FAMILIES):
        other = _measured(optimizer, maker, rate, model)
        return Step(name, rate, True, groups=groups, maker=maker, other=other, beside=beside)
    row = optimizer_of(optimizer)
    momentum, nesterov = float(first.get("momentum") or 0.0), bool(first.get("nesterov"))
    eps = float(first.get("eps", row.eps))
    taken = None if name in PLAIN else maker
    return Step(name, rate, True, momentum, eps, groups, taken, nesterov, beside=beside)


def _measured(optimizer: torch.optim.Optimizer, maker: Maker, lr: float, model: nn.Module) -> tuple[str, float]:
    """Family of an optimizer that no row describes, and the size of its step at a rate of 1, by steps on random slopes.

    Raises:
        InputError: it takes no step from a gradient.
    """
    generator = torch.Generator().manual_seed(0)
    square, count, grown = 0.0, 0, 1.0
    for name, p in model.named_parameters():
        if name not in maker.groups or not p.requires_grad:
            continue
        gradient = torch.randn(p.shape, generator=generator, device="cpu", dtype=torch.float64).to(doubles_at(p.device))
        taken, wide = (maker.first(name, p, factor * gradient, lr).abs().square() for factor in (1.0, 10.0))
        square, count = square + float(taken.sum()), count + taken.numel()
        grown = max(grown, float((wide.sum() / taken.sum().clamp(min=1e-300)).sqrt()))
    size = math.sqrt(square / max(1, count)) / lr
    return ("sgd" if grown > LIKE_SGD else "sign"), float(f"{size:.2g}") or 1.0


def _apart(group: Mapping[str, Any], name: str) -> bool:
    """Whether the group's weight decay is AdamW's: Loshchilov & Hutter 2019, algorithm 2."""
    return bool(group.get("decoupled_weight_decay", name in ("adamw", "lion")))


def _lr(group: Mapping[str, Any]) -> float:
    """The group's learning rate; where a warm-up holds it at 0, the rate that the warm-up leads to."""
    return float(group["lr"]) or float(group.get("initial_lr", 0.0))


def _rate(lr: float) -> float:
    rate = finite_number("lr", lr, high=torch.finfo(torch.float32).max)
    if rate <= 0:
        raise InputError(f"lr must be greater than 0; got {rate:g}")
    return rate


def _sign(g: Tensor, eps: float) -> Tensor:
    """g / (|g| + eps); real and imaginary parts apart, as torch's optimizers take them."""
    if g.is_complex():
        return torch.view_as_complex(_sign(torch.view_as_real(g).contiguous(), eps))
    tiny = torch.finfo(g.dtype).tiny  # a gradient of 0 gives 0 also without eps
    return g / (g.abs() + max(eps, tiny))
