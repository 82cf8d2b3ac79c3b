"""Layers that hold the same values and are not tied: copies of one layer."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch

from initlab.inspection.advice import random_advice
from initlab.inspection.evidence import Evidence
from initlab.inspection.fetching import at_hand, fetched
from initlab.inspection.findings.kind import Kind
from initlab.inspection.outputs import parts
from initlab.inspection.results import Finding, ParameterStats
from initlab.reporting.status import Severity

Tensor = torch.Tensor
LEAST = 16  # numbers in a weight from which equal values are no chance
LOOK = 128  # rows and columns by which values look drawn


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
    """Groups of trained matrices with equal values that vary; by shape and rms first, then compared where they are."""
    values = e.values
    alike: dict[object, list[ParameterStats]] = defaultdict(list)
    for p in e.parameters:
        tensor = values[p.name]
        drawn = p.trainable and sum(size > 1 for size in p.shape) > 1 and tensor.numel() >= LEAST and p.rms > 0
        if drawn and tensor.layout == torch.strided:
            alike[(p.shape, p.rms, tensor.dtype, tensor.device)].append(p)
    groups: list[list[ParameterStats]] = []
    waiting = [members for members in alike.values() if len(members) > 1]
    while waiting:
        pairs = [(members[0].name, p.name) for members in waiting for p in members[1:]]
        same = iter(_same([(values[one].detach(), values[other].detach()) for one, other in pairs]))
        parted = [_parted(members, [next(same) for _ in members[1:]]) for members in waiting]
        groups += [equal for equal, _ in parted if len(equal) > 1]
        waiting = [others for _, others in parted if len(others) > 1]
    return [group for group in groups if _varied(values[group[0].name])]


def _parted(members: list[ParameterStats], same: list[bool]) -> tuple[list[ParameterStats], list[ParameterStats]]:
    """Those that equal the first, itself included, and the others."""
    rest = list(zip(members[1:], same, strict=True))
    return [members[0], *(p for p, equal in rest if equal)], [p for p, equal in rest if not equal]


def _same(pairs: list[tuple[Tensor, Tensor]]) -> list[bool]:
    """Whether the two of each pair hold equal values; a device is waited for once, however many there are."""
    if all(at_hand(one) for one, _ in pairs):
        return [np.array_equal(_array(one), _array(other)) for one, other in pairs]
    return [bool(found["same"]) for found in fetched([{"same": (one == other).all()} for one, other in pairs])]


def _varied(tensor: Tensor) -> bool:
    """Whether the values look drawn: those of a rule, such as an identity or a range in each row, repeat themselves."""
    values = parts(tensor.detach()).squeeze()
    ordered = np.sort(_array(values.flatten(0, -2)[:LOOK, :LOOK].cpu()), axis=None)
    return 2 * (1 + int(np.count_nonzero(ordered[1:] != ordered[:-1]))) > ordered.size


def _array(tensor: Tensor) -> np.ndarray:
    """The numbers of a tensor on the CPU; NumPy knows no bfloat16."""
    plain = parts(tensor)
    return (plain if plain.dtype == torch.float64 else plain.float()).numpy()


def _same_gradient(group: list[ParameterStats]) -> bool:
    sizes = [p.grad_rms for p in group]
    return sizes[0] is not None and sizes[0] > 0 and all(size == sizes[0] for size in sizes)


FINDING = Kind(find, leads=True)
