"""Weights that are not centred, such as those of `torch.rand`: every unit reads the same sum first."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import torch

from initlab.inspection.advice import multiplying
from initlab.inspection.evidence import Evidence
from initlab.inspection.fetching import fetched
from initlab.inspection.findings.kind import Kind
from initlab.inspection.remedy import Remedy, drawn_again
from initlab.inspection.results import Finding, ParameterStats

OFFSET = 0.5  # square of a matrix's mean over its second moment, from which it is not centred; of U(0, 1) it is 3/4
EQUAL = 0.999  # from which its numbers are all but one, which makes units alike
ENOUGH = 64  # numbers whose mean tells
LOOK = 4096  # of them that are looked at
ADVICE = "Draw every weight about zero, as plan does"


def find(e: Evidence) -> Finding | None:
    """A remark: norms take the common sum away in some networks and in others not."""
    found = list(_shares(e))
    if len(found) < 2:
        return None
    middle = statistics.median(share for share, _, _ in found)
    if not OFFSET < middle < EQUAL:
        return None
    _, mean, p = max(found, key=lambda item: item[0] if item[0] < EQUAL else 0.0)
    evidence = f"in the median matrix {middle:.0%} of the weights' second moment is their mean; that of {p.name} is "
    return Finding("offset weights", "info", p.name, f"{evidence}{mean:.2g}, its rms {p.rms:.2g}", ADVICE)


def _shares(e: Evidence) -> Iterator[tuple[float, float, ParameterStats]]:
    """(the square of the mean over the second moment, the mean, the matrix), by evenly spaced numbers of each."""
    values = e.values
    asked = [p for p in multiplying(e) if p.rms > 0 and _plain(values[p.name])]
    looked = [_looked_at(values[p.name].detach()) for p in asked]
    numbers = fetched([{"mean": some.mean(), "square": some.square().mean()} for some in looked])
    for p, n in zip(asked, numbers, strict=True):
        if n["square"] > 0:
            yield n["mean"] ** 2 / n["square"], n["mean"], p


def _plain(value: torch.Tensor) -> bool:
    return value.layout == torch.strided and value.is_floating_point() and value.numel() >= ENOUGH


def _looked_at(value: torch.Tensor) -> torch.Tensor:
    flat = value.reshape(-1)
    some = flat[:: max(1, flat.numel() // LOOK) | 1]
    return some if some.dtype == torch.float64 else some.float()


def remedy(e: Evidence, finding: Finding) -> Remedy | None:
    return drawn_again("auto", ADVICE)


FINDING = Kind(find, leads=True, yields=True, remedy=remedy)
