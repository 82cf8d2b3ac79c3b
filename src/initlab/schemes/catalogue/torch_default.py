"""`torch_default`: what torch's own `reset_parameters` draws, layer kind by layer kind, with torch's own fans."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from initlab.errors import InputError
from initlab.sampling import laws
from initlab.schemes.geometry import Geometry
from initlab.schemes.scheme import Scheme


def _torch_fans(geometry: Geometry) -> tuple[float, float]:
    """torch.nn.init's own rule: axis 1 and axis 0 times the kernel, whatever the layer."""
    shape = geometry.shape
    if len(shape) < 2:
        raise InputError(f"torch_default needs at least 2 axes for a {geometry.kind} weight; got shape {shape}")
    kernel = math.prod(shape[2:])
    return float(shape[1] * kernel), float(shape[0] * kernel)


def _symmetric(bound: float) -> laws.Law:
    return laws.Uniform(-bound, bound)


def _one_over_root(fan: float) -> laws.Law:
    return _symmetric(1 / math.sqrt(fan)) if fan > 0 else laws.Constant(0.0)


def _kaiming_root_five(geometry: Geometry) -> laws.Law:
    """kaiming_uniform(a=√5): gain √(2/6), bound √3 · gain / √fan = 1/√fan."""
    return _one_over_root(geometry.native_fan_in or _torch_fans(geometry)[0])


def _bilinear(geometry: Geometry) -> laws.Law:
    return _one_over_root(geometry.native_fan_in or geometry.shape[1])


def _bias(geometry: Geometry) -> laws.Law:
    return _one_over_root(geometry.native_fan_in or geometry.fan_in)


def _recurrent(geometry: Geometry) -> laws.Law:
    packed = geometry.packing
    hidden = geometry.native_fan_in or (packed.sizes[0] if packed is not None else geometry.shape[0])
    return _one_over_root(hidden)


def _attention(geometry: Geometry) -> laws.Law:
    fan_in, fan_out = _torch_fans(geometry)
    return _symmetric(math.sqrt(6 / (fan_in + fan_out)))


def _attention_bias_kv(geometry: Geometry) -> laws.Law:
    fan_in, fan_out = _torch_fans(geometry)
    return laws.Normal(0.0, math.sqrt(2 / (fan_in + fan_out)))


def _zero(geometry: Geometry) -> laws.Law:
    return laws.Constant(0.0)


def _one(geometry: Geometry) -> laws.Law:
    return laws.Constant(1.0)


def _quarter(geometry: Geometry) -> laws.Law:
    return laws.Constant(0.25)


def _standard_normal(geometry: Geometry) -> laws.Law:
    return laws.Normal(0.0, 1.0)


def _conv1d(geometry: Geometry) -> laws.Law:
    return laws.Normal(0.0, 0.02)


BY_KIND: dict[str, Callable[[Geometry], laws.Law]] = {
    "linear": _kaiming_root_five,
    "conv": _kaiming_root_five,
    "conv_transpose": _kaiming_root_five,
    "transformers_conv1d": _conv1d,
    "bilinear": _bilinear,
    "bias": _bias,
    "embedding": _standard_normal,
    "recurrent": _recurrent,
    "recurrent_bias": _recurrent,
    "attention": _attention,
    "attention_bias": _zero,
    "attention_bias_kv": _attention_bias_kv,
    "norm_weight": _one,
    "norm_bias": _zero,
    "prelu": _quarter,
}


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    if geometry.kind not in BY_KIND:
        raise InputError(
            f"torch_default has no rule for a parameter of shape {geometry.shape} outside torch's own layers; "
            "name a scheme for it"
        )
    return BY_KIND[geometry.kind](geometry)


SCHEME = Scheme(
    name="torch_default",
    formula=(
        "Linear, Conv: W, b ~ U(±1/√fan_in) with torch's fan_in; Embedding: N(0, 1); RNN, LSTM, GRU: "
        "U(±1/√hidden); attention in_proj: xavier_uniform of the packed matrix, biases 0; norms: 1 and 0"
    ),
    latex=r"W_{ij} \sim \mathcal{U}\left(-\tfrac{1}{\sqrt{n_{in}}}, \tfrac{1}{\sqrt{n_{in}}}\right)",
    keeps="Nothing exactly: Var(W) = 1/(3 fan_in), a third of LeCun's.",
    why=(
        "torch calls kaiming_uniform with a = √5, whose gain is √(2/(1 + 5)) = 1/√3; the bound √3 · gain/√fan_in "
        "is then 1/√fan_in, the rule that Lua Torch had. The √5 keeps an old bound; it is no leaky slope."
    ),
    source="PyTorch, reset_parameters of each layer; LeCun et al., Efficient backprop, for the origin of 1/√fan_in",
    year=2017,
    suits=(),
    misuse="In a plain ReLU stack the second moment falls to a sixth a layer; norms or residuals hide it.",
    arguments={},
    rule=_law,
    checks={},
    uses="kind",
)
