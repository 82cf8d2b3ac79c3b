"""What goes into a model and comes out of it: nested tensors walked and rebuilt, and a batch made the model's call."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from initlab.data.frames import plain_array
from initlab.errors import InputError, shown, text

Tensor = torch.Tensor

_LEAVES = (str, bytes, int, float, complex, type, torch.dtype, torch.device, nn.Module)
_PLAIN = frozenset({type(None), bool, int, float, str})  # most of what is no tensor
_DEEPEST = 8  # levels that are looked into, so that objects which refer to each other end


def named_tensors(value: Any, path: str = "output", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Every tensor in a nested value with its path: mappings, sequences, slices, dataclasses and plain objects.

    >>> [path for path, _ in named_tensors({"logits": torch.zeros(2), "more": [torch.zeros(1), 3]})]
    ["output['logits']", "output['more'][0]"]
    """
    if isinstance(value, Tensor):
        yield path, value
    elif value is not None and depth <= _DEEPEST and not isinstance(value, _LEAVES):
        for name, part in _members(value):
            yield from named_tensors(part, f"{path}{name}", depth + 1)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Every tensor in a nested value, in order: what `named_tensors` finds.

    >>> len(list(tensors_in(({"x": torch.zeros(2)}, slice(torch.tensor(1), None)))))
    2
    """
    found: list[Tensor] = []
    _collect(value, 0, found)
    return iter(found)


def _collect(value: Any, depth: int, found: list[Tensor]) -> None:
    """As `named_tensors`, without the names: it is asked at every operation that a model runs."""
    if isinstance(value, Tensor):
        found.append(value)
    elif type(value) in _PLAIN or depth > _DEEPEST:
        return
    elif type(value) in (tuple, list):
        for part in value:
            _collect(part, depth + 1, found)
    elif type(value) is dict:
        for part in value.values():
            _collect(part, depth + 1, found)
    elif not isinstance(value, _LEAVES):
        for _, part in _members(value):
            _collect(part, depth + 1, found)


def mapped(value: Any, give: Callable[[Tensor], Any]) -> Any:
    """A nested value with what `give` gives in place of every tensor; mappings come back as dicts.

    >>> mapped(([torch.zeros(2, 3)], {"n": 1}), lambda tensor: tuple(tensor.shape))
    ([(2, 3)], {'n': 1})
    """
    if isinstance(value, Tensor):
        return give(value)
    if type(value) in _PLAIN or isinstance(value, _LEAVES):
        return value
    if isinstance(value, tuple):
        parts = [mapped(part, give) for part in value]
        return value._make(parts) if hasattr(type(value), "_fields") else tuple(parts)  # type: ignore[attr-defined]
    if isinstance(value, list):
        return [mapped(part, give) for part in value]
    if type(value) is dict or isinstance(value, Mapping):  # a dict is soon told
        return {key: mapped(part, give) for key, part in value.items()}
    if isinstance(value, slice):
        return slice(mapped(value.start, give), mapped(value.stop, give), mapped(value.step, give))
    return value


def call_arguments(
    inputs: Any, argument: str = "inputs", *, others: str = ""
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """(positional, keyword) arguments of the model's call: a tensor or array, a tuple or list, or a mapping.

    Args:
        inputs: what the user gave; arrays become tensors (float64 ones float32), as torch makes its own numbers.
        argument: what the user calls it.
        others: what else the caller takes, for the error.

    Raises:
        InputError: nothing in it is a tensor, or one is nested.

    >>> args, kwargs = call_arguments({"x": np.zeros((2, 3))})
    >>> args, kwargs["x"].dtype
    ((), torch.float32)
    """
    ready = with_tensors(inputs, argument)
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if isinstance(ready, Mapping):
        kwargs = {text(key): value for key, value in ready.items()}
    elif isinstance(ready, list | tuple) and not hasattr(type(ready), "_fields"):
        args = tuple(ready)
    else:
        args = (ready,)
    if next(tensors_in((args, kwargs)), None) is None:
        got = f"{type(inputs).__name__} with no tensor in it"
        if isinstance(inputs, str):
            where = "; a policy is named by policy=" if argument == "example_inputs" else ""
            got = f"the str {shown(inputs)}{where}"
        raise InputError(
            f"{argument} must be a tensor or array, a tuple of positional arguments or a dict of keyword arguments, "
            f"or a DataLoader or Dataset of these{others}; got {got}"
        )
    if any(tensor.is_nested for tensor in tensors_in((args, kwargs))):
        raise InputError(
            f"{argument} must not be nested, since samples of sizes of their own have no common shape; pad them: "
            "torch.nested.to_padded_tensor(x, 0.0), beside the mask that the model takes"
        )
    return args, kwargs


def check_values(args: tuple[Any, ...], kwargs: dict[str, Any], argument: str = "inputs") -> None:
    """Refuse a batch that says nothing.

    Raises:
        InputError: no samples, no values (meta device), or NaN and infinite ones.
    """
    for tensor in tensors_in((args, kwargs)):
        if 0 in tensor.shape:
            raise InputError(f"{argument} must hold at least one sample; got a tensor of shape {shape_words(tensor)}")
        if tensor.is_meta:
            raise InputError(f"{argument} must hold values; got shape {shape_words(tensor)} on the meta device")
        values = stored(tensor)
        if values.is_floating_point() and not _finite(values):
            bad = int((~values.isfinite()).sum())
            raise InputError(f"{argument} must be finite; {bad:,} of {values.numel():,} values are NaN or infinite")


def _finite(values: Tensor) -> bool:
    """Whether all are finite: their sum tells at once, unless it overflows."""
    return bool(values.sum().isfinite()) or bool(values.isfinite().all())


def stored(tensor: Tensor) -> Tensor:
    """The numbers that a tensor holds, whatever its layout: those of a sparse one are its values."""
    if tensor.layout == torch.sparse_coo:
        return tensor._values()
    return tensor if tensor.layout == torch.strided else tensor.values()


def dense(tensor: Tensor) -> Tensor:
    """The tensor with a place in memory for each number: a sparse, quantized or opaque one laid out, others as is.

    >>> dense(torch.eye(2).to_sparse()).layout
    torch.strided
    """
    if tensor.is_quantized:
        return tensor.dequantize()
    return tensor if tensor.layout == torch.strided or tensor.is_nested else tensor.to_dense()


def shape_words(tensor: Tensor) -> str:
    """The shape as an error says it; a nested tensor has no one shape."""
    return "nested" if tensor.is_nested else str(tuple(tensor.shape))


def plain_shape(tensor: Tensor) -> tuple[int, ...]:
    """A shape in whole numbers; of a nested tensor, whose parts differ in length, with a length amid theirs."""
    if not tensor.is_nested:
        return tuple(tensor.shape)
    if tensor.layout == torch.strided:
        return (tensor.size(0), *(tensor.unbind()[0].shape if tensor.size(0) else ()))
    lengths = tensor.shape
    known = math.prod(length for length in lengths if isinstance(length, int))
    mean = max(1, tensor.values().numel() // max(1, known))
    return tuple(length if isinstance(length, int) else mean for length in lengths)


def on_host(tensor: Tensor) -> Tensor:
    """The tensor on the CPU; itself where it is there, or has no values."""
    return tensor if tensor.is_cpu or tensor.is_meta else tensor.cpu()


def home_of(model: nn.Module) -> torch.device | None:
    """The device that all parameters and buffers are on; None where they are on several, on none, or on meta."""
    devices = {tensor.device for tensor in itertools.chain(model.parameters(), model.buffers())}
    home = devices.pop() if len(devices) == 1 else None
    return None if home is None or home.type == "meta" else home


def brought(value: Any, home: torch.device | None) -> Any:
    """A nested value with its tensors on a device; those without values stay, and all do where it is None."""
    if home is None or all(tensor.device == home for tensor in tensors_in(value)):
        return value
    return mapped(value, lambda tensor: tensor if tensor.is_meta or tensor.device == home else tensor.to(home))


def taken_by(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments where the parameters are, floats in their dtype if they have but one."""
    parameters = list(model.parameters())
    if not parameters:
        return args, kwargs
    dtypes = {parameter.dtype for parameter in parameters if parameter.is_floating_point()}
    place, only = parameters[0].device, dtypes.pop() if len(dtypes) == 1 else None

    def moved(tensor: Tensor) -> Tensor:
        return tensor.to(place, only) if tensor.is_floating_point() else tensor.to(place)

    return mapped(args, moved), mapped(kwargs, moved)


def with_tensors(value: Any, argument: str = "inputs") -> Any:
    """A nested value with arrays as tensors; a copy of an inference tensor, which autograd cannot hold.

    Raises:
        InputError: an array that holds no numbers.
    """
    if isinstance(value, Tensor):
        value = value.detach() if value.requires_grad and not value.is_leaf else value
        with torch.inference_mode(False):
            return value.clone() if value.is_inference() else value
    if isinstance(value, np.ndarray | np.generic):
        return _from_array(plain_array(value, argument), argument)
    if isinstance(value, Mapping):
        return {key: with_tensors(item, argument) for key, item in value.items()}
    if isinstance(value, list | tuple) and not hasattr(type(value), "_fields"):
        items = [with_tensors(item, argument) for item in value]
        return items if isinstance(value, list) else tuple(items)
    return value


def _from_array(array: Any, argument: str) -> Tensor:
    if array.dtype.kind not in "biufc":
        raise InputError(f"{argument} must hold numbers; got an array of dtype {array.dtype}")
    single = {np.dtype(np.float64): np.float32, np.dtype(np.complex128): np.complex64}.get(array.dtype)
    return torch.from_numpy(array.copy() if single is None else array.astype(single))


def _members(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(f"[{key!r}]", item) for key, item in value.items()]
    if isinstance(value, tuple) and hasattr(type(value), "_fields"):
        return [(f".{key}", getattr(value, key)) for key in type(value)._fields]  # type: ignore[attr-defined]
    if isinstance(value, list | tuple):
        return [(f"[{i}]", item) for i, item in enumerate(value)]
    if isinstance(value, slice):
        return [(f".{key}", getattr(value, key)) for key in ("start", "stop", "step")]
    if dataclasses.is_dataclass(value):
        return [(f".{f.name}", getattr(value, f.name)) for f in dataclasses.fields(value)]
    return [(f".{key}", item) for key, item in vars(value).items()] if hasattr(value, "__dict__") else []
