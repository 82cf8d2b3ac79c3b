"""How much of what the loss asks of each sample can be read from what arrives at the read-out.

Ridge regression from one to the other, each row predicted by the others: 1 - Σ (y - ŷ)² / Σ y², in closed form from the
hat matrix H as y - ŷ = (y - H y) / (1 - h). It is free of units on both sides.
"""

from __future__ import annotations

import torch

from initlab.guest.doubles import doubled

Tensor = torch.Tensor
ROWS = 128
RIDGE = 0.03  # over the mean eigenvalue of the rows' Gram matrix


def readable(source: Tensor, wanted: Tensor, axis: int | None) -> float | None:
    """Share of `wanted` that rows of `source` tell of rows that they did not see; None where rows do not match.

    Args:
        source: what the last weight matrix reads.
        wanted: the change of the model's output that the loss asks for.
        axis: of the batch, where the two have no other axes in common.
    """
    rows = _rows(source, wanted, axis)
    if rows is None or len(rows[0]) < 8:
        return None
    x, y = (_centred(t) for t in rows)
    gram, total = x @ x.t(), float(y.square().sum())
    mean = float(gram.trace()) / len(x)
    if not (0 < mean < float("inf") and 0 < total < float("inf")):
        return 0.0
    gram /= mean
    hat = gram @ torch.linalg.inv(gram + RIDGE * torch.eye(len(x), dtype=gram.dtype, device=gram.device))
    left = (y - hat @ y) / (1 - hat.diagonal() - 1 / len(x)).clamp(min=1e-6)[:, None]
    return min(1.0, max(-1.0, 1.0 - float(left.square().sum()) / total))


def _rows(source: Tensor, wanted: Tensor, axis: int | None) -> tuple[Tensor, Tensor] | None:
    if source.ndim > 1 and source.shape[:-1] == wanted.shape[:-1]:
        x, y = source.flatten(0, -2), wanted.flatten(0, -2)
    elif axis == 0 and source.ndim > 1 and wanted.ndim > 0 and len(source) == len(wanted):
        x, y = source.flatten(1), wanted.reshape(len(wanted), -1)
    else:
        return None
    every = max(1, len(x) // ROWS)
    return x[::every][:ROWS], y[::every][:ROWS]


def _centred(rows: Tensor) -> Tensor:
    wide = doubled(rows.detach())
    return wide - wide.mean(0)
