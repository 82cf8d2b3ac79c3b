"""`initializer` behind jax.nn.initializers' interface: laws, keys, transformations."""

from __future__ import annotations

import math

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import initlab
from initlab.integrations.jax import initializer

KEY = jax.random.key(0)


def test_a_name_gives_the_values_that_torch_gets() -> None:
    net = initlab_linear("fc", 7, 5)
    values = initializer("he_normal", name="fc.weight", seed=3)(KEY, (7, 5))
    assert np.array_equal(np.asarray(values).T, net.fc.weight.detach().numpy())


def initlab_linear(name: str, fan_in: int, fan_out: int):  # type: ignore[no-untyped-def]
    from torch import nn

    net = nn.Sequential()
    net.add_module(name, nn.Linear(fan_in, fan_out))
    initlab.init_(net, "he_normal", seed=3)
    return net


@pytest.mark.parametrize(
    ("shape", "axes", "fan_in"),
    [
        ((256, 128), {}, 256),
        ((3, 3, 32, 64), {}, 288),
        ((64, 4, 32), {"in_axis": 0, "out_axis": (1, 2)}, 64),
        ((8, 64, 32), {"batch_axis": 0}, 64),
        ((128, 256), {"in_axis": 1, "out_axis": 0}, 256),
    ],
)
def test_fans_come_from_the_axes(shape: tuple[int, ...], axes: dict[str, object], fan_in: int) -> None:
    values = np.asarray(initializer("he_normal", **axes)(KEY, shape), np.float64)  # type: ignore[arg-type]
    ratio = values.var() / (2 / fan_in)
    assert abs(ratio - 1) < 4 * math.sqrt(2 / values.size)  # four standard deviations of a variance of Gaussians


def test_keys_tell_parameters_apart_and_seeds_too() -> None:
    init = initializer("normal")
    first, second = init(KEY, (4, 4)), init(jax.random.key(1), (4, 4))
    assert np.array_equal(first, init(KEY, (4, 4)))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, initializer("normal", seed=1)(KEY, (4, 4)))
    assert np.array_equal(first, init(jax.random.PRNGKey(0), (4, 4)))  # an old key of the same bits


def test_jit_vmap_and_eval_shape() -> None:
    init = initializer("he_normal")
    assert np.array_equal(jax.jit(lambda key: init(key, (8, 4)))(KEY), init(KEY, (8, 4)))
    keys = jax.random.split(KEY, 3)
    stacked = jax.vmap(lambda key: init(key, (8, 4)))(keys)
    assert np.array_equal(stacked[1], init(keys[1], (8, 4)))
    assert jax.eval_shape(lambda key: init(key, (8, 4), jnp.bfloat16), KEY).dtype == jnp.bfloat16


def test_low_precision_is_the_float32_value_rounded_once() -> None:
    init = initializer("normal")
    assert np.array_equal(init(KEY, (64,), jnp.bfloat16), init(KEY, (64,)).astype(jnp.bfloat16))


def test_orthogonal_kernels_are_orthogonal() -> None:
    values = np.asarray(initializer("orthogonal")(KEY, (32, 16)), np.float64)
    assert np.abs(values.T @ values - np.eye(16)).max() < 1e-5


def test_flax_takes_it_inside_jit() -> None:
    net = flax.linen.MultiHeadDotProductAttention(2, kernel_init=initializer("he_normal"))
    params = jax.jit(net.init)(KEY, jnp.ones((1, 3, 8)))["params"]
    kernels = [np.asarray(params[name]["kernel"]) for name in ("query", "key", "value")]
    assert not np.array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[1], kernels[2])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: initializer("he_norml"), "unknown scheme"),
        (lambda: initializer("he_normal", seed=-1), "seed"),
        (lambda: initializer("he_normal")(KEY, (4, 4), "int32"), "floating-point"),
        (lambda: initializer("he_normal", in_axis=5)(KEY, (4, 4)), "in_axis"),
        (lambda: initializer("he_normal")(KEY, (4,)), "fans"),
        (lambda: initializer(3), "scheme must be"),  # type: ignore[arg-type]
    ],
)
def test_bad_arguments(call, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(initlab.InputError, match=words):
        call()


@pytest.mark.parametrize("scheme", ["zeros", "constant", "normal"])
def test_one_number_has_no_axis(scheme: str) -> None:
    made = initializer(scheme)(KEY, ())
    assert made.shape == ()
    assert jnp.array_equal(made, jax.jit(lambda key: initializer(scheme)(key, ()))(KEY))


def test_no_key_elsewhere_is_moved() -> None:
    state = np.random.get_state()[1].copy()  # type: ignore[union-attr]
    initializer("normal")(KEY, (16,))
    assert np.array_equal(np.random.get_state()[1], state)
