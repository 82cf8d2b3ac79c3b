"""How each operation uses its parameters: one entry an operation, giving the weight and the axes it sums over."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from initlab.graph.layers import (
    bilinear_geometry,
    conv_geometry,
    conv_transpose_geometry,
    embedding_geometry,
)
from initlab.graph.recording import Operation, Ref
from initlab.graph.views import ParameterView
from initlab.schemes.geometry import Geometry


@dataclass(frozen=True)
class WeightUse:
    """One operand that is made of parameters, as an operation uses it.

    Args:
        view: the operand.
        role: its role in this operation.
        signal: the value that it is applied to; None for a bias.
        geometry: the weight's fans and axes, where they can be told.
    """

    view: ParameterView
    role: str
    signal: int | None = None
    geometry: Geometry | None = None


Views = dict[int, ParameterView]
Reader = Callable[[Operation, Views, "Shapes"], list[WeightUse]]
Shapes = dict[int, tuple[int, ...]]


def weight_uses(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse] | None:
    """The parameters' parts in an operation; None when it is not one that applies weights."""
    reader = READERS.get(operation.kind)
    return None if reader is None else reader(operation, views, shapes)


def _value(item: Any) -> int | None:
    return item.value if isinstance(item, Ref) else None


def _view(item: Any, views: Views) -> ParameterView | None:
    return views.get(item.value) if isinstance(item, Ref) else None


def _biased(
    operation: Operation, views: Views, position: int, name: str = "bias", role: str = "bias"
) -> list[WeightUse]:
    view = _view(operation.argument(position, name), views)
    return [] if view is None else [WeightUse(view, role)]


# -- a weight given as a set of summed and produced axes --


def from_axes(view: ParameterView, summed: list[int], made: list[int], batch: list[int]) -> Geometry | None:
    """The geometry of a weight of which a product sums over some axes of the view and makes others."""
    if view.axes is None:
        return None
    fan_in = math.prod(view.shape[i] for i in summed)
    fan_out = math.prod(view.shape[i] for i in made if view.axes[i] or not view.stacked)
    if not fan_in or not fan_out:
        return None
    whole = view.whole
    ins, outs = _original(view, summed), _original(view, made)
    if not made and batch and len(whole) > 1:
        outs = _original(view, batch)
    if len(whole) < 2 or not ins or not outs or ins[0] == outs[0]:
        return Geometry(whole, fan_in, fan_out) if len(whole) < 2 and whole else None
    kind = "linear" if (outs[0], ins[0]) == (0, 1) and len(whole) == 2 else "other"
    if (outs[0], ins[0], len(whole)) == (1, 0, 2):
        return Geometry(whole, fan_in, fan_out, out_axis=1, in_axis=0, kind="transformers_conv1d")
    return Geometry(whole, fan_in, fan_out, out_axis=outs[0], in_axis=ins[0], kind=kind)


def _original(view: ParameterView, dims: list[int]) -> list[int]:
    assert view.axes is not None
    found = [axis for i in dims for axis in view.axes[i]]
    shape = view.whole
    return sorted(dict.fromkeys(found), key=lambda axis: -shape[axis] if axis < len(shape) else 0)


# -- readers --


def _linear(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    signal, weight = operation.argument(0, "input"), _view(operation.argument(1, "weight"), views)
    found = _biased(operation, views, 2)
    if weight is None:
        return found
    if len(weight.shape) == 1:
        return [WeightUse(weight, "weight", _value(signal), from_axes(weight, [0], [], [])), *found]
    return [WeightUse(weight, "weight", _value(signal), from_axes(weight, [1], [0], [])), *found]


def _product(left: Any, right: Any, views: Views, shapes: Shapes) -> list[WeightUse]:
    """left @ right with torch.matmul's rules."""
    found = []
    a, b = _view(left, views), _view(right, views)
    if b is not None and a is None:
        rank = len(b.shape)
        summed, made = ([0], []) if rank == 1 else ([rank - 2], [rank - 1])
        found.append(WeightUse(b, "weight", _value(left), from_axes(b, summed, made, list(range(rank - 2)))))
    if a is not None and b is None:
        rank = len(a.shape)
        summed, made = ([0], []) if rank == 1 else ([rank - 1], [rank - 2])
        found.append(WeightUse(a, "weight", _value(right), from_axes(a, summed, made, list(range(rank - 2)))))
    return found


def _matmul(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    return _product(operation.argument(0, "input"), operation.argument(1, "other"), views, shapes)


def _bmm(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    return _product(operation.argument(0, "input"), operation.argument(1, "mat2"), views, shapes)


def _rmatmul(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    return _product(operation.argument(1, "other"), operation.argument(0, "input"), views, shapes)


def _added_product(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    left, right = _first(operation, 1, "mat1", "batch1", "mat"), _first(operation, 2, "mat2", "batch2", "vec")
    return [*_product(left, right, views, shapes), *_biased(operation, views, 0, "input")]


def _first(operation: Operation, position: int, *names: str) -> Any:
    for name in names:
        if name in operation.kwargs:
            return operation.kwargs[name]
    return operation.argument(position, names[0])


def _einsum(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    parsed = einsum_terms(operation, shapes)
    if parsed is None:
        return []
    terms, output, operands = parsed
    found = []
    for place, item in enumerate(operands):
        view = _view(item, views)
        if view is None or len(terms[place]) != len(view.shape):
            continue
        others = {letter for i, term in enumerate(terms) if i != place for letter in term}
        letters = terms[place]
        summed = [i for i, letter in enumerate(letters) if letter not in output]
        made = [i for i, letter in enumerate(letters) if letter in output and letter not in others]
        batch = [i for i, letter in enumerate(letters) if letter in output and letter in others]
        signal = next(
            (_value(other) for i, other in enumerate(operands) if i != place and _view(other, views) is None), None
        )
        if signal is None:
            continue
        if not summed and len(letters) - len(batch) == 0:
            found.append(WeightUse(view, "other", signal))
            continue
        found.append(WeightUse(view, "weight", signal, from_axes(view, summed, made, batch)))
    return found


def einsum_terms(operation: Operation, shapes: Shapes) -> tuple[list[str], str, list[Any]] | None:
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
        view = _view(item, views)
        if view is not None and _view(other, views) is None:
            made = [i for i in range(len(view.shape)) if i not in over]
            found.append(WeightUse(view, "weight", _value(other), from_axes(view, over, made, [])))
    return found


def _tuple(item: Any, rank: int) -> tuple[int, ...]:
    if isinstance(item, int):
        return (item,) * rank
    numbers = tuple(int(size) for size in item)
    return numbers * rank if len(numbers) == 1 else numbers


def _conv(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    weight = _view(operation.argument(1, "weight"), views)
    found = _biased(operation, views, 2)
    if weight is None or len(weight.shape) < 3:
        return found
    stride = _tuple(operation.argument(3, "stride", 1), len(weight.shape) - 2)
    geometry = conv_geometry(weight.shape, stride, int(operation.argument(6, "groups", 1)))
    return [_kernel(operation, weight, geometry), *found]


def _conv_transpose(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    weight = _view(operation.argument(1, "weight"), views)
    found = _biased(operation, views, 2)
    if weight is None or len(weight.shape) < 3:
        return found
    stride = _tuple(operation.argument(3, "stride", 1), len(weight.shape) - 2)
    geometry = conv_transpose_geometry(weight.shape, stride, int(operation.argument(6, "groups", 1)))
    return [_kernel(operation, weight, geometry), *found]


def _kernel(operation: Operation, weight: ParameterView, geometry: Geometry) -> WeightUse:
    """A kernel that is the parameter itself keeps its axes; a reshaped one keeps its fans."""
    signal = _value(operation.argument(0, "input"))
    whole = weight.whole
    if whole == weight.shape:
        return WeightUse(weight, "weight", signal, geometry)
    if weight.axes is None or len(whole) < 2:
        return WeightUse(weight, "weight", signal)
    outs, ins = _original(weight, [geometry.out_axis]), _original(weight, [geometry.in_axis])
    if not outs or not ins or outs[0] == ins[0]:
        return WeightUse(weight, "weight", signal)
    return WeightUse(
        weight, "weight", signal, Geometry(whole, geometry.fan_in, geometry.fan_out, outs[0], ins[0], kind="other")
    )


def _embedding(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    for item in (operation.argument(0, "input"), operation.argument(1, "weight")):
        view = _view(item, views)
        if view is not None and len(view.shape) == 2:
            same = view.whole == view.shape
            return [WeightUse(view, "embedding", None, embedding_geometry(view.shape) if same else None)]
    return []


def _looked_up(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    """table[ids] and index_select: rows of a parameter read by number."""
    view = _view(operation.argument(0, "input"), views)
    index = operation.argument(2, "index") if operation.kind == "index_select" else operation.argument(1, "index")
    if view is None or len(view.shape) != 2 or not isinstance(index, Ref):
        return []
    return [WeightUse(view, "embedding", None, embedding_geometry(view.shape))]


def _bilinear(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    weight = _view(operation.argument(2, "weight"), views)
    found = _biased(operation, views, 3)
    if weight is None:
        return found
    return [
        WeightUse(weight, "weight", _value(operation.argument(0, "input1")), bilinear_geometry(weight.shape)),
        *found,
    ]


def _norm(weight_at: int, bias_at: int) -> Reader:
    def read(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
        scale = _biased(operation, views, weight_at, "weight", "norm_weight")
        return [*scale, *_biased(operation, views, bias_at, "bias", "norm_bias")]

    return read


def _prelu(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    return _biased(operation, views, 1, "weight", "other")


def _fused(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    """One call that runs a whole recurrent or attention layer: the layer's type says what each parameter is."""
    return []


READERS: dict[str, Reader] = {
    "linear": _linear,
    "matmul": _matmul,
    "mm": _bmm,
    "mv": _bmm,
    "dot": _bmm,
    "bmm": _bmm,
    "grouped_mm": _bmm,
    "inner": _linear,
    "rmatmul": _rmatmul,
    "addmm": _added_product,
    "addmv": _added_product,
    "addbmm": _added_product,
    "baddbmm": _added_product,
    "einsum": _einsum,
    "tensordot": _tensordot,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "embedding": _embedding,
    "embedding_bag": _embedding,
    "getitem": _looked_up,
    "index_select": _looked_up,
    "bilinear": _bilinear,
    "layer_norm": _norm(2, 3),
    "group_norm": _norm(2, 3),
    "batch_norm": _norm(3, 4),
    "instance_norm": _norm(3, 4),
    "rms_norm": _norm(2, -1),
    "prelu": _prelu,
}
NORMS = frozenset({"layer_norm", "group_norm", "batch_norm", "instance_norm", "rms_norm"})
LOOKS_UP = frozenset({"embedding", "embedding_bag", "getitem", "index_select"})
APPLIES = frozenset(READERS) - NORMS - LOOKS_UP - {"prelu"}  # sums over an axis of a weight

__all__ = ["APPLIES", "LOOKS_UP", "NORMS", "READERS", "WeightUse", "einsum_terms", "from_axes", "weight_uses"]
