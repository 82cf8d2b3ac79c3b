"""Leaving a model exactly as it was: training modes, buffers, attributes, in-place changes and random states."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Iterator

import torch
from torch import nn

from initlab.rng import random_states_kept

Tensor = torch.Tensor


@contextlib.contextmanager
def kept(model: nn.Module, *, train: bool = True, written: Collection[str] = ()) -> Iterator[None]:
    """Run the body with `model` in training mode and gradients on; afterwards everything is as it was.

    With `train` False, the modes are as they come; `written` names parameters that the body may write to.
    A model that is in training mode already keeps the modes of its parts (a frozen batch-norm stays frozen). Buffers
    are put back value by value and object by object, attributes that the forward pass set are taken back, and the
    random states of torch, numpy and Python are restored; inside, they start from a fixed seed.
    """
    modules = list(model.modules())
    attributes = [(module, dict(module.__dict__)) for module in modules]
    registries = [
        (module, dict(module._buffers), dict(module._parameters))
        for module in modules
        if not isinstance(module, torch.jit.ScriptModule)  # whose tensors can be written but not exchanged
    ]
    own = [parameter for name, parameter in model.named_parameters() if name in written]
    values = [(tensor, tensor.detach().clone()) for tensor in (*model.buffers(), *own)]
    with contextlib.ExitStack() as stack:
        stack.enter_context(random_states_kept(seed=0))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        try:
            if train and not model.training:
                model.train()
            yield
        finally:
            _put_back(attributes, registries, values)


def _put_back(
    attributes: list[tuple[nn.Module, dict[str, object]]],
    registries: list[tuple[nn.Module, dict[str, Tensor | None], dict[str, nn.Parameter | None]]],
    values: list[tuple[Tensor, Tensor]],
) -> None:
    for module, old in attributes:
        if not _same_objects(module.__dict__, old):
            module.__dict__.clear()
            module.__dict__.update(old)
    for module, buffers, parameters in registries:
        _refill(module._buffers, buffers)
        _refill(module._parameters, parameters)
    with torch.no_grad():
        for tensor, value in values:
            tensor.copy_(value)


def _same_objects(new: dict[str, object], old: dict[str, object]) -> bool:
    """Whether the two hold the very same objects, so that nothing needs to be put back."""
    return new.keys() == old.keys() and all(new[key] is value for key, value in old.items())


def _refill(registry: dict, old: dict) -> None:  # type: ignore[type-arg]  # Module types its registries loosely
    if list(registry) != list(old) or any(registry[key] is not value for key, value in old.items()):
        registry.clear()
        registry.update(old)
