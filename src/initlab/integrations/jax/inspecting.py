"""`inspect` and `as_module`: a jax function of a parameter tree, watched or held as a torch module."""

from __future__ import annotations

from typing import Any

from initlab.errors import InputError
from initlab.inspection import Inspection
from initlab.integrations.arrays import tensors
from initlab.integrations.inspecting import inspect_twin
from initlab.integrations.jax.calls import Apply, by_jaxpr, read
from initlab.integrations.names import MapNames
from initlab.integrations.twin import Twin


def inspect(
    apply: Apply,
    tree: Any,
    inputs: Any,
    targets: Any = None,
    loss: Any = None,
    *,
    map_names: MapNames = None,
    **given: Any,
) -> Inspection:
    """How signals and gradients travel through a jax function at step zero, and whether it will train.

    The jaxpr of `apply` runs in torch on the tree's values, so that every primitive that reads a parameter and every
    activation function is seen, and gradients are those of `jax.grad` to rounding; findings, verdict and page are those
    of `initlab.inspect`. A primitive that torch has no function for is computed by jax and seen as one call; loops that
    do not end after a number of turns known beforehand, and branches on data, are such calls, and what they hold inside
    is not seen.

    Args:
        apply: `(tree, *inputs) -> outputs`.
        tree: parameters with values.
        inputs: an array, a tuple of positional arguments or a dict of keyword arguments.
        targets: as for `initlab.inspect`.
        loss: as for `initlab.inspect`: a name, or a function (output, targets) -> scalar of jax arrays or torch
            tensors. Classes lie on the last axis.
        map_names: as for `init`.
        given: optimizer, lr, line_probe and probe, as for `initlab.inspect`.

    Returns:
        An `Inspection`; parameters have torch's names.

    Raises:
        InputError: as `initlab.inspect`; a tree of shapes without values.

    >>> import jax, jax.numpy as jnp
    >>> tree = {"kernel": jax.random.normal(jax.random.key(0), (8, 3))}
    >>> report = inspect(lambda p, x: x @ p["kernel"], tree, jax.random.normal(jax.random.key(1), (16, 8)))
    >>> [layer.name for layer in report.layers]
    ['matmul']
    """
    loss = by_jaxpr(loss) if callable(loss) else loss
    return inspect_twin(as_module(apply, tree, inputs, map_names), inputs, targets, loss, given)


def as_module(apply: Apply, tree: Any, inputs: Any = None, map_names: MapNames = None) -> Twin:
    """A jax function and its parameters as a torch module that computes the same.

    It is a copy: what is written into it does not reach the tree.

    Args:
        apply: `(tree, *inputs) -> outputs`.
        tree: parameters with values.
        inputs: as for `inspect`; with it arrays are known by their use (fans, layouts).
        map_names: as for `init`.

    Raises:
        InputError: no function, no parameters, or shapes without values.
    """
    if not callable(apply):
        raise InputError(f"apply must be a function (tree, *inputs) -> outputs; got {type(apply).__name__}")
    parts, twin = read(tree, apply, None if inputs is None else tensors(inputs), map_names)
    bare = next((leaf.name for leaf in parts.parameters if leaf.values is None), None)
    if bare is not None:
        raise InputError(f"{bare!r} is a shape without values here: fill the tree first, with init")
    return twin
