"""`Initializer`: a scheme as a Keras initializer, and each scheme under the string "initlab>NAME"."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from initlab.errors import InputError, seed_number
from initlab.integrations.extras import needed
from initlab.integrations.keras.layers import drawn_for
from initlab.integrations.layout import chosen, draw, law_of
from initlab.integrations.weights import Weight, by_convention
from initlab.schemes import Geometry, Scheme, get_scheme, list_schemes
from initlab.schemes.registry import ALIASES

keras = needed("keras", "keras")
_KerasInitializer: Any = keras.initializers.Initializer

_unnamed = itertools.count()


@keras.saving.register_keras_serializable(package="initlab")
class Initializer(_KerasInitializer):  # type: ignore[misc]  # keras is untyped
    """A scheme as a Keras initializer, for every layer's `*_initializer`.

    While a layer builds, its path is known: the values are those of (seed, path, shape, law), with the fans of the
    layer's linear map (transposed, depthwise, grouped and separable convolutions, EinsumDense, attention) and one block
    for each gate of a recurrent kernel. A path that this object has drawn before gets a number, so that two weights of
    one layer, and two layers that share the object, never get the same values. Where no layer is building (a bare
    `keras.Variable`, or variables that Keras makes later than the build), a counter of this process stands in for the
    path: values then depend on the order in which variables are made. `initlab.integrations.keras.init_` keys every
    variable of a whole model by its path.

    Args:
        scheme: a catalogue name or a `Scheme`.
        seed: in [0, 2^64).
        name: the stream's name in place of the path, as torch would name the parameter; one name a variable.
        arguments: of the scheme, where it is given by name.

    Raises:
        InputError: an unknown scheme, a bad argument or seed; when called, a shape that the scheme has no law for.

    >>> import keras
    >>> layer = keras.layers.Dense(3, kernel_initializer=Initializer("he_normal", seed=1), name="fc")
    >>> layer.build((None, 8))
    >>> layer.kernel.shape
    (8, 3)
    """

    def __init__(
        self,
        scheme: str | Scheme = "lecun_normal",
        seed: int = 0,
        name: str | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        self.scheme = get_scheme(scheme, **arguments) if arguments and isinstance(scheme, str) else chosen(scheme)
        self.seed = seed_number(seed)
        self.name = name
        self._met: dict[str, int] = {}

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        kind = keras.backend.standardize_dtype(dtype)
        if "float" not in kind:
            raise InputError(f"dtype must be a floating-point type; got {kind}")
        sizes = tuple(int(size) for size in shape)
        path, layer = _building()
        weight = by_convention("kernel", sizes) if layer is None else drawn_for(layer, self, sizes)
        law = law_of(self.scheme, weight.part.geometry or Geometry.bare(weight.layout.shape))
        values = draw(
            law,
            weight.layout,
            seed=self.seed,
            name=self.name or self._stream(path, weight),
            dtype="float64" if kind == "float64" else "float32",
        )
        return keras.ops.convert_to_tensor(values, kind)

    def _stream(self, path: str, weight: Weight) -> str:
        if not path:
            return f"keras variable {next(_unnamed)}"
        name = f"{path.replace('/', '.')}.{weight.leaf}"
        count = self._met[name] = self._met.get(name, 0) + 1
        return name if count == 1 else f"{name} #{count}"

    def __repr__(self) -> str:
        return f"Initializer({self.scheme!r}, seed={self.seed})"

    def get_config(self) -> dict[str, Any]:
        """What `from_config` builds it from again."""
        return {
            "scheme": self.scheme.name,
            "seed": self.seed,
            "name": self.name,
            "arguments": dict(self.scheme.arguments),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Initializer:
        """The initializer that `get_config` described."""
        return Initializer(**config)

    def clone(self) -> Initializer:
        """A fresh initializer of the same scheme and seed."""
        return self.from_config(self.get_config())


def _building() -> tuple[str, Any]:
    """The path and the layer that is making a variable now; ("", None) where Keras does not say."""
    try:
        stack = keras.src.backend.common.global_state.get_global_attribute("name_scope_stack")
        path = keras.src.backend.common.name_scope.current_path()
    except AttributeError:  # Keras keeps them elsewhere in this version
        return "", None
    layers = [scope.caller for scope in stack or () if isinstance(scope.caller, keras.layers.Layer)]
    return (path, layers[-1]) if path and layers else ("", None)


def _register() -> None:
    for name in (*list_schemes(), *ALIASES):
        known = type(name, (Initializer,), {"from_config": _named(name), "__module__": __name__})
        keras.saving.get_custom_objects()[f"initlab>{name}"] = known


def _named(name: str) -> Any:
    return classmethod(lambda cls, config: Initializer(**{"scheme": name, **config}))


_register()
