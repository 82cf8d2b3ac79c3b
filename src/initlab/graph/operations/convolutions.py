"""Convolutions: a kernel's fans, with its groups and strides."""

from __future__ import annotations

from typing import Any

from initlab.graph.layers import conv_geometry, conv_transpose_geometry
from initlab.graph.operations.op import Op
from initlab.graph.recording import Operation
from initlab.graph.views import ParameterView
from initlab.graph.weights import Shapes, Views, WeightUse, biased, original_axes, value_of, view_of
from initlab.schemes.geometry import Geometry


def _tuple(item: Any, rank: int) -> tuple[int, ...]:
    if isinstance(item, int):
        return (item,) * rank
    numbers = tuple(int(size) for size in item)
    return numbers * rank if len(numbers) == 1 else numbers


def _conv(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    weight = view_of(operation.argument(1, "weight"), views)
    found = biased(operation, views, 2)
    if weight is None or len(weight.shape) < 3:
        return found
    stride = _tuple(operation.argument(3, "stride", 1), len(weight.shape) - 2)
    geometry = conv_geometry(weight.shape, stride, int(operation.argument(6, "groups", 1)))
    return [_kernel(operation, weight, geometry), *found]


def _conv_transpose(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    weight = view_of(operation.argument(1, "weight"), views)
    found = biased(operation, views, 2)
    if weight is None or len(weight.shape) < 3:
        return found
    stride = _tuple(operation.argument(3, "stride", 1), len(weight.shape) - 2)
    geometry = conv_transpose_geometry(weight.shape, stride, int(operation.argument(6, "groups", 1)))
    return [_kernel(operation, weight, geometry), *found]


def _kernel(operation: Operation, weight: ParameterView, geometry: Geometry) -> WeightUse:
    """A kernel that is the parameter itself keeps its axes; a reshaped one keeps its fans."""
    signal = value_of(operation.argument(0, "input"))
    whole = weight.whole
    if whole == weight.shape:
        return WeightUse(weight, "weight", signal, geometry)
    if weight.axes is None or len(whole) < 2:
        return WeightUse(weight, "weight", signal)
    outs, ins = original_axes(weight, [geometry.out_axis]), original_axes(weight, [geometry.in_axis])
    if not outs or not ins or outs[0] == ins[0]:
        return WeightUse(weight, "weight", signal)
    return WeightUse(
        weight, "weight", signal, Geometry(whole, geometry.fan_in, geometry.fan_out, outs[0], ins[0], kind="other")
    )


OPS = (
    Op(
        ("conv",),
        names=("convolution", "conv1d", "conv2d", "conv3d"),
        weights=_conv,
        combines="contraction",
        units=0,
        features=1,
    ),
    Op(
        ("conv_transpose",),
        names=("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
        weights=_conv_transpose,
        combines="contraction",
        units=1,
        features=1,
    ),
)
