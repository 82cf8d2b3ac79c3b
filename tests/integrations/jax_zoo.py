"""Small models of Flax and Equinox: (parameters, apply, inputs), each by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

KEY = jax.random.key(0)
Case = tuple[Any, Callable[..., Any], Any]


def data(*shape: int) -> Any:
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def tokens(batch: int, length: int, vocabulary: int) -> Any:
    return jnp.asarray(np.random.default_rng(0).integers(0, vocabulary, (batch, length)), jnp.int32)


def drawn(path: Any, leaf: Any) -> Any:
    """As flax starts, without anything to compile: zeros and ones, else normal by what is summed over."""
    if path[-1].key in ("scale", "var", "bias", "mean"):
        return jnp.full(leaf.shape, float(path[-1].key in ("scale", "var")), leaf.dtype)
    rng = np.random.default_rng(len(jax.tree_util.keystr(path)))
    return jnp.asarray(rng.normal(size=leaf.shape) / np.prod(leaf.shape[:-1]) ** 0.5, leaf.dtype)


def linen(net: Any, inputs: Any, **kwargs: Any) -> Case:
    shapes = jax.eval_shape(lambda key: net.init(key, inputs, **kwargs), KEY)
    variables = jax.tree_util.tree_map_with_path(drawn, shapes)
    if "batch_stats" not in variables:
        return variables, lambda v, x: net.apply(v, x, **kwargs), inputs
    kwargs = {**kwargs, "train": True}
    return variables, lambda v, x: net.apply(v, x, **kwargs, mutable=["batch_stats"])[0], inputs


class MLP(nn.Module):
    widths: tuple[int, ...] = (64, 64, 64, 10)
    function: Any = nn.relu

    @nn.compact
    def __call__(self, x: Any) -> Any:
        for width in self.widths[:-1]:
            x = self.function(nn.Dense(width)(x))
        return nn.Dense(self.widths[-1])(x)


class CNN(nn.Module):
    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(nn.Conv(64, (3, 3), strides=2)(x)))
        x = nn.avg_pool(x, (2, 2), (2, 2))
        x = nn.silu(nn.ConvTranspose(64, (4, 4), strides=(2, 2))(x))
        x = nn.max_pool(x, (2, 2), (2, 2))
        x = nn.Conv(64, (3, 3), feature_group_count=64)(x)
        x = nn.gelu(nn.Dense(64)(x.reshape(x.shape[0], -1)))
        return nn.Dense(10)(nn.LayerNorm()(x))


class ResBlock(nn.Module):
    width: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        y = nn.Conv(self.width, (3, 3), self.stride, use_bias=False)(x)
        y = nn.relu(nn.BatchNorm(use_running_average=not train)(y))
        y = nn.BatchNorm(use_running_average=not train)(nn.Conv(self.width, (3, 3), use_bias=False)(y))
        if x.shape != y.shape:
            x = nn.Conv(self.width, (1, 1), self.stride, use_bias=False)(x)
        return nn.relu(x + y)


class ResNet(nn.Module):
    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(nn.Conv(64, (3, 3), use_bias=False)(x)))
        for width, stride in ((64, 1), (64, 2), (64, 1)):
            x = ResBlock(width, stride)(x, train)
        return nn.Dense(10)(x.mean((1, 2)))


class GPT(nn.Module):
    width: int = 64
    depth: int = 2

    @nn.compact
    def __call__(self, ids: Any) -> Any:
        h = nn.Embed(50, self.width)(ids) + nn.Embed(16, self.width, name="pos")(jnp.arange(ids.shape[1]))
        for _ in range(self.depth):
            y = nn.LayerNorm()(h)
            h = h + nn.MultiHeadDotProductAttention(4)(y, mask=nn.make_causal_mask(ids))
            h = h + nn.Dense(self.width)(nn.gelu(nn.Dense(4 * self.width)(nn.LayerNorm()(h))))
        return nn.Dense(50)(nn.LayerNorm()(h))


class Recurrent(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.RNN(nn.LSTMCell(64))(x)
        x = nn.RNN(nn.GRUCell(64))(x)
        return nn.Dense(3)(x[:, -1])


class Scanned(nn.Module):
    """Layers stacked by nn.scan: one array holds the weights of all."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        layer = nn.scan(_Layer, variable_axes={"params": 0}, split_rngs={"params": True}, length=4)
        return nn.Dense(10)(layer(32)(nn.Dense(32)(x), None)[0])


class _Layer(nn.Module):
    width: int

    @nn.compact
    def __call__(self, x: Any, _: Any) -> Any:
        return nn.tanh(nn.Dense(self.width)(x)), None


class Experts(nn.Module):
    """Raw parameters in einsum: one matrix an expert, mixed by a softmax."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        up = self.param("up_kernel", nn.initializers.lecun_normal(), (4, 32, 64))
        down = self.param("down_kernel", nn.initializers.lecun_normal(), (4, 64, 32))
        shares = nn.softmax(nn.Dense(4, name="gate")(x))
        h = nn.relu(jnp.einsum("bi,eio->beo", x, up))
        return jnp.einsum("be,beo->bo", shares, jnp.einsum("beo,eoi->bei", h, down))


class NNXNet(nnx.Module):
    def __init__(self) -> None:
        rngs = nnx.Rngs(0)
        self.conv = nnx.Conv(3, 64, (3, 3), rngs=rngs)
        self.norm = nnx.GroupNorm(64, num_groups=4, rngs=rngs)
        self.head = nnx.Linear(64, 10, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.head(jax.nn.relu(self.norm(self.conv(x))).mean((1, 2)))


def nnx_case() -> Case:
    structure, state = nnx.split(NNXNet())
    return state, lambda s, x: nnx.merge(structure, s)(x), data(8, 8, 8, 3)


class EqxConv(eqx.Module):
    layers: list[Any]

    def __init__(self) -> None:
        keys = jax.random.split(KEY, 3)
        self.layers = [
            eqx.nn.Conv2d(3, 64, 3, stride=2, key=keys[0]),
            jax.nn.relu,
            eqx.nn.ConvTranspose2d(64, 64, 4, stride=2, key=keys[1]),
            jax.nn.relu,
            eqx.nn.Conv2d(64, 10, 3, key=keys[2]),
        ]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x.mean((1, 2))


class EqxAttention(eqx.Module):
    table: eqx.nn.Embedding
    norm: eqx.nn.LayerNorm
    attention: eqx.nn.MultiheadAttention
    head: eqx.nn.Linear

    def __init__(self) -> None:
        keys = jax.random.split(KEY, 3)
        self.table = eqx.nn.Embedding(50, 32, key=keys[0])
        self.norm = eqx.nn.LayerNorm(32)
        self.attention = eqx.nn.MultiheadAttention(4, 32, key=keys[1])
        self.head = eqx.nn.Linear(32, 50, key=keys[2])

    def __call__(self, ids: Any) -> Any:
        h = jax.vmap(self.table)(ids)
        y = jax.vmap(self.norm)(h)
        return jax.vmap(self.head)(h + self.attention(y, y, y))


def over_batch(model: Any, x: Any) -> Any:
    return jax.vmap(model)(x)


_CASES: dict[str, Callable[[], Case]] = {
    "Linen MLP, relu": lambda: linen(MLP(), data(64, 32)),
    "Linen MLP, tanh": lambda: linen(MLP(function=jnp.tanh), data(64, 32)),
    "Linen CNN": lambda: linen(CNN(), data(16, 16, 16, 3)),
    "Linen ResNet": lambda: linen(ResNet(), data(16, 16, 16, 3)),
    "Linen GPT": lambda: linen(GPT(), tokens(8, 16, 50)),
    "Linen LSTM and GRU": lambda: linen(Recurrent(), data(16, 6, 32)),
    "Linen, scanned layers": lambda: linen(Scanned(), data(64, 32)),
    "Linen experts": lambda: linen(Experts(), data(64, 32)),
    "NNX": nnx_case,
    "Equinox MLP": lambda: (eqx.nn.MLP(32, 10, 64, 3, key=KEY), over_batch, data(64, 32)),
    "Equinox convolutions": lambda: (EqxConv(), over_batch, data(8, 3, 16, 16)),
    "Equinox attention": lambda: (EqxAttention(), over_batch, tokens(8, 16, 50)),
}
# Made once a process: arrays of jax cannot be written to.
ZOO: dict[str, Callable[[], Case]] = {name: cache(make) for name, make in _CASES.items()}
