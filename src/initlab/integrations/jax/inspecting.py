"""`inspect` and `as_module`: a jax function of a parameter tree, watched or held as a torch module."""

from __future__ import annotations

from typing import Any

from initlab.errors import InputError
from initlab.inspection import Inspection
from initlab.inspection import inspect as inspect_module
from initlab.integrations.arrays import tensors
from initlab.integrations.jax.calls import Apply, read
from initlab.integrations.names import MapNames
from initlab.integrations.twin import Twin


def inspect(
    apply: Apply,
    tree: Any,
    inputs: Any,
    targets: Any = None,
    loss: Any = None,
    *,
    optimizer: Any = "adamw",
    lr: float | None = None,
    map_names: MapNames = None,
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
        loss: as for `initlab.inspect`: a name, or a function of torch tensors.
        optimizer: as for `initlab.inspect`.
        lr: as for `initlab.inspect`.
        map_names: as for `init`.

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
    module = as_module(apply, tree, inputs, map_names)
    return inspect_module(module, tensors(inputs), tensors(targets), loss, optimizer=optimizer, lr=lr)


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
        raise InputError(f"apply must be a function (tree, *inputs) -> outputs; got {apply!r}")
    parts, twin = read(tree, apply, None if inputs is None else tensors(inputs), map_names)
    bare = next((leaf.name for leaf in parts.parameters if leaf.values is None), None)
    if bare is not None:
        raise InputError(f"{bare!r} is a shape without values here: fill the tree first, with init")
    return twin
