"""Running a user's model on a batch and leaving no trace: inputs checked, flags, buffers and random states put back."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from initlab.errors import InputError
from initlab.rng import random_states_kept


def check_model(model: Any) -> nn.Module:
    """The module itself (of a compiled one: the original), if it has materialised parameters that can be written.

    Raises:
        InputError: no module, no parameters, lazy or meta parameters.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"model must be a torch.nn.Module; got {type(model).__name__}")
    module = getattr(model, "_orig_mod", model)
    parameters = dict(module.named_parameters())
    if not parameters:
        raise InputError(f"model must have parameters; {type(module).__name__} has none")
    for name, parameter in parameters.items():
        if is_lazy(parameter):
            raise InputError(f"parameter {name!r} is lazy: run the model once so that it takes its shape")
        if parameter.is_meta:
            raise InputError(f"parameter {name!r} is on the meta device: call model.to_empty(device='cpu') first")
    result: nn.Module = module
    return result


def check_batch(batch: Any, argument: str = "batch") -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A batch as positional and keyword arguments: a tensor or array, a tuple (positional) or a dict (keyword).

    Raises:
        InputError: no tensor in it, no rows, NaN or infinite values.

    >>> args, kwargs = check_batch(torch.zeros(2, 3))
    >>> args[0].shape, kwargs
    (torch.Size([2, 3]), {})
    """
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if isinstance(batch, dict):
        kwargs = {str(key): _tensor(value) for key, value in batch.items()}
    elif isinstance(batch, tuple | list):
        args = tuple(_tensor(value) for value in batch)
    else:
        args = (_tensor(batch),)
    tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
    if not tensors:
        raise InputError(
            f"{argument} must be a tensor, a tuple of positional arguments or a dict of keyword arguments; "
            f"got {type(batch).__name__}"
        )
    for tensor in tensors:
        if not tensor.numel():
            raise InputError(f"{argument} must hold at least one sample; got a tensor of shape {tuple(tensor.shape)}")
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            count = int((~tensor.isfinite()).sum())
            raise InputError(f"{argument} must be finite; {count:,} of {tensor.numel():,} values are NaN or infinite")
    return args, kwargs


def taken_by(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The inputs where the parameters are, floats in their dtype if they have but one."""
    place = next(model.parameters()).device
    dtypes = {parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()}
    only = dtypes.pop() if len(dtypes) == 1 else None

    def moved(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return value.to(place, only) if value.is_floating_point() else value.to(place)

    return tuple(map(moved, args)), {key: moved(value) for key, value in kwargs.items()}


def run_model(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The model's output; what its forward raises becomes an `InputError` of one line."""
    try:
        given, named = taken_by(model, args, kwargs)
        return model(*given, **named)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        shapes = [tuple(v.shape) for v in (*args, *kwargs.values()) if isinstance(v, Tensor)]
        text = " ".join(str(error).split())[:200]
        raise InputError(
            f"the model's forward raised {type(error).__name__} on inputs of shapes {shapes}: {text}"
        ) from error


@contextlib.contextmanager
def as_it_was(model: nn.Module, *, statistics: bool = True) -> Iterator[None]:
    """Inside: evaluation mode, but batch norms use the batch (`statistics`). Afterwards: flags, buffers, random states.

    Dropout would add noise to what is measured; a batch norm's running statistics say nothing before training.
    """
    flags = {module: module.training for module in model.modules()}
    buffers = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
    with random_states_kept():
        try:
            model.eval()
            for module in model.modules():
                if statistics and isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.training = True
            yield
        finally:
            for module, training in flags.items():
                module.training = training
            with torch.no_grad():
                for name, buffer in model.named_buffers():
                    if name in buffers and buffer.shape == buffers[name].shape:
                        buffer.copy_(buffers[name])


@contextlib.contextmanager
def parameters_kept_on_failure(model: nn.Module) -> Iterator[None]:
    """One copy of the parameters is held, and put back if anything is raised inside (Ctrl-C included)."""
    saved = [(parameter, parameter.detach().clone()) for parameter in model.parameters()]
    try:
        yield
    except BaseException:
        with torch.no_grad():
            for parameter, values in saved:
                parameter.copy_(values)
        raise


def tensors_in(output: Any) -> list[Tensor]:
    """The floating-point tensors in a model's output: a tensor, or tensors in tuples, lists, dicts or dataclasses.

    >>> len(tensors_in({"logits": torch.zeros(2), "more": [torch.zeros(1), 3]}))
    2
    """
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    if isinstance(output, dict):
        output = list(output.values())
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        output = [getattr(output, field.name) for field in dataclasses.fields(output)]
    if isinstance(output, tuple | list):
        return [tensor for part in output for tensor in tensors_in(part)]
    return []


def generator(seed: int) -> torch.Generator:
    """A torch generator of its own, on the CPU."""
    result = torch.Generator()
    result.manual_seed(seed % 2**63)
    return result


def _tensor(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biuf":
            raise InputError(f"batch must be numbers; got an array of dtype {value.dtype}")
        array = value.astype(np.float32) if value.dtype == np.float64 else value
        return torch.from_numpy(np.ascontiguousarray(array))
    return value
