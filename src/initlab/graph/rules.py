"""What each operation does to a signal: one function an operation, in one table. A new operation is one entry here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from initlab.graph import expressions
from initlab.graph.flow import Flow
from initlab.graph.kinds import UNCHANGED
from initlab.graph.recording import Operation, Ref, constant_moments
from initlab.graph.recurrent import settled_state
from initlab.graph.regions import measured, settled
from initlab.graph.replay import constants, held
from initlab.graph.signals import Signal
from initlab.graph.weights import einsum_terms

Rule = Callable[[Flow, Operation], "Signal | list[Signal]"]
RULES: dict[str, Rule] = {}
RuleType = TypeVar("RuleType", bound=Rule)


def rule(*kinds: str) -> Callable[[RuleType], RuleType]:
    """Registers a rule for operations of these kinds."""

    def register(function: RuleType) -> RuleType:
        RULES.update(dict.fromkeys(kinds, function))
        return function

    return register


def apply_rule(flow: Flow, operation: Operation) -> list[Signal]:
    """The signals of an operation's outputs; an operation without a rule is measured, else said to be unknown."""
    found = RULES.get(operation.kind, unknown)(flow, operation)
    return found if isinstance(found, list) else [found] * len(operation.outputs)


def unknown(flow: Flow, operation: Operation) -> Signal:
    """No rule: run it on noise if it reads one region, else say so."""
    carried = flow.carried(operation)
    if len({signal.region for _, signal in carried}) == 1 and not operation.parameters:
        found = measured(flow, operation, carried[0][1], operation.kind, operation.kind)
        if found is not None:
            return replace(found, note="no rule: measured on Gaussian noise")
    return flow.fresh(operation, None, None, "unknown", operation.kind, f"no rule for {operation.kind!r}")


# -- nothing changes but the arrangement --


@rule(
    *UNCHANGED, "dropout", "pad", "masked_fill", "tril", "triu", "requires_grad", "cuda", "cpu", "nan_to_num",
    "alias_copy", "pack_padded_sequence", "pad_packed_sequence", "checkpoint", "real", "as_subclass", "identity",
)  # fmt: skip
def same(flow: Flow, operation: Operation) -> Signal:
    signal = flow.carried(operation)[0][1]
    return replace(signal, trail=signal.trail | {operation.index})


@rule(
    "view", "reshape", "flatten", "unflatten", "transpose", "permute", "t", "T", "mT", "H", "mH", "squeeze",
    "unsqueeze", "expand", "expand_as", "broadcast_to", "repeat", "repeat_interleave", "tile", "movedim",
    "moveaxis", "select", "narrow", "index_select", "roll", "flip", "pixel_shuffle", "pixel_unshuffle",
    "channel_shuffle", "unfold", "diagonal", "view_as", "reshape_as", "adjoint", "ravel", "gather", "masked_select",
    "take", "take_along_dim", "rot90", "as_strided", "slice", "unsqueeze_copy", "atleast_1d",
    "atleast_2d", "atleast_3d", "scatter", "sort", "index", "iter",
)  # fmt: skip
def moved(flow: Flow, operation: Operation) -> list[Signal]:
    """The same numbers elsewhere, or some of them."""
    signal = flow.carried(operation)[0][1]
    trail = signal.trail | {operation.index}
    arguments = repr((operation.args[1:], sorted(operation.kwargs.items())))
    return [
        replace(signal, layout=(*signal.layout, (operation.kind, arguments, place)), trail=trail)
        for place in range(len(operation.outputs))
    ]


@rule("chunk", "split", "split_with_sizes", "tensor_split", "unbind", "hsplit", "vsplit", "getitem")
def pieces(flow: Flow, operation: Operation) -> list[Signal]:
    """Parts of the same kind of numbers, but not the same numbers: products and sums take them as independent."""
    if not flow.carried(operation):
        return [flow.fresh(operation, None, None, "unknown", operation.kind)]
    return moved(flow, operation)


@rule("interpolate", "upsample_nearest", "upsample_bilinear")
def resized(flow: Flow, operation: Operation) -> Signal:
    mode = operation.argument(3, "mode", "nearest")
    signal = flow.carried(operation)[0][1]
    if isinstance(mode, str) and mode.startswith("nearest"):
        return moved(flow, operation)[0]
    return measured(flow, operation, signal, "pool", f"{mode} upsampling") or _unsure(flow, operation, signal)


# -- functions of one number --

ELEMENTWISE = (
    "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign", "tanh",
    "sigmoid", "hardtanh", "hardsigmoid", "hardswish", "hardshrink", "softshrink", "tanhshrink", "logsigmoid",
    "threshold", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "reciprocal", "square", "abs", "neg", "sin",
    "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "erf", "erfc", "erfinv",
    "clamp", "clamp_min", "clamp_max", "sign", "sgn", "round", "floor", "ceil", "trunc", "sinc", "logit", "pow",
    "rpow", "rsub", "rdiv", "frac", "positive", "log2", "log10", "exp2", "heaviside", "xlogy", "special_ndtr",
    "ndtr", "deg2rad", "rad2deg", "gt", "lt", "ge", "le", "eq", "ne", "logical_not", "logical_and", "logical_or",
    "maximum", "minimum", "where", "addcmul", "addcdiv", "lerp", "fmod", "remainder", "atan2", "hypot", "copysign",
    "isnan", "float_power", "floor_divide", "rrelu", "bitwise_and", "and", "or", "bitwise_or", "invert", "prelu",
)  # fmt: skip


@rule(*ELEMENTWISE)
def elementwise(flow: Flow, operation: Operation) -> Signal:
    """A function of one signal: its moments under the Gaussian root, whatever the function."""
    carried = flow.carried(operation)
    signals = [signal for _, signal in carried]
    if alike(signals) and not constants(flow, operation):
        return composed(flow, operation, signals)
    if operation.kind == "where" and len(signals) == 1:
        return signals[0]
    if operation.kind == "where" and len(signals) == 2 and None not in (signals[0].second, signals[1].second):
        return _mixed(flow, operation, signals)
    if len({signal.region for signal in signals}) == 1:
        found = measured(flow, operation, signals[0], "activation", operation.kind)
        if found is not None:
            return found
    return _unsure(flow, operation, signals[0], f"{operation.kind} of several signals")


def alike(signals: list[Signal]) -> bool:
    """Whether all are functions of the same number at the same place."""
    return len({(signal.root, signal.layout) for signal in signals}) == 1


def composed(flow: Flow, operation: Operation, signals: list[Signal]) -> Signal:
    """The signal of one more elementwise operation on functions of one root."""
    base = signals[0]
    ops = tuple(sorted({index for signal in signals for index in signal.ops} | {operation.index}))
    trail = frozenset().union(*(signal.trail for signal in signals)) | {operation.index}
    operations = [flow.graph.operations[i] for i in ops]
    root = flow.signals[base.root]
    made = replace(base, ops=ops, head=operation.outputs[0], trail=trail, source="activation", where=operation.where)
    label = expressions.name_of(operations)
    if expressions.affine(operations):  # a scaled or shifted signal is still what its root is
        made, label = replace(made, source=root.source, where=root.where), root.label or "data"
    if root.region != base.root:  # no Gaussian root: measured from the region's, if anything asks
        return replace(made, second=None, mean=None, label=label if made.source != "data" else None)
    moments = expressions.function_moments(flow, made)
    if moments is None:
        return replace(made, second=None, mean=None, label=label, note=f"{label} has no finite moments")
    return replace(made, second=moments[1], mean=moments[0], label=label if made.source != "data" else None)


def _counts(flow: Flow, value: int) -> bool:
    """Whether a value holds places (of what is not zero, of the largest) rather than a signal."""
    dtype = flow.value(value).dtype
    return not (dtype.is_floating_point or dtype.is_complex)


def _mixed(flow: Flow, operation: Operation, signals: list[Signal]) -> Signal:
    second = sum(signal.second or 0.0 for signal in signals) / len(signals)
    mean = sum(signal.center for signal in signals) / len(signals)
    return flow.fresh(operation, second, mean, "sum", "where")


def _unsure(flow: Flow, operation: Operation, signal: Signal, note: str = "") -> Signal:
    words = note or f"what {operation.kind} does to the second moment is not known"
    return flow.fresh(operation, None, None, "unknown", operation.kind, words)


# -- sums and products of two --


@rule("add", "sub")
def added(flow: Flow, operation: Operation) -> Signal:
    signals = [signal for _, signal in flow.carried(operation)]
    fixed = constants(flow, operation)
    if alike(signals) and not fixed:
        return composed(flow, operation, signals)
    if len(signals) == 1:
        return _with_constant(flow, operation, signals[0], fixed)
    if _one_region(signals):
        return flow.later(operation, "sum", "sum")
    signals = [settled(flow, signal) for signal in signals]
    if any(signal.second is None for signal in signals):
        note = next(signal.note for signal in signals if signal.second is None)
        return flow.fresh(operation, None, None, "sum", "sum", note or "a sum with an unknown part")
    sign = -1 if operation.kind == "sub" else 1
    first, second = signals[0], signals[1]
    total = (first.second or 0) + (second.second or 0) + 2 * sign * first.center * second.center
    return flow.fresh(operation, total, first.center + sign * second.center, "sum", "sum")


def _one_region(signals: list[Signal]) -> bool:
    """Whether both are computed from one root, and not from separate parts of it, which are independent."""
    return len({signal.region for signal in signals}) == 1 and not apart(signals[0], signals[1])


def apart(first: Signal, second: Signal) -> bool:
    """Whether two views of one value take different pieces of it."""
    for one, other in zip(first.layout, second.layout, strict=False):
        if one != other:
            return one[0] == other[0] and (one[1] == other[1] or one[0] in ("getitem", "select", "narrow"))
    return False


def _with_constant(flow: Flow, operation: Operation, signal: Signal, fixed: list[tuple[float, float] | None]) -> Signal:
    """A signal and a fixed tensor, such as sinusoidal positions or a layer scale."""
    moments, signal = fixed[0] if len(fixed) == 1 else None, settled(flow, signal)
    if operation.kind == "div" and moments is not None:
        moments = _reciprocal(flow, operation)
    trail = signal.trail | {operation.index}
    if signal.second is None or moments is None:
        return replace(_unsure(flow, operation, signal), region=signal.region, trail=trail)
    mean, second = moments
    if operation.kind in ("mul", "div"):
        made = flow.fresh(operation, signal.second * second, signal.center * mean, signal.source, signal.label)
    else:
        total = signal.second + second + 2 * signal.center * mean
        made = flow.fresh(operation, total, signal.center + mean, signal.source, signal.label)
    return replace(made, where=signal.where, region=signal.region, trail=trail)


def _reciprocal(flow: Flow, operation: Operation) -> tuple[float, float] | None:
    """(mean, second moment) of one over the fixed tensor that a signal is divided by."""
    divisor = operation.inputs[-1]
    tensor = None if divisor in flow.signals else held(flow, divisor)
    if tensor is None or not tensor.is_floating_point() or bool((tensor == 0).any()):
        return None
    return constant_moments(1 / tensor)


@rule("mul", "div")
def multiplied(flow: Flow, operation: Operation) -> Signal:
    signals = [signal for _, signal in flow.carried(operation)]
    fixed = constants(flow, operation)
    if alike(signals) and not fixed:
        return composed(flow, operation, signals)
    if len(signals) == 1:
        return _with_constant(flow, operation, signals[0], fixed)
    if _one_region(signals) or operation.kind == "div":
        regions = {signal.region for signal in signals}
        found = measured(flow, operation, signals[0], "product", "product") if len(regions) == 1 else None
        return found or _unsure(flow, operation, signals[0])
    signals = [settled(flow, signal) for signal in signals]
    labels = "×".join(str(signal.label or "data") for signal in signals)
    if any(signal.second is None for signal in signals):
        return flow.fresh(operation, None, None, "product", labels, "a product with an unknown factor")
    second = math.prod(signal.second or 0.0 for signal in signals)
    return flow.fresh(operation, second, math.prod(signal.center for signal in signals), "product", labels)


@rule("index_add", "scatter_add")
def accumulated(flow: Flow, operation: Operation) -> Signal:
    """Rows added where an index says: n/m of them to each place, taken as independent, on top of what was there."""
    base, added = (
        operation.argument(0, "input"),
        operation.argument(3, "src" if "src" in operation.kwargs else "source"),
    )
    signal = flow.signals.get(added.value) if isinstance(added, Ref) else None
    if signal is None or not isinstance(base, Ref):
        return overwritten(flow, operation)
    signal = settled(flow, signal)
    under = settled(flow, flow.signals[base.value]) if base.value in flow.signals else None
    mean, second = (under.center, under.second) if under is not None else flow.value(base.value).moments or (0.0, None)
    if signal.second is None or second is None:
        return _unsure(flow, operation, signal, signal.note)
    share = math.prod(flow.value(added.value).shape) / max(1, math.prod(flow.value(base.value).shape))
    spread = signal.second - signal.center**2
    sums = share * signal.second if share <= 1 else share * spread + (share * signal.center) ** 2
    total = second + sums + 2 * mean * share * signal.center
    return flow.fresh(operation, total, mean + share * signal.center, "sum", "sum")


@rule("alias", "setitem", "index_put", "index_copy", "masked_scatter", "copy")
def overwritten(flow: Flow, operation: Operation) -> Signal:
    """Part of a tensor was written anew: it holds both signals."""
    signals = [signal for value, signal in flow.carried(operation) if not _counts(flow, value)]
    if len(signals) == 1:
        layout = (*signals[0].layout, (operation.kind, str(operation.index), 0))
        return replace(signals[0], layout=layout, trail=signals[0].trail | {operation.index})
    if not signals:  # places, not signals: which expert takes which token
        return flow.fresh(operation, None, None, "unknown", operation.kind, "numbers that say where, not how much")
    if any(signal.second is None for signal in signals):
        return _unsure(flow, operation, signals[0])
    return replace(_mixed(flow, operation, signals[:2]), source="concat", label="parts")


@rule("randn_like", "rand_like")
def noise(flow: Flow, operation: Operation) -> Signal:
    """Noise of a signal's shape, as the reparametrisation of a variational autoencoder draws it."""
    mean, second = (0.0, 1.0) if operation.kind == "randn_like" else (1 / 2, 1 / 3)
    return flow.fresh(operation, second, mean, "data", "noise")


@rule("cat", "stack", "hstack", "vstack", "dstack", "column_stack", "meshgrid", "block_diag")
def joined(flow: Flow, operation: Operation) -> Signal:
    """The second moment of all the numbers together; constants (an empty cache, zero padding) count with their own."""
    parts: list[tuple[int, float | None, float]] = []
    for value in operation.inputs:
        size = math.prod(flow.value(value).shape)
        if value in flow.signals:
            signal = settled(flow, flow.signals[value])
            parts.append((size, signal.second, signal.center))
        elif flow.value(value).moments is not None:
            mean, second = flow.value(value).moments or (0.0, 0.0)
            parts.append((size, second, mean))
    signals = [signal for _, signal in flow.carried(operation)]
    labels = list(dict.fromkeys(signal.label or "data" for signal in signals))
    label = labels[0] if len(labels) == 1 else "concat of " + ", ".join(labels)
    total = sum(size for size, _, _ in parts)
    if not total or any(second is None for _, second, _ in parts):
        return flow.fresh(operation, None, None, "concat", label, "a concat with an unknown part")
    if len(signals) == 1 and len([size for size, _, _ in parts if size]) == 1:
        return signals[0]
    second = sum(size * (value or 0.0) for size, value, _ in parts) / total
    return flow.fresh(operation, second, sum(size * mean for size, _, mean in parts) / total, "concat", label)


# -- norms --


@rule("layer_norm", "batch_norm", "group_norm", "instance_norm", "rms_norm", "native_layer_norm", "native_batch_norm")
def normalised(flow: Flow, operation: Operation) -> Signal:
    """Second moment one, whatever came in."""
    mean = flow.carried(operation)[0][1].mean if operation.kind == "rms_norm" else 0.0
    made = flow.fresh(operation, 1.0, mean, "norm", operation.kind)
    applied = {"weight", "bias"} if operation.parameters else set()
    return replace(made, affine=frozenset(applied))


# -- many numbers into one --


@rule(
    "max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "lp_pool1d", "lp_pool2d",
    "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d", "fractional_max_pool2d", "amax", "amin",
    "glu", "max", "min", "max_pool2d_with_indices", "logsumexp", "normalize", "local_response_norm", "cumsum",
    "topk", "fold",
)  # fmt: skip
def pooled(flow: Flow, operation: Operation) -> Signal:
    """What a window makes of independent neighbours, by running it on noise (with the activation before it)."""
    carried = flow.carried(operation)
    signals = [signal for _, signal in carried]
    if operation.kind in ("max", "min") and len(signals) == 2:
        return elementwise(flow, operation)
    base = signals[0]
    label = operation.kind if base.source in ("data", "weight", "norm") else f"{operation.kind} of {base.label}"
    made = measured(flow, operation, base, "pool", label)
    if made is None:
        return replace(_unsure(flow, operation, base), region=base.region, trail=base.trail | {operation.index})
    return replace(made, where=operation.where)


@rule(
    "mean", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "sum", "var", "std", "norm",
    "median", "nanmean", "vector_norm", "var_mean", "std_mean", "linalg_vector_norm", "linalg_norm", "prod",
    "segment_reduce",
)  # fmt: skip
def averaged(flow: Flow, operation: Operation) -> list[Signal]:
    """A mean over a whole axis: between second/n (independent positions) and second (all alike), taken as alike.

    Other reductions give a statistic, which only counts where a norm is made of it.
    """
    signal = flow.carried(operation)[0][1]
    trail = signal.trail | {operation.index}
    average = operation.kind in ("mean", "nanmean") or "avg_pool" in operation.kind
    source = "pool" if average else "unknown"
    label = f"mean of {signal.label or 'data'}" if average else operation.kind
    note = "positions taken as alike" if average else f"{operation.kind} of independent numbers"
    second, mean = (signal.second, signal.mean) if average else (None, None)
    made = flow.fresh(operation, second, mean, source, label, note)
    return [
        replace(made, root=value, head=value, region=signal.region, trail=trail, where=signal.where)
        for value in operation.outputs
    ]


@rule("softmax", "log_softmax", "softmin", "gumbel_softmax", "sparsemax")
def softmaxed(flow: Flow, operation: Operation) -> Signal:
    return flow.later(operation, "softmax", operation.kind)


# -- products of signals; attention --


@rule(
    "matmul", "mm", "bmm", "einsum", "dot", "mv", "inner", "baddbmm", "rmatmul", "outer", "tensordot", "addbmm", "cdist"
)
def matrix_product(flow: Flow, operation: Operation) -> Signal:
    """Two signals multiplied: attention where one of them is a softmax, else a sum of independent products."""
    signals = [signal for _, signal in flow.carried(operation)]
    weights = [signal for signal in signals if signal.source == "softmax"]
    if weights and len(signals) >= 2:
        return _attended(flow, operation, next(signal for signal in signals if signal.source != "softmax"))
    count = _contracted(flow, operation)
    if len(signals) == 1 and operation.inputs.count(flow.carried(operation)[0][0]) < 2:
        return _fixed_product(flow, operation, signals[0])
    signals = [settled(flow, signal) for signal in signals]
    if len(signals) < 2 or count is None or any(signal.second is None for signal in signals[-2:]):
        return _unsure(flow, operation, signals[0], "a product of two signals")
    a, b = signals[-2:]
    second = count * (a.second or 0) * (b.second or 0) + count * (count - 1) * (a.center * b.center) ** 2
    return flow.fresh(operation, second, count * a.center * b.center, "product", "product of signals")


def _fixed_product(flow: Flow, operation: Operation, signal: Signal) -> Signal:
    """A fixed matrix (an adjacency, a filter bank) times a signal: measured."""
    found = measured(flow, operation, signal, "fixed product", "fixed product")
    return found or _unsure(flow, operation, signal, "a fixed matrix whose values could not be read")


def _contracted(flow: Flow, operation: Operation) -> int | None:
    shapes = {value: flow.value(value).shape for value in operation.inputs}
    if operation.kind == "einsum":
        parsed = einsum_terms(operation, shapes)
        if parsed is None:
            return None
        terms, output, operands = parsed
        sizes = {
            letter: size
            for term, item in zip(terms, operands, strict=False)
            for letter, size in zip(term, shapes[item.value], strict=False)
        }
        return math.prod(size for letter, size in sizes.items() if letter not in output)
    if operation.kind == "outer":
        return 1
    first = shapes[operation.inputs[-2]]
    return first[-1] if first else None


@rule("scaled_dot_product_attention", "flash_attn_func", "flex_attention")
def attention(flow: Flow, operation: Operation) -> Signal:
    carried = flow.carried(operation)
    return _attended(flow, operation, carried[min(2, len(carried) - 1)][1])


def _attended(flow: Flow, operation: Operation, values: Signal) -> Signal:
    """An average of the values: between second/tokens and second, taken as the latter."""
    return flow.fresh(operation, values.second, values.mean, "attention", "attention", "positions taken as alike")


# -- whole layers in one call --


@rule("lstm", "lstm_cell", "gru", "gru_cell", "rnn_tanh", "rnn_relu", "rnn_cell")
def recurrent(flow: Flow, operation: Operation) -> list[Signal]:
    kind = recurrent_kind(operation)
    second = settled_state(kind)
    made = flow.fresh(operation, second, 0.0, "recurrent", kind, "state after many steps")
    return [replace(made, root=value, head=value, region=value) for value in operation.outputs]


def recurrent_kind(operation: Operation) -> str:
    """ "lstm", "gru", "rnn_tanh" or "rnn_relu"."""
    name = operation.name if operation.kind == "rnn_cell" else operation.kind
    return name.removesuffix("_cell")


@rule("multi_head_attention_forward")
def attention_layer(flow: Flow, operation: Operation) -> list[Signal]:
    """Its output projection gives a unit signal; the second output is the attention weights."""
    made = flow.fresh(operation, 1.0, 0.0, "weight", "attention_layer")
    return [replace(made, root=value, head=value, region=value) for value in operation.outputs]
