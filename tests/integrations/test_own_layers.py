"""Layers that no table knows: their variables keep names apart, and their scales keep what their author set."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
from keras import layers

import initlab
from initlab.integrations import jax as ij
from initlab.integrations import keras as ik

DATA = np.random.default_rng(0).normal(size=(32, 10)).astype(np.float32)


class Scaled(layers.Layer):
    """x + (x W + b) ⊙ γ, γ small, as ConvNeXt and CaiT have it."""

    def build(self, shape: Any) -> None:
        size = shape[-1]
        self.w = self.add_weight(shape=(size, size), name="w")
        self.b = self.add_weight(shape=(size,), initializer="zeros", name="b")
        self.gamma = self.add_weight(shape=(size,), initializer=keras.initializers.Constant(1e-4), name="gamma")

    def call(self, x: Any) -> Any:
        return x + (keras.ops.matmul(x, self.w) + self.b) * self.gamma


def model() -> Any:
    return keras.Sequential([keras.Input((10,)), layers.Dense(16), Scaled(name="own"), layers.Dense(3)])


def test_torchs_one_word_for_two_variables_is_no_conflict() -> None:
    plan = ik.plan(model(), "auto", example_inputs=DATA)
    assert {entry.name for entry in plan.entries if entry.name.startswith("own")} == {"own.w", "own.bias", "own.gamma"}
    with pytest.raises(initlab.InputError, match=r"both called 'x\.weight'"):
        ik.plan(model(), "auto", map_names={"own/w": "x.weight", "own/gamma": "x.weight"})


def test_a_small_scale_of_a_branch_is_kept_in_keras() -> None:
    """On the torch backend the variable stood beside a tensor in a call that nobody heard of."""
    net = model()
    plan = ik.init_(net, "auto", example_inputs=DATA)
    assert plan["own.gamma"].action == "keep"
    assert "not used" not in plan["own.gamma"].reason
    assert float(keras.ops.convert_to_numpy(net.get_layer("own").gamma).max()) == pytest.approx(1e-4)


def test_a_small_scale_of_a_branch_is_kept_in_jax() -> None:
    def apply(tree: Any, x: Any) -> Any:
        x = x @ tree["stem"]["kernel"]
        return (x + tree["own"]["scale"] * jnp.tanh(x @ tree["own"]["kernel"])) @ tree["head"]["kernel"]

    tree = {
        "stem": {"kernel": jnp.zeros((10, 16))},
        "own": {"kernel": jnp.zeros((16, 16)), "scale": jnp.full((16,), 1e-4)},
        "head": {"kernel": jnp.zeros((16, 3))},
    }
    started = ij.init(tree, "auto", apply=apply, example_inputs=DATA)
    assert bool((started["own"]["scale"] == 1e-4).all())
    assert bool((started["own"]["kernel"] != 0).all())


def test_products_of_small_integers_are_summed_in_large_ones() -> None:
    def apply(tree: Any, x: Any) -> Any:
        whole = jnp.round(x * 30).astype(jnp.int8)
        made = jax.lax.dot_general(whole, tree["q"], (((1,), (0,)), ((), ())), preferred_element_type=jnp.int32)
        return made.astype(jnp.float32) * tree["scale"]

    tree = {"q": jnp.full((10, 3), 90, jnp.int8), "scale": jnp.ones((3,))}
    module = ij.as_module(apply, tree, DATA)
    wanted = np.array(apply(tree, DATA))
    assert np.allclose(module(torch.from_numpy(DATA)).detach().numpy(), wanted)
    assert np.abs(wanted).max() > 127
