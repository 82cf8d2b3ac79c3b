"""Leaving a model exactly as it was: the one place that knows what running it may change, and puts all of that back."""

from __future__ import annotations

import contextlib
import operator
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from initlab.guest.modules import dotted, modules_of
from initlab.guest.writes import Writes, memory_of
from initlab.rng import ALONE, random_states_kept

Tensor = torch.Tensor

_CONTAINERS = frozenset({dict, OrderedDict, defaultdict, Counter, list, set, deque})


class Guest:
    """A model while it is a guest.

    Args:
        names: id -> name of its parameters.
        writes: sees what is written to; None where nothing is watched.
    """

    def __init__(self, names: dict[int, str], writes: Writes | None) -> None:
        self._names = names
        self._writes = writes

    @property
    def written(self) -> tuple[str, ...]:
        """Names of the parameters that were written to so far."""
        tensors = () if self._writes is None else self._writes.written
        return tuple(self._names[id(tensor)] for tensor in tensors if id(tensor) in self._names)


@contextlib.contextmanager
def untouched(
    model: nn.Module, *, parameters: bool = True, seed: int | None = None, device: str = "cpu"
) -> Iterator[Guest]:
    """Whatever runs inside, the model and the world are afterwards as they were, also after an error or Ctrl-C.

    Put back are: training and evaluation modes; buffers, by value and by object; what the modules' attributes refer to
    and what the lists, dicts and sets among them hold; hooks, those of all modules too; parameters that were written
    in place (by max_norm, by a clamp, through `.data`) or exchanged; `.grad`, which is None inside; `requires_grad`;
    and every global random state. Only what is written is copied, besides buffers. Objects of the user's own that a
    module refers to are not looked into. One thread at a time is inside.

    Args:
        model: any module.
        parameters: whether the parameters' values are put back; False where the body is there to write them.
        seed: where the random states start inside; None leaves them as they are.
        device: a CUDA device whose generator is to be kept although nothing ran there yet.

    Yields:
        The guest, which tells which parameters were written.

    >>> layer = nn.Linear(2, 2)
    >>> before = layer.weight.detach().clone()
    >>> with torch.no_grad(), untouched(layer) as guest:
    ...     _ = layer.weight.clamp_(-0.01, 0.01)
    >>> guest.written, torch.equal(layer.weight, before)
    (('weight',), True)
    """
    with ALONE, _put_back(model, parameters, seed, device) as guest:
        yield guest


@contextlib.contextmanager
def _put_back(model: nn.Module, parameters: bool, seed: int | None, device: str) -> Iterator[Guest]:
    paths = modules_of(model)
    modules, names = [module for _, module in paths.values()], _parameter_names(paths)
    own = [p for module in modules for p in module._parameters.values() if p is not None]
    buffers = [b for module in modules for b in module._buffers.values() if b is not None]
    held = _contents([*(module.__dict__ for module in modules), *_global_hooks(), *map(vars, own)])
    tensors = [part for _, copy in held for part in _parts(copy) if isinstance(part, Tensor)]
    watched = _once((*own, *tensors), without=buffers if parameters else (*buffers, *own))
    writes = Writes(watched) if watched else None
    copies = [(buffer, buffer.detach().clone()) for buffer in buffers]
    states = [_State(p, p.grad, p.requires_grad, p._backward_hooks, p.detach()) for p in own]
    with _modes_kept(modules), random_states_kept(seed, device):
        try:
            for parameter in own:
                parameter.grad = None
            with writes or contextlib.nullcontext():
                yield Guest(names, writes)
        finally:
            for container, copy in held:
                _refill(container, copy)
            for state in states:
                state.put_back(values=parameters)
            if writes is not None:
                writes.put_back()
            _copy_back(copies)


@contextlib.contextmanager
def modes_kept(model: nn.Module) -> Iterator[None]:
    """Training and evaluation modes of all modules are afterwards what they were."""
    with _modes_kept(module for _, module in modules_of(model).values()):
        yield


@contextlib.contextmanager
def _modes_kept(modules: Iterable[nn.Module]) -> Iterator[None]:
    modes = [(module, module.training) for module in modules if hasattr(module, "training")]  # frozen scripts have none
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _parameter_names(paths: dict[int, tuple[str, nn.Module]]) -> dict[int, str]:
    found: dict[int, str] = {}
    for path, module in paths.values():
        for leaf, parameter in module._parameters.items():
            if parameter is not None:
                found.setdefault(id(parameter), dotted(path, leaf))
    return found


def _global_hooks() -> Iterator[Any]:
    """The hooks that run for every module."""
    return (table for name, table in vars(nn.modules.module).items() if name.startswith("_global_"))


def _contents(first: Iterable[Any]) -> list[tuple[Any, Any]]:
    """Each container with a copy of it, None where it is empty, and the containers in it."""
    found: list[tuple[Any, Any]] = []
    waiting, seen = list(first), set()
    while waiting:
        container = waiting.pop()
        if type(container) not in _CONTAINERS or id(container) in seen:
            continue
        seen.add(id(container))
        copy = container.copy() if container else None
        found.append((container, copy))
        waiting += [part for part in _parts(copy) if type(part) in _CONTAINERS]
    return found


def _parts(container: Any) -> Iterable[Any]:
    if container is None:
        return ()
    return container.values() if isinstance(container, dict) else container


def _refill(container: Any, copy: Any) -> None:
    """Have a container hold what it held, if it does not."""
    if copy is None or not container:
        same = copy is None and not container
    else:
        same = len(container) == len(copy) and all(map(operator.is_, _parts(container), _parts(copy)))
        same = same and (not isinstance(copy, dict) or container.keys() == copy.keys())
    if same:
        return
    container.clear()
    if copy is None:
        return
    if isinstance(container, dict):
        dict.update(container, copy)
    elif isinstance(container, set):
        container.update(copy)
    else:
        container.extend(copy)


@dataclass(frozen=True)
class _State:
    """What hangs on a parameter; `data` shares its memory."""

    parameter: nn.Parameter
    grad: Tensor | None
    requires_grad: bool
    hooks: Any
    data: Tensor

    def put_back(self, values: bool) -> None:
        own = self.parameter
        if values and (memory_of(own) != memory_of(self.data) or own.shape != self.data.shape):
            own.data = self.data
        own.grad = self.grad
        if own.requires_grad != self.requires_grad:
            own.requires_grad_(self.requires_grad)
        if own._backward_hooks is not self.hooks:
            own._backward_hooks = self.hooks


def _copy_back(copies: list[tuple[Tensor, Tensor]]) -> None:
    """Buffers hold again what they held; one that nothing changed is not written to."""
    copies = [(buffer, values) for buffer, values in copies if not buffer.is_meta]
    with torch.no_grad():
        for (buffer, values), changed in zip(copies, _changed(copies), strict=True):
            if not changed:
                continue
            with torch.inference_mode() if buffer.is_inference() else contextlib.nullcontext():
                if buffer.shape != values.shape:  # as the observers of a quantisation, which grow at their first batch
                    buffer.resize_(values.shape)
                buffer.copy_(values)


def _changed(copies: list[tuple[Tensor, Tensor]]) -> list[bool]:
    """Whether each buffer differs from its copy; a device is waited for once, however many buffers are on it."""
    changed = [True] * len(copies)
    places: dict[torch.device, list[int]] = {}
    for place, (buffer, values) in enumerate(copies):
        if buffer.layout == torch.strided and buffer.shape == values.shape:
            places.setdefault(buffer.device, []).append(place)
    for held in places.values():
        flags = torch.stack([(copies[place][0] != copies[place][1]).any() for place in held])
        for place, flag in zip(held, flags.tolist(), strict=True):
            changed[place] = flag
    return changed


def _once(tensors: Iterable[Tensor], without: Iterable[Tensor]) -> list[Tensor]:
    left_out = {id(tensor) for tensor in without}
    return list({id(tensor): tensor for tensor in tensors if id(tensor) not in left_out}.values())
