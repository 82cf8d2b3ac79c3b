"""A ResNet and a small GPT written in torch, Flax and Keras start with equal bits, and compute the same."""

from __future__ import annotations

from functools import cache
from typing import Any

import flax.linen as fnn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
from jax.tree_util import tree_map_with_path
from jax_zoo import KEY, data, drawn, tokens
from keras import layers
from torch import nn
from torch.nn import functional as F

import initlab
from initlab.integrations import jax as ij
from initlab.integrations import keras as ik

WIDTH, HEADS, DEPTH, WORDS, LENGTH = 32, 4, 2, 50, 16


class TorchBlock(nn.Module):
    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.skip = nn.Conv2d(width_in, width, 1, stride, bias=False) if stride > 1 else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + (x if self.skip is None else self.skip(x)))


class TorchResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.blocks = nn.ModuleList([TorchBlock(16, 16, 1), TorchBlock(16, 32, 2)])
        self.head = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))


def flax_conv(width: int, size: int, stride: int, name: str) -> Any:
    return fnn.Conv(width, (size, size), stride, padding=(size - 1) // 2, use_bias=False, name=name)


def flax_norm(name: str) -> Any:
    return fnn.BatchNorm(use_running_average=True, epsilon=1e-5, name=name)


class FlaxBlock(fnn.Module):
    width: int
    stride: int

    @fnn.compact
    def __call__(self, x: Any) -> Any:
        y = fnn.relu(flax_norm("norm1")(flax_conv(self.width, 3, self.stride, "conv1")(x)))
        y = flax_norm("norm2")(flax_conv(self.width, 3, 1, "conv2")(y))
        return fnn.relu(y + (x if self.stride == 1 else flax_conv(self.width, 1, self.stride, "skip")(x)))


class FlaxResNet(fnn.Module):
    @fnn.compact
    def __call__(self, x: Any) -> Any:
        x = fnn.relu(flax_norm("norm")(flax_conv(16, 3, 1, "stem")(x)))
        x = FlaxBlock(32, 2, name="block1")(FlaxBlock(16, 1, name="block0")(x))
        return fnn.Dense(10, name="head")(x.mean((1, 2)))


def keras_conv(x: Any, width: int, size: int, stride: int, name: str) -> Any:
    x = layers.ZeroPadding2D(1)(x) if size == 3 else x
    return layers.Conv2D(width, size, stride, use_bias=False, name=name)(x)


def keras_norm(x: Any, name: str) -> Any:
    return layers.BatchNormalization(epsilon=1e-5, name=name)(x)


def keras_resnet() -> Any:
    inputs = keras.Input((16, 16, 3))
    x = layers.ReLU()(keras_norm(keras_conv(inputs, 16, 3, 1, "stem"), "norm"))
    for block, width, stride in (("block0", 16, 1), ("block1", 32, 2)):
        y = layers.ReLU()(keras_norm(keras_conv(x, width, 3, stride, f"{block}_conv1"), f"{block}_norm1"))
        y = keras_norm(keras_conv(y, width, 3, 1, f"{block}_conv2"), f"{block}_norm2")
        x = layers.ReLU()(y + (x if stride == 1 else keras_conv(x, width, 1, stride, f"{block}_skip")))
    return keras.Model(inputs, layers.Dense(10, name="head")(layers.GlobalAveragePooling2D()(x)))


class TorchGPT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.positions = nn.Embedding(WORDS, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm1": nn.LayerNorm(WIDTH),
                    **{name: nn.Linear(WIDTH, WIDTH) for name in ("query", "key", "value", "out")},
                    "norm2": nn.LayerNorm(WIDTH),
                    "up": nn.Linear(WIDTH, 4 * WIDTH),
                    "down": nn.Linear(4 * WIDTH, WIDTH),
                }
            )
            for _ in range(DEPTH)
        )
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WORDS)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        h = self.table(ids) + self.positions(torch.arange(ids.shape[1]))
        for b in self.blocks:
            y = b["norm1"](h)
            q, k, v = (b[n](y).unflatten(-1, (HEADS, -1)).transpose(1, 2) for n in ("query", "key", "value"))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(-2)
            h = h + b["out"](y)
            h = h + b["down"](F.gelu(b["up"](b["norm2"](h)), approximate="tanh"))
        return self.head(self.norm(h))


class FlaxGPT(fnn.Module):
    @fnn.compact
    def __call__(self, ids: Any) -> Any:
        h = fnn.Embed(WORDS, WIDTH, name="table")(ids)
        h = h + fnn.Embed(LENGTH, WIDTH, name="positions")(jnp.arange(ids.shape[1]))
        for i in range(DEPTH):
            y = fnn.LayerNorm(epsilon=1e-5, name=f"block{i}_norm1")(h)
            attention = fnn.MultiHeadDotProductAttention(HEADS, name=f"block{i}_attention")
            h = h + attention(y, mask=fnn.make_causal_mask(ids))
            y = fnn.Dense(4 * WIDTH, name=f"block{i}_up")(fnn.LayerNorm(epsilon=1e-5, name=f"block{i}_norm2")(h))
            h = h + fnn.Dense(WIDTH, name=f"block{i}_down")(fnn.gelu(y))
        return fnn.Dense(WORDS, name="head")(fnn.LayerNorm(epsilon=1e-5, name="norm")(h))


def keras_gpt() -> Any:
    ids = keras.Input((LENGTH,), dtype="int32")
    places = keras.ops.cumsum(keras.ops.ones_like(ids), axis=1) - 1
    h = layers.Embedding(WORDS, WIDTH, name="table")(ids)
    h = h + layers.Embedding(LENGTH, WIDTH, name="positions")(places)
    for i in range(DEPTH):
        y = layers.LayerNormalization(epsilon=1e-5, name=f"block{i}_norm1")(h)
        attention = layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name=f"block{i}_attention")
        h = h + attention(y, y, use_causal_mask=True)
        y = layers.LayerNormalization(epsilon=1e-5, name=f"block{i}_norm2")(h)
        y = keras.ops.gelu(layers.Dense(4 * WIDTH, name=f"block{i}_up")(y), approximate=True)
        h = h + layers.Dense(WIDTH, name=f"block{i}_down")(y)
    return keras.Model(ids, layers.Dense(WORDS, name="head")(layers.LayerNormalization(epsilon=1e-5, name="norm")(h)))


def names(path: str) -> str:
    """block0_attention/query/kernel, block0/conv1/kernel and block0_conv1/kernel in torch's words."""
    *places, leaf = path.replace("block0_", "blocks.0/").replace("block1_", "blocks.1/").split("/")
    swaps = {"block0": "blocks.0", "block1": "blocks.1", "attention_output": "out"}
    owner = ".".join(swaps.get(place, place) for place in places if place != "attention")
    return f"{owner}.{'bias' if leaf in ('bias', 'beta') else 'weight'}"


CASES: dict[str, Any] = {
    "ResNet": (TorchResNet, FlaxResNet, keras_resnet, lambda: data(8, 16, 16, 3)),
    "GPT": (TorchGPT, FlaxGPT, keras_gpt, lambda: tokens(4, LENGTH, WORDS)),
}


@cache
def in_flax(case: str) -> tuple[Any, Any, Any, Any]:
    """Inputs, the model's function, the function compiled, variables to start."""
    _, make_flax, _, make_inputs = CASES[case]
    net, x = make_flax(), make_inputs()
    return x, net.apply, jax.jit(net.apply), tree_map_with_path(drawn, jax.eval_shape(net.init, KEY, x))


@pytest.mark.parametrize(
    ("case", "policy"),
    [("ResNet", "he_normal"), ("ResNet", "xavier_uniform"), ("GPT", "he_normal"), ("GPT", "gpt2")],
)
def test_equal_bits_and_equal_outputs(case: str, policy: str) -> None:
    make_torch, _, make_keras, _ = CASES[case]
    x, apply, compiled, variables = in_flax(case)
    inputs = torch.from_numpy(np.array(x))
    inputs = inputs.permute(0, 3, 1, 2) if case == "ResNet" else inputs
    net, model = make_torch().eval(), make_keras()
    plan = initlab.init_(net, policy, seed=7, example_inputs=inputs)
    variables = ij.init(variables, policy, seed=7, apply=apply, example_inputs=x, map_names=names)
    ik.init_(model, policy, seed=7, example_inputs=np.array(x), map_names=names)
    if policy == "gpt2":  # the same rules saw the same branch ends in all three
        shrunk = [entry for entry in plan.entries if entry.std == pytest.approx(0.02 / (2 * DEPTH) ** 0.5)]
        assert len(shrunk) == 2 * DEPTH
    for found, what in ((ij.as_module(apply, variables, x, names), "flax"), (ik.as_module(model, names), "keras")):
        assert dict(found.named_parameters()).keys() == dict(net.named_parameters()).keys()
        for name, parameter in net.named_parameters():
            assert torch.equal(found.get_parameter(name), parameter), f"{what}: {name}"
    wanted = net(inputs).detach().numpy()
    for got in (compiled(variables, x), model(np.array(x), training=False)):
        made = np.asarray(keras.ops.convert_to_numpy(got))
        assert np.abs(made - wanted).max() <= 1e-4 * np.abs(wanted).max()  # float32 sums in another order
