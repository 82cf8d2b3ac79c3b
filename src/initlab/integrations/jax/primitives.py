"""Each jax primitive as a torch function: elementwise functions, reductions and moves. One entry a primitive."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from initlab.integrations.jax.program import Const, Step

Tensor = torch.Tensor
Operand = Any  # a tensor or a Const
Handler = Callable[..., Any]
HANDLERS: dict[str, Handler] = {}


def handles(*kinds: str) -> Callable[[Handler], Handler]:
    """Registers the torch function of primitives: (step, *operands) -> a tensor, or a list of them."""

    def register(function: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(kinds, function))
        return function

    return register


def tensor_of(operand: Operand) -> Tensor:
    """A constant as a tensor; a tensor as it is."""
    if not isinstance(operand, Const):
        return operand  # type: ignore[no-any-return]
    array = operand.array
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)
    return torch.from_numpy(np.array(array))


def plain(operand: Operand) -> Any:
    """A constant whose elements are all the same as a number; else a tensor."""
    number = operand.scalar() if isinstance(operand, Const) else None
    return tensor_of(operand) if number is None else number


def torch_dtype(dtype: Any) -> torch.dtype:
    """The torch dtype of the same name; unsigned integers become int64."""
    name = np.dtype(dtype).name
    if name.startswith("uint") and name != "uint8":
        return torch.int64
    return getattr(torch, name)  # type: ignore[no-any-return]


_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "exp": torch.exp, "exp2": torch.exp2, "log": torch.log, "log1p": torch.log1p, "expm1": torch.expm1,
    "tanh": torch.tanh, "logistic": torch.sigmoid, "erf": torch.erf, "erfc": torch.erfc, "erf_inv": torch.erfinv,
    "rsqrt": torch.rsqrt, "sqrt": torch.sqrt, "square": torch.square, "abs": torch.abs, "sign": torch.sign,
    "neg": torch.neg, "floor": torch.floor, "ceil": torch.ceil, "sin": torch.sin, "cos": torch.cos, "tan": torch.tan,
    "asin": torch.asin, "acos": torch.acos, "atan": torch.atan, "sinh": torch.sinh, "cosh": torch.cosh,
    "asinh": torch.asinh, "acosh": torch.acosh, "atanh": torch.atanh, "is_finite": torch.isfinite,
    "not": torch.logical_not, "round": torch.round, "lgamma": torch.lgamma, "digamma": torch.digamma,
    "stop_gradient": torch.Tensor.detach,
}  # fmt: skip


def _unary(function: Callable[[Tensor], Tensor]) -> Handler:
    return lambda step, x: function(x)


HANDLERS.update({kind: _unary(function) for kind, function in _UNARY.items()})

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add, "add_any": operator.add, "sub": operator.sub, "mul": operator.mul, "pow": operator.pow,
    "and": operator.and_, "or": operator.or_, "xor": operator.xor, "eq": operator.eq, "ne": operator.ne,
    "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}  # fmt: skip


def _binary(function: Callable[[Any, Any], Any]) -> Handler:
    def handle(step: Step, x: Operand, y: Operand) -> Any:
        return _shaped(function(plain(x), plain(y)), step)

    return handle


def _shaped(made: Tensor, step: Step) -> Tensor:
    """A constant of one number may have been the wider operand."""
    return made if tuple(made.shape) == step.shapes[0] else made.expand(step.shapes[0])


HANDLERS.update({kind: _binary(function) for kind, function in _BINARY.items()})


@handles("div")
def _div(step: Step, x: Operand, y: Operand) -> Tensor:
    if np.issubdtype(step.dtypes[0], np.integer):
        return torch.div(tensor_of(x), tensor_of(y), rounding_mode="trunc")
    return _shaped(plain(x) / plain(y), step)


@handles("rem")
def _rem(step: Step, x: Operand, y: Operand) -> Tensor:
    return torch.fmod(tensor_of(x), plain(y))


@handles("max", "min")
def _extreme(step: Step, x: Operand, y: Operand) -> Tensor:
    x, y, largest = plain(x), plain(y), step.kind == "max"
    if isinstance(x, Tensor) and isinstance(y, Tensor):
        return torch.maximum(x, y) if largest else torch.minimum(x, y)
    tensor, number = (x, y) if isinstance(x, Tensor) else (y, x)
    if largest and number == 0:
        return _shaped(torch.relu(tensor), step)
    return _shaped(torch.clamp(tensor, **{"min" if largest else "max": number}), step)


@handles("clamp")
def _clamp(step: Step, low: Operand, x: Operand, high: Operand) -> Tensor:
    low, high = plain(low), plain(high)
    return torch.clamp(tensor_of(x), low, high)


@handles("integer_pow")
def _integer_pow(step: Step, x: Tensor) -> Tensor:
    return torch.square(x) if step.params["y"] == 2 else x ** step.params["y"]


@handles("select_n")
def _select(step: Step, which: Operand, *cases: Operand) -> Tensor:
    known = which.scalar() if isinstance(which, Const) else None
    if known is not None:
        return tensor_of(cases[int(known)]).expand(step.shapes[0])
    if len(cases) != 2:
        picked = tensor_of(cases[0])
        for place, case in enumerate(cases[1:], 1):
            picked = torch.where(tensor_of(which) == place, tensor_of(case), picked)
        return picked
    false, true = (plain(case) for case in cases)
    if not isinstance(false, Tensor) and not isinstance(true, Tensor):
        true = tensor_of(cases[1])
    return _shaped(torch.where(tensor_of(which).bool(), true, false), step).to(torch_dtype(step.dtypes[0]))


@handles("convert_element_type")
def _convert(step: Step, x: Tensor) -> Tensor:
    return x.to(torch_dtype(step.params["new_dtype"]))


@handles(
    "copy", "copy_p", "reduce_precision", "optimization_barrier", "sharding_constraint", "name", "pvary", "pbroadcast"
)
def _same(step: Step, *operands: Operand) -> Any:
    tensors = [tensor_of(operand) for operand in operands]
    return tensors if len(tensors) > 1 else tensors[0]


def _reduction(function: Callable[..., Tensor]) -> Handler:
    def handle(step: Step, x: Tensor) -> Tensor:
        axes = tuple(int(axis) for axis in step.params["axes"])
        if not axes:
            return x
        kept = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
        if step.shapes[0] == kept:
            return function(x, dim=axes, keepdim=True)
        made = function(x, dim=axes)
        return made if tuple(made.shape) == step.shapes[0] else made.reshape(step.shapes[0])

    return handle


HANDLERS.update(
    {
        "reduce_sum": _reduction(torch.sum),
        "mean": _reduction(torch.mean),
        "reduce_max": _reduction(torch.amax),
        "reduce_min": _reduction(torch.amin),
        "reduce_and": _reduction(torch.all),
        "reduce_or": _reduction(torch.any),
    }
)


@handles("argmax", "argmin")
def _arg(step: Step, x: Tensor) -> Tensor:
    function = torch.argmax if step.kind == "argmax" else torch.argmin
    return function(x, dim=step.params["axes"][0])


@handles("function")
def _function(step: Step, x: Tensor) -> Tensor:
    made: Tensor = step.params["function"](x)
    return made


@handles("softmax", "log_softmax")
def _softmax(step: Step, x: Tensor) -> Tensor:
    function = torch.softmax if step.kind == "softmax" else torch.log_softmax
    return function(x, step.params["axis"])


@handles("cumsum", "cumprod", "cumlogsumexp")
def _cumulative(step: Step, x: Tensor) -> Tensor:
    functions = {"cumsum": torch.cumsum, "cumprod": torch.cumprod, "cumlogsumexp": torch.logcumsumexp}
    axis, function = step.params["axis"], functions[step.kind]
    return function(x.flip(axis), axis).flip(axis) if step.params.get("reverse") else function(x, axis)


@handles("reshape", "squeeze", "expand_dims")
def _reshape(step: Step, x: Tensor) -> Tensor:
    return x.reshape(step.shapes[0])


@handles("transpose")
def _transpose(step: Step, x: Tensor) -> Tensor:
    return x.permute(*step.params["permutation"])


@handles("broadcast_in_dim")
def _broadcast(step: Step, x: Tensor) -> Tensor:
    shape, places = step.shapes[0], step.params["broadcast_dimensions"]
    spread = [1] * len(shape)
    for axis, place in enumerate(places):
        spread[int(place)] = x.shape[axis]
    made = x if tuple(spread) == tuple(x.shape) else x.reshape(spread)
    return made if tuple(made.shape) == shape else made.expand(shape)


@handles("concatenate")
def _concatenate(step: Step, *parts: Operand) -> Tensor:
    return torch.cat([tensor_of(part) for part in parts], step.params["dimension"])


@handles("stack_rows")
def _stack(step: Step, *rows: Operand) -> Tensor:
    return torch.stack([tensor_of(row) for row in rows])


@handles("row")
def _row(step: Step, x: Tensor) -> Tensor:
    return x[step.params["index"]]


@handles("slice")
def _slice(step: Step, x: Tensor) -> Tensor:
    starts, limits = step.params["start_indices"], step.params["limit_indices"]
    strides = step.params["strides"] or (1,) * len(starts)
    for axis, (start, limit, stride) in enumerate(zip(starts, limits, strides, strict=True)):
        if (start, limit, stride) == (0, x.shape[axis], 1):
            continue
        x = x.narrow(axis, start, limit - start)
        if stride != 1:
            x = x[(slice(None),) * axis + (slice(None, None, stride),)]
    return x


@handles("split")
def _split(step: Step, x: Tensor) -> list[Tensor]:
    return list(torch.split(x, [int(size) for size in step.params["sizes"]], step.params["axis"]))


@handles("rev")
def _rev(step: Step, x: Tensor) -> Tensor:
    return x.flip(tuple(step.params["dimensions"]))


@handles("pad")
def _pad(step: Step, x: Tensor, value: Operand) -> Any:
    config = step.params["padding_config"]
    number = plain(value)
    if isinstance(number, Tensor) or any(inner for _, _, inner in config):
        return NotImplemented
    return F.pad(x, [int(part) for low, high, _ in reversed(config) for part in (low, high)], value=float(number))


@handles("dynamic_slice")
def _dynamic_slice(step: Step, x: Operand, *starts: Operand) -> Any:
    if not all(isinstance(start, Const) for start in starts):
        return NotImplemented
    made = tensor_of(x)
    for axis, (start, size) in enumerate(zip(starts, step.params["slice_sizes"], strict=True)):
        first = min(max(int(start.array), 0), made.shape[axis] - size)
        made = made if size == made.shape[axis] else made.narrow(axis, first, size)
    return made


@handles("top_k")
def _top_k(step: Step, x: Tensor) -> list[Tensor]:
    return list(torch.topk(x, step.params["k"]))
