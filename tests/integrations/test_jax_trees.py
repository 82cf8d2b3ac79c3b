"""Whole pytrees: the bits that torch gets, arrays known by their use, the twin's pass against jax's own."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx
from jax_zoo import KEY, ZOO, data
from torch import nn

import initlab
from initlab.integrations import jax as ij
from initlab.integrations.arrays import tensors
from initlab.integrations.jax.calls import read


def shapes(**leaves: tuple[int, ...]) -> dict[str, Any]:
    return {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in leaves.items()}


TWINS = {
    "linear": (nn.Linear(7, 5), {"kernel": (7, 5), "bias": (5,)}, lambda w: w.T),
    "conv": (nn.Conv2d(3, 4, (5, 2)), {"kernel": (5, 2, 3, 4), "bias": (4,)}, lambda w: w.transpose(2, 3, 1, 0)),
    "embedding": (nn.Embedding(9, 4), {"embedding": (9, 4)}, lambda w: w),
    "norm": (nn.LayerNorm(6), {"scale": (6,), "bias": (6,)}, lambda w: w),
}


@pytest.mark.parametrize("case", TWINS)
@pytest.mark.parametrize("policy", [*initlab.list_schemes(), "auto"])
def test_names_and_shapes_give_the_bits_of_torch(case: str, policy: str) -> None:
    layer, leaves, turn = TWINS[case]
    net = nn.Sequential()
    net.add_module("layer", layer)
    tree = {"layer": shapes(**leaves)}
    refused = ""
    try:
        initlab.init_(net, policy, seed=5)
    except initlab.InputError as error:
        refused = str(error)
    if refused:  # no law for such a layer: so in both
        with pytest.raises(initlab.InputError) as caught:
            ij.init(tree, policy, seed=5)
        assert str(caught.value) == refused
        return
    tree = ij.init(tree, policy, seed=5)
    assert np.array_equal(np.asarray(tree["layer"][next(iter(leaves))]), turn(layer.weight.detach().numpy()))


@pytest.mark.parametrize("case", ZOO)
def test_the_twin_computes_what_jax_computes(case: str) -> None:
    tree, apply, inputs = ZOO[case]()
    _, twin = read(tree, apply, tensors(inputs))
    wanted = np.asarray(jax.jit(lambda i: apply(tree, i))(inputs))
    got = twin(tensors(inputs)).detach().numpy()
    assert np.abs(got - wanted).max() <= 1e-5 * np.abs(wanted).max()  # float32 sums in another order


@pytest.mark.parametrize("case", ["Linen CNN", "Linen GPT", "Linen LSTM and GRU", "Equinox convolutions"])
def test_the_twins_gradients_are_jax_grads(case: str) -> None:
    tree, apply, inputs = ZOO[case]()
    parts, twin = read(tree, apply, tensors(inputs))
    twin(tensors(inputs)).square().mean().backward()
    arrays = [parts.leaves[place] for place in parts.places]

    def loss(arrays: Any) -> Any:
        return jnp.square(apply(parts.filled(dict(zip(parts.places, arrays, strict=True))), inputs)).mean()

    grads = [np.asarray(grad) for grad in jax.jit(jax.grad(loss))(arrays)]
    scale = max(np.abs(grad).max() for grad in grads)
    for leaf, wanted in zip(parts.parameters, grads, strict=True):
        got = leaf.weight.layout.from_torch(twin.get_parameter(leaf.name).grad).numpy()
        assert np.abs(got - wanted).max() <= 1e-4 * np.abs(wanted).max() + 1e-6 * scale, leaf.name  # float32 sums


@functools.cache
def he_normal(case: str) -> initlab.Plan:
    tree, apply, inputs = ZOO[case]()
    return ij.plan(tree, "he_normal", apply=apply, example_inputs=inputs)


@pytest.mark.parametrize(
    ("case", "name", "fans"),
    [
        ("Linen CNN", "ConvTranspose_0.weight", (64 * 16 / 4, 64 * 16)),
        ("Linen CNN", "Conv_1.weight", (9, 9)),
        ("Linen GPT", "MultiHeadDotProductAttention_0.query.weight", (64, 64)),
        ("Linen GPT", "MultiHeadDotProductAttention_0.out.weight", (64, 64)),
        ("Linen experts", "up_kernel", (32, 4 * 64)),
        ("Linen experts", "down_kernel", (64, 32)),
        ("Linen, scanned layers", "Scan_Layer_0.Dense_0.weight", (32, 32)),
        ("Equinox convolutions", "layers.2.weight", (64 * 16 / 4, 64 * 16)),
        ("Equinox attention", "table.weight", (1, 32)),
    ],
)
def test_fans_are_read_from_the_use(case: str, name: str, fans: tuple[float, float]) -> None:
    found = he_normal(case)[name].fans
    assert found is not None
    assert (found.fan_in, found.fan_out) == fans


def test_only_parameters_are_written_and_the_structure_stays() -> None:
    tree, _, _ = ZOO["Linen CNN"]()
    made = ij.init(tree, "he_normal", seed=1)
    assert jax.tree_util.tree_structure(made) == jax.tree_util.tree_structure(tree)
    stats = zip(*(jax.tree_util.tree_leaves(t["batch_stats"]) for t in (made, tree)), strict=True)
    assert all(new is old for new, old in stats)


def test_nnx_state_that_is_no_param_is_left() -> None:
    tree = nnx.eval_shape(lambda: nnx.state(nnx.BatchNorm(4, rngs=nnx.Rngs(0))))
    made = ij.init(tree, "auto")
    assert [entry.name for entry in ij.plan(tree).entries] == ["bias", "weight"]
    assert isinstance(made["mean"].get_value(), jax.ShapeDtypeStruct)


def test_an_optimizers_state_is_left() -> None:
    params = {"fc": {"kernel": jnp.ones((4, 4))}}
    made = ij.init({"model": params, "opt": optax.adam(1e-3).init(params)}, "he_normal")
    assert not np.array_equal(made["model"]["fc"]["kernel"], params["fc"]["kernel"])
    assert not np.asarray(made["opt"][0].mu["fc"]["kernel"]).any()


def test_norms_of_scanned_layers_are_ones_without_values() -> None:
    tree = {"blocks": {"norm": shapes(scale=(3, 4), bias=(3, 4)), "fc": shapes(kernel=(3, 4, 4))}}

    def apply(tree: Any, x: Any) -> Any:
        def layer(x: Any, p: Any) -> Any:
            y = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
            return x + (y * p["norm"]["scale"] + p["norm"]["bias"]) @ p["fc"]["kernel"], None

        return jax.lax.scan(layer, x, tree["blocks"])[0]

    made = ij.init(tree, "auto", apply=apply, example_inputs=data(8, 4))
    assert np.array_equal(made["blocks"]["norm"]["scale"], np.ones((3, 4)))


def test_complex_arrays_are_drawn_as_torchs_are() -> None:
    net = nn.ModuleDict({"fc": nn.Linear(4, 6, bias=False, dtype=torch.complex64)})
    initlab.init_(net, "he_normal", seed=3)
    made = ij.init({"fc": {"kernel": jax.ShapeDtypeStruct((4, 6), jnp.complex64)}}, "he_normal", seed=3)
    assert np.array_equal(made["fc"]["kernel"].T, net["fc"].weight.detach().numpy())


def test_gradients_through_complex_numbers_are_jax_grads() -> None:
    def apply(tree: Any, x: Any) -> Any:
        return jnp.fft.irfft(jnp.fft.rfft(x) @ tree["mix"], n=8)

    tree = {"mix": (data(5, 5) + 1j * data(5, 5).T).astype(np.complex64)}
    x = data(3, 8)
    wanted = jax.grad(lambda tree: (apply(tree, x) ** 2).sum())(tree)["mix"]
    twin = ij.as_module(apply, tree, x)
    twin(torch.from_numpy(np.array(x))).square().sum().backward()
    layout = twin.leaves[0].weight.layout
    assert np.allclose(layout.from_torch(twin.mix.grad).numpy().conj(), wanted, atol=1e-4)


def test_equinox_modules_keep_their_functions() -> None:
    tree, apply, inputs = ZOO["Equinox MLP"]()
    made = ij.init(tree, "he_normal")
    assert apply(made, inputs).shape == apply(tree, inputs).shape
    assert made.layers[0].weight.shape == tree.layers[0].weight.shape


def test_keep_leaves_loaded_arrays() -> None:
    tree = {"a": {"kernel": jnp.ones((4, 4))}, "b": {"kernel": jnp.ones((4, 4))}}
    made = ij.init(tree, "he_normal", keep="a.**")
    assert made["a"]["kernel"] is tree["a"]["kernel"]
    assert not np.array_equal(made["b"]["kernel"], tree["b"]["kernel"])


def test_bfloat16_is_the_float32_value_rounded_once() -> None:
    leaves = [{"fc": {"kernel": jax.ShapeDtypeStruct((8, 4), dtype)}} for dtype in (jnp.float32, jnp.bfloat16)]
    full, half = (ij.init(tree, "he_normal")["fc"]["kernel"] for tree in leaves)
    assert half.dtype == jnp.bfloat16
    assert np.array_equal(full.astype(jnp.bfloat16), half)


def test_map_names_gives_torchs_names() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    initlab.init_(net, "he_normal", seed=2)
    tree = {"Dense_0": shapes(kernel=(4, 8)), "Dense_1": shapes(kernel=(8, 2))}
    made = ij.init(tree, "he_normal", seed=2, map_names={"Dense_0/": "0", "Dense_1/": "2"})
    assert np.array_equal(made["Dense_1"]["kernel"].T, net[2].weight.detach().numpy())


def test_auto_gives_torchs_bits_through_the_same_rules() -> None:
    net = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    x = np.array(data(64, 32))
    wanted = initlab.init_(net, "auto", example_inputs=torch.from_numpy(x), seed=4)
    sizes = (32, 64, 64, 10)
    tree = {str(2 * i): shapes(kernel=sizes[i : i + 2], bias=(sizes[i + 1],)) for i in range(3)}

    def apply(p: Any, x: Any) -> Any:
        for i in ("0", "2"):
            x = jax.nn.relu(x @ p[i]["kernel"] + p[i]["bias"])
        return x @ p["4"]["kernel"] + p["4"]["bias"]

    made = ij.init(tree, "auto", seed=4, apply=apply, example_inputs=x)
    for name in ("0", "2", "4"):
        assert np.array_equal(made[name]["kernel"].T, net[int(name)].weight.detach().numpy()), wanted[f"{name}.weight"]


def apply_that_fails(tree: Any, x: Any) -> Any:
    return x @ tree["fc"]["kernel"]


FC = {"fc": shapes(kernel=(4, 3))}


ONE_NAME = {"fc/kernel": "fc.weight", "fc/w": "fc.weight"}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ij.init({"a": 1}), "must hold floating-point arrays"),
        (lambda: ij.init(FC, "he_norml"), "unknown policy or scheme"),
        (lambda: ij.init(FC, seed=-1), "seed"),
        (lambda: ij.init(FC, {"nothing.weight": "zeros"}), "matches no parameter"),
        (lambda: ij.init(FC, apply=3), "apply must be a function"),  # type: ignore[arg-type]
        (lambda: ij.init(FC, example_inputs=data(2, 4)), "need apply"),
        (lambda: ij.init(FC, apply=apply_that_fails, example_inputs=data(2, 5)), "apply failed"),
        (lambda: ij.init(FC, keep="fc.weight"), "shape without values"),
        (lambda: jax.jit(lambda t: ij.init(t))({"fc": {"kernel": data(4, 3)}}), "fill it outside"),
        (
            lambda: ij.init({"fc": shapes(kernel=(4, 3), w=(4, 3))}, map_names=ONE_NAME),
            "both called 'fc.weight'.*map_names",
        ),
        (lambda: ij.init({"fc": shapes(kernel=(4, 3))}, map_names={"fx/": "net"}), "map_names 'fx/'.*'fc/'"),
    ],
)
def test_bad_arguments(call: Any, words: str) -> None:
    with pytest.raises(initlab.InputError, match=words):
        call()


SHARDED = """
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from initlab.integrations import jax as ij
mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("a", "b"))
specs = {"kernel": P("a", "b"), "bias": P("b"), "conv": P(None, None, "a", "b"), "orthogonal_kernel": P("a")}
sizes = {"kernel": (64, 32), "bias": (32,), "conv": (3, 3, 8, 16), "orthogonal_kernel": (16, 16)}
def tree(sharded):
    at = lambda name: NamedSharding(mesh, specs[name]) if sharded else None
    return {"fc": {n: jax.ShapeDtypeStruct(s, np.float32, sharding=at(n)) for n, s in sizes.items()}}
policy = {"*.conv": "he_uniform", "*.orthogonal_kernel": "orthogonal", "*.bias": "normal", "*.weight": "he_normal"}
whole, parts = (ij.init(tree(sharded), policy, seed=3) for sharded in (False, True))
for name in sizes:
    assert len(parts["fc"][name].sharding.device_set) == 8, name
    np.testing.assert_array_equal(np.asarray(whole["fc"][name]), np.asarray(parts["fc"][name]), name)
again = ij.init(parts, policy, seed=3)  # arrays that are sharded already
assert again["fc"]["kernel"].sharding == parts["fc"]["kernel"].sharding
np.testing.assert_array_equal(np.asarray(again["fc"]["kernel"]), np.asarray(whole["fc"]["kernel"]))
print(len(jax.devices()))
"""


def test_each_device_draws_its_own_block() -> None:
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", SHARDED], env={**os.environ, **flags}, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "8", done.stderr[-2000:]


def test_keys_elsewhere_are_not_moved() -> None:
    before = np.asarray(jax.random.key_data(KEY))
    ij.init(FC, "he_normal")
    assert np.array_equal(before, jax.random.key_data(KEY))
