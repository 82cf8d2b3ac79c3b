"""Layers of one model given to `init_` one by one: those that get the same values are warned of.

A layer by itself has the names `weight` and `bias`, and values follow from (seed, name, shape, law) alone.
"""

from __future__ import annotations

import sys
import warnings
import weakref
from collections.abc import Hashable, Iterator, Sequence
from types import FrameType
from typing import Any

import torch
from torch import nn

from initlab.guest.modules import modules_of
from initlab.planning.memory.drawing import Job
from initlab.planning.writing.ledger import is_fixed

_Last = tuple["weakref.ref[nn.Module]", "weakref.ref[torch.Tensor]"]
_MOST = 10_000  # items of a user's list that are looked through
_last: dict[Hashable, _Last] = {}  # stream, shape and law -> what they were last drawn for


def warn_of_equals(model: nn.Module, jobs: Sequence[Job], seed: int) -> None:
    """Warn where `model` got values that another layer has got, and the caller holds both in one model or list.

    Two models that start alike on purpose stand apart and are not warned of.

    Args:
        model: what `init_` was called on, under its own names.
        jobs: what was written.
        seed: of the values.
    """
    twins = {}
    for job in jobs:
        if not is_fixed(job.law):
            key = (seed, job.name, tuple(job.part.shape), job.law)
            twin, tensor = _alive(key)
            if twin is not None and twin is not model and tensor is not job.tensor:
                twins[id(twin)] = (twin, job.name)
            _last[key] = _kept(key, model, job.tensor)
    for twin, name in twins.values():
        held = next((held for held in _callers(sys._getframe(1)) if _holds(held, model, twin)), None)
        if held is not None:
            warnings.warn(_words(held, model, twin, name), UserWarning, stacklevel=5)
            return


def _alive(key: Hashable) -> tuple[nn.Module | None, torch.Tensor | None]:
    found = _last.get(key)
    return (None, None) if found is None else (found[0](), found[1]())


def _kept(key: Hashable, model: nn.Module, tensor: torch.Tensor) -> _Last:
    def forget(gone: weakref.ref[nn.Module]) -> None:
        if (held := _last.get(key)) is not None and held[0] is gone:
            _last.pop(key, None)  # another thread may have been here

    return weakref.ref(model, forget), weakref.ref(tensor)


def _callers(frame: FrameType | None) -> Iterator[Any]:
    """What callers outside the package have at hand: models, and lists of them."""
    while frame is not None:
        if frame.f_globals.get("__name__", "").split(".")[0] != "initlab":
            for value in tuple(frame.f_locals.values()):
                if isinstance(value, nn.Module) or _is_a_list(value):
                    yield value
        frame = frame.f_back


def _is_a_list(value: Any) -> bool:
    """Whether it is a user's list or dict, and not the names of a script that is run."""
    if type(value) is dict and "__builtins__" in value:
        return False
    return type(value) in (list, tuple, dict) and len(value) <= _MOST


def _holds(held: Any, model: nn.Module, twin: nn.Module) -> bool:
    return len(_paths(held, model, twin)) == 2


def _paths(held: Any, *wanted: nn.Module) -> list[str]:
    """The names of the wanted modules within a model, or their places in a list."""
    if isinstance(held, nn.Module):
        parts = modules_of(held)
        return [parts[id(one)][0] or "itself" for one in wanted if id(one) in parts and one is not held]
    items = held.items() if isinstance(held, dict) else enumerate(held)
    places = {id(item): f"[{place!r}]" for place, item in items if isinstance(item, nn.Module)}
    return [places[id(one)] for one in wanted if id(one) in places]


def _words(held: Any, model: nn.Module, twin: nn.Module, name: str) -> str:
    here, there = _paths(held, model, twin)
    return (
        f"{there!r} and {here!r} of one {type(held).__name__} got the same {name!r}: by itself a layer has no other "
        "name, and values follow from (seed, name, shape, law). Call init_ on the whole model, "
        "model.apply(initlab.init_), or give each layer its prefix='…'"
    )
