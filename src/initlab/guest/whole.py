"""A sharded model seen as one process would hold it: stand-ins for its parameters, its communication set aside."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

_HOOKS = ("_forward_pre_hooks", "_forward_hooks")


def is_sharded_type(tensor: torch.Tensor) -> bool:
    """Whether it is a DTensor; found by its attributes, so that torch.distributed is not imported unasked."""
    return hasattr(tensor, "_local_tensor") and hasattr(tensor, "placements") and hasattr(tensor, "device_mesh")


def is_flattened(tensor: torch.Tensor) -> bool:
    """Whether FSDP1 holds it in a flat parameter, of which each process has a piece, as its mark on parameters says."""
    return type(tensor).__name__ == "FlatParameter" or bool(getattr(tensor, "_fsdp_flattened", False))


@contextlib.contextmanager
def as_one_process(modules: Iterable[nn.Module]) -> Iterator[None]:
    """While it is entered, DTensors are plain tensors of the global shape, and no module communicates.

    A parameter's stand-in repeats one number over the global shape, so it takes no memory; a recording reads shapes
    and the order of operations, which are then those of the model on one process. The hooks by which torch.distributed
    gathers parameters and moves activations are put back afterwards, with the parameters.
    """
    modules = list(modules)
    tables = [(table, dict(table)) for module in modules for table in (module._parameters, module._buffers)]
    if not any(tensor is not None and is_sharded_type(tensor) for _, held in tables for tensor in held.values()):
        yield
        return
    hooks: list[tuple[dict[int, Any], dict[int, Any]]] = [
        (table, dict(table)) for module in modules for table in (getattr(module, name) for name in _HOOKS)
    ]
    stand_ins: dict[int, torch.Tensor] = {}
    try:
        for table, entries in hooks:
            for key, hook in entries.items():
                if _communicates(hook):
                    del table[key]
        for tensors, held in tables:
            for leaf, tensor in held.items():
                if tensor is not None and is_sharded_type(tensor):
                    tensors[leaf] = stand_ins.setdefault(id(tensor), _stand_in(tensor))  # type: ignore[assignment]
        yield
    finally:
        for tensors, held in tables:
            tensors.update(held)  # type: ignore[arg-type]  # parameters to parameters, buffers to buffers
        for table, entries in hooks:
            table.clear()
            table.update(entries)


def _stand_in(tensor: Any) -> torch.Tensor:
    local = tensor._local_tensor
    if not isinstance(tensor, nn.Parameter) and local.shape == tensor.shape:
        return local  # type: ignore[no-any-return]  # a replicated buffer
    whole = torch.full((), 0.01, dtype=tensor.dtype, device=local.device).expand(tuple(tensor.shape))
    return nn.Parameter(whole, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else whole


def _communicates(hook: Any) -> bool:
    owner = getattr(hook, "__self__", None)
    module = getattr(hook, "__module__", None) if owner is None else type(owner).__module__
    return str(module).startswith("torch.distributed.")
