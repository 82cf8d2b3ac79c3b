"""jax's products, convolutions, windows and look-ups as torch functions."""

from __future__ import annotations

import math
import string
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from initlab.integrations.extras import needed
from initlab.integrations.jax.primitives import Operand, handles, tensor_of, torch_dtype
from initlab.integrations.jax.program import Const, Step

jax = needed("jax", "jax")
Tensor = torch.Tensor


@handles("dot_general")
def _dot(step: Step, x: Operand, y: Operand) -> Tensor:
    (sum_x, sum_y), (batch_x, batch_y) = step.params["dimension_numbers"]
    x, y = tensor_of(x), tensor_of(y)
    kind = torch_dtype(step.dtypes[0])
    x, y = (part if part.dtype == kind else part.to(kind) for part in (x, y))  # int8 sums would overflow in int8
    if not batch_x and y.ndim == 2 and tuple(sum_y) == (0,) and tuple(sum_x) == (x.ndim - 1,):
        return torch.matmul(x, y)
    if not batch_x and y.ndim == 2 and tuple(sum_y) == (1,) and tuple(sum_x) == (x.ndim - 1,):
        return torch.matmul(x, y.permute(1, 0))
    letters = iter(string.ascii_letters)
    left, right = [""] * x.ndim, [""] * y.ndim
    batch = [next(letters) for _ in batch_x]
    for a, b, letter in zip(batch_x, batch_y, batch, strict=True):
        left[a] = right[b] = letter
    for a, b in zip(sum_x, sum_y, strict=True):
        left[a] = right[b] = next(letters)
    own_x = [axis for axis in range(x.ndim) if not left[axis]]
    own_y = [axis for axis in range(y.ndim) if not right[axis]]
    for axis in own_x:
        left[axis] = next(letters)
    for axis in own_y:
        right[axis] = next(letters)
    made = "".join([*batch, *(left[axis] for axis in own_x), *(right[axis] for axis in own_y)])
    return torch.einsum(f"{''.join(left)},{''.join(right)}->{made}", x, y)


_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_CONV_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def _turned(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    return x if axes == tuple(range(len(axes))) else x.permute(*axes)


@handles("conv_general_dilated")
def _conv(step: Step, x: Operand, kernel: Operand) -> Any:
    given = step.params
    numbers = given["dimension_numbers"]
    rank = len(given["window_strides"])
    if rank not in _CONV or given["batch_group_count"] != 1:
        return NotImplemented
    x, kernel = _turned(tensor_of(x), tuple(numbers.lhs_spec)), _turned(tensor_of(kernel), tuple(numbers.rhs_spec))
    made = _strided(given, x, kernel, rank) if max(given["lhs_dilation"]) == 1 else _spread(given, x, kernel, rank)
    if made is NotImplemented:
        return made
    back = [0] * (rank + 2)
    for place, axis in enumerate(numbers.out_spec):
        back[axis] = place
    return _turned(made, tuple(back))


def _strided(given: dict[str, Any], x: Tensor, kernel: Tensor, rank: int) -> Tensor:
    padding = [(int(low), int(high)) for low, high in given["padding"]]
    if any(low != high or low < 0 for low, high in padding):
        x = F.pad(x, [part for low_high in reversed(padding) for part in low_high])
        padding = [(0, 0)] * rank
    made: Tensor = _CONV[rank](
        x, kernel, None, tuple(given["window_strides"]), tuple(low for low, _ in padding),
        tuple(given["rhs_dilation"]), given["feature_group_count"],
    )  # fmt: skip
    return made


def _spread(given: dict[str, Any], x: Tensor, kernel: Tensor, rank: int) -> Any:
    """A convolution of a dilated input is torch's transposed convolution with the kernel turned round."""
    if max(given["window_strides"]) != 1 or given["feature_group_count"] != 1:
        return NotImplemented
    turned = kernel.permute(1, 0, *range(2, rank + 2)).flip(tuple(range(2, rank + 2)))
    made = _CONV_TRANSPOSE[rank](x, turned, None, tuple(given["lhs_dilation"]), 0, 0, 1, tuple(given["rhs_dilation"]))
    full = [dilation * (size - 1) for dilation, size in zip(given["rhs_dilation"], kernel.shape[2:], strict=True)]
    change = [(int(low) - whole, int(high) - whole) for (low, high), whole in zip(given["padding"], full, strict=True)]
    if any(low or high for low, high in change):
        made = F.pad(made, [part for low_high in reversed(change) for part in low_high])
    return made


@handles("reduce_window_max", "reduce_window_sum", "window_mean")
def _window(step: Step, x: Tensor) -> Any:
    given, rank = step.params, x.ndim
    windows, strides = given["window_dimensions"], given["window_strides"]
    wide = [axis for axis in range(rank) if windows[axis] != 1 or strides[axis] != 1]
    odd = any(d != 1 for d in (*given["base_dilation"], *given["window_dilation"]))
    if odd or len(wide) > 3 or any(given["padding"][axis] != (0, 0) for axis in range(rank) if axis not in wide):
        return NotImplemented
    if not wide:
        return x
    flat = [axis for axis in range(rank) if axis not in wide]
    order = (*flat, *wide)
    moved = _turned(x, order)
    held = moved.shape[: len(flat)]
    moved = moved.reshape(1, math.prod(held), *moved.shape[len(flat) :])
    fill = float("-inf") if step.kind == "reduce_window_max" else 0.0
    pads = [int(part) for axis in reversed(wide) for part in given["padding"][axis]]
    if any(pads):
        moved = F.pad(moved, pads, value=fill)
    made = _pooled(step.kind, moved, [windows[a] for a in wide], [strides[a] for a in wide])
    made = made.reshape(*held, *made.shape[2:])
    return _turned(made, tuple(order.index(axis) for axis in range(rank)))


def _pooled(kind: str, x: Tensor, window: list[int], stride: list[int]) -> Tensor:
    rank = len(window)
    if kind == "reduce_window_max":
        made: Tensor = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[rank - 1](x, window, stride)
        return made
    averaged: Tensor = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[rank - 1](x, window, stride)
    return averaged if kind == "window_mean" else averaged * math.prod(window)


def looks_up_rows(step: Step, shape: tuple[int, ...]) -> bool:
    """Whether a gather reads whole rows of a table of this shape by number."""
    numbers, made = step.params["dimension_numbers"], step.shapes[0]
    offsets = len(numbers.offset_dims)
    return (
        tuple(step.params["slice_sizes"]) == (1, *shape[1:])
        and 0 in numbers.start_index_map
        and tuple(numbers.collapsed_slice_dims) in ((), (0,))
        and not numbers.operand_batching_dims
        and tuple(numbers.offset_dims) == tuple(range(len(made) - offsets, len(made)))
    )


@handles("gather")
def _gather(step: Step, table: Operand, places: Operand) -> Any:
    table = tensor_of(table)
    if looks_up_rows(step, tuple(table.shape)):
        first = tuple(step.params["dimension_numbers"].start_index_map).index(0)
        index = tensor_of(places)[..., first].clamp(0, table.shape[0] - 1).long()
        rows = F.embedding(index, table) if table.ndim == 2 else table[index]
        return rows.reshape(step.shapes[0])
    return _taken(step, table, places) if isinstance(places, Const) else NotImplemented


def _taken(step: Step, table: Tensor, places: Const) -> Tensor:
    """Any look-up: the places that jax reads, found by looking up in the table of places."""
    given = {**step.params, "fill_value": 0}
    numbers = np.arange(table.numel(), dtype=np.int32).reshape(tuple(table.shape))
    flat = np.asarray(step.primitive.bind(jax.numpy.asarray(numbers), jax.numpy.asarray(places.value), **given))
    return torch.take(table.reshape(-1), torch.from_numpy(np.clip(flat, 0, table.numel() - 1).astype(np.int64)))
