"""`inspect` and `as_module`: a built Keras model, watched or held as a torch module."""

from __future__ import annotations

from typing import Any

from initlab.errors import InputError
from initlab.inspection import Inspection
from initlab.integrations.extras import needed
from initlab.integrations.inspecting import inspect_twin
from initlab.integrations.keras.losses import in_torch
from initlab.integrations.keras.passes import twin_of
from initlab.integrations.names import MapNames
from initlab.integrations.twin import Twin

keras = needed("keras", "keras")


def inspect(
    model: Any,
    inputs: Any,
    targets: Any = None,
    loss: Any = None,
    *,
    map_names: MapNames = None,
    **given: Any,
) -> Inspection:
    """How signals and gradients travel through a built Keras model at step zero, and whether it will train.

    On the torch backend the model's own operations are watched; on the jax backend its jaxpr runs in torch. Norms use
    the batch's statistics and nothing is dropped. Findings, verdict and page are those of `initlab.inspect`, which
    takes a Keras model too. Nothing of the model is changed.

    Args:
        model: a built model, on Keras's torch or jax backend.
        inputs: what the model is called with: an array, a list of arrays or a dict.
        targets: as for `initlab.inspect`.
        loss: one of Keras's (a `keras.losses.Loss`, a function of them, its name), or as for `initlab.inspect` a name
            or a function of torch tensors. Classes lie on the last axis.
        map_names: as for `init_`.
        given: optimizer, lr, line_probe and probe, as for `initlab.inspect`.

    Returns:
        An `Inspection`; parameters have torch's names.

    Raises:
        InputError: as `initlab.inspect`; a model that is not built, another backend.

    >>> import keras, numpy as np
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(3)])
    >>> report = inspect(model, np.random.default_rng(0).normal(size=(32, 8)))
    >>> [parameter.name for parameter in report.parameters]
    ['dense.weight', 'dense.bias', 'dense_1.weight', 'dense_1.bias']
    """
    return inspect_twin(as_module(model, map_names), inputs, targets, in_torch(loss), given)


def as_module(model: Any, map_names: MapNames = None) -> Twin:
    """A built Keras model as a torch module that computes the same.

    It is a copy: what is written into it does not reach the model.

    Args:
        model: a built model, on Keras's torch or jax backend.
        map_names: as for `init_`.

    Raises:
        InputError: not a built Keras model; another backend.
    """
    twin, _ = twin_of(model, None, map_names)
    if twin.run is None:
        raise InputError(
            f"a pass can be followed on Keras's jax and torch backends; this is {keras.backend.backend()}: set "
            "KERAS_BACKEND"
        )
    return twin
