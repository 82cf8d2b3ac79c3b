"""`plan` and `init_`: a start for a whole built Keras model, by variable path."""

from __future__ import annotations

from typing import Any

import torch

from initlab.errors import seed_number
from initlab.integrations.arrays import tensors
from initlab.integrations.extras import needed
from initlab.integrations.keras.passes import twin_of
from initlab.integrations.layout import draw
from initlab.integrations.names import MapNames
from initlab.integrations.planning import Keep, checked, plan_twin
from initlab.planning import Plan

keras = needed("keras", "keras")


def plan(
    model: Any, policy: Any = "auto", example_inputs: Any = None, map_names: MapNames = None, keep: Keep = ()
) -> Plan:
    """The law of every weight of a built Keras model, with the reason for each. Nothing is written.

    Args:
        model: as for `init_`.
        policy: as for `init_`.
        example_inputs: as for `init_`.
        map_names: as for `init_`.
        keep: as for `init_`.

    Returns:
        A `Plan`, of shapes in torch's layout.

    Raises:
        InputError: as `init_`.
    """
    inputs = _inputs(example_inputs)
    twin, _ = twin_of(model, inputs, map_names)
    return plan_twin(twin, policy, inputs, keep)


def init_(
    model: Any,
    policy: Any = "auto",
    example_inputs: Any = None,
    seed: int = 0,
    map_names: MapNames = None,
    keep: Keep = (),
) -> Plan:
    """Write a start into a built Keras model, in place, and return the plan that was written.

    A value depends on (seed, name, shape, law) alone and is the one that `initlab.init_` writes under the same name in
    torch, turned into Keras's layout. The name is the variable's path below the model, joined by dots, with the word
    of torch at its end: kernel, gamma and embeddings are weight, beta is bias; a recurrent layer's kernels are
    weight_ih_l0 and weight_hh_l0. Names that Keras numbered itself (dense, dense_1, …) are numbered anew within their
    parent, so that a second model of the same build gets the same values. A shared layer is written once. Frozen
    variables are taken for loaded ones and kept, unless a selector names them.

    Args:
        model: a built `keras.Model` or layer: functional, sequential, subclassed or nested.
        policy: as for `initlab.plan`: a name, a Scheme, a `Plan` of `plan`, or {selector: scheme}; selectors see
            torch's names, and "@Dense" the layers of that type.
        example_inputs: what the model is called with: an array, a list of arrays (several inputs) or a dict, for one
            pass on the torch or jax backend, from which `auto` reads what feeds each layer.
        seed: in [0, 2^64).
        map_names: {"dense/kernel": "fc.weight", "encoder/": "net"}, or a function of the path.
        keep: selectors of what to leave as it is, such as loaded weights.

    Returns:
        The `Plan` that was written.

    Raises:
        InputError: a model that is not built, a bad policy or seed, example inputs that do not pass; nothing has been
            written.

    >>> import keras
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(2)])
    >>> init_(model, "he_normal", seed=1).counts
    {'write': 4, 'keep': 0, 'refuse': 0}
    """
    number, inputs = seed_number(seed), _inputs(example_inputs)
    twin, held = twin_of(model, inputs, map_names)
    made = checked(plan_twin(twin, policy, inputs, keep), twin)
    for leaf, item in zip(twin.leaves, held, strict=True):
        law = made[leaf.name].law
        if made[leaf.name].action != "write" or law is None:
            continue
        exact = "float64" if leaf.dtype == torch.float64 else "float32"
        values = draw(law, leaf.weight.layout, seed=number, name=leaf.name, dtype=exact)
        item.variable.assign(keras.ops.convert_to_tensor(values, item.variable.dtype))
    return made


def _inputs(example_inputs: Any) -> Any:
    """What the model is called with as tensors: one, a tuple of several, or a dict."""
    made = None if example_inputs is None else tensors(example_inputs)
    return tuple(made) if isinstance(made, list) else made
