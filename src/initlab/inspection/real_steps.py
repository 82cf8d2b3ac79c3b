"""What an optimizer's very first step does, by taking it: its own class, fresh, on a copy of one parameter."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from initlab.errors import InputError
from initlab.guest.doubles import doubles_at

Tensor = torch.Tensor


@dataclass(frozen=True)
class Maker:
    """How an optimizer is made anew.

    Attributes:
        kind: its class.
        defaults: its options.
        groups: {parameter name: the options of its group}; a parameter that is not in it has the defaults.
    """

    kind: Any
    defaults: Mapping[str, Any]
    groups: Mapping[str, Mapping[str, Any]]

    def options(self, name: str) -> dict[str, Any]:
        """The options of a parameter's group."""
        return {key: value for key, value in self.groups.get(name, {}).items() if key != "params"}

    def fresh(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """An optimizer of the same class with no step behind it.

        Raises:
            InputError: its class is made from something else than groups and its defaults.
        """
        taken = inspect.signature(self.kind).parameters
        try:
            made: torch.optim.Optimizer = self.kind(groups, **{k: v for k, v in self.defaults.items() if k in taken})
        except Exception as error:  # whatever another library's optimizer raises as it is made
            raise InputError(f"{self.kind.__name__} cannot be made anew: {error}; name 'adamw' in its place") from error
        return made

    def first(self, name: str, parameter: Tensor, gradient: Tensor, lr: float) -> Tensor:
        """w - w', with w' the parameter after one step, in double precision.

        Raises:
            InputError: it cannot be made anew, or steps by something else than a gradient.
        """
        wide, where = torch.promote_types(parameter.dtype, torch.float64), doubles_at(parameter.device)
        own = parameter.detach().to(where).to(wide)
        held = torch.nn.Parameter(own.clone())
        held.grad = gradient.to(where).to(wide)
        optimizer = self.fresh([{**self.options(name), "params": [held], "lr": lr}])
        try:
            with torch.enable_grad():
                optimizer.step()
        except Exception as error:  # or as it steps
            raise InputError(f"{self.kind.__name__} takes no step from a gradient alone: {error}") from error
        return own - held.detach()


def maker_of(optimizer: torch.optim.Optimizer, names: Mapping[int, str]) -> Maker:
    """Of an optimizer object; `names` are those of parameters by their `id`."""
    groups = {names[id(p)]: group for group in optimizer.param_groups for p in group["params"] if id(p) in names}
    return Maker(type(optimizer), optimizer.defaults, groups)
