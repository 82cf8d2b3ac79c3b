"""Keras: schemes as initializers that a layer takes, prints, saves and loads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from initlab.integrations.layout import draw
from initlab.schemes import Scheme, get_scheme


class SchemeInitializer:
    """A scheme behind Keras's initializer interface: `(shape, dtype) -> tensor`, `get_config`, `from_config`.

    The values are those of (seed, name, shape, law), the same in every framework; kernels are (*window, in, out).

    Args:
        scheme: a catalogue name or a `Scheme`.
        name: the variable's name; one name a variable.
        seed: in [0, 2^64).
        arguments: of the scheme, where it is given by name.
    """

    def __init__(self, scheme: str | Scheme, name: str, seed: int = 0, arguments: dict[str, Any] | None = None) -> None:
        self.scheme = scheme if isinstance(scheme, Scheme) else get_scheme(scheme, **(arguments or {}))
        self.name = name
        self.seed = seed

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        # lazy: an extra, imported only when it is used
        import keras

        kind = keras.backend.standardize_dtype(dtype)
        exact = "float64" if kind == "float64" else "float32"
        return keras.ops.convert_to_tensor(draw(self.scheme, shape, seed=self.seed, name=self.name, dtype=exact), kind)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` builds it from again."""
        return {
            "scheme": self.scheme.name,
            "name": self.name,
            "seed": self.seed,
            "arguments": dict(self.scheme.arguments),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SchemeInitializer:
        """The initializer that `get_config` described."""
        return cls(**config)

    def clone(self) -> SchemeInitializer:
        """An equal initializer; it draws the same values, so a second variable needs a name of its own."""
        return type(self).from_config(self.get_config())
