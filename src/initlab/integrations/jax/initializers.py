"""`initializer`: a scheme as `(key, shape, dtype) -> Array`, which Flax, Haiku-style code and Equinox take as it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from initlab.errors import InputError, seed_number
from initlab.integrations.extras import needed
from initlab.integrations.layout import PARTS, Layout, chosen, draw, law_of
from initlab.sampling.laws import Law
from initlab.schemes import Geometry, Scheme

jax = needed("jax", "jax")
jnp = jax.numpy

Axes = int | Sequence[int]


def initializer(
    scheme: str | Scheme,
    *,
    name: str | None = None,
    seed: int = 0,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
) -> Callable[..., Any]:
    """A scheme as an initializer of `jax.nn.initializers`' interface.

    The values follow from (seed, key, shape, law): frameworks give every parameter a key of its own, so no two get the
    same values. With a `name` the key is not read, and the values are those that torch and Keras draw under that name.
    fan_in is the product of the input axes and of the window (every other axis); bfloat16 and float16 are the float32
    value rounded once. Under `jax.jit`, `jax.vmap` and `jax.eval_shape` the drawing is a `jax.pure_callback` to the
    host; on a platform without host callbacks call it outside of `jit`.

    Args:
        scheme: a catalogue name or a `Scheme`.
        name: the parameter's name, as torch would name it; one name a parameter.
        seed: in [0, 2^64).
        in_axis: the input axis or axes.
        out_axis: the output axis or axes.
        batch_axis: axes along which independent weights lie.

    Returns:
        `(key, shape, dtype=float32) -> jax.Array`.

    Raises:
        InputError: an unknown scheme or a bad seed; when called, a dtype that is not floating point, a shape that the
            scheme has no law for, or axes that it does not have.

    Source: the interface of jax.nn.initializers; values as `initlab.sampling.fill`.

    >>> import jax
    >>> init = initializer("he_normal")
    >>> init(jax.random.key(0), (64, 32)).shape
    (64, 32)
    """
    recipe, number = chosen(scheme), seed_number(seed)
    places = (_tuple(in_axis), _tuple(out_axis), _tuple(batch_axis))

    def init(key: Any, shape: Sequence[int], dtype: Any = jnp.float32, out_sharding: Any = None) -> Any:
        sizes = tuple(int(size) for size in shape)
        kind, exact = float_kind(dtype)
        law, layout = _weight(recipe, sizes, *places)
        if name is not None:
            return jnp.asarray(draw(law, layout, seed=number, name=name, dtype=exact)).astype(kind)
        return _by_key(key, law, layout, number, exact).astype(kind)

    return init


def float_kind(dtype: Any) -> tuple[Any, str]:
    """The dtype that jax would make, and the exact one to draw in.

    Raises:
        InputError: neither a floating-point nor a complex type.
    """
    kind = jax.dtypes.canonicalize_dtype(dtype)
    if not jnp.issubdtype(kind, jnp.inexact):
        raise InputError(f"dtype must be a floating-point or complex type; got {np.dtype(kind).name}")
    return kind, np.dtype(kind).name if np.dtype(kind).name in ("float64", *PARTS) else "float32"


def _by_key(key: Any, law: Law, layout: Layout, seed: int, dtype: str) -> Any:
    """Values that follow from the key's own bits; through the host where the key is traced."""
    bits = jax.random.key_data(key) if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else jnp.asarray(key)

    def host(words: Any) -> np.ndarray[Any, Any]:
        name = "jax key " + np.asarray(words, np.uint32).tobytes().hex()
        return draw(law, layout, seed=seed, name=name, dtype=dtype)

    if not isinstance(bits, jax.core.Tracer):
        return jnp.asarray(host(bits))
    made = jax.ShapeDtypeStruct(layout.stored, np.dtype(dtype))
    return jax.pure_callback(host, made, bits, vmap_method="sequential")


def _weight(
    scheme: Scheme, shape: tuple[int, ...], ins: tuple[int, ...], outs: tuple[int, ...], batch: tuple[int, ...]
) -> tuple[Law, Layout]:
    """The law and the layout of a weight with these axes, as (batch · out, in, *window)."""
    rank = len(shape)
    if rank < 2:
        return scheme.law(Geometry.bare(shape)), Layout.same(shape)
    if scheme.uses == "values":
        return scheme.law(Geometry.bare(shape)), Layout.kernel(shape)
    axes = tuple(_places(name, part, rank) for name, part in zip(_NAMES, (ins, outs, batch), strict=True))
    inside, outside, apart = axes
    window = [axis for axis in range(rank) if axis not in (*inside, *outside, *apart)]
    size = {name: math.prod(shape[axis] for axis in part) for name, part in zip(_NAMES, axes, strict=True)}
    field, groups = math.prod(shape[axis] for axis in window), size["batch_axis"]
    turned = (groups * size["out_axis"], size["in_axis"], *(shape[axis] for axis in window))
    kind = "linear" if len(turned) == 2 else "conv"
    if 0 in turned:
        raise InputError(f"{scheme.name} needs every axis to be at least 1; got shape {shape}")
    geometry = Geometry(turned, size["in_axis"] * field, size["out_axis"] * field, groups=groups, kind=kind)
    return law_of(scheme, geometry), Layout(shape, (*apart, *outside, *inside, *window), turned)


_NAMES = ("in_axis", "out_axis", "batch_axis")


def _tuple(axes: Axes) -> tuple[int, ...]:
    return (axes,) if isinstance(axes, int) else tuple(axes)


def _places(name: str, axes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    if any(not -rank <= axis < rank for axis in axes):
        raise InputError(f"{name} must be axes of a tensor of {rank} axes; got {axes}")
    return tuple(axis % rank for axis in axes)
