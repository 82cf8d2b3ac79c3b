"""Keras's losses, which take (targets, outputs) of the backend's arrays, as functions of torch tensors."""

from __future__ import annotations

import inspect
from typing import Any

from initlab.errors import InputError
from initlab.integrations.extras import needed
from initlab.training.losses import NAMES

keras = needed("keras", "keras")


def in_torch(loss: Any) -> Any:
    """One of Keras's losses, by itself or by name, as (outputs, targets) -> scalar; anything else as it is.

    A cross-entropy without `from_logits` refuses outputs that are no probabilities, which Keras clips unsaid.
    """
    if isinstance(loss, str) and loss not in (*NAMES, "auto"):
        try:
            loss = keras.losses.get(loss)
        except ValueError:
            return loss
    own = str(getattr(loss, "__module__", "")).startswith("keras.")
    if not callable(loss) or not (own or isinstance(loss, keras.losses.Loss)):
        return loss
    name = str(getattr(loss, "name", None) or getattr(loss, "__name__", type(loss).__name__))

    def backend(outputs: Any, targets: Any) -> Any:
        return keras.ops.mean(loss(targets, outputs))

    function, probabilities = backend, _of_probabilities(loss)
    if keras.backend.backend() == "jax":
        from initlab.integrations.jax.calls import by_jaxpr  # lazy: jax, where it is the backend

        function = by_jaxpr(backend)

    def call(outputs: Any, targets: Any) -> Any:
        low, high = float(outputs.detach().min()), float(outputs.detach().max())
        if probabilities and not (low >= 0 and high <= 1):
            raise InputError(
                f"loss {name} takes probabilities in [0, 1], and the model's output runs from {low:.3g} to "
                f"{high:.3g}: it gives logits; say from_logits=True"
            )
        return function(outputs, targets)

    call.__name__ = name
    return call


def _of_probabilities(loss: Any) -> bool:
    """Whether a loss is told apart by `from_logits`, and takes none."""
    given = inspect.signature(getattr(loss, "fn", loss)).parameters.get("from_logits")
    return given is not None and not getattr(loss, "_fn_kwargs", {}).get("from_logits", given.default)
