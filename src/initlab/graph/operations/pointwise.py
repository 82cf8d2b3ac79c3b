"""Functions of one number: a signal stays an elementwise function of its root, whose moments theory computes."""

from __future__ import annotations

from dataclasses import replace

from initlab.graph import expressions
from initlab.graph.flow import Flow
from initlab.graph.operations.op import Op
from initlab.graph.recording import Operation
from initlab.graph.regions import measured
from initlab.graph.replay import constants
from initlab.graph.signals import Signal, trail_of
from initlab.graph.weights import Shapes, Views, WeightUse, biased

LONGEST = 24  # operations that make one function of a root; a longer chain is taken up anew, as a root of its own


def elementwise(flow: Flow, operation: Operation) -> Signal:
    """A function of one signal: its moments under the Gaussian root, whatever the function."""
    signals = [signal for _, signal in flow.carried(operation)]
    if alike(signals) and not constants(flow, operation):
        return composed(flow, operation, signals)
    if len({signal.region for signal in signals}) == 1:
        found = measured(flow, operation, signals[0], "activation", operation.kind)
        if found is not None:
            return found
    return flow.unsure(operation, f"{operation.kind} of several signals")


def alike(signals: list[Signal]) -> bool:
    """Whether all are functions of the same number at the same place."""
    return len({(signal.root, signal.layout) for signal in signals}) == 1


def composed(flow: Flow, operation: Operation, signals: list[Signal]) -> Signal:
    """The signal of one more elementwise operation on functions of one root."""
    base = signals[0]
    ops = tuple(sorted({index for signal in signals for index in signal.ops} | {operation.index}))
    trail = trail_of(signals, operation.index)
    operations = [flow.graph.operations[i] for i in ops]
    root = flow.signals[base.root]
    made = base.but(
        ops=ops, head=operation.outputs[0], trail=trail, source="activation", where=operation.where,
        whole=None, masked=1.0,
    )  # fmt: skip
    label = expressions.name_of(operations)
    if expressions.affine(operations):  # a scaled or shifted signal is still what its root is
        made, label = made.but(source=root.source, where=root.where), root.label or "data"
    if root.region != base.root:  # no Gaussian root: measured from the region's, if anything asks
        return made.but(second=None, mean=None, label=label if made.source != "data" else None)
    if len(ops) < LONGEST and _read_by_one_function(flow, operation):
        return made.but(second=None, mean=None, label=label if made.source != "data" else None)
    moments = expressions.function_moments(flow, made)
    if moments is None:
        return made.but(second=None, mean=None, label=label, note=f"{label} has no moments that a batch shows")
    made = made.but(second=moments[1], mean=moments[0], label=label if made.source != "data" else None)
    alike = expressions.function_alike(flow, made, root.alike)
    made = made.but(
        alike=alike, fixed=alike if root.fixed == root.alike else expressions.function_alike(flow, made, root.fixed)
    )
    if len(ops) < LONGEST:
        return made
    value = operation.outputs[0]  # what follows is computed from here, or time would grow with the square of length
    return made.but(root=value, ops=(), head=value, layout=(), region=value, trail=frozenset())


def _read_by_one_function(flow: Flow, operation: Operation) -> bool:
    """Whether all that reads it is one function of it alone: then nothing asks for its own moments."""
    value, readers = operation.outputs[0], flow.graph.consumers(operation.outputs[0])
    return len(readers) == 1 and readers[0].traits.pointwise and readers[0].inputs == (value,)


def _slope(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    return biased(operation, views, 1, "weight", "other")


_OPS = (
    Op(
        ("elu", "celu", "selu", "mish", "tanh", "softsign", "relu6", "hardswish", "hardshrink", "softshrink",
         "tanhshrink"), elementwise, curved=True,
    ),
    Op(("sin", "cos", "sinc"), elementwise, curved=True, periodic=True),
    Op(("relu", "leaky_relu"), elementwise, curved=True, degree=1.0),
    Op(("silu",), elementwise, curved=True),
    Op(("erf",), elementwise, names=("special_erf",), curved=True),
    Op(("gelu",), elementwise, curved=True, by_value=True),
    Op(("sigmoid",), elementwise, names=("expit", "special_expit"), curved=True, gate=True, opens=True),
    Op(("softplus",), elementwise, curved=True, positive=True, gate=True, opens=True),
    Op(("hardsigmoid",), elementwise, curved=True, gate=True, opens=True),
    Op(("exp",), elementwise, positive=True, opens=True),
    Op(("logsigmoid",), elementwise, names=("log_sigmoid",), curved=True, opens=True),
    Op(("clamp",), elementwise, names=("clip",), guard=True),
    Op(("hardtanh",), elementwise, curved=True, by_value=True),
    Op(("pow",), elementwise, by_value=True),
    Op(("prelu",), elementwise, curved=True, degree=1.0, weights=_slope, start=0.25),
    Op(("rrelu",), elementwise, curved=True, degree=1.0, random=True),
    Op(("neg",), elementwise, names=("negative",), linear=True),
    Op(("positive",), elementwise, linear=True),
    Op(("rsub",), elementwise, combines="sum"),
    Op(("rdiv",), elementwise, names=("rtruediv",), degree=-1.0),
    Op(("abs",), elementwise, names=("absolute",), degree=1.0, even=True),
    Op(("square",), elementwise, degree=2.0, even=True),
    Op(("sqrt",), elementwise, degree=0.5),
    Op(("rsqrt",), elementwise, degree=-0.5),
    Op(("reciprocal",), elementwise, degree=-1.0),
    Op(("arctan",), elementwise, names=("atan",), curved=True),
    Op(("trunc",), elementwise, names=("fix",)),
    Op(
        ("threshold", "expm1", "log", "log1p", "tan", "asin", "acos", "sinh", "cosh", "asinh",
         "acosh", "atanh", "erfc", "erfinv", "clamp_min", "clamp_max", "sign", "sgn", "round", "floor", "ceil",
         "logit", "rpow", "frac", "log2", "log10", "exp2", "heaviside", "xlogy", "special_ndtr", "ndtr", "deg2rad",
         "rad2deg", "gt", "lt", "ge", "le", "eq", "ne", "logical_not", "logical_and", "logical_or", "maximum",
         "minimum", "addcmul", "addcdiv", "lerp", "fmod", "remainder", "atan2", "hypot", "copysign", "isnan",
         "float_power", "floor_divide", "bitwise_and", "and", "or", "bitwise_or", "invert"), elementwise,
    ),
)  # fmt: skip
OPS = tuple(replace(op, pointwise=True) for op in _OPS)
