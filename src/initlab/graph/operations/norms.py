"""Norms: second moment one, whatever comes in."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from initlab.graph.flow import Flow
from initlab.graph.marginals import note_norm
from initlab.graph.operations.op import Op
from initlab.graph.recording import Operation
from initlab.graph.regions import settled
from initlab.graph.signals import Signal
from initlab.graph.weights import Reader, Shapes, Views, WeightUse, biased


def normalised(flow: Flow, operation: Operation) -> Signal:
    """Second moment one; what centres its input has mean zero too. The law is the input's (`marginals.note_norm`)."""
    note_norm(flow, operation.outputs[0], flow.carried(operation)[0][1])
    return _affine(flow.fresh(operation, 1.0, 0.0, "norm", operation.kind), operation)


def normalised_by_feature(flow: Flow, operation: Operation) -> Signal:
    """Each feature gets mean zero over the positions, which then have nothing in common."""
    return normalised(flow, operation).but(alike=0.0, fixed=0.0)


def normalised_by_batch(flow: Flow, operation: Operation) -> Signal:
    """Each feature gets mean zero over the positions of all samples, which keep what they have in common in each.

    Of x = m + f + s + e, of a mean, what all of n samples have in common, what each has in common, and the rest, the
    feature's mean is m + f + s̄: of E[s²] = a and E[f²] = b, as shares of the spread, 1 − b − a/n is left, and
    a·(1 − 1/n) of it is common to a sample.
    """
    made, given = normalised(flow, operation), flow.carried(operation)[0]
    value, signal = given[0], settled(flow, given[1])
    shape = flow.value(value).shape
    whole = shape if len(shape) > 2 else flow.value(flow.graph.inputs[0]).shape if flow.graph.inputs else ()
    samples = max(whole[0] if whole else 1, 1)
    own = max(signal.alike - signal.fixed, 0.0)
    left = 1 - signal.fixed - own / samples
    return made.but(alike=own * (1 - 1 / samples) / left if left > 1e-6 else 0.0, fixed=0.0)


def normalised_without_mean(flow: Flow, operation: Operation) -> Signal:
    """Second moment one; the mean is divided by the root of the input's second moment."""
    signal = flow.carried(operation)[0][1]
    mean = signal.mean / math.sqrt(signal.second) if signal.mean and signal.second else signal.mean
    note_norm(flow, operation.outputs[0], signal)
    return _affine(flow.fresh(operation, 1.0, mean, "norm", operation.kind), operation)


def _affine(made: Signal, operation: Operation) -> Signal:
    return replace(made, affine=frozenset({"weight", "bias"} if operation.parameters else ()))


def _scaled(*places: tuple[int, int]) -> Reader:
    """The scale and the shift, at the first of the places (of scale, of shift) where the call has either."""

    def read(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
        for weight_at, bias_at in places:
            scale = biased(operation, views, weight_at, "weight", "norm_weight")
            found = [*scale, *biased(operation, views, bias_at, "bias", "norm_bias")]
            if found:
                return found
        return []

    return read


_BY_FEATURE: dict[str, Any] = {
    "norm": True, "by_feature": True, "mixes": True, "features": 1,
    "weights": _scaled((3, 4), (1, 2)),  # torch.nn.functional's order, and torch's
}  # fmt: skip

OPS = (
    Op(("layer_norm",), normalised, names=("native_layer_norm",), norm=True, mixes=True, weights=_scaled((2, 3))),
    Op(("group_norm",), normalised, norm=True, mixes=True, weights=_scaled((2, 3)), features=1),
    Op(("native_group_norm",), normalised, norm=True, mixes=True, weights=_scaled((1, 2)), features=1),
    Op(
        ("batch_norm", "native_batch_norm", "native_batch_norm_legit", "native_batch_norm_legit_functional",
         "batch_norm_with_update"), normalised_by_batch, **_BY_FEATURE,
    ),
    Op(("instance_norm",), normalised_by_feature, **_BY_FEATURE),
    Op(("rms_norm",), normalised_without_mean, norm=True, mixes=True, weights=_scaled((2, -1))),
)  # fmt: skip
