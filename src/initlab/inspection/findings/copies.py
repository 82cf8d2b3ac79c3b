"""Layers that hold the same values and are not tied: copies of one layer."""

from __future__ import annotations

import hashlib
from collections import defaultdict

import torch
from torch import nn

from initlab.inspection.advice import random_advice
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.results import Finding, ParameterStats
from initlab.reporting.status import Severity

LEAST = 16  # numbers in a weight from which equal values are no chance


def find(e: Evidence) -> Finding | None:
    groups = _equal(e)
    if not groups:
        return None
    stuck = next((group for group in groups if _same_gradient(group)), None)
    group = stuck or groups[0]
    first, second = group[0], group[1]
    evidence = f"{len(group)} weights hold the same values ({first.name} and {second.name} first)"
    if len(groups) > 1:
        evidence += f", and so do {len(groups) - 1} other groups: a layer was copied, not drawn anew"
    if stuck is not None:
        evidence += "; their gradients are the same too, so they stay equal"
    severity: Severity = "warning" if stuck is not None else "info"
    return Finding("copies", severity, second.name, evidence, random_advice(e, second))


def _equal(e: Evidence) -> list[list[ParameterStats]]:
    """Groups of matrices with equal values that vary; by shape and rms first, then by their bytes."""
    values = dict(e.model.named_parameters())
    alike: dict[object, list[ParameterStats]] = defaultdict(list)
    for p in e.parameters:
        if (
            sum(size > 1 for size in p.shape) > 1
            and values[p.name].numel() >= LEAST
            and p.rms > 0
            and values[p.name].layout == torch.strided
        ):
            alike[(p.shape, p.rms)].append(p)
    groups: dict[object, list[ParameterStats]] = defaultdict(list)
    for key, members in alike.items():
        for p in members if len(members) > 1 else ():
            tensor = values[p.name]
            if _varied(tensor):
                groups[(key, _digest(tensor))].append(p)
    return [group for group in groups.values() if len(group) > 1]


def _varied(tensor: nn.Parameter) -> bool:
    """Whether the values look drawn: those of a rule, such as an identity or a range in each row, repeat themselves."""
    return 2 * int(torch.unique(tensor.detach()).numel()) > tensor.numel()


def _digest(tensor: nn.Parameter) -> bytes:
    flat = tensor.detach().contiguous().flatten().cpu().view(torch.uint8)
    return hashlib.sha256(flat.numpy().tobytes()).digest()


def _same_gradient(group: list[ParameterStats]) -> bool:
    sizes = [p.grad_rms for p in group]
    return sizes[0] is not None and sizes[0] > 0 and all(size == sizes[0] for size in sizes)


FINDING = Kind(find)
