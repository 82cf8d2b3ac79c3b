"""What each Keras layer type says of its variables: role, layout against torch, true fans. One entry a layer type."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from initlab.graph.layers import (
    GATES,
    Part,
    Shape,
    conv_geometry,
    conv_transpose_geometry,
    embedding_geometry,
    recurrent_bias,
    recurrent_weight,
    vector,
)
from initlab.integrations.layout import Layout
from initlab.integrations.weights import Entry, Weight, by_convention, matrix, product_weight, single
from initlab.schemes import Geometry


def _dense(layer: Any, name: str, shape: Shape) -> Weight | None:
    if name not in ("kernel", "_kernel") or len(shape) < 2:
        return None
    return matrix(Geometry.from_shape((shape[-1], shape[0])), Layout.product(shape, [0], [len(shape) - 1]))


def _einsum(layer: Any, name: str, shape: Shape) -> Weight | None:
    """The kernel's letters that the output lacks are summed over; those that the input lacks are made."""
    if name not in ("kernel", "_kernel"):
        return None
    inputs, _, output = layer.equation.replace(" ", "").replace("...", "").partition("->")
    given, _, kernel = inputs.partition(",")
    if len(kernel) != len(shape):
        return None
    return product_weight(
        shape,
        [i for i, letter in enumerate(kernel) if letter not in output],
        [i for i, letter in enumerate(kernel) if letter in output and letter not in given],
        [i for i, letter in enumerate(kernel) if letter in output and letter in given],
    )


def _conv(layer: Any, name: str, shape: Shape) -> Weight | None:
    if name not in ("kernel", "_kernel"):
        return None
    layout = Layout.kernel(shape)
    return matrix(conv_geometry(layout.shape, tuple(layer.strides), int(layer.groups)), layout)


def _conv_transpose(layer: Any, name: str, shape: Shape) -> Weight | None:
    if name != "kernel":
        return None
    layout = Layout.kernel(shape)
    return matrix(conv_transpose_geometry(layout.shape, tuple(layer.strides), 1), layout)


def _depthwise(layer: Any, name: str, shape: Shape, leaf: str = "weight") -> Weight | None:
    if name not in ("kernel", "depthwise_kernel") or shape[-1] != layer.depth_multiplier:
        return None
    if shape[:-2] != tuple(layer.kernel_size):
        return None
    layout = Layout.depthwise(shape)
    return matrix(conv_geometry(layout.shape, tuple(layer.strides), shape[-2]), layout, leaf)


def _separable(layer: Any, name: str, shape: Shape) -> Weight | None:
    if name == "depthwise_kernel":
        return _depthwise(layer, name, shape, "depthwise_weight")
    if name != "pointwise_kernel":
        return None
    layout = Layout.kernel(shape)
    return matrix(conv_geometry(layout.shape, (1,) * (len(shape) - 2), 1), layout, "pointwise_weight")


def _embedding(layer: Any, name: str, shape: Shape) -> Weight | None:
    if name == "reverse_embeddings":
        return matrix(Geometry.from_shape((shape[1], shape[0])), Layout.kernel(shape), "reverse_weight")
    if name not in ("embeddings", "_embeddings"):
        return None
    return matrix(embedding_geometry(shape), Layout.same(shape), role="embedding")


_STORED = {"GRU": (1, 0, 2)}  # places of torch's gates among Keras's, where those stand in another order
RECURRENT_LEAVES = {"kernel": "weight_ih", "recurrent_kernel": "weight_hh", "bias": "bias_ih"}


def _recurrent(layer: Any, name: str, shape: Shape) -> Weight | None:
    """Gates lie side by side along the last axis."""
    if name not in RECURRENT_LEAVES:
        return None
    kind = next((kind for kind in ("LSTM", "GRU") if kind in type(layer).__name__), "RNN")
    labels, leaf = GATES[kind], RECURRENT_LEAVES[name]
    units = shape[-1] // max(1, len(labels))
    if name == "bias":  # a GRU's two lie in one tensor, so that its gates are no blocks of the first axis
        return Weight(Part("recurrent_bias", recurrent_bias(shape, units, labels)), Layout.same(shape), leaf)
    layout = Layout.kernel(shape, _STORED.get(kind, ()))
    return matrix(recurrent_weight(layout.shape, units, labels, math.prod(shape[:-2])), layout, leaf)


def _norm(layer: Any, name: str, shape: Shape) -> Weight | None:
    if name in ("gamma", "scale"):
        return single(shape, "norm_weight", "weight")
    return single(shape, "norm_bias", "bias") if name == "beta" else None


def _prelu(layer: Any, name: str, shape: Shape) -> Weight | None:
    return Weight(Part("other", vector(shape, "prelu")), Layout.same(shape), "weight") if name == "alpha" else None


LAYERS: dict[str, Entry] = {
    "Dense": _dense,
    "EinsumDense": _einsum,
    "BaseConv": _conv,
    "BaseConvTranspose": _conv_transpose,
    "BaseDepthwiseConv": _depthwise,
    "BaseSeparableConv": _separable,
    "Embedding": _embedding,
    "LSTMCell": _recurrent,
    "GRUCell": _recurrent,
    "SimpleRNNCell": _recurrent,
    "ConvLSTMCell": _recurrent,
    "BatchNormalization": _norm,
    "LayerNormalization": _norm,
    "GroupNormalization": _norm,
    "RMSNormalization": _norm,
    "PReLU": _prelu,
}


def entries_of(layer: Any) -> Iterator[Entry]:
    """The entries of a layer's type and its bases, nearest first; keras's own types only."""
    for kind in type(layer).__mro__:
        if kind.__module__.startswith("keras.") and kind.__name__ in LAYERS:
            yield LAYERS[kind.__name__]


def weight_of(layer: Any, name: str, shape: Shape) -> Weight | None:
    """What a layer's variable called `name` is by the layer's type; None where no entry knows it."""
    return next(filter(None, (entry(layer, name, shape) for entry in entries_of(layer))), None)


def drawn_for(layer: Any, initializer: Any, shape: Shape) -> Weight:
    """The variable that a layer is about to make with this initializer: the layer's `*_initializer` tells its name."""
    names = [name for attribute, name in _ATTRIBUTES if getattr(layer, attribute, None) is initializer]
    for name in names:
        found = weight_of(layer, name, shape)
        if found is not None:
            return found
    if len(shape) < 2:
        return by_convention(names[0] if names else "other", shape)
    return by_convention("kernel", shape)


_ATTRIBUTES = (
    ("kernel_initializer", "kernel"),
    ("recurrent_initializer", "recurrent_kernel"),
    ("depthwise_initializer", "depthwise_kernel"),
    ("pointwise_initializer", "pointwise_kernel"),
    ("embeddings_initializer", "embeddings"),
    ("gamma_initializer", "gamma"),
    ("beta_initializer", "beta"),
    ("alpha_initializer", "alpha"),
    ("bias_initializer", "bias"),
)
