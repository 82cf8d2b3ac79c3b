"""Convolutions: a kernel's fans, with its groups and strides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from initlab.graph.flow import Flow
from initlab.graph.layers import conv_geometry, conv_transpose_geometry
from initlab.graph.operations.op import Op
from initlab.graph.recording import Operation, Ref
from initlab.graph.views import ParameterView, Shape
from initlab.graph.weights import Reader, Shapes, Views, WeightUse, biased, original_axes, value_of, view_of
from initlab.schemes.geometry import Geometry


def _tuple(item: Any, rank: int) -> tuple[int, ...]:
    if isinstance(item, int):
        return (item,) * rank
    numbers = tuple(int(size) for size in item)
    return numbers * rank if len(numbers) == 1 else numbers


def _convolution(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    """torch.convolution, of which one argument says that it is transposed."""
    return (_conv_transpose if operation.argument(6, "transposed", False) else _conv)(operation, views, shapes)


def _groups(operation: Operation) -> int:
    return int(operation.argument(8 if operation.kind == "convolution" else 6, "groups", 1))


def _read(geometry: Callable[[Shape, tuple[int, ...], int], Geometry]) -> Reader:
    """The kernel, of a geometry (shape, stride, groups) -> fans, and the bias."""

    def read(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
        weight = view_of(operation.argument(1, "weight"), views)
        found = biased(operation, views, 2)
        if weight is None or len(weight.shape) < 3:
            return found
        stride = _tuple(operation.argument(3, "stride", 1), len(weight.shape) - 2)
        return [_kernel(operation, weight, geometry(weight.shape, stride, _groups(operation))), *found]

    return read


_conv, _conv_transpose = _read(conv_geometry), _read(conv_transpose_geometry)


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


class _Axis(NamedTuple):
    """One axis of a convolution: how long its input and output are, and how its kernel lies there.

    Of an input that was padded with zeros by an operation before, `length` is that of what was padded, and `padding`
    counts those zeros: `share` of the padded input was there before.
    """

    length: int
    places: int
    taps: int
    stride: int
    padding: int
    dilation: int
    share: float = 1.0

    def padded(self, before: int, after: int) -> _Axis:
        """The axis of what was padded by so many zeros."""
        length = self.length - before - after
        return self._replace(length=length, padding=self.padding + before, share=length / max(1, self.length))


def _axes(flow: Flow, operation: Operation, dilated: int) -> list[_Axis]:
    """The axes of a call whose dilation stands at a place; none where its operands are not in the recording."""
    signal, weight = operation.argument(0, "input"), operation.argument(1, "weight")
    if not (isinstance(signal, Ref) and isinstance(weight, Ref)):
        return []
    taps = flow.value(weight.value).shape[2:]
    rank = len(taps)
    stride = _tuple(operation.argument(3, "stride", 1), rank)
    dilation = _tuple(operation.argument(dilated, "dilation", 1), rank)
    given = operation.argument(4, "padding", 0)
    if given == "same":
        given = tuple(step * (k - 1) // 2 for step, k in zip(dilation, taps, strict=True))
    padding = _tuple(0 if isinstance(given, str) else given, rank)
    lengths, places = flow.value(signal.value).shape[-rank:], flow.value(operation.outputs[0]).shape[-rank:]
    found = [_Axis(*numbers) for numbers in zip(lengths, places, taps, stride, padding, dilation, strict=True)]
    zeros = _zeros_before(flow, signal.value, rank)
    return [axis.padded(*ends) for axis, ends in zip(found, zeros, strict=True)] if zeros else found


def _zeros_before(flow: Flow, value: int, rank: int) -> list[tuple[int, int]]:
    """(before, after) of each axis: the zeros with which a convolution's input was padded by an operation; else []."""
    pad = flow.graph.producer(value)
    if pad is None or pad.kind != "pad" or pad.argument(2, "mode", "constant") != "constant":
        return []
    ends = list(pad.argument(1, "pad", ()))
    pairs = [*zip(ends[::2], ends[1::2], strict=True), *((0, 0) for _ in range(rank))]
    if pad.argument(3, "value", 0.0) or any(any(pair) for pair in pairs[rank:]) or min(ends, default=0) < 0:
        return []
    return pairs[:rank][::-1]


def _inside(axis: _Axis, steps: range, end: int) -> int:
    """How many taps of all steps of the stride lie between zero and an end."""
    at = (step * axis.stride - axis.padding + tap * axis.dilation for step in steps for tap in range(axis.taps))
    return sum(0 <= place < end for place in at)


def taps_seen(flow: Flow, operation: Operation) -> float:
    """The share of a kernel's taps that lie inside the input, on average over the places where it is applied.

    Along each axis Σₒ #{j : 0 ≤ o·stride − padding + j·dilation < length} / (places · taps); axes multiply. Of an input
    that an operation padded with zeros, whose second moment is less by the share s of numbers that are no zeros, it is
    1/s of that: windows that move over the padded input meet its edges less often than its middle.
    """
    found = 1.0
    for axis in _axes(flow, operation, 5):
        inside = _inside(axis, range(axis.places), axis.length)
        found *= inside / max(1, axis.places * axis.taps) / (axis.share or 1.0)
    return found


def taps_together(flow: Flow, operation: Operation) -> float:
    """Of the taps that see the signal at one place, the share that two places see both, on average over pairs.

    What positions have in common reaches two places through the taps that both see. Along each axis, with f the share
    of places at which a tap lies inside, that is Σⱼ fⱼ² / Σⱼ fⱼ; axes multiply.
    """
    found = 1.0
    for axis in _axes(flow, operation, 5):
        inside = [_inside(axis._replace(taps=1, padding=axis.padding - tap * axis.dilation), range(axis.places),
                          axis.length) / max(1, axis.places) for tap in range(axis.taps)]  # fmt: skip
        found *= sum(share * share for share in inside) / (sum(inside) or 1.0)
    return found


def taps_landed(flow: Flow, operation: Operation) -> float:
    """The share of the taps that a place of a transposed convolution's output sums over on average.

    Along each axis Σᵢ #{j : 0 ≤ i·stride − padding + j·dilation < places} · stride / (places · taps); axes multiply.
    Places at the edges have fewer, and where the last ones have none at all so does the average.
    """
    found = 1.0
    for axis in _axes(flow, operation, 5 if operation.kind == "convolution" else 7):
        inside = _inside(axis, range(axis.length), axis.places)
        found *= inside * axis.stride / max(1, axis.places * axis.taps)
    return found


def _taps_met(flow: Flow, operation: Operation) -> float:
    """Of torch.convolution, of which one argument says that it is transposed."""
    return (taps_landed if operation.argument(6, "transposed", False) else taps_seen)(flow, operation)


OPS = (
    Op(("convolution",), weights=_convolution, seen=_taps_met, combines="contraction", units=0, features=1),
    Op(
        ("conv",),
        names=("conv1d", "conv2d", "conv3d"),
        weights=_conv,
        seen=taps_seen,
        together=taps_together,
        combines="contraction",
        units=0,
        features=1,
    ),
    Op(
        ("conv_transpose",),
        names=("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
        weights=_conv_transpose,
        seen=taps_landed,
        combines="contraction",
        units=1,
        features=1,
    ),
)
