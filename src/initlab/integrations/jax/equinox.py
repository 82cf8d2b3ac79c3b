"""What each Equinox layer type says of its arrays; Equinox stores weights as torch does, (out, in, *window)."""

from __future__ import annotations

from typing import Any

from initlab.graph.layers import (
    GATES,
    Shape,
    conv_geometry,
    conv_transpose_geometry,
    embedding_geometry,
    recurrent_bias,
    recurrent_weight,
)
from initlab.integrations.layout import Layout
from initlab.integrations.weights import Entry, Weight, matrix, single
from initlab.schemes import Geometry


def _linear(layer: Any, name: str, shape: Shape) -> Weight | None:
    if name == "weight" and len(shape) == 2 and 0 not in shape:
        return matrix(Geometry(shape, shape[1], shape[0]), Layout.same(shape))
    return _bias(name, shape)


def _bias(name: str, shape: Shape) -> Weight | None:
    """Convolutions hold (out, 1, …) biases."""
    return single(shape, "bias", "bias") if name == "bias" else None


def _conv(layer: Any, name: str, shape: Shape) -> Weight | None:
    if name == "weight":
        return matrix(conv_geometry(shape, tuple(layer.stride), int(layer.groups)), Layout.same(shape))
    return _bias(name, shape)


def _conv_transpose(layer: Any, name: str, shape: Shape) -> Weight | None:
    """(out, in, *window), run backwards; torch's is (in, out, *window)."""
    if name != "weight":
        return _bias(name, shape)
    if int(layer.groups) != 1:
        return matrix(conv_geometry(shape, (1,) * (len(shape) - 2), int(layer.groups)), Layout.same(shape))
    rank = len(shape)
    layout = Layout(shape, (1, 0, *range(2, rank)), (shape[1], shape[0], *shape[2:]), flipped=tuple(range(2, rank)))
    return matrix(conv_transpose_geometry(layout.shape, tuple(layer.stride), 1), layout)


def _embedding(layer: Any, name: str, shape: Shape) -> Weight | None:
    return matrix(embedding_geometry(shape), Layout.same(shape), role="embedding") if name == "weight" else None


def _recurrent(layer: Any, name: str, shape: Shape) -> Weight | None:
    kind = next(kind.__name__ for kind in type(layer).__mro__ if kind.__name__ in ("LSTMCell", "GRUCell"))
    labels, units = GATES[kind.removesuffix("Cell")], int(layer.hidden_size)
    if name in ("weight_ih", "weight_hh"):
        return matrix(recurrent_weight(shape, units, labels), Layout.same(shape), name)
    if name.startswith("bias"):
        leaf = "bias_ih" if name == "bias" else name
        return matrix(recurrent_bias(shape, units, labels), Layout.same(shape), leaf, "recurrent_bias")
    return None


def _norm(layer: Any, name: str, shape: Shape) -> Weight | None:
    if name == "weight":
        return single(shape, "norm_weight", "weight")
    return single(shape, "norm_bias", "bias") if name == "bias" else None


def _prelu(layer: Any, name: str, shape: Shape) -> Weight | None:
    return single(shape, "other", "weight") if name == "negative_slope" else None


LAYERS: dict[str, Entry] = {
    "Linear": _linear,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Embedding": _embedding,
    "LSTMCell": _recurrent,
    "GRUCell": _recurrent,
    "LayerNorm": _norm,
    "RMSNorm": _norm,
    "GroupNorm": _norm,
    "BatchNorm": _norm,
    "PReLU": _prelu,
}


def equinox_weight(layer: Any, name: str, shape: Shape) -> Weight | None:
    """What an Equinox layer's array is; None for any other layer."""
    for kind in type(layer).__mro__:
        if kind.__module__.startswith("equinox.") and kind.__name__ in LAYERS:
            return LAYERS[kind.__name__](layer, name, shape)
    return None
