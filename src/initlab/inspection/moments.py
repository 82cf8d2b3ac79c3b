"""The numbers of one activation tensor, taken while it exists; nothing here keeps a reference to it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from initlab.inspection.activations import ACTIVATIONS

Tensor = torch.Tensor
BINS = 40
HISTOGRAM_SAMPLE = 16_384


@dataclass
class Moments:
    """See `LayerStats` for each number. `unit_mean` is the mean of each unit (a small vector).

    `masked` counts elements at minus infinity among those that are not finite: the value of what a softmax leaves out.
    """

    mean: float
    std: float
    second_moment: float
    saturated: float | None
    dead: float | None
    between: float | None
    row_share: float | None
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    nonfinite: int
    unit_mean: Tensor | None
    batch_axis: int | None = None
    masked: int = 0


def batch_axis(shape: tuple[int, ...], batch: int | None) -> int | None:
    """The axis of `shape` that runs over samples; axis 0 counts also when samples were unfolded into it (B·k)."""
    if batch is None or batch < 1 or not shape:
        return None
    if shape[0] == batch:
        return 0
    if len(shape) >= 3 and shape[1] == batch:
        return 1
    return 0 if shape[0] % batch == 0 and shape[0] > 0 else None


def moments_of(tensor: Tensor, kind: str, batch: int | None, unit_axis: int) -> Moments:
    """The statistics of `tensor`, the output of `kind`, in a few passes and one temporary of its size."""
    y = tensor.detach()
    if y.dtype not in (torch.float32, torch.float64):
        y = y.float()
    count = y.numel()
    flat = y.reshape(-1)
    if count == 0:
        return _empty()
    square_sum = float(torch.dot(flat, flat))
    if not square_sum < float("inf"):
        return _wide(tensor, kind, batch, unit_axis)
    if square_sum < 1e-28 * count and y.dtype == torch.float32:
        y = y.double()  # single-precision squares of values under 1e-14 underflow
        flat = y.reshape(-1)
        square_sum = float(torch.dot(flat, flat))
    axis = batch_axis(tuple(y.shape), batch)
    per_sample = _by_sample(y, axis, batch)
    coordinate_mean = per_sample.mean(0)
    mean = float(coordinate_mean.mean())
    second = square_sum / count
    between, centred = _between(per_sample, coordinate_mean, second, count)
    unit_mean, row_share = _units(y, coordinate_mean, axis, unit_axis, second, centred, count)
    edges, counts = histogram(flat)
    return Moments(
        mean=mean,
        std=_std(flat, mean, second),
        second_moment=second,
        saturated=_saturated(y, kind, count),
        dead=_dead(y, kind, unit_axis, unit_mean),
        between=between if axis is not None and per_sample.shape[0] > 1 else None,
        row_share=row_share,
        edges=edges,
        counts=counts,
        nonfinite=0,
        unit_mean=unit_mean,
        batch_axis=axis,
    )


def histogram(flat: Tensor) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """`BINS` equal bins over the range of a fixed-stride subsample (an odd stride, so that no axis is favoured)."""
    stride = max(1, -(-flat.numel() // HISTOGRAM_SAMPLE)) | 1 if flat.numel() > HISTOGRAM_SAMPLE else 1
    sample = flat[::stride]
    low, high = (float(v) for v in sample.aminmax())
    if not high > low:
        low, high = low - 0.5, high + 0.5
    counts = torch.histc(sample, BINS, low, high)
    step = (high - low) / BINS
    return tuple(low + step * i for i in range(BINS + 1)), tuple(int(c) for c in counts.tolist())


def effective_rank(tensor: Tensor, axis: int | None, samples: int = 32) -> float | None:
    """Number of directions in which the first samples differ: (Σ λ)² / Σ λ² over the spectrum of their covariance.

    None for fewer than eight samples, or when they do not differ.
    """
    if axis is None or tensor.ndim < 2 or tensor.shape[axis] < 8:
        return None
    rows = tensor.detach().narrow(axis, 0, min(samples, tensor.shape[axis])).transpose(0, axis).flatten(1).double()
    rows = rows - rows.mean(0)
    gram = rows @ rows.t()
    total, square = float(gram.trace()), float(gram.square().sum())
    return total * total / square if square > 0 and math.isfinite(square) else None


def _by_sample(y: Tensor, axis: int | None, batch: int | None) -> Tensor:
    if axis is None or batch is None:
        return y.reshape(1, -1)
    moved = y if axis == 0 else y.transpose(0, 1)
    return moved.reshape(batch, -1)


def _between(per_sample: Tensor, coordinate_mean: Tensor, second: float, count: int) -> tuple[float, float]:
    """(share of between-sample variance, its sum): computed from deviations, as a difference would round to noise."""
    deviation = (per_sample - coordinate_mean).reshape(-1)
    centred = float(torch.dot(deviation, deviation))
    return (min(1.0, centred / count / second) if second > 0 else 0.0), centred


def _units(
    y: Tensor, coordinate_mean: Tensor, axis: int | None, unit_axis: int, second: float, centred: float, count: int
) -> tuple[Tensor | None, float | None]:
    """Mean of each unit over samples and positions, and the share of variance about it."""
    if y.ndim < 2 or axis is None:
        return None, None
    if y.numel() == y.shape[unit_axis]:
        return y.reshape(-1).clone(), None
    if y.ndim == 2 and coordinate_mean.numel() == y.shape[1]:
        return coordinate_mean.clone(), (min(1.0, centred / count / second) if second > 0 else 0.0)
    positions = [d for d in range(y.ndim) if d != unit_axis % y.ndim]
    unit_mean = y.mean(positions)
    folded = _fold_like(y, coordinate_mean, axis, unit_axis)
    if folded is None:
        return unit_mean, None
    spread = float((folded - unit_mean.unsqueeze(1)).square().mean()) if folded.shape[1] > 1 else 0.0
    return unit_mean, (min(1.0, (centred / count + spread) / second) if second > 0 else 0.0)


def _fold_like(y: Tensor, coordinate_mean: Tensor, axis: int, unit_axis: int) -> Tensor | None:
    """`coordinate_mean` as (units, positions)."""
    shape = [size for d, size in enumerate(y.shape) if d != axis]
    where = unit_axis % y.ndim
    if where == axis:
        return None
    total = 1
    for size in shape:
        total *= size
    if coordinate_mean.numel() != total:
        shape = [coordinate_mean.numel() // y.shape[where], y.shape[where]] if where == y.ndim - 1 else []
        if not shape:
            return None
        return coordinate_mean.reshape(shape).t()
    position = where - (1 if axis < where else 0)
    return coordinate_mean.reshape(shape).movedim(position, 0).reshape(y.shape[where], -1)


def _std(flat: Tensor, mean: float, second: float) -> float:
    variance = second - mean * mean
    if variance < 1e-3 * second:
        deviation = flat - mean
        variance = float(torch.dot(deviation, deviation)) / flat.numel()
    return math.sqrt(max(0.0, variance))


def _saturated(y: Tensor, kind: str, count: int) -> float | None:
    if kind == "softmax":
        return float((y.amax(-1) > 0.99).float().mean()) if y.ndim and y.shape[-1] > 1 else None
    activation = ACTIVATIONS.get(kind)
    if activation is None or activation.saturated is None:
        return None
    return float(activation.saturated(y)) / count


def _dead(y: Tensor, kind: str, unit_axis: int, unit_mean: Tensor | None) -> float | None:
    activation = ACTIVATIONS.get(kind)
    if activation is None or activation.off is None or y.ndim < 2:
        return None
    if unit_mean is not None and activation.one_sided:
        return float((unit_mean == 0).float().mean())
    others = [d for d in range(y.ndim) if d != unit_axis % y.ndim]
    return float((torch.linalg.vector_norm(y, dim=others) == 0).float().mean())


def _wide(tensor: Tensor, kind: str, batch: int | None, unit_axis: int) -> Moments:
    """As `moments_of` where single-precision squares overflow or values are not finite."""
    y = tensor.detach().double()
    finite = torch.isfinite(y)
    nonfinite = int(y.numel() - int(finite.sum()))
    if nonfinite == 0 and float(y.abs().max()) < 1e140:
        return moments_of(y, kind, batch, unit_axis)
    masked = int((y == -math.inf).sum())
    kept = y[finite]
    if kept.numel() == 0:
        return _empty(nonfinite, masked)
    scale = float(kept.abs().max()) or 1.0
    edges, counts = histogram(kept)
    mean = float((kept / scale).mean()) * scale
    second = float((kept / scale).square().mean()) * scale * scale
    std = float((kept / scale).std(correction=0)) * scale
    return Moments(mean, std, second, None, None, None, None, edges, counts, nonfinite, None, masked=masked)


def _empty(nonfinite: int = 0, masked: int = 0) -> Moments:
    nan = float("nan")
    return Moments(nan, nan, nan, None, None, None, None, (), (), nonfinite, None, masked=masked)
