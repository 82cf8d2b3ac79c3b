"""A Keras model is watched as a torch module is, on the torch and the jax backend."""

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
from initlab.errors import InputError
from initlab.integrations import keras as ik


def pair(policy: str) -> tuple[Any, nn.Module]:
    """A Keras model and a torch model with the same weights."""
    sizes = (64, 64, 10)
    model = keras.Sequential(
        [
            keras.Input((32,)),
            *(layers.Dense(n, "tanh" if n > 10 else None, name=str(2 * i)) for i, n in enumerate(sizes)),
        ]
    )
    net = nn.Sequential(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 10))
    ik.init_(model, policy, seed=3)
    initlab.init_(net, policy, seed=3)
    return model, net


@pytest.mark.parametrize("policy", ["lecun_normal", "he_normal", "zeros"])
def test_findings_and_verdict_are_those_of_the_torch_model(policy: str) -> None:
    x, y = data(64, 32), np.arange(64) % 10
    model, net = pair(policy)
    found, wanted = initlab.inspect(model, x, y), initlab.inspect(net, torch.from_numpy(x), torch.from_numpy(y))
    assert found.verdict == wanted.verdict
    assert {finding.kind for finding in found.findings} == {finding.kind for finding in wanted.findings}
    gradients = {p.name: p.grad_rms for p in found.parameters}
    for parameter in wanted.parameters:
        assert gradients[parameter.name] == pytest.approx(parameter.grad_rms, rel=1e-4, abs=1e-12)


def test_nothing_of_the_model_is_changed() -> None:
    model, inputs = ZOO["CNN"]()
    before = [np.array(keras.ops.convert_to_numpy(v)) for v in model.variables]
    report = ik.inspect(model, inputs, np.arange(len(inputs)) % 10)
    assert report.model == type(model).__name__
    assert {"conv2d.weight", "dense.bias"} <= {p.name for p in report.parameters}
    after = [np.array(keras.ops.convert_to_numpy(v)) for v in model.variables]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ik.inspect(keras.Sequential([layers.Dense(3)]), data(2, 4)), "is not built"),
        (lambda: initlab.inspect(keras.Sequential([layers.Dense(3)]), data(2, 4)), "is not built"),
        (lambda: ik.as_module(3), "must be a keras model"),
        (lambda: ik.as_module(_classes()[0], {"nothing/kernel": "fc.weight"}), "map_names 'nothing/kernel'"),
        (lambda: ik.inspect(_classes()[0], data(2, 7, 5)), "^[^\\x1b]*incompatible"),
    ],
)
def test_bad_arguments(call: Any, words: str) -> None:
    with pytest.raises(initlab.InputError, match=words):
        call()


def _classes(activation: str | None = None) -> tuple[Any, Any, Any]:
    return keras.Sequential([keras.Input((7, 4)), layers.Dense(5, activation)]), data(32, 7, 4), np.arange(224) % 5


def test_classes_lie_on_the_last_axis_and_keras_has_its_own_losses() -> None:
    model, x, y = _classes()
    y = y.reshape(32, 7)
    wanted = initlab.inspect(model, x, y).loss
    for loss in ("cross_entropy", keras.losses.SparseCategoricalCrossentropy(from_logits=True)):
        assert initlab.inspect(model, x, y, loss).loss == pytest.approx(wanted)
    square = np.arange(32 * 5).reshape(32, 5) % 5  # fits axis 1 as well, where torch would look for the classes
    assert initlab.inspect(model, x[:, :5], square, "cross_entropy").loss == pytest.approx(
        initlab.inspect(model, x[:, :5], square).loss
    )


def test_a_loss_of_keras_takes_targets_first_and_probabilities_unless_told() -> None:
    model, x, y = _classes("softmax")
    report = initlab.inspect(model, x, y.reshape(32, 7), "sparse_categorical_crossentropy")
    assert report.loss == pytest.approx(1.8, abs=0.3)
    with pytest.raises(InputError, match="from_logits=True"):
        initlab.inspect(_classes()[0], x, y.reshape(32, 7), "sparse_categorical_crossentropy")


def test_what_initlab_inspect_is_asked_for_reaches_it() -> None:
    model, x, y = _classes()
    given: dict[str, Any] = {"line_probe": False, "optimizer": "sgd"}
    report = ik.inspect(model, x, y.reshape(32, 7), **given)
    assert report.learning_rate is None
    assert report.optimizer == "sgd"


def test_a_comparison_of_keras_models_is_shown_the_way() -> None:
    rows = (np.zeros((4, 32), np.float32), [0, 1, 0, 1])
    with pytest.raises(InputError, match=r"build must return an nn.Module; got a keras model: .* as_module\(model\)"):
        initlab.compare(lambda: pair("zeros")[0], rows, rows, ["zeros"])
