"""JAX: schemes as initializers `(key, shape, dtype) -> Array`, which Flax and Equinox take as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from initlab.errors import InputError
from initlab.integrations.layout import draw
from initlab.schemes import Scheme


def initializer(scheme: str | Scheme, *, name: str, seed: int = 0) -> Callable[..., Any]:
    """An initializer for `jax.nn.initializers`' interface that draws from a named stream.

    The key that the framework passes is not read: the values are those of (seed, name, shape, law), the same in every
    framework. Kernels are (*window, in, out).

    Args:
        scheme: a catalogue name or a `Scheme`.
        name: the parameter's name; one name a parameter.
        seed: in [0, 2^64).

    Returns:
        `(key, shape, dtype=float32) -> jax.Array`.

    Raises:
        InputError: an unknown scheme; a dtype that is not floating point (when called).
    """

    def init(key: Any, shape: Sequence[int], dtype: Any = "float32", out_sharding: Any = None) -> Any:
        # lazy: an extra, imported only when it is used
        import jax.numpy as jnp

        kind = jnp.dtype(dtype)
        if not jnp.issubdtype(kind, jnp.floating):
            raise InputError(f"dtype must be a floating-point type; got {kind.name}")
        exact = "float64" if kind.name == "float64" else "float32"
        return jnp.asarray(draw(scheme, shape, seed=seed, name=name, dtype=exact)).astype(kind)

    return init
