"""A jax function is watched as a torch module is: signals, gradients, findings, page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import equinox
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import linen, nnx
from jax_zoo import ZOO, data
from torch import nn

import initlab
from initlab.integrations import jax as ij

SIZES = (32, 64, 64, 10)


def forward(p: Any, x: Any) -> Any:
    for i in range(2):
        x = jnp.tanh(x @ p[str(2 * i)]["kernel"] + p[str(2 * i)]["bias"])
    return x @ p["4"]["kernel"] + p["4"]["bias"]


def tree(scale: float = 1.0) -> Any:
    rng = np.random.default_rng(1)
    return {
        str(2 * i): {
            "kernel": jnp.asarray(scale * rng.normal(size=SIZES[i : i + 2]) / SIZES[i] ** 0.5, jnp.float32),
            "bias": jnp.zeros(SIZES[i + 1]),
        }
        for i in range(3)
    }


def torch_twin(parameters: Any) -> nn.Module:
    net = nn.Sequential(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 10))
    for name in ("0", "2", "4"):
        layer = net.get_submodule(name)
        layer.weight.data = torch.tensor(np.asarray(parameters[name]["kernel"]).T.copy())  # type: ignore[union-attr]
        layer.bias.data.zero_()  # type: ignore[union-attr,operator]
    return net


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e-4])
def test_findings_and_verdict_are_those_of_the_torch_model(scale: float) -> None:
    x, y = np.array(data(64, 32)), np.arange(64) % 10
    parameters = tree(scale)
    found = ij.inspect(forward, parameters, x, y)
    wanted = initlab.inspect(torch_twin(parameters), torch.from_numpy(x), torch.from_numpy(y))
    assert found.verdict == wanted.verdict
    assert {finding.kind for finding in found.findings} == {finding.kind for finding in wanted.findings}
    assert found.loss == pytest.approx(wanted.loss, rel=1e-5)  # float32 sums in another order
    gradients = {p.name: p.grad_rms for p in found.parameters}
    for parameter in wanted.parameters:
        assert gradients[parameter.name] == pytest.approx(parameter.grad_rms, rel=1e-4, abs=1e-12)


def test_activations_are_known_by_what_they_compute() -> None:
    functions = {
        "gelu": lambda x: 0.5 * x * (1 + jnp.tanh(0.7978845608 * (x + 0.044715 * x**3))),
        "silu": lambda x: x * jax.nn.sigmoid(x),
        "softplus": lambda x: jnp.log1p(jnp.exp(x)),
        "elu": jax.nn.elu,
        "mish": jax.nn.mish,
    }
    for name, function in functions.items():
        report = ij.inspect(lambda p, x, f=function: f(x @ p["kernel"]), {"kernel": jnp.eye(8)}, data(32, 8))
        assert [layer.kind for layer in report.layers][-1] == name


def test_what_torch_has_no_function_for_is_one_call_with_gradients() -> None:
    def apply(p: Any, x: Any) -> Any:
        return jax.lax.linalg.cholesky(jnp.eye(4) * 3 + (x @ p["kernel"]) * jnp.eye(4))

    report = ij.inspect(apply, {"kernel": 0.1 * jnp.ones((4, 4))}, data(4, 4))
    assert next(p for p in report.parameters).grad_rms > 0


def test_a_zoo_model_has_a_page(tmp_path: Path) -> None:
    parameters, apply, inputs = ZOO["Linen CNN"]()
    report = ij.inspect(apply, parameters, inputs, np.arange(len(inputs)) % 10)
    report.save(tmp_path / "report.html")
    assert "Conv_0" in (tmp_path / "report.html").read_text()
    assert any(layer.name.startswith("Dense_0") for layer in report.layers)


def test_inputs_in_a_dict_reach_their_arguments() -> None:
    def apply(p: Any, second: Any, first: Any) -> Any:
        return first @ p["kernel"] + 0 * second.sum()

    module = ij.as_module(apply, {"kernel": jnp.eye(4)})
    x = torch.randn(3, 4)
    assert torch.equal(module(second=torch.zeros(2), first=x), x)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ij.inspect(3, {"kernel": jnp.eye(2)}, data(2, 2)), "apply must be a function"),
        (
            lambda: ij.inspect(forward, {"k": jax.ShapeDtypeStruct((2, 2), np.float32)}, data(2, 2)),
            "apply failed|shape",
        ),
        (lambda: ij.inspect(lambda p, x: x @ p["kernel"], {"kernel": jnp.eye(2)}, data(2, 3)), "apply failed"),
    ],
)
def test_bad_arguments(call: Any, words: str) -> None:
    with pytest.raises(initlab.InputError, match=words):
        call()


def test_a_loss_of_jax_arrays_is_taken_as_one_of_torch_tensors_is() -> None:
    p, x, y = tree(), jnp.asarray(data(32, 32)), np.arange(32) % 10

    def jaxs(output: Any, targets: Any) -> Any:
        return -jnp.take_along_axis(jax.nn.log_softmax(output), targets[:, None], 1).mean()

    wanted = ij.inspect(forward, p, x, y, "cross_entropy").loss
    assert ij.inspect(forward, p, x, y, jaxs).loss == pytest.approx(wanted, rel=1e-5)
    assert ij.inspect(forward, p, x, y, nn.functional.cross_entropy).loss == pytest.approx(wanted)


def test_places_known_beforehand_are_read() -> None:
    p = {"kernel": jax.random.normal(jax.random.key(0), (8, 4))}
    x = jnp.asarray(data(16, 3, 8))
    assert ij.inspect(lambda p, x: jnp.take(x @ p["kernel"], 1, axis=1), p, x).layers


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (tree(), "dict"),
        (jnp.zeros((3, 2)), "ArrayImpl"),
        (nnx.Linear(2, 3, rngs=nnx.Rngs(0)), "Linear"),
        (linen.Dense(3), "Dense"),
        (equinox.nn.Linear(2, 3, key=jax.random.key(0)), "Linear"),
    ],
)
def test_a_model_of_jax_is_shown_the_way(model: Any, kind: str) -> None:
    for verb in (initlab.plan, initlab.init_, initlab.inspect, initlab.audit):
        with pytest.raises(initlab.InputError, match=f"got the {kind} of a JAX model: use initlab.integrations.jax"):
            verb(model, jnp.zeros((4, 2)))
    with pytest.raises(initlab.InputError, match=f"build must return an nn.Module; got the {kind} of a JAX model"):
        initlab.compare(lambda: model, (np.zeros((4, 2)), [0, 1, 0, 1]), (np.zeros((4, 2)), [0, 1, 0, 1]), ["zeros"])
    with pytest.raises(initlab.InputError, match=r"must be a torch.nn.Module; got dict$"):
        initlab.inspect({"a": [1, "b"]}, jnp.zeros((4, 2)))
