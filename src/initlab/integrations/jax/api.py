"""`plan` and `init`: a start for a whole pytree of parameters, by path."""

from __future__ import annotations

from typing import Any

from initlab.errors import InputError, seed_number
from initlab.integrations.arrays import tensors
from initlab.integrations.extras import needed
from initlab.integrations.jax.calls import Apply, read
from initlab.integrations.jax.initializers import float_kind
from initlab.integrations.jax.trees import Tree
from initlab.integrations.layout import draw
from initlab.integrations.names import MapNames
from initlab.integrations.planning import Keep, checked, plan_twin
from initlab.integrations.twin import Leaf, Twin
from initlab.planning import Plan
from initlab.planning.plan import PlanEntry

jax = needed("jax", "jax")


def plan(
    tree: Any,
    policy: Any = "auto",
    apply: Apply | None = None,
    example_inputs: Any = None,
    map_names: MapNames = None,
    keep: Keep = (),
) -> Plan:
    """The law of every parameter of a pytree, with the reason for each. Nothing is drawn.

    Args:
        tree: as for `init`.
        policy: as for `initlab.plan`; selectors see torch's names ("encoder.dense.weight").
        apply: as for `init`.
        example_inputs: as for `init`.
        map_names: as for `init`.
        keep: selectors of what to leave as it is.

    Returns:
        A `Plan`, of shapes in torch's layout.

    Raises:
        InputError: as `init`.
    """
    _, twin = _twin(tree, apply, example_inputs, map_names)
    return plan_twin(twin, policy, _inputs(example_inputs), keep)


def init(
    tree: Any,
    policy: Any = "auto",
    seed: int = 0,
    apply: Apply | None = None,
    example_inputs: Any = None,
    map_names: MapNames = None,
    keep: Keep = (),
) -> Any:
    """A pytree of parameters with a start, by path.

    A value depends on (seed, name, shape, law) alone and is the one that `initlab.init_` writes under the same name in
    torch, turned into the framework's layout: kernels are (*window, in, out), Equinox's weights (out, in, *window).
    The name is the path joined by dots with torch's word at its end (kernel, scale and embedding are weight). A leaf
    that is sharded over a mesh, or a ShapeDtypeStruct that has a sharding, is drawn block by block on the devices that
    hold it.

    Args:
        tree: Flax Linen params or variables, an NNX state or module, an Equinox module, or any pytree of
            floating-point or complex arrays or ShapeDtypeStructs. What is no parameter (batch_stats, NNX variables that
            are no Param, an optax state, functions, integers) stays.
        policy: as for `initlab.plan`: a name, a Scheme, or {selector: scheme}, over torch's names.
        seed: in [0, 2^64).
        apply: `(tree, *inputs) -> outputs`; its jaxpr says how each array is used (transposed convolutions, groups,
            attention, what feeds each layer), which names and shapes alone do not.
        example_inputs: an array, a tuple of positional arguments or a dict of keyword arguments of `apply`;
            a `jax.ShapeDtypeStruct` stands for standard normal numbers.
        map_names: {"path/of/kernel": "torch.name", "path/": "torch.prefix"}, or a function of the path.
        keep: selectors of what to leave as it is, such as loaded parameters.

    Returns:
        A tree of the same structure.

    Raises:
        InputError: no parameters, a bad policy or seed, an `apply` that fails, a kept leaf without values. Called under
            `jax.jit`: fill the tree outside, or pass `initializer` to the layers.

    >>> import jax, numpy as np
    >>> shapes = {"fc": {"kernel": jax.ShapeDtypeStruct((8, 4), np.float32)}}
    >>> init(shapes, "he_normal", seed=1)["fc"]["kernel"].shape
    (8, 4)
    """
    number = seed_number(seed)
    parts, twin = _twin(tree, apply, example_inputs, map_names)
    made = checked(plan_twin(twin, policy, _inputs(example_inputs), keep), twin)
    _check_kept(parts, made)
    values = {
        place: _filled(parts.leaves[place], leaf, made[leaf.name], number)
        for place, leaf in zip(parts.places, parts.parameters, strict=True)
        if made[leaf.name].action == "write"
    }
    return parts.filled(values)


def _twin(tree: Any, apply: Apply | None, example_inputs: Any, map_names: MapNames) -> tuple[Tree, Twin]:
    if apply is not None and not callable(apply):
        raise InputError(f"apply must be a function (tree, *inputs) -> outputs; got {type(apply).__name__}")
    if example_inputs is not None and apply is None:
        raise InputError("example_inputs need apply, the function (tree, *inputs) -> outputs that they go through")
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree_util.tree_leaves(tree)):
        raise InputError(
            "tree must hold arrays or shapes; it is traced by a transformation such as jax.jit: fill it outside, or "
            "give the layers initlab.integrations.jax.initializer, which works inside"
        )
    return read(tree, apply, _inputs(example_inputs), map_names)


def _inputs(example_inputs: Any) -> Any:
    return None if example_inputs is None else tensors(example_inputs)


def _check_kept(tree: Tree, made: Plan) -> None:
    for place, leaf in zip(tree.places, tree.parameters, strict=True):
        entry = made[leaf.name]
        if entry.action == "keep" and isinstance(tree.leaves[place], jax.ShapeDtypeStruct):
            raise InputError(
                f"{leaf.name!r} is kept ({entry.reason}), but it is a shape without values: name it in the policy"
            )


def _filled(old: Any, leaf: Leaf, entry: PlanEntry, seed: int) -> Any:
    law = entry.law
    assert law is not None
    kind, exact = float_kind(old.dtype)
    sharding = getattr(old, "sharding", None)

    def block(cut: Any) -> Any:
        values = draw(law, leaf.weight.layout, seed=seed, name=leaf.name, dtype=exact, cut=cut)
        return values.astype(kind)

    shape = leaf.weight.layout.stored
    if sharding is None or len(sharding.device_set) == 1:
        made = jax.numpy.asarray(block(None))
        return made if sharding is None else jax.device_put(made, sharding)
    return jax.make_array_from_callback(shape, sharding, block)
