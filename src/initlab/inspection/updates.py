"""What the first optimizer step does to each parameter: size, how much of it tells samples apart, equal units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from initlab.graph.operations import TABLE
from initlab.guest.doubles import doubled
from initlab.inspection.fetching import at_hand, fetched
from initlab.inspection.optimizers import Step
from initlab.inspection.outputs import parts
from initlab.inspection.recorder import Record
from initlab.inspection.results import ParameterStats
from initlab.inspection.squares import borne, on_host, plain_square, square_of, square_without

Tensor = torch.Tensor
Array = npt.NDArray[np.float64]
# A between-sample share below this is rounding noise of single precision (eps^2 is 1.4e-14).
ROUNDING_SHARE = 1e-12
FIRST_LOOK = 16  # columns from which rows of weights are told apart first


@dataclass(frozen=True)
class Use:
    """A parameter, the gradient of the loss for it, and the call that reads it first."""

    name: str
    parameter: Tensor
    gradient: Tensor | None
    record: Record | None


def parameter_stats(uses: Sequence[Use], step: Step, loss: float, batch: int) -> tuple[ParameterStats, ...]:
    """The numbers of every parameter; they come from the device in three transfers, however many parameters there are.

    Args:
        uses: the parameters.
        step: the optimizer.
        loss: of the batch.
        batch: samples in it.
    """
    tensors = [_wide(t) for use in uses for t in (use.parameter, use.gradient) if t is not None]
    sizes = iter(sizes_of(tensors))
    found = [(use, next(sizes), next(sizes) if use.gradient is not None else None) for use in uses]
    probes = _Probes()
    waiting = [{} if g is None else _waiting(use, g, step, batch, probes) for use, _, g in found]
    numbers = fetched(waiting)
    # A model of vectors alone holds its matrices in them, flat, as e3nn's layers do; beside matrices they are biases.
    axes = min(2, max((use.parameter.ndim for use in uses if use.gradient is not None), default=2))
    return tuple(_stats(use, w, g, n, step, loss, batch, axes) for (use, w, g), n in zip(found, numbers, strict=True))


def _waiting(use: Use, size: Size, step: Step, batch: int, probes: _Probes) -> dict[str, Tensor]:
    """What is still to be computed of a parameter with a gradient of that size."""
    assert use.gradient is not None
    grad_rms = size.rms
    w, g = _wide(use.parameter), _wide(use.gradient)
    found: dict[str, Tensor] = {}
    if not step.plain(use.name):
        taken = step.first(use.name, use.parameter, use.gradient)
        found["first"] = square_of(g[:0] if taken is None else _wide(taken))
    elif step.sign_like and grad_rms > 1e3 * step.eps:
        found["moving"] = torch.count_nonzero(g)
    elif step.sign_like:
        found["step"] = square_of(g, lambda piece, room: _step_of(piece, step.eps, room))
    if w.ndim < 2 or w.numel() == 0 or not math.isfinite(grad_rms):
        return found
    useful = useful_square(g, use.record, batch, size if 1e-8 < grad_rms < 1e15 else None)
    if useful is not None:
        found["useful"] = useful
    kind = use.record.kind if use.record is not None else ""
    if TABLE.named(kind).units is not None and units_first(w, kind).shape[0] > 1:
        found |= _hashes(units_first(w, kind).flatten(1), units_first(g, kind).flatten(1), probes)
    return found


def _step_of(gradient: Tensor, eps: float, room: Tensor) -> Tensor:
    """Adam's first step g / (|g| + ε), up to the rate."""
    return torch.div(gradient, torch.abs(gradient, out=room).add_(eps), out=room)


def _hashes(weights: Tensor, gradients: Tensor, probes: _Probes) -> dict[str, Tensor]:
    """For `equal_units`. Where the CPU sees from a part of the weights that no two rows are equal, nothing."""
    if at_hand(weights):
        part = weights[:, :FIRST_LOOK]
        if not _any_equal(doubled(part @ probes.pair(part)).numpy()):
            return {}
    return {"weights": weights @ probes.of(weights), "gradients": gradients @ probes.of(gradients)}


def _any_equal(hashes: Array) -> bool:
    """Whether two rows of a table of two columns are equal to rounding: among thousands of rows one hash would meet."""
    first, second = hashes[np.argsort(hashes[:, 0])].T
    near = _near(first)
    if not near.any():
        return False
    run = np.concatenate([[0], np.cumsum(~near)])
    order = np.lexsort((second, run))
    return bool(((np.diff(run[order]) == 0) & _near(second[order])).any())


def _stats(
    use: Use, w: Size, g: Size | None, numbers: Mapping[str, Any], step: Step, loss: float, batch: int, axes: int
) -> ParameterStats:
    """The numbers of one parameter, which is a weight matrix if it has as many axes."""
    shape, index = tuple(use.parameter.shape), None if use.record is None else use.record.index
    if g is None:
        none = (None,) * 7
        return ParameterStats(use.name, shape, index, use.parameter.requires_grad, w.rms, *none, nonfinite=w.nonfinite)
    first = first_step(g, numbers, step, use.name)
    ratio = first / w.rms if w.rms > 0 else (math.inf if first > 0 else 0.0)
    pace = gain = duplicated = distinct = units = None
    if len(w.shape) >= max(1, axes) and w.count > 0 and math.isfinite(g.rms):
        useful = math.sqrt(numbers["useful"] / g.count) if "useful" in numbers else g.rms
        pace, gain = _pace(w, useful, use.record, step, loss, batch)
        kind = use.record.kind if use.record is not None else ""
        if TABLE.named(kind).units is not None and len(w.shape) >= 2:
            units = w.shape[1 if TABLE.named(kind).units == 1 else 0]
            if units > 1:
                seen = "weights" in numbers
                duplicated, distinct = equal_units(numbers["weights"], numbers["gradients"]) if seen else (0.0, units)
    return ParameterStats(
        name=use.name,
        shape=shape,
        layer=index,
        trainable=True,
        rms=w.rms,
        grad_rms=g.rms,
        update_ratio=ratio,
        pace=pace,
        gain=gain,
        units=units,
        duplicated=duplicated,
        distinct=distinct,
        nonfinite=w.nonfinite,
    )


@dataclass(frozen=True)
class Size:
    """Root mean square of a tensor, the sum of squares, and what it was taken over; `nonfinite` elements are counted
    where that is not finite.
    """

    shape: tuple[int, ...]
    count: int
    rms: float
    nonfinite: int = 0
    square: float = 0.0


def sizes_of(tensors: Sequence[Tensor]) -> list[Size]:
    """The size of each: in single precision, and once more in double those whose squares leave its range."""
    flat = [t.reshape(-1) for t in tensors]
    squares = [n["square"] for n in fetched([{"square": plain_square(t)} for t in flat])]
    again = [i for i, t in enumerate(flat) if len(t) and not borne(squares[i], len(t))]
    more = fetched([{"square": square_of(flat[i]), "bad": (~torch.isfinite(flat[i])).sum()} for i in again])
    found = dict(zip(again, more, strict=True))
    sizes = []
    for i, t in enumerate(tensors):
        square = found[i]["square"] if i in found else squares[i]
        rms = math.sqrt(square / max(1, t.numel())) if square >= 0 else math.nan
        bad = 0 if math.isfinite(rms) else int(found[i]["bad"])
        sizes.append(Size(tuple(t.shape), t.numel(), rms, bad, square))
    return sizes


def first_step(g: Size, numbers: Mapping[str, float], step: Step, name: str) -> float:
    """Root mean square of the very first step: lr·rms(g) for SGD, lr·rms(g/(|g| + eps)) for Adam, else as it was taken.

    SGD's momentum has nothing behind it yet; Nesterov's counts that first gradient once more.
    """
    count, rate = max(1, g.count), step.lr * abs(step.share(name))
    if "first" in numbers:
        return math.sqrt(numbers["first"] / count)
    if not step.sign_like:
        return rate * g.rms * (1.0 + step.momentum * step.nesterov)
    return rate * math.sqrt(numbers["moving" if "moving" in numbers else "step"] / count)


def useful_square(g: Tensor, record: Record | None, batch: int, size: Size | None = None) -> Tensor | None:
    """The sum of squares of the part of the gradient that tells samples apart; None where that is all of it.

    The gradient of a weight is a sum of delta x^T over samples. Its mean part, (sum of delta)(mean of x)^T, moves all
    samples alike, as a bias does; what is left is Σ delta (x - mean x)^T.

    Args:
        g: the gradient.
        record: the call that reads the weight.
        batch: number of samples.
        size: of the gradient, where the squares stay in the range of single precision.
    """
    if batch < 2 or record is None or record.input_mean is None or record.grad_unit_sum is None:
        return None
    delta, mean = record.grad_unit_sum.to(g), record.input_mean.to(g)
    g = units_first(g, record.kind)
    if delta.numel() != g.shape[0] or g.ndim < 2 or mean.numel() != g.shape[1]:
        return None
    rows, means = g.flatten(1), mean.reshape(-1).repeat_interleave(math.prod(g.shape[2:]))
    if size is not None and at_hand(rows):
        return on_host(square_without(rows, delta.reshape(-1), means, size.square))
    useful = torch.addr(rows, delta.reshape(-1), means, alpha=-1).reshape(-1)
    return square_of(useful) if size is None else plain_square(useful)


def units_first(weight: Tensor, kind: str) -> Tensor:
    """`weight` with output units on axis 0: products x @ W and transposed convolutions have them on axis 1."""
    return weight.transpose(0, 1) if TABLE.named(kind).units == 1 and weight.ndim >= 2 else weight


def _pace(w: Size, useful: float, record: Record | None, step: Step, loss: float, batch: int) -> tuple[float, float]:
    """(relative change of what the layer computes a step, predicted relative decrease of the loss a step)."""
    share = 1.0 if record is None or record.input_row_share is None else record.input_row_share
    if batch < 2:
        share = 1.0
    elif share < ROUNDING_SHARE:
        return 0.0, 0.0
    rows, columns = w.shape[0], math.prod(w.shape[1:])
    size = math.sqrt(w.count)
    if step.sign_like:
        heard = math.sqrt(share * batch / (1.0 + share * batch))
        change = step.rate * heard * useful / (useful + step.eps)
        decrease = change * useful * w.count
    else:
        change = step.rate * useful
        decrease = step.rate * useful * useful * w.count
    spectral = w.rms * (math.sqrt(rows) + math.sqrt(columns)) if w.rms > 0 else 1.0
    return change * size / spectral, decrease / loss if loss > 0 else 0.0


class _Probes:
    """Fixed random vectors: rows of a matrix that are equal have equal products with one."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, torch.dtype, torch.device], Tensor] = {}

    def of(self, rows: Tensor) -> Tensor:
        key = (rows.shape[1], rows.dtype, rows.device)
        if key not in self._made:
            generator = torch.Generator().manual_seed(0)
            self._made[key] = torch.randn(key[0], generator=generator, device="cpu", dtype=torch.float32).to(rows)
        return self._made[key]

    def pair(self, rows: Tensor) -> Tensor:
        """Two of them, as columns."""
        first = self.of(rows)
        return torch.stack([first, first.flip(0).square()], dim=1)


def equal_units(weights: Array, gradients: Array) -> tuple[float, int]:
    """(share of rows that equal another row in weights and in gradient, number of distinct rows).

    Args:
        weights: of each row, its product with a fixed random vector.
        gradients: the same of the gradient's rows; a chance hit needs two collisions.
    """
    rows = len(weights)
    scale_w, scale_g = (float(np.abs(hashes).max()) for hashes in (weights, gradients))
    order = np.argsort(weights)
    if not (_near(weights[order]) & (np.abs(np.diff(gradients[order])) <= 1e-5 * scale_g)).any():
        return 0.0, rows
    keys = np.stack([np.round(weights / (scale_w or 1.0) * 1e5), np.round(gradients / (scale_g or 1.0) * 1e4)], axis=1)
    _, counts = np.unique(keys, axis=0, return_counts=True)
    return float(counts[counts > 1].sum()) / rows, len(counts)


def _near(hashes: Array) -> npt.NDArray[np.bool_]:
    """Of neighbours among hashes of weights: whether they are equal to rounding."""
    return np.asarray(np.abs(np.diff(hashes)) <= 1e-6 * np.abs(hashes).max())


def _wide(tensor: Tensor) -> Tensor:
    t = parts(tensor.detach())
    return t if t.dtype in (torch.float32, torch.float64) else t.float()
