"""`reinit_`: a model's own start once more, from its parameters' named streams."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator

from torch import nn

from initlab.errors import InputError, argued, listed, told
from initlab.planning.memory.shards import local_tensor
from initlab.planning.memory.tensors import check_apart, check_writable, overlaps_itself
from initlab.planning.named_streams.api import streams
from initlab.planning.named_streams.log import StreamLog
from initlab.planning.parameters.walk import walk
from initlab.planning.selection.loaded import is_marked_loaded
from initlab.rng import random_states_kept

_OWN = ("reset_parameters", "_reset_parameters")
_WHOLE = ("init_weights", "initialize_weights")
_BY_LAYER = ("_init_weights",)


@argued
def reinit_(model: nn.Module, seed: int = 0, *, prefix: str = "") -> StreamLog:
    """Give `model` its own library's start anew, in place, each parameter from its named stream.

    What building it does is done again in the same order: every layer's `reset_parameters`, inner ones first, then the
    `init_weights` of the outermost modules that have one (or `_init_weights` on each layer below them, inner ones
    first). What Hugging Face marks as loaded is kept, as that library does.

    Args:
        model: a model every layer of which can draw itself, or is drawn by a model around it.
        seed: an integer in [0, 2^64).
        prefix: what stands before every name.

    Returns:
        The log of `initlab.streams`; `log.missed` are parameters that the library's start does not touch.

    Raises:
        InputError: a bad argument, layers with parameters that have no start of their own (all are named), or
            parameters without memory, that overlap or that cannot be written; nothing has been written. A layer's own
            start that fails: layers within and before it have theirs.

    >>> import torch, initlab
    >>> net = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.LayerNorm(4))
    >>> initlab.reinit_(net, seed=3).missed
    ()
    """
    found = walk(model)
    for slot in found.parameters:
        local = local_tensor(slot.tensor)
        if local.is_meta or local.is_inference() or overlaps_itself(local):
            check_writable(slot.name, local)
    check_apart([(slot.name, local_tensor(slot.tensor)) for slot in found.parameters])
    modules = found.modules
    tops = _topmost(modules)
    bare = list(_bare(modules, tops))
    if bare:
        raise InputError(
            f"{len(bare)} layers have parameters and no reset_parameters, nor a model around them with init_weights: "
            f"{listed(bare)}; give each a reset_parameters, or draw them with initlab.init_"
        )
    with random_states_kept(), streams(model, seed, prefix=prefix) as log:
        for name in _inner_first(modules):
            with told(f"the start of {name or 'the model'!r} by itself"):
                _call(modules[name], _OWN)
        own_starts(model)
    return log


def own_starts(model: nn.Module) -> bool:
    """Run the start of each outermost module that starts all that is below it; whether there is any."""
    modules = walk(model).modules
    tops = _topmost(modules)
    for top in tops:
        _start_of(modules[top], top)
    return bool(tops)


def _topmost(modules: dict[str, nn.Module]) -> list[str]:
    """The outermost modules that start all that is below them."""
    found: list[str] = []
    for name, module in modules.items():
        if _method(module, (*_WHOLE, *_BY_LAYER)) is not None and not any(_is_below(name, top) for top in found):
            found.append(name)
    return found


def _is_below(name: str, top: str) -> bool:
    return not top or name == top or name.startswith(f"{top}.")


def _bare(modules: dict[str, nn.Module], tops: list[str]) -> Iterator[str]:
    resetting = [name for name, module in modules.items() if _method(module, _OWN[1:]) is not None]
    for name, module in modules.items():
        held = any(parameter is not None for parameter in module._parameters.values())
        drawn = _method(module, _OWN) is not None or any(_is_below(name, top) for top in (*tops, *resetting))
        if held and not drawn:
            yield f"{name or 'the model itself'} ({type(module).__name__})"


def _inner_first(modules: dict[str, nn.Module]) -> list[str]:
    """Names so that every module comes after those within it, and siblings in order, as `Module.apply` visits them."""
    order = {name: place for place, name in enumerate(modules)}
    ends = {name: order[name] for name in modules}
    for name in reversed(modules):
        parent = name.rpartition(".")[0]
        while name and parent not in ends:
            parent = parent.rpartition(".")[0]
        if name:
            ends[parent] = max(ends[parent], ends[name])
    return sorted(modules, key=lambda name: (ends[name], -order[name]))


def _method(module: nn.Module, names: tuple[str, ...]) -> Callable[..., object] | None:
    return next((found for name in names if callable(found := getattr(module, name, None))), None)


def _call(module: nn.Module, names: tuple[str, ...]) -> None:
    method = _method(module, names)
    if method is not None:
        method()


def _start_of(module: nn.Module, place: str) -> None:
    """The start that a whole model gives itself."""
    modules = walk(module).modules
    for inner in modules.values():
        if hasattr(inner, "_is_hf_initialized") and not any(map(is_marked_loaded, inner.parameters(recurse=False))):
            inner._is_hf_initialized = False  # type: ignore[assignment]  # the library's mark: to be started
    method = _method(module, _WHOLE)
    if method is not None and _needs_nothing(method):
        method()
        return
    by_layer = _method(module, _BY_LAYER)
    if by_layer is None:
        raise InputError(f"init_weights of {place or 'the model'} needs arguments: call it within initlab.streams")
    for name in _inner_first(modules):
        by_layer(modules[name])


def _needs_nothing(method: Callable[..., object]) -> bool:
    required = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return True
    return not any(p.kind in required and p.default is p.empty for p in parameters)
