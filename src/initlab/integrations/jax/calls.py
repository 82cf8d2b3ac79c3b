"""A function (tree, inputs) -> outputs as a twin's forward pass: its jaxpr, traced once for each shape of inputs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch

from initlab.errors import InputError, told
from initlab.guest.check import dtype_name
from initlab.integrations.extras import needed
from initlab.integrations.jax.patterns import simplified
from initlab.integrations.jax.program import Program, program_of
from initlab.integrations.jax.running import Layers, run
from initlab.integrations.jax.trees import Tree, tree_of
from initlab.integrations.jax.uses import weights_by_use
from initlab.integrations.names import MapNames
from initlab.integrations.twin import Twin, named
from initlab.integrations.weights import Weight

jax = needed("jax", "jax")

Apply = Callable[..., Any]


Whole = Callable[[Sequence[Any], tuple[Any, ...], dict[str, Any]], Any]


def read(tree: Any, apply: Apply | None, inputs: Any, map_names: MapNames = None) -> tuple[Tree, Twin]:
    """A pytree taken apart, its arrays known by their use where `apply` can be traced, and its twin.

    Args:
        tree: the parameters.
        apply: `(tree, *inputs) -> outputs`; with it the twin can run.
        inputs: tensors for one call: one, a tuple of positional or a dict of keyword arguments; None for no call.
        map_names: as for `renamed`.

    Raises:
        InputError: `apply` fails on the inputs; no parameters.
    """
    parts = tree_of(tree, map_names)
    kind = type(tree).__name__
    if apply is None:
        return parts, named(Twin(parts.parameters, None), kind)

    def whole(arrays: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return apply(parts.filled({**parts.still(), **dict(zip(parts.places, arrays, strict=True))}), *args, **kwargs)

    traced = Traced(whole, [_like(parts.leaves[place]) for place in parts.places])
    if inputs is not None:
        parts = tree_of(tree, map_names, traced.uses(inputs, [leaf.path for leaf in parts.parameters]))
    twin = Twin(parts.parameters, traced)
    traced.layers = Layers(twin)
    return parts, named(twin, kind)


class Traced:
    """Runs a jax function in torch, by its jaxpr for the shapes of the inputs.

    Args:
        whole: (arrays, args, kwargs) -> outputs, traceable by jax.
        arrays: the shapes and dtypes of the arrays.
    """

    def __init__(self, whole: Whole, arrays: Sequence[Any]) -> None:
        self.whole, self.arrays = whole, list(arrays)
        self.layers: Layers | None = None
        self.traced: dict[Any, tuple[Program, Any]] = {}

    def __call__(self, stored: Sequence[torch.Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = _tensors((args, kwargs))
        program, structure = self.program(args, kwargs)
        assert self.layers is not None
        made = run(program, stored, given, self.layers)
        return _torch_only(jax.tree_util.tree_unflatten(structure, made), made)

    def uses(self, inputs: Any, paths: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], Weight]:
        """What the arrays are by their use in a call, by path."""
        args, kwargs = call_arguments(inputs)
        program, _ = self.program(args, kwargs)
        used = weights_by_use(program, [tuple(array.shape) for array in self.arrays], [path[-1] for path in paths])
        return {paths[place]: weight for place, weight in used.items()}

    def program(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Program, Any]:
        """The steps of a call on inputs of these shapes, and the structure of what it returns."""
        key = tuple((tuple(tensor.shape), tensor.dtype) for tensor in _tensors((args, kwargs)))
        if key not in self.traced:
            with told("apply"):
                self.traced[key] = self._trace(args, kwargs)
        return self.traced[key]

    def _trace(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Program, Any]:
        flat, structure = jax.tree_util.tree_flatten((args, kwargs), is_leaf=_is_tensor)
        places = [place for place, item in enumerate(flat) if isinstance(item, torch.Tensor)]

        def call(arrays: Sequence[Any], inputs: Sequence[Any]) -> Any:
            items = list(flat)
            for place, value in zip(places, inputs, strict=True):
                items[place] = value
            return self.whole(arrays, *jax.tree_util.tree_unflatten(structure, items))

        structs = [_struct(flat[place]) for place in places]
        closed, shape = jax.make_jaxpr(call, return_shape=True)(self.arrays, structs)
        return simplified(program_of(closed)), jax.tree_util.tree_structure(shape)


def by_jaxpr(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of jax arrays as one of torch tensors; one that jax cannot trace, such as torch's own, as it is."""
    traced = Traced(lambda _, args, __: function(*args), [])
    traced.layers = Layers(Twin((), None))

    @functools.wraps(function, updated=())
    def call(*args: Any) -> Any:
        try:
            traced.program(args, {})
        except InputError:
            return function(*args)
        return traced((), args, {})

    return call


def call_arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """(args, kwargs) from a tensor, a tuple or list of positional arguments or a dict of keyword arguments."""
    if isinstance(inputs, dict):
        return (), inputs
    return (tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)), {}


def _like(leaf: Any) -> Any:
    return jax.ShapeDtypeStruct(tuple(leaf.shape), leaf.dtype)


def _is_tensor(item: Any) -> bool:
    return isinstance(item, torch.Tensor)


def _tensors(items: Any) -> list[torch.Tensor]:
    """The tensors in jax's order, in which the keys of dicts are sorted."""
    return [item for item in jax.tree_util.tree_leaves(items, is_leaf=_is_tensor) if isinstance(item, torch.Tensor)]


def _struct(tensor: torch.Tensor) -> Any:
    return jax.ShapeDtypeStruct(tuple(tensor.shape), jax.dtypes.canonicalize_dtype(dtype_name(tensor.dtype)))


def _torch_only(output: Any, made: list[torch.Tensor]) -> Any:
    """The outputs in plain containers; a list where they stand in classes of the framework's."""
    if isinstance(output, torch.Tensor | dict | list | tuple):
        return output
    return made
