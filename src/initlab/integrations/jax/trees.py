"""The leaves of a pytree of parameters (Flax Linen, Flax NNX, Equinox, plain dicts) as a twin's leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from initlab.errors import InputError
from initlab.integrations.extras import needed
from initlab.integrations.jax.equinox import equinox_weight
from initlab.integrations.jax.primitives import torch_dtype
from initlab.integrations.names import MapNames, check_used, renamed, told_apart
from initlab.integrations.twin import Leaf
from initlab.integrations.weights import ByPath, by_convention, left_to_the_pass
from initlab.planning.memory.tensors import DTYPES, PARTS

jax = needed("jax", "jax")


@dataclass(frozen=True)
class Tree:
    """A pytree taken apart.

    Args:
        leaves: every leaf in jax's order.
        structure: jax's treedef.
        places: the places of the leaves that are parameters.
        parameters: those, as a twin holds them.
    """

    leaves: tuple[Any, ...]
    structure: Any
    places: tuple[int, ...]
    parameters: tuple[Leaf, ...]

    def filled(self, values: Mapping[int, Any]) -> Any:
        """The tree with other leaves at some places."""
        return jax.tree_util.tree_unflatten(
            self.structure, [values.get(place, leaf) for place, leaf in enumerate(self.leaves)]
        )

    def still(self) -> dict[int, Any]:
        """Numbers for the shapes that are no parameters: running variances of one, zeros for the rest."""
        found = jax.tree_util.tree_flatten_with_path(self.filled({}))[0]
        return {
            place: (jax.numpy.ones if _word(keys[-1]) == "var" else jax.numpy.zeros)(leaf.shape, leaf.dtype)
            for place, (keys, leaf) in enumerate(found)
            if place not in self.places and isinstance(leaf, jax.ShapeDtypeStruct) and _is_plain(leaf.dtype)
        }


def _is_plain(dtype: Any) -> bool:
    return not jax.numpy.issubdtype(dtype, jax.dtypes.extended)


def tree_of(tree: Any, map_names: MapNames = None, by_use: ByPath | None = None) -> Tree:
    """The parameters of a pytree: its floating-point and complex arrays; Linen's under "params", NNX's `Param`s.

    Raises:
        InputError: no such array; two that get one name.
    """
    found, structure = jax.tree_util.tree_flatten_with_path(tree)
    linen = isinstance(tree, Mapping) and "params" in tree
    places, parameters, paths = [], [], []
    for place, (keys, value) in enumerate(found):
        path = tuple(_word(key) for key in keys)
        if not _is_parameter(value) or (linen and path[0] != "params") or _is_state(tree, keys):
            continue
        path = path[1:] if linen else path
        path = path[:-1] if len(path) > 1 and path[-1] == "value" else path
        places.append(place)
        paths.append(path)
        parameters.append(_leaf(tree, keys, path, value, map_names, by_use))
    if not parameters:
        raise InputError(f"tree must hold floating-point arrays or ShapeDtypeStructs; got {type(tree).__name__}")
    check_used(map_names, paths)
    names = told_apart([leaf.name for leaf in parameters], paths, map_names)
    parameters = [replace(leaf, name=name) for leaf, name in zip(parameters, names, strict=True)]
    return Tree(tuple(value for _, value in found), structure, tuple(places), tuple(parameters))


def _word(key: Any) -> str:
    for attribute in ("key", "name", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)


def _is_parameter(value: Any) -> bool:
    if not hasattr(value, "dtype") or not hasattr(value, "shape"):
        return False
    return drawn_as(value.dtype) in (*DTYPES, *PARTS)


def _is_state(tree: Any, keys: Any) -> bool:
    """Whether a leaf is an optimizer's, or of an NNX variable that is no `Param`: running statistics, a count."""
    *holders, owner = (_owner(tree, keys[:end]) for end in range(1, len(keys) + 1)) if keys else (tree,)
    kinds = {kind.__name__ for kind in type(owner).__mro__ if kind.__module__.startswith("flax.nnx")}
    optimizer = any(type(holder).__module__.startswith("optax.") for holder in (*holders, owner))
    return optimizer or ("Variable" in kinds and "Param" not in kinds)


def drawn_as(dtype: Any) -> torch.dtype | None:
    """The dtype in which a twin holds an array: torch's of the same name, float32 for a float8."""
    found = torch_dtype_or_none(dtype)
    return torch.float32 if found is not None and found.is_floating_point and found.itemsize == 1 else found


def torch_dtype_or_none(dtype: Any) -> torch.dtype | None:
    """The torch dtype of the same name, where there is one."""
    try:
        return torch_dtype(dtype)
    except (AttributeError, TypeError):
        return None


def _leaf(tree: Any, keys: Any, path: tuple[str, ...], value: Any, map_names: MapNames, by_use: ByPath | None) -> Leaf:
    shape = tuple(int(size) for size in value.shape)
    owner = _owner(tree, keys)
    values, weight = values_of(value), equinox_weight(owner, path[-1], shape) or (by_use or {}).get(path)
    if weight is None:
        known = by_convention(path[-1], shape)
        weight = known if by_use is None else left_to_the_pass(known, values)
    name = renamed(path, weight.leaf, map_names)
    kind = "Layer" if owner is None or isinstance(owner, Mapping | list | tuple) else type(owner).__name__
    dtype = drawn_as(value.dtype)
    assert dtype is not None
    return Leaf(path, name, weight, values, dtype, kind)


def values_of(value: Any) -> np.ndarray[Any, Any] | None:
    """A leaf's numbers as float32, float64 or complex; None where it has none here."""
    if isinstance(value, jax.ShapeDtypeStruct) or not getattr(value, "is_fully_addressable", True):
        return None
    array = np.asarray(value)
    return array if array.dtype.kind == "c" or array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def _owner(tree: Any, keys: Any) -> Any:
    """What holds a leaf."""
    holder = tree
    for key in keys[:-1]:
        try:
            if hasattr(key, "name"):
                holder = getattr(holder, key.name)
            else:
                holder = holder[key.key if hasattr(key, "key") else key.idx]
        except (AttributeError, KeyError, IndexError, TypeError):
            return None
    return holder
