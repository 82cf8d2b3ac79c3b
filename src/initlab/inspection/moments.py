"""The numbers of one activation tensor, taken while it exists; nothing here keeps a reference to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from initlab.guest.doubles import doubled
from initlab.inspection.activations import ACTIVATIONS
from initlab.inspection.fetching import at_hand, fetched
from initlab.inspection.histogram import BINS, OF_ZEROS, counts_of, subsample
from initlab.inspection.squares import host_square, left, on_host, plain_square, square_about

Tensor = torch.Tensor


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


@dataclass
class Measurement:
    """What is computed of one activation, still on its device; `settled` makes `Moments` of it.

    Attributes:
        kind: of the call that gave it.
        count: its elements.
        batch_axis: see `batch_axis`.
        samples: rows that it is taken apart into along that axis.
        rows: whether unit means stand one a column of those rows.
        numbers: tensors of one number each.
        unit_mean: the mean of each unit.
        sample: a subsample, for the histogram; None where none is drawn.
        wide: whether it was taken in double precision, elements that are not finite apart.
    """

    kind: str
    count: int
    batch_axis: int | None
    samples: int = 1
    rows: bool = False
    numbers: dict[str, Tensor] = field(default_factory=dict)
    unit_mean: Tensor | None = None
    sample: Tensor | None = None
    wide: bool = False

    @property
    def tells_samples_apart(self) -> bool:
        """Whether the share of its second moment that tells samples apart is measured."""
        return self.rows or (self.batch_axis is not None and self.samples > 1)


def measure(
    tensor: Tensor, kind: str, batch: int | None, unit_axis: int, *, wide: bool = False, drawn: bool = True
) -> Measurement:
    """The statistics of `tensor`, the output of `kind`, in a few passes, with its histogram where that is drawn.

    Nothing waits for the device. Single precision is enough for all but squares that leave its range and for values
    that are not finite: `settled` tells, and `wide` takes those.
    """
    y = tensor.detach()
    if wide or y.dtype not in (torch.float32, torch.float64):
        y = doubled(y) if wide else y.float()
    axis = batch_axis(tuple(y.shape), batch)
    made = Measurement(kind, y.numel(), axis, wide=wide)
    if made.count == 0:
        return made
    made.sample = subsample(y.reshape(-1)) if drawn else None
    numbers = made.numbers
    numbers |= _saturated(y, kind)
    if wide:
        y = _scaled(y, numbers)
    flat = y.reshape(-1)
    per_sample = _by_sample(y, axis, batch)
    made.samples = per_sample.shape[0]
    coordinate_mean = per_sample.mean(0)
    mean = coordinate_mean.mean()
    about = coordinate_mean - mean
    square = plain_square(flat)
    numbers |= {"square": square, "mean": mean, "centred": square_about(per_sample, coordinate_mean, square),
                "about": plain_square(about)}  # fmt: skip
    _units(made, y, coordinate_mean, unit_axis)
    numbers |= _dead(y, kind, unit_axis, made.unit_mean)
    return made


def settled(measurements: Sequence[Measurement]) -> list[Moments | None]:
    """The moments of each, brought from the device together; None for one that must be taken with `wide`."""
    counted = counts_of([m.sample for m in measurements if m.sample is not None])
    rows = iter(counted)
    groups = [m.numbers if m.sample is None else {**m.numbers, "histogram": next(rows)} for m in measurements]
    return [_moments(m, n) for m, n in zip(measurements, fetched(groups), strict=True)]


def _moments(m: Measurement, n: Mapping[str, Any]) -> Moments | None:
    """`m` with its numbers `n` at hand."""
    if m.count == 0:
        return _empty()
    low, high, *counts = n["histogram"].tolist() if "histogram" in n else (*OF_ZEROS, *[0] * BINS)
    square = n["square"]
    some = n["mean"] != 0 or (low, high) != OF_ZEROS
    if not m.wide and (not square < math.inf or (square < 1e-28 * m.count and some)):
        return None  # single-precision squares of values under 1e-14 underflow
    scale, nonfinite, masked = n.get("scale", 1.0), int(n.get("nonfinite", 0)), int(n.get("masked", 0))
    kept = m.count - nonfinite
    if kept == 0:
        return _empty(nonfinite, masked)
    step = (high - low) / BINS
    edges, bins = tuple(low + step * i for i in range(BINS + 1)), tuple(int(c) for c in counts)
    if nonfinite:
        mean, second = n["mean"] * m.count / kept, square / kept
        std = math.sqrt(max(0.0, second - mean * mean))
        return Moments(mean * scale, std * scale, second * scale * scale, None, None, None, None, edges, bins,
                       nonfinite, None, masked=masked)  # fmt: skip
    second, centred = square / m.count, n["centred"] / m.count
    within = centred + n["spread"] if "spread" in n else centred if m.rows else None
    return Moments(
        mean=n["mean"] * scale,
        std=math.sqrt(max(0.0, centred + m.samples * n["about"] / m.count)) * scale,
        second_moment=second * scale * scale,
        saturated=n["saturated"] / (1 if m.kind == "softmax" else m.count) if "saturated" in n else None,
        dead=n.get("dead"),
        between=_share(centred, second) if m.batch_axis is not None and m.samples > 1 else None,
        row_share=None if within is None else _share(within, second),
        edges=edges,
        counts=bins,
        nonfinite=0,
        unit_mean=m.unit_mean if scale == 1 or m.unit_mean is None else m.unit_mean * scale,
        batch_axis=m.batch_axis,
    )


def _share(part: float, whole: float) -> float:
    return min(1.0, part / whole) if whole > 0 else 0.0


def effective_rank(tensor: Tensor, axis: int | None, samples: int = 32) -> float | None:
    """Number of directions in which the first samples differ: (Σ λ)² / Σ λ² over the spectrum of their covariance.

    None for fewer than eight samples, or when they do not differ.
    """
    if axis is None or tensor.ndim < 2 or tensor.shape[axis] < 8:
        return None
    rows = doubled(tensor.detach().narrow(axis, 0, min(samples, tensor.shape[axis])).transpose(0, axis).flatten(1))
    rows = rows - rows.mean(0)
    gram = rows @ rows.t()
    total, square = float(gram.trace()), float(gram.square().sum())
    return total * total / square if square > 0 and math.isfinite(square) else None


def _by_sample(y: Tensor, axis: int | None, batch: int | None) -> Tensor:
    if axis is None or batch is None:
        return y.reshape(1, -1)
    moved = y if axis == 0 else y.transpose(0, 1)
    return moved.reshape(batch, -1)


def _units(made: Measurement, y: Tensor, coordinate_mean: Tensor, unit_axis: int) -> None:
    """Mean of each unit over samples and positions, and the variance of positions about it."""
    axis = made.batch_axis
    if y.ndim < 2 or axis is None:
        return
    if y.numel() == y.shape[unit_axis]:
        made.unit_mean = y.reshape(-1).clone()
        return
    if y.ndim == 2 and coordinate_mean.numel() == y.shape[1]:
        made.unit_mean, made.rows = coordinate_mean, True
        return
    folded = _fold_like(y, coordinate_mean, axis, unit_axis)
    if folded is None:
        made.unit_mean = y.mean([d for d in range(y.ndim) if d != unit_axis % y.ndim])
        return
    made.unit_mean, made.rows = folded.mean(1), True
    if folded.shape[1] > 1:
        made.numbers["spread"] = _spread(coordinate_mean, folded, made.unit_mean)


def _spread(flat: Tensor, folded: Tensor, unit_mean: Tensor) -> Tensor:
    """The variance of positions about the mean of their unit; `folded` is `flat` as (units, positions)."""
    if at_hand(flat):
        known = left(host_square(flat), folded.shape[1] * host_square(unit_mean))
        if known is not None:
            return on_host(known / len(flat))
    return (folded - unit_mean.unsqueeze(1)).square().mean()


def _fold_like(y: Tensor, coordinate_mean: Tensor, axis: int, unit_axis: int) -> Tensor | None:
    """`coordinate_mean` as (units, positions)."""
    shape = [size for d, size in enumerate(y.shape) if d != axis]
    where = unit_axis % y.ndim
    if where == axis:
        return None
    if coordinate_mean.numel() != math.prod(shape):
        shape = [coordinate_mean.numel() // y.shape[where], y.shape[where]] if where == y.ndim - 1 else []
        if not shape:
            return None
        return coordinate_mean.reshape(shape).t()
    position = where - (1 if axis < where else 0)
    return coordinate_mean.reshape(shape).movedim(position, 0).reshape(y.shape[where], -1)


def _saturated(y: Tensor, kind: str) -> dict[str, Tensor]:
    """The share of a softmax's rows, or the number of other elements, that are saturated."""
    if kind == "softmax":
        return {"saturated": (y.amax(-1) > 0.99).float().mean()} if y.ndim and y.shape[-1] > 1 else {}
    activation = ACTIVATIONS.get(kind)
    if activation is None or activation.saturated is None:
        return {}
    return {"saturated": activation.saturated(y)}


def _dead(y: Tensor, kind: str, unit_axis: int, unit_mean: Tensor | None) -> dict[str, Tensor]:
    """The share of units that are off for every sample."""
    activation = ACTIVATIONS.get(kind)
    if activation is None or activation.off is None or y.ndim < 2:
        return {}
    if unit_mean is not None and activation.one_sided:
        return {"dead": (unit_mean == 0).float().mean()}
    others = [d for d in range(y.ndim) if d != unit_axis % y.ndim]
    return {"dead": (torch.linalg.vector_norm(y, dim=others) == 0).float().mean()}


def _scaled(y: Tensor, numbers: dict[str, Tensor]) -> Tensor:
    """`y` with zeros for what is not finite, over a scale at which squares stay in the range of double precision."""
    finite = torch.isfinite(y)
    numbers |= {"nonfinite": (~finite).sum(), "masked": (y == -math.inf).sum()}
    y = torch.where(finite, y, 0.0)
    largest = y.abs().max()
    numbers["scale"] = scale = torch.where((largest > 1e140) | ((largest < 1e-140) & (largest > 0)), largest, 1.0)
    return y / scale


def _empty(nonfinite: int = 0, masked: int = 0) -> Moments:
    return Moments(math.nan, math.nan, math.nan, None, None, None, None, (), (), nonfinite, None, masked=masked)
