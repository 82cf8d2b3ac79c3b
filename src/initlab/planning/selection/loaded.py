"""What was loaded: names from a state dict, a weight file, an index of weight files, or a library's own mark."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from initlab.data import weight_shapes
from initlab.errors import InputError, shortened, shown
from initlab.planning.parameters.walk import Slot, Walk
from initlab.sampling import canonical_name


@dataclass(frozen=True)
class Loaded:
    """What `loaded=` says of a model.

    Args:
        names: the parameters that were loaded.
        strangers: names that the model has not.
        reshaped: parameters whose shape is another in what was loaded, so that they cannot have been.
    """

    names: frozenset[str]
    strangers: tuple[str, ...] = ()
    reshaped: tuple[str, ...] = ()


def is_marked_loaded(tensor: torch.Tensor) -> bool:
    """Whether Hugging Face transformers marks a parameter as loaded from a checkpoint."""
    return bool(getattr(tensor, "_is_hf_initialized", False))


def read_loaded(loaded: Any, found: Walk) -> Loaded:
    """Which of a model's parameters were loaded.

    Args:
        loaded: a state dict; the path of a weight file (safetensors, zipped state_dict) or of a safetensors index
            (`model.safetensors.index.json`); or parameter names.
        found: the model's parameters.

    Raises:
        InputError: neither of these; an index that names a file that is not there; names of which the model has none.
    """
    shapes = _shapes(loaded)
    if not shapes:
        return Loaded(frozenset())
    by_name = {owner.name: slot for slot in found.parameters for owner in slot.owners}
    state = {owner.name for slot in found.buffers for owner in slot.owners}
    names, reshaped = set(), []
    for name, shape in shapes.items():
        slot = by_name.get(name)
        if slot is not None and (shape is None or shape == tuple(slot.tensor.shape)):
            names.add(slot.name)
        elif slot is not None:
            reshaped.append(name)
    strangers = tuple(name for name in shapes if name not in by_name and name not in state)
    if not names and not reshaped:
        shown = shortened(next(iter(shapes)))
        has = shortened(found.parameters[0].name)
        raise InputError(f"loaded has no parameter of this model: {shown!r} and so on, where the model has {has!r}")
    return Loaded(frozenset(names), strangers, tuple(reshaped))


def loaded_words(loaded: Loaded, slots: Iterable[Slot]) -> tuple[str, ...]:
    """What the user should know of it."""
    notes = [f"{len(loaded.names)} of {sum(1 for _ in slots)} parameters are kept as loaded"]
    if loaded.strangers:
        notes.append(f"loaded= has {len(loaded.strangers)} names that the model has not, {loaded.strangers[0]!r} first")
    if loaded.reshaped:
        notes.append(
            f"{len(loaded.reshaped)} parameters have another shape in loaded=, {loaded.reshaped[0]!r} first, and are "
            "taken as not loaded"
        )
    return tuple(notes)


def _shapes(loaded: Any) -> dict[str, tuple[int, ...] | None]:
    """Name -> shape, where it is known."""
    if isinstance(loaded, str | os.PathLike):
        return {canonical_name(name): shape for name, shape in weight_shapes(loaded).items()}
    if isinstance(loaded, Mapping):
        return {_name(key): _shape(value) for key, value in loaded.items()}
    try:
        keys = tuple(loaded)
    except TypeError:
        wanted = "a state dict, the path of a weight file or names"
        raise InputError(f"loaded must be {wanted}; got {shown(loaded)}") from None
    return {_name(key): None for key in keys}


def _name(key: Any) -> str:
    if not isinstance(key, str):
        raise InputError(f"loaded must hold parameter names; got {shown(key)}")
    return canonical_name(key)


def _shape(value: Any) -> tuple[int, ...] | None:
    shape = getattr(value, "shape", None)
    return None if shape is None else tuple(int(size) for size in shape)
