"""A trunk that is frozen and was never trained: most weights are as they were drawn, and stay so."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from initlab.guest.doubles import doubled
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.findings.optimizer_misses import ADD
from initlab.inspection.outputs import parts
from initlab.inspection.remedy import Remedy
from initlab.inspection.results import Finding, ParameterStats
from initlab.planning.memory.fitted import fit_law
from initlab.planning.memory.samples import values_of

MOST = 0.5  # share of the weights from which a frozen part is the trunk
ENOUGH = 256  # numbers of a matrix from which its law is told
NEARLY = 0.9  # share of the frozen numbers that must look drawn
LOOK = 512  # rows and columns by which a matrix is told
UNLIKELY = 4.0  # quantile of the Tracy-Widom law at a chance of about 1e-4
DRAWN = ("uniform", "normal", "truncated_normal")  # laws that weights are drawn from
THAW = "for p in model.parameters():\n    p.requires_grad_(True)"


def find(e: Evidence) -> Finding | None:
    """Not a random map alone (one matrix), nor a copy of what trains, as teachers and target networks are.

    What is read from random layers trains too, but less far: of six networks of six kinds, frozen so but for their last
    layer, none removed over a third of the loss that it removes as a whole in 150 steps.
    """
    used = [p for p in e.parameters if p.layer is not None and len(p.shape) > 1]
    frozen = [p for p in used if not p.trainable]
    share = _numbers(frozen) / max(1, _numbers(used))
    if share < MOST or len(frozen) < 2 or not any(p.trainable for p in e.parameters) or not _as_drawn(e, frozen):
        return None
    evidence = (
        f"{len(frozen)} weights, {share:.0%} of the numbers, are frozen as they were drawn: no layer there learned"
    )
    advice = "Load trained weights there, or let it train: requires_grad_(True), with every parameter in the optimizer"
    return Finding("frozen", "warning", frozen[0].name, evidence, advice)


def _numbers(parameters: Iterable[ParameterStats]) -> int:
    return sum(math.prod(p.shape) for p in parameters)


def _as_drawn(e: Evidence, frozen: list[ParameterStats]) -> bool:
    """Whether nearly all their numbers look drawn and copy nothing that trains, and no frozen norm has learned."""
    values = e.values
    trained = {(p.shape, p.rms) for p in e.parameters if p.trainable}
    told = [p for p in frozen if math.prod(p.shape) >= ENOUGH]
    drawn = [p for p in told if (p.shape, p.rms) not in trained and drawn_alike(values[p.name])]
    norms = [values[p.name] for p in e.parameters if not p.trainable and len(p.shape) == 1 and p.name in _scales(e)]
    alike = all(bool((scale == scale.flatten()[:1]).all()) for scale in norms)
    return bool(told) and alike and _numbers(drawn) >= NEARLY * _numbers(told)


def _scales(e: Evidence) -> set[str]:
    """Parameters of norms."""
    return {name for record in e.seen.records if record.norm for name in record.parameters}


def drawn_alike(weight: torch.Tensor) -> bool:
    """Whether a matrix's numbers follow a law that weights are drawn from, and no direction of it stands out.

    What a layer learns lies in few directions: their singular values leave the bulk of a random matrix.

    Source: Johnstone 2001, "On the distribution of the largest eigenvalue in principal components analysis", theorem
    1.1: the largest squared singular value of m by n normal numbers is mu + sigma TW, mu = (sqrt(m - 1) + sqrt(n))^2.
    """
    if fit_law(values_of(weight)).family not in DRAWN:
        return False
    plane = doubled(parts(weight.detach()).flatten(1)[:LOOK, :LOOK])
    m, n = plane.shape
    both = math.sqrt(max(1, m - 1)) + math.sqrt(n)
    sigma = both * (1 / math.sqrt(max(1, m - 1)) + 1 / math.sqrt(n)) ** (1 / 3)
    largest = float(torch.linalg.matrix_norm(plane, 2)) ** 2 / float(plane.square().mean())
    return bool(largest < both**2 + UNLIKELY * sigma)


def _can(p: torch.Tensor) -> bool:
    return (p.is_floating_point() or p.is_complex()) and not p.is_inference()


def _thaw(model: nn.Module) -> None:
    for p in model.parameters():
        if _can(p):
            p.requires_grad_(True)


def remedy(e: Evidence, finding: Finding) -> Remedy | None:
    code = THAW if e.step.groups is None else f"{THAW}\n{ADD}"
    return Remedy("Let the frozen weights train", code, prepare=_thaw, whole=True)


FINDING = Kind(find, survives=True, leads=True, remedy=remedy)
