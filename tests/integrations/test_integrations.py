"""Other frameworks draw the values that torch's parameters get."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import initlab
from initlab.integrations.jax import initializer
from initlab.integrations.keras import SchemeInitializer
from initlab.integrations.layout import draw


def test_a_dense_kernel_is_the_transposed_linear_weight() -> None:
    net = nn.Sequential()
    net.add_module("fc", nn.Linear(7, 5))
    initlab.init_(net, "he_normal", seed=3)
    assert torch.equal(torch.from_numpy(draw("he_normal", (7, 5), seed=3, name="fc.weight")).T, net.fc.weight)


def test_a_convolution_kernel_is_the_turned_weight() -> None:
    net = nn.Sequential()
    net.add_module("conv", nn.Conv2d(3, 4, (5, 2)))
    initlab.init_(net, "xavier_uniform", seed=3)
    kernel = draw("xavier_uniform", (5, 2, 3, 4), seed=3, name="conv.weight")
    assert torch.equal(torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy()), net.conv.weight)


def test_a_bias_needs_no_fans() -> None:
    assert draw("zeros", (4,), seed=0, name="fc.bias").tolist() == [0.0] * 4


def test_unknown_schemes_are_refused_when_the_initializer_is_made() -> None:
    with pytest.raises(initlab.InputError, match="unknown scheme"):
        SchemeInitializer("he_norml", name="fc.weight")


def test_the_keras_initializer_survives_its_config() -> None:
    made = SchemeInitializer("normal", name="fc.weight", seed=5, arguments={"std": 0.02})
    again = SchemeInitializer.from_config(made.get_config())
    assert again.get_config() == made.get_config() == made.clone().get_config()
    assert again.scheme.arguments["std"] == 0.02


def test_jax_gets_the_same_values() -> None:
    pytest.importorskip("jax", reason="jax is not installed")
    import jax

    values = initializer("he_normal", name="fc.weight", seed=3)(jax.random.key(0), (7, 5))
    assert np.array_equal(np.asarray(values), draw("he_normal", (7, 5), seed=3, name="fc.weight"))
    with pytest.raises(initlab.InputError, match="floating-point"):
        initializer("he_normal", name="fc.weight")(None, (7, 5), "int32")


def test_keras_layers_take_the_initializer() -> None:
    keras = pytest.importorskip("keras", reason="keras is not installed")
    layer = keras.layers.Dense(5, kernel_initializer=SchemeInitializer("he_normal", name="fc.weight", seed=3))
    layer.build((None, 7))
    kernel = np.asarray(keras.ops.convert_to_numpy(layer.kernel))
    assert np.array_equal(kernel, draw("he_normal", (7, 5), seed=3, name="fc.weight"))
