"""What each Equinox layer type says of its arrays; Equinox stores weights as torch does, (out, in, *window)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from initlab.graph.layers import Shape, conv_geometry, conv_transpose_geometry, embedding_geometry
from initlab.integrations.layout import Layout
from initlab.integrations.weights import Weight, matrix, single
from initlab.schemes import Geometry
from initlab.schemes.geometry import Packing

Entry = Callable[[Any, str, Shape], "Weight | None"]


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


_GATES = {"LSTMCell": ("input", "forget", "cell", "output"), "GRUCell": ("reset", "update", "new")}


def _recurrent(layer: Any, name: str, shape: Shape) -> Weight | None:
    labels = _GATES[next(kind.__name__ for kind in type(layer).__mro__ if kind.__name__ in _GATES)]
    units = int(layer.hidden_size)
    packing = Packing(0, (units,) * len(labels), labels) if shape[0] == units * len(labels) else None
    if name in ("weight_ih", "weight_hh"):
        geometry = Geometry(shape, shape[1], units, packing=packing, kind="recurrent", native_fan_in=float(units))
        return matrix(geometry, Layout.same(shape), name)
    if name.startswith("bias"):
        geometry = Geometry(shape, units, units, packing=packing, kind="recurrent_bias", native_fan_in=float(units))
        leaf = "bias_ih" if name == "bias" else name
        return matrix(geometry, Layout.same(shape), leaf, "recurrent_bias")
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
