"""Whole Keras models: every variable once, torch's bits, the twin's pass against Keras's own (cases C7 and C8)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers
from keras_zoo import ZOO, data
from torch import nn

import initlab
from initlab.integrations import keras as ik
from initlab.integrations.arrays import tensors
from initlab.integrations.keras.passes import called, twin_of

# What compiles within seconds on jax's backend; the whole zoo runs in test_keras_auto.
SMALL = ("MLP", "GPT", "LSTM and GRU", "nested and shared", "grouped queries")


def array(variable: Any) -> np.ndarray[Any, Any]:
    return np.asarray(keras.ops.convert_to_numpy(variable))


def given(inputs: Any) -> tuple[Any, ...]:
    return tuple(inputs) if isinstance(inputs, list) else (inputs,)


@pytest.mark.parametrize("case", SMALL)
def test_the_twin_computes_what_keras_computes(case: str) -> None:
    model, inputs = ZOO[case]()
    twin, held = twin_of(model)
    wanted = array(called(model, held, [item.variable.value for item in held], given(inputs), {}))
    got = twin(*given(tensors(inputs))).detach().numpy()
    assert np.abs(got - wanted).max() <= 1e-5 * np.abs(wanted).max()  # float32 sums in another order


# a keras layer, its input, the torch layer, and how Keras stores its weight
TWINS: dict[str, tuple[Any, tuple[int, ...], nn.Module, Any]] = {
    "Dense": (layers.Dense(5, name="layer"), (7,), nn.Linear(7, 5), lambda w: w.T),
    "Conv1D": (layers.Conv1D(4, 3, name="layer"), (9, 2), nn.Conv1d(2, 4, 3), lambda w: w.transpose(2, 1, 0)),
    "Conv2D": (
        layers.Conv2D(4, 3, groups=2, name="layer"),
        (9, 9, 2),
        nn.Conv2d(2, 4, 3, groups=2),
        lambda w: w.transpose(2, 3, 1, 0),
    ),
    "Conv3D": (
        layers.Conv3D(4, 2, name="layer"),
        (5, 5, 5, 2),
        nn.Conv3d(2, 4, 2),
        lambda w: w.transpose(2, 3, 4, 1, 0),
    ),
    "Conv2DTranspose": (
        layers.Conv2DTranspose(4, 4, 2, name="layer"),
        (5, 5, 3),
        nn.ConvTranspose2d(3, 4, 4, 2),
        lambda w: w.transpose(2, 3, 1, 0),
    ),
    "DepthwiseConv2D": (
        layers.DepthwiseConv2D(3, depth_multiplier=2, name="layer"),
        (9, 9, 4),
        nn.Conv2d(4, 8, 3, groups=4),
        lambda w: w.reshape(4, 2, 3, 3).transpose(2, 3, 0, 1),
    ),
    "EinsumDense": (
        layers.EinsumDense("abc,cde->abde", (None, 2, 3), name="layer"),
        (4, 5),
        nn.Linear(5, 6),
        lambda w: w.T.reshape(5, 2, 3),
    ),
    "Embedding": (layers.Embedding(9, 4, name="layer"), (3,), nn.Embedding(9, 4), lambda w: w),
    "LayerNormalization": (layers.LayerNormalization(name="layer"), (4,), nn.LayerNorm(4), lambda w: w),
}
RECURRENT: dict[str, tuple[Any, nn.Module, list[int]]] = {  # Keras's gates by their places in torch
    "LSTM": (layers.LSTM(4, name="layer"), nn.LSTM(3, 4), [0, 1, 2, 3]),
    "GRU": (layers.GRU(4, name="layer"), nn.GRU(3, 4), [1, 0, 2]),
    "SimpleRNN": (layers.SimpleRNN(4, name="layer"), nn.RNN(3, 4), [0]),
}
POLICIES = [*initlab.list_schemes(), "auto"]


def both(layer: nn.Module, model: Any, policy: str) -> bool:
    """The same start in torch and in Keras; False where the scheme has no law for such a layer, in both."""
    net = nn.Sequential()
    net.add_module("layer", layer)
    refused = ""
    try:
        initlab.init_(net, policy, seed=5)
    except initlab.InputError as error:
        refused = str(error)
    if refused:
        with pytest.raises(initlab.InputError) as caught:
            ik.init_(model, policy, seed=5)
        assert str(caught.value) == refused
        return False
    ik.init_(model, policy, seed=5)
    return True


@pytest.mark.parametrize("case", TWINS)
@pytest.mark.parametrize("policy", POLICIES)
def test_names_and_shapes_give_the_bits_of_torch(case: str, policy: str) -> None:
    layer, shape, twin, stored = TWINS[case]
    if both(twin, keras.Sequential([keras.Input(shape), layer]), policy):
        assert np.array_equal(array(layer.weights[0]), stored(twin.weight.detach().numpy()))


@pytest.mark.parametrize("case", RECURRENT)
@pytest.mark.parametrize("policy", POLICIES)
def test_each_gate_has_the_bits_of_torchs_gate(case: str, policy: str) -> None:
    layer, twin, places = RECURRENT[case]
    if not both(twin, keras.Sequential([keras.Input((5, 3)), layer]), policy):
        return
    kernels = (layer.cell.kernel, twin.weight_ih_l0), (layer.cell.recurrent_kernel, twin.weight_hh_l0)
    for kernel, weight in kernels:
        gates = weight.detach().numpy().reshape(len(places), 4, -1)[places]
        assert np.array_equal(array(kernel).T, gates.reshape(len(places) * 4, -1))


def test_every_weight_is_planned_once_and_state_is_left() -> None:
    inputs = keras.Input((8,))
    shared = layers.Dense(8)
    x = layers.BatchNormalization()(shared(shared(inputs)))
    model = keras.Model(inputs, layers.Dropout(0.5)(x))
    before = [array(v) for v in model.non_trainable_variables]
    plan = ik.init_(model, "he_normal", seed=1)
    assert [entry.name for entry in plan.entries] == [
        "dense.weight", "dense.bias", "batch_normalization.weight", "batch_normalization.bias",
    ]  # fmt: skip
    assert all(np.array_equal(old, array(v)) for old, v in zip(before, model.non_trainable_variables, strict=True))


def test_a_second_build_gets_the_same_values() -> None:
    first, second = (ZOO["nested and shared"]()[0] for _ in range(2))
    for model in (first, second):
        ik.init_(model, "he_normal", seed=2)
    assert [v.path for v in first.weights] != [v.path for v in second.weights]  # Keras numbered them anew
    assert all(np.array_equal(array(a), array(b)) for a, b in zip(first.weights, second.weights, strict=True))


def test_the_two_layers_of_bidirectional_are_numbered_anew_too() -> None:
    models = [keras.Sequential([keras.Input((4, 3)), layers.Bidirectional(layers.LSTM(2))]) for _ in range(2)]
    first, second = ([entry.name for entry in ik.plan(model, "he_normal").entries] for model in models)
    assert first == second
    assert first[0] == "bidirectional.forward_lstm.weight_ih_l0"


def test_cells_of_one_layer_have_names_of_their_own() -> None:
    """One cell is named as torch's layer; of several, each as itself."""
    model = keras.Sequential([keras.Input((4, 3)), layers.RNN([layers.GRUCell(2), layers.LSTMCell(2)])])
    names = [entry.name for entry in ik.plan(model, "he_normal").entries]
    assert len(set(names)) == len(model.trainable_variables)
    assert {f"rnn.stacked_rnn_cells.{cell}.weight_hh" for cell in ("gru_cell", "lstm_cell")} <= set(names)


@pytest.mark.parametrize(("opened", "reason"), [(True, "forget gate's a number, 1"), (False, "forget gate 1")])
@pytest.mark.parametrize("given", [None, data(4, 12, 3)], ids=["without a pass", "with a pass"])
def test_the_forget_gate_is_opened_with_a_pass_and_without(given: Any, opened: bool, reason: str) -> None:
    """As Keras begins it, unless told otherwise."""
    layer = layers.LSTM(2, unit_forget_bias=opened)
    model = keras.Sequential([keras.Input((12, 3)), layer, layers.Dense(2)])
    assert reason in ik.plan(model, "auto", given)["lstm.bias_ih_l0"].reason
    ik.init_(model, "auto", example_inputs=given)
    assert array(layer.cell.bias).tolist() == [0, 0, 1, 1, 0, 0, 0, 0]


def test_what_a_pass_assigns_it_reads() -> None:
    model = keras.Sequential([keras.Input((8,)), layers.SpectralNormalization(layers.Dense(16))])
    x = data(4, 8)
    before = [array(v) for v in model.weights]
    made = ik.as_module(model)(torch.from_numpy(x)).detach().numpy()
    assert all(np.array_equal(old, array(v)) for old, v in zip(before, model.weights, strict=True))
    assert np.allclose(made, array(model(x, training=True)), atol=1e-5)


def test_auto_gives_torchs_bits_through_the_same_rules() -> None:
    net = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 10))
    x = data(64, 32)
    plan = initlab.init_(net, "auto", example_inputs=torch.from_numpy(x), seed=4)
    model = keras.Sequential(
        [
            keras.Input((32,)),
            layers.Dense(64, activation="relu", name="0"),
            layers.Dense(64, activation=lambda x: keras.ops.gelu(x, approximate=False), name="2"),
            layers.Dense(10, name="4"),
        ]
    )
    made = ik.init_(model, "auto", example_inputs=x, seed=4)
    for layer in model.layers:
        wanted = net[int(layer.name)].weight.detach().numpy()
        assert made[f"{layer.name}.weight"].law == plan[f"{layer.name}.weight"].law
        assert np.array_equal(array(layer.kernel).T, wanted)


def test_frozen_and_kept_weights_stay() -> None:
    model = keras.Sequential([keras.Input((4,)), *(layers.Dense(4, name=name) for name in ("a", "b", "c"))])
    model.layers[0].trainable = False
    before = [array(layer.kernel).copy() for layer in model.layers]
    plan = ik.init_(model, "he_normal", keep="b.**")
    changed = [not np.array_equal(old, array(layer.kernel)) for old, layer in zip(before, model.layers, strict=True)]
    assert changed == [False, False, True]
    assert plan["a.weight"].code == "frozen"


def test_selectors_see_layer_types_and_names() -> None:
    model, _ = ZOO["CNN"]()
    plan = ik.plan(model, {"@Conv2DTranspose": "orthogonal", "dense.bias": "ones"})
    written = [entry.name for entry in plan.entries if entry.action == "write"]
    assert written == ["conv2d_transpose.weight", "dense.bias"]


def test_half_precision_variables_get_the_rounded_value() -> None:
    kernels = []
    for dtype in ("float32", "bfloat16"):
        layer = layers.Dense(4, name="layer", dtype=dtype)
        ik.init_(keras.Sequential([keras.Input((8,)), layer]), "he_normal", seed=3)
        kernels.append(layer.kernel)
    rounded = keras.ops.cast(keras.ops.cast(kernels[0], "bfloat16"), "float32")
    assert np.array_equal(array(rounded), array(keras.ops.cast(kernels[1], "float32")))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ik.init_(nn.Linear(2, 2)), "must be a keras model"),
        (lambda: ik.init_(keras.Sequential([layers.Dense(3)])), "is not built"),
        (lambda: ik.init_(keras.Sequential([keras.Input((3,)), layers.ReLU()])), "no weights"),
        (lambda: ik.init_(ZOO["MLP"]()[0], "he_norml"), "unknown policy or scheme"),
        (lambda: ik.init_(ZOO["MLP"]()[0], seed=-1), "seed"),
        (lambda: ik.init_(ZOO["MLP"]()[0], example_inputs=data(4, 31)), "Dense|dense|matrix|matmul|shape"),
        (lambda: ik.init_(ZOO["MLP"]()[0], {"nothing.weight": "zeros"}), "matches no parameter"),
    ],
)
def test_bad_arguments(call: Any, words: str) -> None:
    with pytest.raises(initlab.InputError, match=words):
        call()


@pytest.mark.parametrize("call", [initlab.plan, initlab.init_, initlab.audit, initlab.reinit_])
def test_what_is_for_torch_modules_says_so(call: Any) -> None:
    with pytest.raises(initlab.InputError, match=r"got a keras model: use initlab\.integrations\.keras"):
        call(ZOO["MLP"]()[0])


def test_a_refused_call_writes_nothing() -> None:
    model, _ = ZOO["MLP"]()
    before = [array(v).copy() for v in model.weights]
    with pytest.raises(initlab.InputError):
        ik.init_(model, {"@Dense": "he_normal", "dense.bias": "orthogonal"})
    assert all(np.array_equal(old, array(v)) for old, v in zip(before, model.weights, strict=True))


def test_keras_seeds_are_not_moved() -> None:
    keras.utils.set_random_seed(1)
    wanted = array(keras.random.normal((4,)))
    model, inputs = ZOO["MLP"]()
    keras.utils.set_random_seed(1)
    ik.init_(model, "auto", example_inputs=inputs)
    assert np.array_equal(array(keras.random.normal((4,))), wanted)
