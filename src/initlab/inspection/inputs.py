"""What the user passes, checked and made ready: tensors, arrays, tuples (positional) and dicts (keyword)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from initlab.errors import InputError
from initlab.inspection.outputs import named_tensors

Tensor = torch.Tensor


def model_of(model: Any) -> nn.Module:
    """`model`, checked: a materialised nn.Module. A compiled model is inspected as the module it was compiled from."""
    if not isinstance(model, nn.Module):
        raise InputError(f"model must be a torch.nn.Module; got {type(model).__name__}")
    inner = getattr(model, "_orig_mod", None)
    whole: nn.Module = inner if isinstance(inner, nn.Module) else model
    for name, tensor in [*whole.named_parameters(), *whole.named_buffers()]:
        if isinstance(tensor, UninitializedParameter | UninitializedBuffer):
            raise InputError(f"{name!r} has no shape yet (lazy module); run one forward pass before inspecting")
        if tensor.is_meta:
            raise InputError(f"{name!r} is on the meta device and has no values; materialise the model with to_empty")
    return whole


def call_arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """(args, kwargs) of the model's call.

    Raises:
        InputError: nothing in `inputs` is a tensor, a batch is empty, or a value is NaN or infinite.
    """
    ready = _tensors_of(inputs)
    args: tuple[Any, ...]
    if isinstance(ready, Mapping):
        args, kwargs = (), dict(ready)
    elif isinstance(ready, list | tuple) and not hasattr(ready, "_fields"):
        args, kwargs = tuple(ready), {}
    else:
        args, kwargs = (ready,), {}
    found = list(named_tensors((args, kwargs), "inputs"))
    if not found:
        raise InputError(f"inputs must be a tensor, an array, or a tuple or dict of them; got {type(inputs).__name__}")
    for _, tensor in found:
        if tensor.ndim and 0 in tensor.shape:
            raise InputError(f"inputs must hold at least one sample; got a tensor of shape {tuple(tensor.shape)}")
        if tensor.is_meta:
            raise InputError(f"inputs must hold values; got a tensor of shape {tuple(tensor.shape)} on the meta device")
        values = stored(tensor)
        if values.is_floating_point() and not bool(torch.isfinite(values).all()):
            bad = int((~torch.isfinite(values)).sum())
            raise InputError(f"inputs must be finite; got {bad} NaN or infinite values in shape {tuple(tensor.shape)}")
    return args, kwargs


def targets_of(targets: Any) -> Any:
    """Targets with arrays turned into tensors; a copy of an inference tensor, which autograd cannot hold."""
    return None if targets is None else _tensors_of(targets)


def batch_size(args: tuple[Any, ...], kwargs: dict[str, Any], targets: Any) -> int | None:
    """Samples in the batch: the first size of the targets where an input has it too, else of the first input."""
    shapes = [tuple(t.shape) for _, t in named_tensors((args, kwargs)) if t.ndim]
    if not shapes:
        return None
    if isinstance(targets, Tensor) and targets.ndim and targets.shape[0] in shapes[0][:2]:
        return int(targets.shape[0])
    return shapes[0][0]


def samples_alike(args: tuple[Any, ...], kwargs: dict[str, Any], batch: int | None) -> bool:
    """Whether every sample of the batch is the same, so that nothing can tell them apart."""
    if batch is None or batch < 2:
        return False
    for _, tensor in named_tensors((args, kwargs)):
        axis = None if tensor.is_nested else next((d for d, n in enumerate(tensor.shape[:2]) if n == batch), None)
        if axis is not None and tensor.layout != torch.strided:
            return False
        if axis is not None and not bool((tensor == tensor.narrow(axis, 0, 1)).all()):
            return False
    return True


def stored(tensor: Tensor) -> Tensor:
    """The numbers that a tensor holds, whatever its layout: those of a sparse or nested one are its values."""
    if tensor.layout == torch.sparse_coo:
        return tensor._values()
    return tensor if tensor.layout == torch.strided and not tensor.is_nested else tensor.values()


def _tensors_of(value: Any) -> Any:
    if isinstance(value, Tensor):
        value = value.detach() if value.requires_grad and not value.is_leaf else value
        with torch.inference_mode(False):
            return value.clone() if value.is_inference() else value
    if type(value).__module__ == "numpy" and hasattr(value, "__array__"):
        tensor = torch.from_numpy(value.copy()) if hasattr(value, "copy") else torch.as_tensor(value)
        return tensor.float() if tensor.dtype == torch.float64 else tensor
    if isinstance(value, Mapping):
        return {key: _tensors_of(item) for key, item in value.items()}
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return tuple(_tensors_of(item) for item in value)
    return value
