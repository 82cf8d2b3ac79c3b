"""The variables of a built Keras model, each once, with its layer and a name that does not depend on other models."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from initlab.errors import InputError
from initlab.integrations.extras import needed
from initlab.integrations.keras.layers import weight_of
from initlab.integrations.names import MapNames, check_used, renamed, told_apart
from initlab.integrations.twin import Leaf
from initlab.integrations.weights import ByPath, Weight, by_convention, left_to_the_pass
from initlab.planning.memory.tensors import DTYPES

keras = needed("keras", "keras")


@dataclass(frozen=True)
class Held:
    """A variable, the layer that holds it, and its path with Keras's own numbers counted anew within each parent."""

    variable: Any
    layer: Any
    path: tuple[str, ...]


def held_variables(model: Any) -> list[Held]:
    """The weights of a built model, each once: what training changes, and what was frozen.

    Running statistics, seeds and metrics are state, not weights.

    Raises:
        InputError: no Keras model, one that is not built, one without weights.
    """
    if not isinstance(model, keras.layers.Layer):
        raise InputError(f"model must be a keras model or layer; got {type(model).__name__}")
    if not model.built:
        raise InputError(f"model {model.name!r} is not built: call it on one batch, or give its layers an Input")
    found = list(_held(model, (), set()))
    if not found:
        raise InputError(f"model {model.name!r} has no weights: there is nothing to initialize")
    return found


def _held(layer: Any, path: tuple[str, ...], seen: set[int]) -> Iterator[Held]:
    if id(layer) in seen:
        return
    seen.add(id(layer))
    for variable in layer._trainable_variables:
        if id(variable) not in seen and "float" in str(variable.dtype):
            seen.add(id(variable))
            yield Held(variable, layer, (*path, str(variable.name)))
    children = [child for child in layer._layers if isinstance(child, keras.layers.Layer)]
    for name, child in zip(_numbered(children), children, strict=True):
        yield from _held(child, (*path, name), seen)


def _numbered(layers: list[Any]) -> list[str]:
    """The layers' names; those that Keras numbered over the whole process (dense_7) are numbered among these."""
    counts: Counter[str] = Counter()
    names = []
    for layer in layers:
        own = re.sub(
            r"([a-z])([A-Z])",
            r"\1_\2",
            re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", re.sub(r"\W+", "", type(layer).__name__)),
        )
        own = own.lower()
        numbered = re.fullmatch(rf"((?:forward_|backward_)?{own})(?:_\d+)?", layer.name)  # the two of Bidirectional
        if numbered:
            own = numbered[1]
            names.append(own if counts[own] == 0 else f"{own}_{counts[own]}")
            counts[own] += 1
        else:
            names.append(layer.name.replace(".", "_"))
    return names


def leaves_of(
    held: list[Held], map_names: MapNames = None, by_use: ByPath | None = None, watched: bool = False
) -> list[Leaf]:
    """A twin's leaves for the variables: by the layer's type, else by use, else by convention.

    Args:
        held: the variables.
        map_names: as for `renamed`.
        by_use: what a jaxpr says of them, by path.
        watched: whether a pass is to show what the rest are.
    """
    leaves, paths = [], []
    cells = Counter(path[:-1] for path in {item.path[:-1] for item in held})
    for item in held:
        variable, shape = item.variable, tuple(int(size) for size in item.variable.shape)
        known = weight_of(item.layer, variable.name, shape)
        scope = tuple(variable.path.split("/"))
        values = np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(variable.value, "float32")))
        weight = known or (by_use or {}).get(scope)
        if weight is None:
            named = by_convention(variable.name, shape)
            weight = left_to_the_pass(named, values) if watched else named
        path, leaf = item.path, weight.leaf
        if len(path) > 2 and known is not None and leaf.endswith(("_ih", "_hh")) and cells[path[:-2]] == 1:
            path, leaf = (*path[:-2], path[-1]), f"{leaf}_l0"  # the one cell of a recurrent layer, as torch names it
        dtype = next(kind for kind, name in DTYPES.items() if name == keras.backend.standardize_dtype(variable.dtype))
        name = renamed(path, leaf, map_names)
        paths.append(path)
        weight = Weight(weight.part, weight.layout, leaf)
        leaves.append(Leaf(scope, name, weight, values, dtype, type(item.layer).__name__, bool(variable.trainable)))
    check_used(map_names, paths)
    names = told_apart([leaf.name for leaf in leaves], paths, map_names)
    return [replace(leaf, name=name) for leaf, name in zip(leaves, names, strict=True)]
