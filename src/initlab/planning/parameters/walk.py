"""Walks a model once: every parameter and buffer with the layer that owns it and every name that reaches it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import torch
from torch import nn

from initlab.errors import InputError
from initlab.guest.check import check_module, check_shaped
from initlab.guest.modules import made_of
from initlab.planning.memory.tensors import is_plain
from initlab.sampling import canonical_name

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Owner:
    """One place where the model holds a tensor: the layer and the tensor's name in it."""

    name: str
    module: nn.Module
    module_name: str
    leaf: str


@dataclass
class Slot:
    """One tensor of the model. `owners[0]` is where `named_parameters()` finds it; the others are ties."""

    name: str
    tensor: torch.Tensor
    owners: list[Owner] = field(default_factory=list)
    _told: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def told(self, ask: Callable[[torch.Tensor], Answer]) -> Answer:
        """What a question says of the tensor's values, asked once: they stay as they are while a plan is made."""
        if ask not in self._told:
            self._told[ask] = ask(self.tensor)
        return cast(Answer, self._told[ask])

    @property
    def owner(self) -> Owner:
        return self.owners[0]

    @property
    def ties(self) -> tuple[str, ...]:
        return tuple(owner.name for owner in self.owners[1:])

    @property
    def plain_name(self) -> str:
        """What a layer makes of it: `fc.weight` for `fc.parametrizations.weight.original0`, `fc.weight_v`."""
        head, found, tail = self.name.rpartition("parametrizations.")
        if found:
            return head + tail.split(".")[0]
        leaf = self.owner.leaf
        made = made_of(self.owner.module, leaf)
        return self.name.removesuffix(leaf) + made if made else self.name

    @property
    def is_remade(self) -> bool:
        """Whether the layer computes what it uses from this and perhaps others."""
        return self.plain_name != self.name


@dataclass
class Walk:
    """What one pass over a model found, in the order of `named_parameters()`."""

    parameters: list[Slot] = field(default_factory=list)
    buffers: list[Slot] = field(default_factory=list)
    modules: dict[str, nn.Module] = field(default_factory=dict)


def walk(model: nn.Module) -> Walk:
    """Every parameter and buffer of `model` once.

    Raises:
        InputError: not a module; a module that contains itself; lazy parameters; no parameters at all; two
            parameters whose names differ only by wrappers or by Unicode form.
    """
    check_module(model)
    found = Walk()
    parameters: dict[object, Slot] = {}
    buffers: dict[object, Slot] = {}
    for path, module, first in _modules(model):
        module_name = canonical_name(path) if path else ""
        if first:
            found.modules[module_name] = module
        for leaf, parameter in module._parameters.items():
            _record(parameters, found.parameters, parameter, Owner("", module, module_name, leaf), path)
        for leaf, buffer in module._buffers.items():
            _record(buffers, found.buffers, buffer, Owner("", module, module_name, leaf), path)
    _refuse_clashes(found.parameters)
    if not found.parameters:
        raise InputError(f"model {type(model).__name__} has no parameters: there is nothing to initialize")
    return found


def _record(seen: dict[object, Slot], order: list[Slot], tensor: torch.Tensor | None, owner: Owner, path: str) -> None:
    if tensor is None:
        return
    raw = f"{path}.{owner.leaf}" if path else owner.leaf
    check_shaped(raw, tensor)
    name = canonical_name(raw)
    owner = Owner(name, owner.module, owner.module_name, owner.leaf)
    key = _memory(tensor)
    slot = seen.get(key)
    if slot is None:
        slot = seen[key] = Slot(name, tensor)
        order.append(slot)
    if all(owner.name != known.name for known in slot.owners):
        slot.owners.append(owner)


def _memory(tensor: torch.Tensor) -> object:
    """What makes two tensors one: the same object, or the same cells in the same order."""
    if tensor.is_meta or tensor.layout != torch.strided or tensor.numel() == 0 or not is_plain(tensor):
        return id(tensor)
    return (tensor.device, tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)


def _modules(model: nn.Module) -> Iterator[tuple[str, nn.Module, bool]]:
    """(path, module, first visit) in depth-first order, without recursion, so that depth has no limit."""
    seen: set[int] = set()
    open_path: dict[int, str] = {}
    stack: list[tuple[str, nn.Module, bool]] = [("", model, False)]
    while stack:
        path, module, leaving = stack.pop()
        if leaving:
            del open_path[id(module)]
            continue
        if id(module) in open_path:
            holder = open_path[id(module)] or "the model"
            raise InputError(f"the model is cyclic: {path!r} is {holder!r} again; a module cannot contain itself")
        if id(module) in seen:
            # A second way to a shared layer: name its tensors again, each once, so that the work stays linear.
            for inner, shared in module.named_modules(prefix=path):
                yield inner, shared, False
            continue
        seen.add(id(module))
        open_path[id(module)] = path
        yield path, module, True
        stack.append((path, module, True))
        children = [(name, child) for name, child in module._modules.items() if child is not None]
        stack.extend((f"{path}.{name}" if path else name, child, False) for name, child in reversed(children))


def _refuse_clashes(slots: list[Slot]) -> None:
    names: dict[str, Slot] = {}
    for slot in slots:
        other = names.setdefault(slot.name, slot)
        if other is not slot:
            raise InputError(
                f"two parameters are both called {slot.name!r} once wrapper prefixes (module., _orig_mod., …) and "
                "Unicode forms are taken away; rename one, since a name is what a parameter's values are drawn from"
            )
