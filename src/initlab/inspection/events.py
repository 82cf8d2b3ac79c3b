"""What happens between the layers of a forward pass: cut gradients, sums, products, dropout, tensors nobody holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from initlab.graph.operations import TABLE
from initlab.graph.operations.arithmetic import factor_with
from initlab.inspection.activations import SETTINGS
from initlab.inspection.fetching import fetched

Tensor = torch.Tensor


@dataclass(frozen=True)
class Cut:
    """A call that gives values without a gradient although a gradient could pass: detach, a part under no_grad, argmax.

    Attributes:
        module: name of the module that makes it.
        function: name of the function.
        origin: index of the last record whose signal it reads; -1 for the inputs.
    """

    module: str
    function: str
    origin: int


@dataclass(frozen=True)
class Sum:
    """A sum of two signals of one shape, one of which is made from the other or from the same.

    Attributes:
        module: name of the module that makes it.
        stream: index of the last record of the older signal; -1 for the inputs.
        branch: that of the newer one.
        second_moment: of the sum.
    """

    module: str
    stream: int
    branch: int
    second_moment: float


@dataclass(frozen=True)
class Factor:
    """A signal multiplied by a number that stands in the code.

    Attributes:
        module: name of the module that makes it.
        value: the factor; for a quotient 1 over the divisor.
        origin: index of the last record whose signal it reads; -1 for the inputs.
    """

    module: str
    value: float
    origin: int


@dataclass(frozen=True)
class Drop:
    """A call of dropout.

    Attributes:
        module: name of the module that makes it.
        share: of the elements that it drops.
    """

    module: str
    share: float


@dataclass(frozen=True)
class Constant:
    """The constant of an activation function.

    Attributes:
        module: name of the module that calls it.
        function: kind of the function.
        value: of the argument in `SETTINGS`.
    """

    module: str
    function: str
    value: float


@dataclass(frozen=True)
class Loose:
    """A tensor that is to be trained and that the model does not list among its parameters.

    Attributes:
        module: name of the module that reads it.
        key: its `id`.
        shape: its shape.
    """

    module: str
    key: int
    shape: tuple[int, ...]


@dataclass
class Events:
    """All of them, in the order of the forward pass."""

    cuts: list[Cut] = field(default_factory=list)
    sums: list[Sum] = field(default_factory=list)
    factors: list[Factor] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)
    constants: list[Constant] = field(default_factory=list)
    loose: list[Loose] = field(default_factory=list)
    waiting: list[dict[str, Tensor]] = field(default_factory=list, repr=False)

    def settle(self) -> None:
        """Bring the second moments of the sums from the device."""
        numbers = fetched(self.waiting)
        self.sums = [replace(s, second_moment=n["square"]) for s, n in zip(self.sums, numbers, strict=True)]
        self.waiting.clear()

    def see(
        self, kind: str, module: str, args: Sequence[Any], kwargs: Mapping[str, Any], origins: list[int], output: Any
    ) -> None:
        """Note one call of an operation of this kind that reads signals from the records `origins`."""
        if TABLE[kind].drops:
            self._drop(module, args, kwargs)
        if kind in SETTINGS:
            self._constant(kind, module, args, kwargs)
        if not isinstance(output, Tensor) or not output.is_floating_point():
            return
        if kind == "add":
            self._sum(module, args, origins, output)
        else:
            value = factor_of(kind, args, kwargs)
            if value is not None:
                self.factors.append(Factor(module, value, max(origins)))

    def unlisted(self, tensor: Tensor, module: str) -> None:
        """Note a tensor that is to be trained and that no module has registered, once."""
        if all(one.key != id(tensor) for one in self.loose):
            self.loose.append(Loose(module, id(tensor), tuple(tensor.shape)))

    def cut(self, name: str, module: str, origin: int) -> None:
        self.cuts.append(Cut(module, name, origin))

    def _sum(self, module: str, args: Sequence[Any], origins: list[int], output: Tensor) -> None:
        shapes = [a.shape for a in args[:2] if isinstance(a, Tensor)]
        if len(origins) != 2 or len(shapes) != 2 or shapes[0] != shapes[1] or output.layout != torch.strided:
            return
        flat = output.detach().reshape(-1).float()
        self.waiting.append({"square": torch.dot(flat, flat) / max(1, flat.numel())})
        self.sums.append(Sum(module, min(origins), max(origins), math.nan))

    def _constant(self, function: str, module: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        setting = SETTINGS[function]
        value = kwargs.get(setting.name, args[setting.place] if len(args) > setting.place else None)
        if isinstance(value, int | float):
            self.constants.append(Constant(module, function, float(value)))

    def _drop(self, module: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        share = kwargs.get("p", args[1] if len(args) > 1 else 0.5)
        active = bool(kwargs.get("training", args[2] if len(args) > 2 else True))
        if isinstance(share, int | float) and active:
            self.drops.append(Drop(module, float(share)))


def factor_of(kind: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> float | None:
    """What a call of a product or quotient with a number in the code multiplies a tensor by; None of anything else."""
    operands = [*args[:2], *(kwargs[name] for name in ("input", "other") if name in kwargs)]
    if sum(isinstance(item, Tensor) for item in operands) != 1:
        return None
    return factor_with(kind, operands, _number)


def _number(item: Any) -> float | None:
    return float(item) if isinstance(item, int | float) and not isinstance(item, bool) else None
