"""The geometry of each layer type's parameters: one entry a type, (module, leaf name, shape) -> role and geometry."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from initlab.schemes.geometry import Geometry, Packing

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """What a layer type says of one of its parameters."""

    role: str
    geometry: Geometry | None


Entry = Callable[[Any, str, Shape], Part | None]


def vector(shape: Shape, kind: str, fan_in: float = 1.0, fan_out: float = 1.0, native: float | None = None) -> Geometry:
    """The geometry of what is no matrix: a bias, a norm's scale."""
    return Geometry(shape, max(fan_in, 1.0), max(fan_out, 1.0), kind=kind, native_fan_in=native)


def bias(shape: Shape, native: float | None) -> Part:
    return Part("bias", vector(shape, "bias", native=native))


def _linear(module: Any, leaf: str, shape: Shape) -> Part | None:
    if leaf == "weight" and len(shape) == 2:
        return Part("weight", Geometry(shape, shape[1], shape[0])) if 0 not in shape else None
    return bias(shape, float(module.in_features)) if leaf == "bias" else None


def conv_geometry(shape: Shape, stride: tuple[int, ...], groups: int) -> Geometry:
    """(out, in/groups, *kernel): an input is read by out/groups · kernel / stride outputs on average."""
    kernel = math.prod(shape[2:])
    reached = shape[0] / groups * kernel / math.prod(stride)
    return Geometry(shape, shape[1] * kernel, reached, groups=groups, kind="conv")


def conv_transpose_geometry(shape: Shape, stride: tuple[int, ...], groups: int) -> Geometry:
    """(in, out/groups, *kernel): an output sums over in/groups · kernel / stride inputs on average."""
    kernel = math.prod(shape[2:])
    summed = shape[0] / groups * kernel / math.prod(stride)
    return Geometry(shape, summed, shape[1] * kernel, out_axis=1, in_axis=0, groups=groups, kind="conv_transpose")


def _conv(module: Any, leaf: str, shape: Shape) -> Part | None:
    if leaf == "weight" and 0 not in shape:
        return Part("weight", conv_geometry(shape, module.stride, module.groups))
    return bias(shape, _native(module.weight)) if leaf == "bias" else None


def _conv_transpose(module: Any, leaf: str, shape: Shape) -> Part | None:
    if leaf == "weight" and 0 not in shape:
        return Part("weight", conv_transpose_geometry(shape, module.stride, module.groups))
    return bias(shape, _native(module.weight)) if leaf == "bias" else None


def _native(weight: Any) -> float:
    """The fan_in that torch's reset_parameters reads off a weight: axis 1 times the kernel."""
    shape = tuple(weight.shape)
    return float(shape[1] * math.prod(shape[2:])) if len(shape) > 1 else 1.0


def embedding_geometry(shape: Shape) -> Geometry:
    """One row is read for each output, so fan_in = 1; a row reaches all of the embedding's numbers."""
    return Geometry(shape, 1, max(shape[1], 1), out_axis=1, in_axis=0, kind="embedding")


def _embedding(module: Any, leaf: str, shape: Shape) -> Part | None:
    return Part("embedding", embedding_geometry(shape)) if leaf == "weight" and 0 not in shape else None


def bilinear_geometry(shape: Shape) -> Geometry:
    """(out, in1, in2): an output sums over every pair of inputs."""
    return Geometry(shape, shape[1] * shape[2], shape[0], kind="bilinear", native_fan_in=float(shape[1]))


def _bilinear(module: Any, leaf: str, shape: Shape) -> Part | None:
    if leaf == "weight" and 0 not in shape:
        return Part("weight", bilinear_geometry(shape))
    return bias(shape, float(module.in1_features)) if leaf == "bias" else None


# Each kind's gates in torch's order.
GATES: dict[str, tuple[str, ...]] = {
    "LSTM": ("input", "forget", "cell", "output"),
    "GRU": ("reset", "update", "new"),
    "RNN": (),
}


def gate_blocks(shape: Shape, units: int, labels: tuple[str, ...]) -> Packing | None:
    """The gates along a recurrent weight's or bias's first axis; None where they do not lie there one after another."""
    gates = len(labels)
    return Packing(0, (units,) * gates, labels) if gates > 1 and shape[0] == gates * units else None


def recurrent_weight(shape: Shape, units: int, labels: tuple[str, ...], window: int = 1) -> Geometry:
    """A recurrent layer's weight: each gate is a map of its own from the inputs (or the state) to the units.

    Args:
        shape: (gates · units, in, *window).
        units: outputs of one gate.
        labels: the gates' names; () for a layer without.
        window: places that a convolution's window has.
    """
    fans = (float(shape[1] * window), float(units * window))
    packing = gate_blocks(shape, units, labels)
    return Geometry(shape, *fans, packing=packing, kind="recurrent", native_fan_in=float(units))


def recurrent_bias(shape: Shape, units: int, labels: tuple[str, ...]) -> Geometry:
    """A recurrent layer's bias; arguments as of `recurrent_weight`."""
    packing = gate_blocks(shape, units, labels)
    return Geometry(shape, units, units, packing=packing, kind="recurrent_bias", native_fan_in=float(units))


def _recurrent(module: Any, leaf: str, shape: Shape) -> Part | None:
    """Gates are stored one under another."""
    kind = next(
        (name for name in ("LSTM", "GRU") if any(name in base.__name__ for base in type(module).__mro__)), "RNN"
    )
    hidden, labels = int(module.hidden_size), GATES[kind]
    if leaf.startswith("weight_hr"):
        return Part("weight", Geometry(shape, shape[1], shape[0], kind="recurrent", native_fan_in=float(hidden)))
    if leaf.startswith("weight"):
        return Part("weight", recurrent_weight(shape, hidden, labels))
    return Part("recurrent_bias", recurrent_bias(shape, hidden, labels)) if leaf.startswith("bias") else None


_QKV = ("query", "key", "value")


def _attention(module: Any, leaf: str, shape: Shape) -> Part | None:
    width = int(module.embed_dim)
    if leaf == "in_proj_weight":
        packing = Packing(0, (width,) * 3, _QKV)
        return Part("weight", Geometry(shape, shape[1], width, packing=packing, kind="attention"))
    if leaf in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
        return Part("weight", Geometry(shape, shape[1], shape[0], kind="attention"))
    if leaf == "in_proj_bias":
        packing = Packing(0, (width,) * 3, _QKV)
        return Part("bias", Geometry(shape, 1, 1, packing=packing, kind="attention_bias"))
    if leaf in ("bias_k", "bias_v"):
        return Part("other", Geometry(shape, 1, shape[-1], out_axis=2, in_axis=0, kind="attention_bias_kv"))
    return None


def _attention_out(module: Any, leaf: str, shape: Shape) -> Part | None:
    if leaf == "bias":
        return Part("bias", vector(shape, "attention_bias"))
    return _linear(module, leaf, shape)


def _norm(module: Any, leaf: str, shape: Shape) -> Part | None:
    if leaf == "weight":
        return Part("norm_weight", vector(shape, "norm_weight"))
    return Part("norm_bias", vector(shape, "norm_bias")) if leaf == "bias" else None


def _prelu(module: Any, leaf: str, shape: Shape) -> Part | None:
    return Part("other", vector(shape, "prelu")) if leaf == "weight" else None


def conv1d_geometry(shape: Shape) -> Geometry:
    """transformers' Conv1D stores (in, out): y = x W."""
    return Geometry(shape, shape[0], shape[1], out_axis=1, in_axis=0, kind="transformers_conv1d")


def _transformers_conv1d(module: Any, leaf: str, shape: Shape) -> Part | None:
    if leaf == "weight" and len(shape) == 2 and 0 not in shape:
        return Part("weight", conv1d_geometry(shape))
    return Part("bias", vector(shape, "attention_bias")) if leaf == "bias" else None


LAYERS: dict[type[nn.Module] | str, Entry] = {
    nn.modules.linear.NonDynamicallyQuantizableLinear: _attention_out,
    nn.Linear: _linear,
    nn.modules.conv._ConvTransposeNd: _conv_transpose,
    nn.modules.conv._ConvNd: _conv,
    nn.Embedding: _embedding,
    nn.EmbeddingBag: _embedding,
    nn.Bilinear: _bilinear,
    nn.RNNBase: _recurrent,
    nn.RNNCellBase: _recurrent,
    nn.MultiheadAttention: _attention,
    nn.modules.batchnorm._NormBase: _norm,
    nn.LayerNorm: _norm,
    nn.GroupNorm: _norm,
    nn.RMSNorm: _norm,
    nn.PReLU: _prelu,
    "transformers.pytorch_utils.Conv1D": _transformers_conv1d,
}


def by_layer_type(module: nn.Module, leaf: str, shape: Shape) -> Part | None:
    """What the layer's type says of a parameter; None for a type or a parameter that the table does not know."""
    for cls in type(module).__mro__:
        entry = LAYERS.get(cls) or LAYERS.get(f"{cls.__module__}.{cls.__qualname__}")
        if entry is not None:
            try:
                return entry(module, leaf, shape)
            except (AttributeError, IndexError, TypeError, ValueError, ZeroDivisionError):
                return None  # a subclass that keeps its parameters in another form
    return None
