"""`Initializer` in every kind of Keras layer: true fans, a block a gate, no two weights alike (cases C7, C8)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import initlab
from initlab.integrations.keras import Initializer


def built(layer: Any, *shape: int) -> Any:
    layer.build((None, *shape))
    return layer


def array(variable: Any) -> np.ndarray[Any, Any]:
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float64)


def test_one_number_has_no_axis() -> None:
    class Scaled(layers.Layer):
        def build(self, shape: Any) -> None:
            self.scale = self.add_weight(shape=(), initializer=Initializer("normal", arguments={"std": 2.0}))

    assert built(Scaled(), 4).scale.shape == ()


def he(**names: Any) -> dict[str, Initializer]:
    return {f"{name}_initializer": Initializer("he_normal", seed=5) for name in names or ("kernel",)}


# layer, its weight, the number of inputs that one output sums over
FANS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], float]] = {
    "Dense": (lambda: built(layers.Dense(128, **he()), 256), lambda x: x.kernel, 256),
    "Conv1D": (lambda: built(layers.Conv1D(64, 5, **he()), 20, 64), lambda x: x.kernel, 320),
    "Conv2D": (lambda: built(layers.Conv2D(64, 3, **he()), 8, 8, 32), lambda x: x.kernel, 288),
    "Conv2D, grouped": (lambda: built(layers.Conv2D(64, 3, groups=4, **he()), 8, 8, 64), lambda x: x.kernel, 144),
    "Conv3D": (lambda: built(layers.Conv3D(16, 3, **he()), 4, 4, 4, 16), lambda x: x.kernel, 432),
    "Conv1DTranspose": (lambda: built(layers.Conv1DTranspose(64, 4, 2, **he()), 8, 64), lambda x: x.kernel, 128),
    "Conv2DTranspose": (lambda: built(layers.Conv2DTranspose(32, 4, 2, **he()), 8, 8, 64), lambda x: x.kernel, 256),
    "DepthwiseConv1D": (
        lambda: built(layers.DepthwiseConv1D(9, depth_multiplier=16, **he(depthwise=1)), 20, 32),
        lambda x: x.kernel,
        9,
    ),
    "DepthwiseConv2D": (
        lambda: built(layers.DepthwiseConv2D(3, depth_multiplier=8, **he(depthwise=1)), 8, 8, 64),
        lambda x: x.kernel,
        9,
    ),
    "SeparableConv2D, depthwise": (
        lambda: built(layers.SeparableConv2D(64, 3, depth_multiplier=8, **he(depthwise=1)), 8, 8, 64),
        lambda x: x.depthwise_kernel,
        9,
    ),
    "SeparableConv2D, pointwise": (
        lambda: built(layers.SeparableConv2D(64, 3, depth_multiplier=2, **he(pointwise=1)), 8, 8, 32),
        lambda x: x.pointwise_kernel,
        64,
    ),
    "EinsumDense": (
        lambda: built(layers.EinsumDense("abc,cde->abde", (None, 4, 32), **he()), 5, 64),
        lambda x: x.kernel,
        64,
    ),
    "EinsumDense, output of heads": (
        lambda: built(layers.EinsumDense("abde,dec->abc", (None, 64), **he()), 5, 4, 32),
        lambda x: x.kernel,
        128,
    ),
    "EinsumDense, one matrix an expert": (
        lambda: built(layers.EinsumDense("axb,xbc->axc", (4, 64), **he()), 4, 32),
        lambda x: x.kernel,
        32,
    ),
    "LSTM": (lambda: built(layers.LSTM(64, **he()), 5, 32), lambda x: x.cell.kernel, 32),
    "GRU": (lambda: built(layers.GRU(64, **he(recurrent=1)), 5, 32), lambda x: x.cell.recurrent_kernel, 64),
}


@pytest.mark.parametrize("case", FANS)
def test_fans_are_those_of_the_layers_linear_map(case: str) -> None:
    make, weight, fan_in = FANS[case]
    values = array(weight(make()))
    ratio = values.var() / (2 / fan_in)
    assert abs(ratio - 1) < 4 * math.sqrt(2 / values.size)  # four standard deviations of a variance of Gaussians


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU])
def test_each_gate_of_a_recurrent_kernel_is_orthogonal(kind: Any) -> None:
    layer = built(kind(16, recurrent_initializer=Initializer("orthogonal")), 5, 8)
    kernel = array(layer.cell.recurrent_kernel)
    gates = [kernel[:, start : start + 16] for start in range(0, kernel.shape[1], 16)]
    for gate in gates:
        assert np.abs(gate.T @ gate - np.eye(16)).max() < 1e-5
    assert not np.array_equal(gates[0], gates[1])


def test_one_object_gives_query_key_and_value_streams_of_their_own() -> None:
    layer = layers.MultiHeadAttention(2, 8, kernel_initializer=Initializer("he_normal"))
    layer.build((None, 4, 16), (None, 4, 16))
    q, k, v = (array(part.kernel) for part in (layer._query_dense, layer._key_dense, layer._value_dense))
    assert not np.array_equal(q, k)
    assert not np.array_equal(k, v)
    assert not np.array_equal(q, v)


def test_two_layers_and_two_weights_that_share_one_object_differ() -> None:
    shared = Initializer("normal", seed=1)
    first, second = (
        built(layers.Dense(4, kernel_initializer=shared), 4),
        built(layers.Dense(4, kernel_initializer=shared), 4),
    )
    assert not np.array_equal(array(first.kernel), array(second.kernel))
    cell = built(layers.SimpleRNN(4, kernel_initializer=shared, recurrent_initializer=shared), 3, 4).cell
    assert not np.array_equal(array(cell.kernel), array(cell.recurrent_kernel))
    bare = [keras.Variable(shared, shape=(4, 4)) for _ in range(2)]
    assert not np.array_equal(array(bare[0]), array(bare[1]))


def test_a_path_gives_the_values_that_torch_gets_under_its_name() -> None:
    from torch import nn

    net = nn.Sequential()
    net.add_module("fc", nn.Linear(7, 5))
    initlab.init_(net, "he_normal", seed=3)
    layer = built(layers.Dense(5, kernel_initializer=Initializer("he_normal", seed=3), name="fc"), 7)
    assert np.array_equal(array(layer.kernel).T, net.fc.weight.detach().double().numpy())


def test_configs_strings_and_saving(tmp_path: Any) -> None:
    made = Initializer("normal", seed=5, arguments={"std": 0.02})
    again = Initializer.from_config(made.get_config())
    assert again.get_config() == made.get_config() == made.clone().get_config()
    named = keras.initializers.get("initlab>he_normal")
    assert isinstance(named, Initializer)
    assert named.scheme.name == "he_normal"
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, kernel_initializer=made)])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].kernel_initializer.get_config() == made.get_config()
    assert "he_normal" in repr(named)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Initializer("he_norml"), "unknown scheme"),
        (lambda: Initializer("he_normal", seed=2**64), "seed"),
        (lambda: Initializer("normal", arguments={"sd": 1}), "sd"),
        (lambda: Initializer("he_normal")((4, 4), "int32"), "floating-point"),
        (lambda: built(layers.Dense(3, bias_initializer=Initializer("he_normal")), 4), "fans"),
    ],
)
def test_bad_arguments(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(initlab.InputError, match=words):
        call()


def test_keras_seeds_are_not_moved() -> None:
    keras.utils.set_random_seed(1)
    wanted = array(keras.random.normal((4,)))
    keras.utils.set_random_seed(1)
    built(layers.Dense(3, kernel_initializer=Initializer("normal")), 4)
    assert np.array_equal(array(keras.random.normal((4,))), wanted)
