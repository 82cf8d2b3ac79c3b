"""Products summed over an axis: of a signal and a weight, of two signals, of a signal and a fixed matrix."""

from __future__ import annotations

import math
from typing import Any

from initlab.graph.flow import Flow
from initlab.graph.layers import bilinear_geometry
from initlab.graph.operations.op import Op, factor_named, unknown
from initlab.graph.operations.simulated import simulated, to_unit
from initlab.graph.recording import Operation, Ref
from initlab.graph.regions import measured, settled
from initlab.graph.signals import Signal
from initlab.graph.weights import Shapes, Views, WeightUse, biased, from_axes, value_of, view_of


def matrix_product(flow: Flow, operation: Operation) -> Signal:
    """Two signals multiplied: attention where one of them is a softmax, else a sum of independent products."""
    carried = flow.carried(operation)
    signals = [signal for _, signal in carried]
    shares = [signal for signal in signals if signal.source == "softmax"]
    right = _averaged_values(flow, operation)
    if shares and len(signals) >= 2:
        plain = right is not None and shares[0] is flow.signals[operation.inputs[-2]] and len(shares) == 1
        if plain and (found := simulated(flow, operation, right)) is not None:
            return found
        count, weights = _contracted(flow, operation), settled(flow, shares[0])
        of_squares = None if count is None or weights.second is None else min(count * weights.second, 1.0)
        values = next((signal for signal in signals if signal.source != "softmax"), signals[-1])
        return flow.averaged(operation, settled(flow, values), of_squares, count or 1)
    count = _contracted(flow, operation)
    if len(operation.inputs) > 1 and set(operation.inputs) <= flow.signals.keys():
        if len({signal.region for signal in signals}) == 1:
            return flow.later(operation, "product", "product of signals")  # made of the same numbers: not independent
    elif len(signals) == 1:
        return _fixed_product(flow, operation, signals[0])
    of_products = any(signal.region in flow.origins for signal in signals)
    if of_products and (found := simulated(flow, operation, right, sure=False)) is not None:
        return found
    signals = [settled(flow, signal) for signal in signals]
    if len(signals) < 2 or count is None or any(signal.second is None for signal in signals[-2:]):
        return flow.unsure(operation, "a product of two signals")
    a, b = signals[-2:]
    if operation.kind == "cdist":
        return _distance(flow, operation, a, b, count)
    mean, second = _sum_of_products(a, b, count)
    flow.origins[operation.outputs[0]] = flow.origin(operation)
    second *= to_unit(flow, operation, signals[-2], second)
    return flow.fresh(operation, second, mean, "product", "product of signals")


def _averaged_values(flow: Flow, operation: Operation) -> int | None:
    """The second operand of (…, queries, keys) times (…, keys, features); None of other products of two signals.

    Heads may share their values, as in multi-query attention.
    """
    left, right = operation.inputs[-2:] if len(operation.inputs) > 1 else (-1, -1)
    if left not in flow.signals or right not in flow.signals or len(flow.value(right).shape) < 2:
        return None
    if operation.kind == "einsum":
        parsed = _einsum_terms(operation, {value: flow.value(value).shape for value in operation.inputs})
        (a, b), made = (parsed[0], parsed[1]) if parsed is not None and len(parsed[0]) == 2 else (("", ""), "")
        shared = len(a) > 1 and len(b) > 1 and b[-2] == a[-1] and set(b[:-2]) <= set(a[:-2])
        return right if shared and made == a[:-1] + b[-1:] else None
    return right if operation.kind in ("matmul", "bmm") else None


def _sum_of_products(a: Signal, b: Signal, count: int) -> tuple[float, float]:
    """Mean and second moment of a sum of so many products of independent numbers."""
    second = count * (a.second or 0) * (b.second or 0) + count * (count - 1) * (a.center * b.center) ** 2
    return count * a.center * b.center, second


def added_product(flow: Flow, operation: Operation) -> Signal:
    """β·input + α·product, of independent numbers; measured where they are made of the same."""
    factors = (_first(operation, 1, "mat1", "batch1", "mat"), _first(operation, 2, "mat2", "batch2", "vec"))
    signals = [flow.signals[item.value] for item in factors if isinstance(item, Ref) and item.value in flow.signals]
    under = operation.argument(0, "input")
    if len(signals) < 2 or signals[0].region == signals[1].region or not isinstance(under, Ref):
        return unknown(flow, operation)
    a, b = (settled(flow, signal) for signal in signals)
    alpha, beta = factor_named(operation, "alpha"), factor_named(operation, "beta")
    known = settled(flow, flow.signals[under.value]) if under.value in flow.signals else None
    mean, second = (known.center, known.second) if known else flow.value(under.value).moments or (0.0, None)
    if not beta:
        mean, second = 0.0, 0.0
    count = _contracted(flow, operation)
    if a.second is None or b.second is None or second is None or count is None:
        return flow.unsure(operation, "a product of two signals")
    made, square = _sum_of_products(a, b, count)
    total = beta**2 * second + alpha**2 * square + 2 * alpha * beta * mean * made
    return flow.fresh(operation, total, beta * mean + alpha * made, "product", "product of signals")


def _distance(flow: Flow, operation: Operation, a: Signal, b: Signal, count: int) -> Signal:
    """torch.cdist: E[Σ (aᵢ − bᵢ)²] of independent rows; other norms than the second are not known."""
    if operation.argument(2, "p", 2.0) != 2:
        return flow.unsure(operation)
    second = count * ((a.second or 0) + (b.second or 0) - 2 * a.center * b.center)
    return flow.fresh(operation, second, None, "product", "distance")


def _fixed_product(flow: Flow, operation: Operation, signal: Signal) -> Signal:
    """A fixed matrix (an adjacency, a filter bank) times a signal: measured."""
    found = measured(flow, operation, signal, "fixed product", "fixed product")
    return found or flow.unsure(operation, "a fixed matrix whose values could not be read")


def _contracted(flow: Flow, operation: Operation) -> int | None:
    shapes = {value: flow.value(value).shape for value in operation.inputs}
    if operation.kind == "einsum":
        parsed = _einsum_terms(operation, shapes)
        if parsed is None:
            return None
        terms, output, operands = parsed
        sizes = {
            letter: size
            for term, item in zip(terms, operands, strict=False)
            for letter, size in zip(term, shapes[item.value], strict=False)
        }
        return math.prod(size for letter, size in sizes.items() if letter not in output)
    if operation.kind in ("outer", "kron"):
        return 1
    left, right = operation.inputs[-2:] if len(operation.inputs) > 1 else operation.inputs * 2
    if operation.kind == "rmatmul":
        left = right
    first = shapes[left]
    if operation.kind == "tensordot":
        dims = operation.argument(2, "dims", 2)
        over = range(-dims, 0) if isinstance(dims, int) else dims[0]
        return math.prod(first[axis] for axis in over)
    if operation.kind == "addbmm":  # the batch is summed over too
        return first[0] * first[-1]
    return first[-1] if first else None


def _linear(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    signal, weight = operation.argument(0, "input"), view_of(operation.argument(1, "weight"), views)
    found = biased(operation, views, 2)
    if weight is None:
        return found
    if len(weight.shape) == 1:
        return [WeightUse(weight, "weight", value_of(signal), from_axes(weight, [0], [], [])), *found]
    return [WeightUse(weight, "weight", value_of(signal), from_axes(weight, [1], [0], [])), *found]


def _product(left: Any, right: Any, views: Views, shapes: Shapes) -> list[WeightUse]:
    """left @ right with torch.matmul's rules."""
    found = []
    a, b = view_of(left, views), view_of(right, views)
    if b is not None and a is None:
        rank = len(b.shape)
        summed, made = ([0], []) if rank == 1 else ([rank - 2], [rank - 1])
        found.append(WeightUse(b, "weight", value_of(left), from_axes(b, summed, made, list(range(rank - 2)))))
    if a is not None and b is None:
        rank = len(a.shape)
        summed, made = ([0], []) if rank == 1 else ([rank - 1], [rank - 2])
        found.append(WeightUse(a, "weight", value_of(right), from_axes(a, summed, made, list(range(rank - 2)))))
    return found


def _matmul(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    return _product(operation.argument(0, "input"), operation.argument(1, "other"), views, shapes)


def _mm(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    return _product(operation.argument(0, "input"), operation.argument(1, "mat2"), views, shapes)


def _rmatmul(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    return _product(operation.argument(1, "other"), operation.argument(0, "input"), views, shapes)


def _added_product(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    left, right = _first(operation, 1, "mat1", "batch1", "mat"), _first(operation, 2, "mat2", "batch2", "vec")
    return [*_product(left, right, views, shapes), *biased(operation, views, 0, "input")]


def _first(operation: Operation, position: int, *names: str) -> Any:
    for name in names:
        if name in operation.kwargs:
            return operation.kwargs[name]
    return operation.argument(position, names[0])


def _einsum(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    parsed = _einsum_terms(operation, shapes)
    if parsed is None:
        return []
    terms, output, operands = parsed
    found = []
    for place, item in enumerate(operands):
        view = view_of(item, views)
        if view is None or len(terms[place]) != len(view.shape):
            continue
        others = {letter for i, term in enumerate(terms) if i != place for letter in term}
        letters = terms[place]
        summed = [i for i, letter in enumerate(letters) if letter not in output]
        made = [i for i, letter in enumerate(letters) if letter in output and letter not in others]
        batch = [i for i, letter in enumerate(letters) if letter in output and letter in others]
        signal = next(
            (value_of(other) for i, other in enumerate(operands) if i != place and view_of(other, views) is None), None
        )
        if signal is None:
            continue
        if not summed and len(letters) - len(batch) == 0:
            found.append(WeightUse(view, "other", signal))
            continue
        found.append(WeightUse(view, "weight", signal, from_axes(view, summed, made, batch)))
    return found


def _einsum_terms(operation: Operation, shapes: Shapes) -> tuple[list[str], str, list[Any]] | None:
    """The letters of each operand and of the output, the ellipsis spelled out in capitals; None in list form."""
    equation = operation.argument(0, "equation")
    operands = list(operation.args[1:])
    if len(operands) == 1 and isinstance(operands[0], tuple | list):
        operands = list(operands[0])
    if not isinstance(equation, str):
        return None
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    spelled = []
    for term, operand in zip(terms, operands, strict=False):
        rank = len(shapes[operand.value]) if isinstance(operand, Ref) else len(term)
        spelled.append(_spell(term, rank))
    if not arrow:
        letters = "".join(spelled)
        right = "".join(sorted(letter for letter in dict.fromkeys(letters) if letters.count(letter) == 1))
    longest = max((rank for term, rank in zip(terms, map(len, spelled), strict=False) if "..." in term), default=0)
    return spelled, _spell(right, longest + len(right)) if "..." in right else right, operands


def permutation(args: tuple[Any, ...]) -> tuple[int, ...] | None:
    """The order in which an einsum of one tensor takes its axes, where it does no more than that.

    >>> permutation(("nhwpqc->nchpwq",))
    (0, 5, 1, 3, 2, 4)
    """
    left, arrow, right = str(args[0]).replace(" ", "").partition("->")
    alone = len(set(left)) == len(left) and sorted(left) == sorted(right) and left.isalpha()
    return tuple(left.index(letter) for letter in right) if arrow and alone else None


_SPARE = "\u03b1\u03b2\u03b3\u03b4\u03b5\u03b6\u03b7\u03b8"


def _spell(term: str, rank: int) -> str:
    if "..." not in term:
        return term
    named = len(term) - 3
    missing = max(0, min(rank - named, len(_SPARE)))
    return term.replace("...", _SPARE[len(_SPARE) - missing :])


def _tensordot(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    a, b, dims = operation.argument(0, "a"), operation.argument(1, "b"), operation.argument(2, "dims", 2)
    rank_a, rank_b = len(shapes[a.value]), len(shapes[b.value])
    if isinstance(dims, int):
        over_a, over_b = list(range(rank_a - dims, rank_a)), list(range(dims))
    else:
        over_a, over_b = ([dim % rank for dim in part] for part, rank in zip(dims, (rank_a, rank_b), strict=True))
    found = []
    for item, other, over in ((a, b, over_a), (b, a, over_b)):
        view = view_of(item, views)
        if view is not None and view_of(other, views) is None:
            made = [i for i in range(len(view.shape)) if i not in over]
            found.append(WeightUse(view, "weight", value_of(other), from_axes(view, over, made, [])))
    return found


def _bilinear(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    weight = view_of(operation.argument(2, "weight"), views)
    found = biased(operation, views, 3)
    if weight is None:
        return found
    first, second = (value_of(operation.argument(*place)) for place in ((0, "input1"), (1, "input2")))
    return [WeightUse(weight, "weight", first, bilinear_geometry(weight.shape), beside=second), *found]


OPS = (
    Op(("linear",), weights=_linear, combines="contraction", units=0),
    Op(("bilinear",), weights=_bilinear, combines="contraction", units=0),
    Op(("matmul",), matrix_product, weights=_matmul, combines="contraction", units=1),
    Op(("rmatmul",), matrix_product, weights=_rmatmul, combines="contraction"),
    Op(("mm",), matrix_product, names=("sparse_mm",), weights=_mm, combines="contraction", units=1),
    Op(("bmm",), matrix_product, weights=_mm, combines="contraction", units=0),
    Op(("mv", "dot"), matrix_product, weights=_mm, combines="contraction"),
    Op(("inner",), matrix_product, weights=_linear, combines="contraction"),
    Op(("grouped_mm",), weights=_mm, combines="contraction"),
    Op(("addmm",), added_product, weights=_added_product, combines="contraction", units=1),
    Op(("addmv",), added_product, weights=_added_product, combines="contraction"),
    Op(("baddbmm",), added_product, weights=_added_product, combines="contraction", units=0),
    Op(("addbmm",), added_product, weights=_added_product, combines="contraction"),
    Op(("einsum",), matrix_product, weights=_einsum, combines="contraction", units=0),
    Op(("tensordot",), matrix_product, weights=_tensordot, combines="contraction"),
    Op(("outer", "kron"), matrix_product, combines="contraction"),
    Op(("cdist",), matrix_product, degree=1.0, even=True),
    Op(("weight_norm",), combines="product"),
    Op(("multi_dot",), names=("chain_matmul",), combines="contraction"),
)
