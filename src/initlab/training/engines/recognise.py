"""Recognises, in the operations that a forward pass performs, a chain of affine layers and elementwise functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from initlab.guest.modules import in_mode
from initlab.guest.untouched import untouched
from initlab.training.engines.elementwise import ELEMENTWISE


@dataclass(frozen=True)
class Affine:
    """h -> W h + b: names of the weight (out, in) and of the bias (out,), if there is one."""

    weight: str
    bias: str | None


@dataclass(frozen=True)
class Elementwise:
    """h -> φ(h): the name of φ in `ELEMENTWISE` and the arguments that follow the input."""

    name: str
    arguments: tuple[Any, ...]


Stage = Affine | Elementwise


@dataclass
class _Recorded:
    name: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    result: Any


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch ships it untyped
    """Lists the ATen operations performed inside, with what went in and what came out."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch ships it untyped
        self.operations: list[_Recorded] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.operations.append(_Recorded(str(func), args, kwargs or {}, result))
        return result


def recognise(model: nn.Module, x: torch.Tensor) -> tuple[Stage, ...] | None:
    """The chain that `model` computes on a batch x (B, ...), in training and in evaluation alike; None if it does not.

    >>> chain = recognise(nn.Sequential(nn.Flatten(), nn.Linear(6, 2), nn.Tanh()), torch.ones(4, 2, 3))
    >>> [type(stage).__name__ for stage in chain]
    ['Affine', 'Elementwise']
    >>> recognise(nn.Sequential(nn.Conv1d(2, 2, 1)), torch.ones(4, 2, 3)) is None
    True
    """
    if not x.is_floating_point() or list(model.buffers()):
        return None
    with untouched(model, seed=0, device=str(x.device)):
        chains = [_chain(in_mode(model, mode), x) for mode in (True, False)]
    return chains[0] if chains[0] == chains[1] else None


def _chain(model: nn.Module, x: torch.Tensor) -> tuple[Stage, ...] | None:
    with torch.no_grad(), _Recorder() as recorder:
        output = model(x)
    walk = _Walk(model, x)
    if not all(walk.take(operation) for operation in recorder.operations):
        return None
    names = [name for stage in walk.stages if isinstance(stage, Affine) for name in (stage.weight, stage.bias) if name]
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    whole = sorted(names) == sorted(trained) and len(trained) == len(list(model.parameters(recurse=True)))
    started = bool(walk.stages) and isinstance(walk.stages[0], Affine)
    return tuple(walk.stages) if whole and started and output is walk.current else None


class _Walk:
    """Follows one value through the recorded operations, and refuses at the first that is no link of a chain."""

    def __init__(self, model: nn.Module, x: torch.Tensor) -> None:
        self.current = x
        self.samples = len(x)
        self.stages: list[Stage] = []
        self._names = {id(parameter): name for name, parameter in model.named_parameters()}
        self._transposed: dict[int, str] = {}

    def take(self, operation: _Recorded) -> bool:
        link = _LINKS.get(operation.name, _elementwise)
        return (not operation.options or link is _elementwise) and link(self, operation)

    def name_of(self, value: Any) -> str | None:
        return self._names.get(id(value))


def _transpose(walk: _Walk, operation: _Recorded) -> bool:
    name = walk.name_of(operation.arguments[0])
    if name is None:
        return False
    walk._transposed[id(operation.result)] = name
    return True


def _affine(walk: _Walk, operation: _Recorded) -> bool:
    *bias, value, weight = operation.arguments
    names = [walk._transposed.get(id(weight)), *[walk.name_of(b) for b in bias]]
    if value is not walk.current or value.ndim != 2 or None in names:
        return False
    walk.stages.append(Affine(str(names[0]), names[1] if bias else None))
    walk.current = operation.result
    return True


def _reshape(walk: _Walk, operation: _Recorded) -> bool:
    """A reshape that keeps the samples apart, before the first layer or without effect."""
    value, result = operation.arguments[0], operation.result
    flat = result.ndim == 2 and len(result) == walk.samples
    if value is not walk.current or not (flat and (not walk.stages or value.shape == result.shape)):
        return False
    walk.current = result
    return True


def _elementwise(walk: _Walk, operation: _Recorded) -> bool:
    name = operation.name.removeprefix("aten.").split(".")[0].rstrip("_")
    if name not in ELEMENTWISE or not operation.arguments or operation.arguments[0] is not walk.current:
        return False
    if operation.result.ndim != 2 or not walk.stages:
        return False
    walk.stages.append(Elementwise(name, (*operation.arguments[1:], *operation.options.values())))
    walk.current = operation.result
    return True


_LINKS: dict[str, Callable[[_Walk, _Recorded], bool]] = {
    "aten.t.default": _transpose,
    "aten.addmm.default": _affine,
    "aten.mm.default": _affine,
    "aten.view.default": _reshape,
    "aten._unsafe_view.default": _reshape,
}
