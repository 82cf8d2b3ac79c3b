"""Tensors made anew: noise, and constants of a signal's shape."""

from __future__ import annotations

from initlab.graph.flow import Flow
from initlab.graph.operations.op import Op, Signals
from initlab.graph.recording import Operation
from initlab.graph.signals import Signal


def _noise(mean: float, second: float) -> Signals:
    """Noise of a signal's shape, as the reparametrisation of a variational autoencoder draws it."""

    def signal(flow: Flow, operation: Operation) -> Signal:
        return flow.fresh(operation, second, mean, "data", "noise")

    return signal


OPS = (
    Op(("randn_like",), _noise(0.0, 1.0), random=True, shaped_like=(0, "input")),
    Op(("rand_like",), _noise(1 / 2, 1 / 3), random=True, shaped_like=(0, "input")),
    Op(("bernoulli", "multinomial", "normal", "uniform"), random=True),
    Op(
        ("zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty",
         "new_empty_strided", "new_tensor"), shape_only=True,
    ),
)  # fmt: skip
