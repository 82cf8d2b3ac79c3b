"""Is this a module, and can it be used: its tensors have shapes, and values where values are needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from initlab.errors import InputError
from initlab.guest.foreign import framework_of
from initlab.guest.modules import dotted, modules_of
from initlab.guest.whole import is_flattened, is_sharded_type

_ON_JAX = frozenset({"jax", "jaxlib", "flax", "haiku", "equinox"})  # packages, none of which is imported
_DEEPEST = 8  # levels of a tree that are looked into


def check_module(model: Any, words: str = "model must be a torch.nn.Module") -> nn.Module:
    """`model`, if it is a module.

    Args:
        model: what the user gave.
        words: what the message says it must be.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(model, nn.Module) or framework_of(model):
        raise InputError(f"{words}; got {_what_it_is(model)}")
    return model


def check_built(model: Any) -> nn.Module:
    """What `build` returned; as `check_module`."""
    return check_module(model, "build must return an nn.Module")


def _what_it_is(model: Any) -> str:
    """What stands where a module should, and where it is at home."""
    framework = framework_of(model)
    if framework:
        return (
            f"a {framework} model: use initlab.integrations.{framework} (plan, init_, inspect), whose as_module(model) "
            "gives a torch module that computes the same"
        )
    if _holds_jax(model):
        return f"the {type(model).__name__} of a JAX model: use initlab.integrations.jax (plan, init, inspect)"
    if isinstance(model, type):
        return f"the class {model.__name__}: give one of it, such as {model.__name__}()"
    return type(model).__name__


def _holds_jax(model: Any, depth: int = 0) -> bool:
    """Whether it is of a library on JAX, or a nested mapping or sequence of JAX's arrays."""
    packages = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    if not isinstance(model, Mapping | list | tuple) or depth == _DEEPEST or packages & _ON_JAX:
        return bool(packages & _ON_JAX)
    return any(_holds_jax(part, depth + 1) for part in (model.values() if isinstance(model, Mapping) else model))


def module_of(model: Any) -> nn.Module:
    """The module itself; of a compiled or data-parallel model the one inside.

    Raises:
        InputError: no module.
    """
    return wrapped(check_module(model))


def wrapped(model: nn.Module) -> nn.Module:
    """The module inside wrappers that only pass its arguments on: `torch.compile`, data parallel."""
    inner = model
    while True:
        own = dict(inner._modules.items())  # a scripted module's are no dict
        deeper = own.get("module" if _is_parallel(inner) else "_orig_mod")
        if deeper is None:
            return inner
        inner = deeper


def _is_parallel(module: nn.Module) -> bool:
    return type(module).__name__ in ("DataParallel", "DistributedDataParallel")


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def check_shaped(name: str, tensor: torch.Tensor) -> None:
    """Refuse a parameter or buffer that has no shape, or none yet.

    Raises:
        InputError: it is lazy, or nested.
    """
    if is_lazy(tensor):
        raise InputError(f"{name!r} is lazy and has no shape yet: run one batch through the model first")
    if tensor.is_nested:
        raise InputError(f"{name!r} is a nested tensor, which has no one shape: hold its parts as parameters")


def is_strided(tensor: torch.Tensor) -> bool:
    """Whether each number of a tensor has a place of its own in memory: sparse, quantized and opaque ones have not.

    >>> is_strided(torch.eye(2)), is_strided(torch.eye(2).to_sparse())
    (True, False)
    """
    return tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_nested


def layout_name(tensor: torch.Tensor) -> str:
    """How a tensor's numbers lie.

    >>> layout_name(torch.eye(2).to_sparse())
    'sparse_coo'
    """
    return "quantized" if tensor.is_quantized else str(tensor.layout).removeprefix("torch.").lstrip("_")


def check_materialised(model: Any, *, parameters: bool = False) -> nn.Module:
    """`module_of(model)`, if every parameter and buffer has a shape and values.

    Args:
        model: any module.
        parameters: whether it must have parameters.

    Raises:
        InputError: no module, or frozen TorchScript; lazy, nested, meta or inference tensors; what trains and is sparse
            or of 8 bits; no parameters where they are needed.
    """
    module = module_of(model)
    if not hasattr(module, "training"):
        raise InputError(
            "model is frozen TorchScript, without parameters or modes: give the module that it was made of"
        )
    if parameters and next(module.parameters(), None) is None:
        raise InputError(f"model must have parameters; {type(module).__name__} has none")
    for name, tensor in named_tensors_of(module):
        check_shaped(name, tensor)
        if tensor.is_meta:
            raise InputError(
                f"{name!r} is on the meta device and has no values: call model.to_empty(device='cpu') first"
            )
        if tensor.is_inference():
            raise InputError(
                f"{name!r} is an inference tensor, which no gradient reaches: build the model outside inference_mode"
            )
        if tensor.requires_grad and tensor.element_size() == 1:
            raise InputError(
                f"{name!r} is {dtype_name(tensor.dtype)} and requires a gradient, which no optimizer can step: freeze "
                "it, or hold it in bfloat16"
            )
        if tensor.requires_grad and not is_strided(tensor):
            raise InputError(
                f"{name!r} is {layout_name(tensor)} and requires a gradient: steps are only known of plain strided "
                "parameters; freeze it, or hold it dense"
            )
    return module


def check_whole(model: nn.Module) -> nn.Module:
    """The model, if no parameter of it is sharded, nor gathered for a while by FSDP, which frees such copies at will.

    Raises:
        InputError: one is.
    """
    how = (
        "do this before that, or on one process's copy with a full state dict (torch.distributed.checkpoint.state_dict)"
    )
    for name, tensor in named_tensors_of(model):
        if is_sharded_type(tensor) or is_flattened(tensor):
            kind = "a DTensor" if is_sharded_type(tensor) else "by FSDP1"
            raise InputError(f"{name!r} is sharded ({kind}), and whole weights are read: {how}")
    for path, module in modules_of(model).values():
        if hasattr(module, "_get_fsdp_state"):
            where = repr(path) if path else "the model"
            raise InputError(f"{where} is sharded (by FSDP), and whole weights are read: {how}")
    return model


def named_tensors_of(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Every parameter and buffer with its dotted name."""
    for path, module in modules_of(model).values():
        for leaf, tensor in (*module._parameters.items(), *module._buffers.items()):
            if tensor is not None:
                yield dotted(path, leaf), tensor
