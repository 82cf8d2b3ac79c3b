"""A Keras model's forward pass in torch: its own on the torch backend, its jaxpr's on the jax backend."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from initlab.errors import InputError
from initlab.integrations.extras import needed
from initlab.integrations.keras.variables import Held, held_variables, leaves_of
from initlab.integrations.names import MapNames
from initlab.integrations.twin import Run, Twin, named

keras = needed("keras", "keras")
_StatelessScope: Any = keras.StatelessScope


def twin_of(model: Any, inputs: Any = None, map_names: MapNames = None) -> tuple[Twin, list[Held]]:
    """A built model's twin, and its variables in the order of the twin's leaves.

    Args:
        model: a built Keras model.
        inputs: tensors for one call (to know the variables of layers that no type explains); None for no call.
        map_names: as for `renamed`.

    Raises:
        InputError: not a built model; a backend on which its pass cannot be followed, where `inputs` are given.
    """
    held = held_variables(model)
    backend = keras.backend.backend()
    if backend == "jax":
        return _by_jaxpr(model, held, inputs, map_names), held
    if backend != "torch" and inputs is not None:
        raise InputError(
            f"a pass can be followed on Keras's jax and torch backends; this is {backend}: leave out example_inputs, "
            "or set KERAS_BACKEND"
        )
    twin = Twin(
        leaves_of(held, map_names, watched=inputs is not None), _on_torch(model, held) if backend == "torch" else None
    )
    return named(twin, type(model).__name__), held


def _on_torch(model: Any, held: Sequence[Held]) -> Run:
    def run(stored: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with _Read():
            return called(model, held, stored, args, kwargs)

    return run


class _Read(TorchFunctionMode):
    """Reads variables that stand beside tensors in a call, as in x * self.gamma, so that who listens sees tensors."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if not all(issubclass(kind, torch.Tensor) for kind in types):
            args, kwargs = _values((args, kwargs or {}))
        return func(*args, **(kwargs or {}))


def _values(item: Any) -> Any:
    if isinstance(item, keras.Variable):
        return item.value
    if type(item) in (tuple, list):
        return type(item)(map(_values, item))
    return {key: _values(part) for key, part in item.items()} if type(item) is dict else item


def _by_jaxpr(model: Any, held: list[Held], inputs: Any, map_names: MapNames) -> Twin:
    # lazy: jax, where it is the backend
    import jax

    from initlab.integrations.jax.calls import Traced  # lazy: as above
    from initlab.integrations.jax.running import Layers  # lazy: as above

    def whole(arrays: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return called(model, held, arrays, args, kwargs)

    arrays = [jax.ShapeDtypeStruct(tuple(item.variable.shape), item.variable.dtype) for item in held]
    traced = Traced(whole, arrays)
    paths = [tuple(item.variable.path.split("/")) for item in held]
    by_use = traced.uses(inputs, paths) if inputs is not None else None
    twin = Twin(leaves_of(held, map_names, by_use, watched=inputs is not None), traced)
    traced.layers = Layers(twin)
    return named(twin, type(model).__name__)


def called(
    model: Any, held: Sequence[Held], values: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """What the model returns with other values in its variables; nothing of the model is changed.

    Norms use the batch's statistics, as in training; nothing is dropped.
    """
    with _Values(held, values), _nothing_dropped(model):
        if kwargs:
            return model(dict(kwargs), training=True)
        one = len(args) == 1 or _takes_many(model)
        return model(*args, training=True) if one else model(list(args), training=True)


class _Values(_StatelessScope):  # type: ignore[misc]  # keras is untyped
    """Other values in a model's variables, each read when the pass needs it."""

    def __init__(self, held: Sequence[Held], values: Sequence[Any]) -> None:
        super().__init__()
        self.values = values
        self.places = {id(item.variable): place for place, item in enumerate(held)}

    def get_current_value(self, variable: Any) -> Any:
        assigned = super().get_current_value(variable)  # within this pass, as a spectral norm does
        place = self.places.get(id(variable))
        return self.values[place] if assigned is None and place is not None else assigned


def _takes_many(model: Any) -> bool:
    """Whether the model's call takes several inputs one by one, and not one list of them."""
    if isinstance(model, keras.Sequential) or hasattr(model, "_functional") or hasattr(model, "_nodes_by_depth"):
        return False
    given = list(inspect.signature(model.call).parameters.values())
    places = [p for p in given if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len([p for p in places if p.name not in ("training", "mask")]) > 1


_RATES = ("rate", "dropout", "recurrent_dropout", "_dropout", "drop_rate", "dropout_rate")


@contextlib.contextmanager
def _nothing_dropped(model: Any) -> Iterator[None]:
    """Dropout, of layers and within them, at rate 0 while it is entered."""
    changed = []
    for layer in (model, *model._flatten_layers(include_self=False)):
        for name in _RATES:
            rate = vars(layer).get(name)
            if isinstance(rate, float) and 0 < rate < 1:
                changed.append((layer, name, rate))
    try:
        for layer, name, _ in changed:
            object.__setattr__(layer, name, 0.0)
        yield
    finally:
        for layer, name, rate in changed:
            object.__setattr__(layer, name, rate)
