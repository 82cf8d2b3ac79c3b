"""How a plain stack of equal layers carries a signal forward and a gradient back, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from initlab.planning import init_
from initlab.sampling import derive_seed
from initlab.schemes import Scheme, get_scheme

BINS = 40

ACTIVATIONS: Mapping[str, tuple[Callable[[Tensor], Tensor], tuple[float, float]]] = {
    "sigmoid": (torch.sigmoid, (0.0, 1.0)),
    "tanh": (torch.tanh, (-1.0, 1.0)),
    "relu": (torch.relu, (0.0, 4.0)),
    "linear": (lambda x: x, (-4.0, 4.0)),
}

# The derivative of each, from its value.
SLOPES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": lambda a: a * (1 - a),
    "tanh": lambda a: 1 - a.square(),
    "relu": lambda a: (a > 0).float(),
    "linear": torch.ones_like,
}


class Stack(nn.Module):
    """`depth` linear layers of one width, each followed by the activation; `forward` returns every activation."""

    def __init__(self, width: int, depth: int, activation: str, bias: bool = False) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width, bias=bias) for _ in range(depth))
        self.activation = ACTIVATIONS[activation][0]

    def forward(self, x: Tensor) -> list[Tensor]:
        outputs = []
        for layer in self.layers:
            x = self.activation(layer(x))
            outputs.append(x)
        return outputs


def gaussian_inputs(samples: int, width: int, seed: int) -> Tensor:
    """(samples, width) float32 values from N(0, 1), from a stream of their own."""
    values = get_scheme("normal", std=1.0).sample((samples, width), seed=seed, name="inputs")
    return torch.from_numpy(np.ascontiguousarray(values))


def propagate(
    scheme: str | Scheme, activation: str, *, seed: int, width: int = 100, depth: int = 5, samples: int = 1000
) -> dict[str, Any]:
    """Push N(0, 1) inputs through a `Stack` and a standard normal gradient back from its last activation.

    Returns:
        For each layer, in order: `std`, `second_moment`, `saturated` (share of |a| at its limit, see below), `slope`
        (rms of the activation's own derivative), `between` (share of the second moment that differs between samples),
        `gradient` (rms of dL/da) and `counts` (histogram over the activation's range; values outside fall into the end
        bins). Saturated: within 1% of an end of the range of a bounded function.
    """
    model = Stack(width, depth, activation)
    init_(model, scheme, seed=derive_seed(seed, "weights"))
    x = gaussian_inputs(samples, width, derive_seed(seed, "inputs"))
    outputs = model(x)
    probe = gaussian_inputs(samples, width, derive_seed(seed, "gradient"))
    gradients = torch.autograd.grad((outputs[-1] * probe).sum(), outputs)
    layers = [_layer(a.detach(), g, activation) for a, g in zip(outputs, gradients, strict=True)]
    return {key: [layer[key] for layer in layers] for key in layers[0]}


def _layer(a: Tensor, gradient: Tensor, activation: str) -> dict[str, Any]:
    low, high = ACTIVATIONS[activation][1]
    second = float(a.double().square().mean())
    bounded = activation in ("sigmoid", "tanh")
    margin = 0.01 * (high - low)
    edge = float(((a <= low + margin) | (a >= high - margin)).float().mean()) if bounded else 0.0
    between = float(a.double().var(dim=0, unbiased=False).mean()) / second if second > 0 else 0.0
    return {
        "std": float(a.std()),
        "second_moment": second,
        "saturated": edge,
        "between": between,
        "slope": float(SLOPES[activation](a).double().square().mean().sqrt()),
        "gradient": float(gradient.double().square().mean().sqrt()),
        "counts": torch.histc(a.clamp(low, high), BINS, low, high).int().tolist(),
    }


def over_seeds(seeds: Sequence[int], scheme: str | Scheme, activation: str, **settings: int) -> dict[str, Any]:
    """`propagate` for every seed, gathered as key -> one list per seed."""
    rows = [propagate(scheme, activation, seed=seed, **settings) for seed in seeds]
    return {key: [row[key] for row in rows] for key in rows[0]}


def last_over_first(rows: Sequence[Sequence[float]]) -> list[float]:
    """Per seed, the last layer's value over the first layer's; 0 over 0 counts as 0."""
    return [row[-1] / row[0] if row[0] else 0.0 for row in rows]


def at_last(rows: Sequence[Sequence[float]]) -> list[float]:
    """Per seed, the last layer's value."""
    return [row[-1] for row in rows]
