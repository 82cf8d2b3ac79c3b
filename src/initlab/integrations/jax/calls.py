"""A function (tree, inputs) -> outputs as a twin's forward pass: its jaxpr, traced once for each shape of inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from initlab.errors import InputError, said, told
from initlab.guest.inputs import tensors_in
from initlab.integrations.extras import needed
from initlab.integrations.jax.patterns import simplified
from initlab.integrations.jax.program import Program, program_of
from initlab.integrations.jax.running import Layers, run
from initlab.integrations.jax.trees import Tree, tree_of
from initlab.integrations.jax.uses import weights_by_use
from initlab.integrations.names import MapNames
from initlab.integrations.twin import Twin, named

jax = needed("jax", "jax")

Apply = Callable[..., Any]


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
    call = _Call(parts, apply)
    if inputs is not None:
        args, kwargs = (
            ((), inputs) if isinstance(inputs, dict) else (inputs if isinstance(inputs, tuple) else (inputs,), {})
        )
        program, _ = call.program(args, kwargs)
        shapes = [leaf.weight.layout.stored for leaf in parts.parameters]
        words = [leaf.path[-1] for leaf in parts.parameters]
        used = weights_by_use(program, shapes, words)
        by_path = {parts.parameters[place].path: weight for place, weight in used.items()}
        parts = call.tree = tree_of(tree, map_names, by_path)
    twin = Twin(parts.parameters, call)
    call.layers = Layers(twin)
    return parts, named(twin, kind)


class _Call:
    """Runs `apply` in torch."""

    def __init__(self, tree: Tree, apply: Apply) -> None:
        self.tree, self.apply = tree, apply
        self.layers: Layers | None = None
        self.traced: dict[Any, tuple[Program, Any]] = {}

    def __call__(self, stored: list[torch.Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = list(tensors_in((args, kwargs)))
        program, structure = self.program(args, kwargs)
        assert self.layers is not None
        made = run(program, [*stored, *given], self.layers)
        return _torch_only(jax.tree_util.tree_unflatten(structure, made), made)

    def program(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Program, Any]:
        """The steps of a call on inputs of these shapes, and the structure of what it returns."""
        key = tuple((tuple(tensor.shape), tensor.dtype) for tensor in tensors_in((args, kwargs)))
        if key not in self.traced:
            with told("apply"):
                self.traced[key] = self._trace(args, kwargs)
        return self.traced[key]

    def _trace(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Program, Any]:
        flat, structure = jax.tree_util.tree_flatten((args, kwargs), is_leaf=lambda x: isinstance(x, torch.Tensor))
        tensors = [place for place, item in enumerate(flat) if isinstance(item, torch.Tensor)]
        leaves = [
            jax.ShapeDtypeStruct(leaf.weight.layout.stored, self.tree.leaves[place].dtype)
            for place, leaf in zip(self.tree.places, self.tree.parameters, strict=True)
        ]
        structs = [_struct(flat[place]) for place in tensors]

        def whole(parameters: Sequence[Any], inputs: Sequence[Any]) -> Any:
            filled = self.tree.filled(dict(zip(self.tree.places, parameters, strict=True)))
            items = list(flat)
            for place, value in zip(tensors, inputs, strict=True):
                items[place] = value
            inner_args, inner_kwargs = jax.tree_util.tree_unflatten(structure, items)
            return self.apply(filled, *inner_args, **inner_kwargs)

        closed, shape = jax.make_jaxpr(whole, return_shape=True)(leaves, structs)
        return simplified(program_of(closed)), jax.tree_util.tree_structure(shape)


def _struct(tensor: torch.Tensor) -> Any:
    name = str(tensor.dtype).removeprefix("torch.")
    return jax.ShapeDtypeStruct(tuple(tensor.shape), jax.dtypes.canonicalize_dtype(name))


def _torch_only(output: Any, made: list[torch.Tensor]) -> Any:
    """The outputs in plain containers; a list where they stand in classes of the framework's."""
    if isinstance(output, torch.Tensor | dict | list | tuple):
        return output
    return made


def tensors(items: Any) -> Any:
    """Arrays of numpy and jax as tensors, in whatever holds them.

    Raises:
        InputError: an array that torch has no dtype for.
    """
    return jax.tree_util.tree_map(_tensor, items, is_leaf=lambda x: isinstance(x, torch.Tensor))


def _tensor(item: Any) -> Any:
    if isinstance(item, jax.ShapeDtypeStruct):
        return _drawn(item)
    if isinstance(item, torch.Tensor) or not hasattr(item, "dtype"):
        return item
    array = np.asarray(item)
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    if array.dtype == np.float64 and not jax.config.jax_enable_x64:
        array = array.astype(np.float32)
    try:
        return torch.from_numpy(np.array(array))
    except TypeError as error:
        raise InputError(
            f"example inputs must be arrays that torch can hold; got {array.dtype}: {said(error)}"
        ) from None


def _drawn(struct: Any) -> torch.Tensor:
    """Standard normal numbers where only a shape is given."""
    if not jax.numpy.issubdtype(struct.dtype, jax.numpy.floating):
        raise InputError(f"example_inputs of dtype {np.dtype(struct.dtype).name} must be values, not only a shape")
    generator = torch.Generator().manual_seed(0)
    return torch.randn(tuple(struct.shape), generator=generator)
