"""What the first optimizer step does to each parameter: size, how much of it tells samples apart, equal units."""

from __future__ import annotations

import math

import torch

from initlab.graph.operations import TABLE
from initlab.inspection.optimizers import Step
from initlab.inspection.recorder import Record
from initlab.inspection.results import ParameterStats

Tensor = torch.Tensor
# A between-sample share below this is rounding noise of single precision (eps^2 is 1.4e-14).
ROUNDING_SHARE = 1e-12


def parameter_stats(
    name: str, parameter: Tensor, gradient: Tensor | None, record: Record | None, step: Step, loss: float, batch: int
) -> ParameterStats:
    """The numbers of one parameter; `record` is its first use in the forward pass."""
    w = _wide(parameter)
    rms = _rms(w)
    bad = 0 if math.isfinite(rms) else int((~torch.isfinite(w)).sum())
    if gradient is None:
        shape, none = tuple(parameter.shape), (None,) * 7
        return ParameterStats(name, shape, _index(record), parameter.requires_grad, rms, *none, nonfinite=bad)
    g = _wide(gradient.to_dense() if gradient.is_sparse else gradient)
    grad_rms = _rms(g)
    first = first_step(g, grad_rms, step)
    ratio = first / rms if rms > 0 else (math.inf if first > 0 else 0.0)
    pace = gain = duplicated = distinct = units = None
    if w.ndim >= 2 and w.numel() > 0 and math.isfinite(grad_rms):
        useful = useful_gradient(g, record, batch)
        pace, gain = _pace(w, rms, useful, grad_rms, record, step, loss, batch)
        kind = record.kind if record is not None else ""
        if TABLE.named(kind).units is not None:
            rows = units_first(w, kind)
            units = rows.shape[0]
            duplicated, distinct = equal_units(rows, units_first(g, kind))
    return ParameterStats(
        name=name,
        shape=tuple(parameter.shape),
        layer=_index(record),
        trainable=True,
        rms=rms,
        grad_rms=grad_rms,
        update_ratio=ratio,
        pace=pace,
        gain=gain,
        units=units,
        duplicated=duplicated,
        distinct=distinct,
        nonfinite=bad,
    )


def first_step(g: Tensor, grad_rms: float, step: Step) -> float:
    """Root mean square of the first step: lr·rms(g) for SGD, lr·rms(g/(|g| + eps)) for Adam and its kin."""
    if not step.sign_like:
        return step.rate * grad_rms
    if grad_rms > 1e3 * step.eps:
        zero = float((g == 0).float().mean())
        return step.rate * math.sqrt(1.0 - zero)
    size = g.abs()
    return step.rate * _rms(size / (size + step.eps))


def useful_gradient(g: Tensor, record: Record | None, batch: int) -> float:
    """Root mean square of the part of the gradient that tells samples apart.

    The gradient of a weight is a sum of delta x^T over samples. Its mean part, (sum of delta)(mean of x)^T, moves all
    samples alike, as a bias does; what is left is Σ delta (x - mean x)^T.
    """
    if batch < 2 or record is None or record.input_mean is None or record.grad_unit_sum is None:
        return _rms(g)
    delta, mean = record.grad_unit_sum.to(g), record.input_mean.to(g)
    g = units_first(g, record.kind)
    if delta.numel() != g.shape[0] or g.ndim < 2 or mean.numel() != g.shape[1]:
        return _rms(g)
    shift = torch.outer(delta, mean).reshape(g.shape[0], g.shape[1], *[1] * (g.ndim - 2))
    return _rms(g - shift)


def units_first(weight: Tensor, kind: str) -> Tensor:
    """`weight` with output units on axis 0: products x @ W and transposed convolutions have them on axis 1."""
    return weight.transpose(0, 1) if TABLE.named(kind).units == 1 and weight.ndim >= 2 else weight


def _pace(
    w: Tensor, rms: float, useful: float, grad_rms: float, record: Record | None, step: Step, loss: float, batch: int
) -> tuple[float, float]:
    """(relative change of what the layer computes a step, predicted relative decrease of the loss a step)."""
    share = 1.0 if record is None or record.input_row_share is None else record.input_row_share
    if batch < 2:
        share = 1.0
    elif share < ROUNDING_SHARE:
        return 0.0, 0.0
    rows, columns = w.shape[0], w[0].numel()
    size = math.sqrt(w.numel())
    if step.sign_like:
        heard = math.sqrt(share * batch / (1.0 + share * batch))
        change = step.rate * heard * useful / (useful + step.eps)
        decrease = change * useful * w.numel()
    else:
        change = step.rate * useful
        decrease = step.rate * useful * useful * w.numel()
    spectral = rms * (math.sqrt(rows) + math.sqrt(columns)) if rms > 0 else 1.0
    return change * size / spectral, decrease / loss if loss > 0 else 0.0


def equal_units(w: Tensor, g: Tensor) -> tuple[float | None, int | None]:
    """(share of rows that equal another row in weights and in gradient, number of distinct rows).

    Equal rows are found by two fixed random projections of each; equal units must agree in every weight, so a
    chance hit needs two collisions in double precision.
    """
    rows = w.shape[0]
    if rows < 2:
        return None, None
    flat_w, flat_g = w.reshape(rows, -1), g.reshape(rows, -1)
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(flat_w.shape[1], 1, generator=generator, dtype=torch.float32).to(flat_w)
    hash_w, hash_g = (flat_w @ probe).reshape(-1), (flat_g @ probe).reshape(-1)
    scale_w, scale_g = float(hash_w.abs().max()), float(hash_g.abs().max())
    order = torch.argsort(hash_w)
    near = (hash_w[order].diff().abs() <= 1e-6 * scale_w) & (hash_g[order].diff().abs() <= 1e-5 * scale_g)
    if not bool(near.any()):
        return 0.0, rows
    return _grouped(hash_w / (scale_w or 1.0), hash_g / (scale_g or 1.0), rows)


def _grouped(hash_w: Tensor, hash_g: Tensor, rows: int) -> tuple[float, int]:
    keys = torch.stack([(hash_w * 1e5).round(), (hash_g * 1e4).round()], dim=1)
    _, counts = torch.unique(keys, dim=0, return_counts=True)
    return float(counts[counts > 1].sum()) / rows, int(counts.numel())


def _wide(tensor: Tensor) -> Tensor:
    t = tensor.detach()
    t = torch.view_as_real(t) if t.is_complex() else t
    return t if t.dtype in (torch.float32, torch.float64) else t.float()


def _rms(tensor: Tensor) -> float:
    if tensor.numel() == 0:
        return 0.0
    flat = tensor.reshape(-1)
    square = float(torch.dot(flat, flat)) / flat.numel()
    if not 1e-28 < square < math.inf:
        square = float(flat.double().square().mean())
    return math.sqrt(square) if square >= 0 else math.nan


def _index(record: Record | None) -> int | None:
    return None if record is None else record.index
