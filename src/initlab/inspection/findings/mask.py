"""A mask that hides everything, of the batch or of some samples: told by its other value there."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from initlab.guest.inputs import mapped, named_tensors
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind, advised
from initlab.inspection.line import STILL
from initlab.inspection.recorder import is_plain
from initlab.inspection.results import Finding
from initlab.inspection.trials import FAINT, Change, tried

Tensor = torch.Tensor
LOOK = 64  # numbers of which one that is neither 0 nor 1 tells that a tensor is no mask
MUCH = 0.01  # decrease of the lowest loss along the first step with the other value there, from which the mask hides


def find(e: Evidence) -> Finding | None:
    """Tried only where the loss is no number or hardly moves, or samples are all but one where the output is read."""
    if not _ill(e):
        return None
    for name, table in named_tensors(e.inputs, "inputs"):
        for value in (0, 1) if table is not e.own_targets and _is_mask(table) else ():
            told = _told(e, name, table, value)
            if told is not None:
                return told
    return None


def _told(e: Evidence, name: str, mask: Tensor, value: int) -> Finding | None:
    rows = (mask == value).flatten(1).all(1)
    trial = tried(e, Change("its other value there", inputs=_turned(mask, rows))) if bool(rows.any()) else None
    if trial is None or not (trial.gain > MUCH or (trial.opens and math.isfinite(trial.lowest))):
        return None
    which = "every sample" if bool(rows.all()) else f"{int(rows.sum())} of {len(rows)} samples"
    now = f"{trial.before:.4g}" if math.isfinite(trial.before) else "no finite number"
    better = f"the lowest loss along the first step is {trial.lowest:.4g} in place of {now}"
    parts = better if trial.gain > MUCH else "samples come apart where the output is read"
    evidence = f"it is {value} everywhere in {which}; with {1 - value} there {parts}"
    advice = "Look at how it is made, and which of its values hides: something of each sample must stay"
    return Finding("mask", "warning", name, evidence, advice)


def _is_mask(table: Tensor) -> bool:
    """Whether a tensor of the batch holds nothing but 0 and 1, several numbers a sample."""
    plain = is_plain(table) and not table.is_complex() and table.ndim > 1 and table.numel() > table.shape[0]
    return plain and _zero_or_one(table.reshape(-1)[:LOOK]) and _zero_or_one(table)


def _zero_or_one(table: Tensor) -> bool:
    return bool(((table == 0) | (table == 1)).all())


def _turned(mask: Tensor, rows: Tensor) -> Callable[[Any], Any]:
    """Inputs with those samples of the mask at its other value."""

    def other(tensor: Tensor) -> Tensor:
        if tensor is not mask:
            return tensor
        turned = mask.clone()
        turned[rows] = ~mask[rows] if mask.dtype == torch.bool else 1 - mask[rows]
        return turned

    return lambda inputs: mapped(inputs, other)


def _ill(e: Evidence) -> bool:
    if not math.isfinite(e.seen.loss) or (e.line is not None and e.line.decrease(e.line.lowest) < STILL):
        return True
    share = e.readout.input_row_share if e.readout is not None else None
    return not e.alike and share is not None and share < FAINT


FINDING = Kind(find, survives=True, leads=True, remedy=advised)
