"""Spectral norm: the singular vectors that it keeps beside a weight, made anew where the weight is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.spectral_norm import SpectralNorm

from initlab.planning.memory.shards import is_split
from initlab.planning.parameters.walk import Walk

EXACT = 512  # of the smaller side, up to which the vectors come of a decomposition
ROUNDS = 200  # of the power iteration beyond that


@dataclass(frozen=True)
class Vectors:
    """One spectral norm: the weight's name and tensor, how it becomes a matrix, and the buffers that hold u and v."""

    name: str
    weight: torch.Tensor
    reshape: Callable[[torch.Tensor], torch.Tensor]
    u: torch.Tensor
    v: torch.Tensor

    def follow(self, weight: torch.Tensor) -> None:
        """Set u and v to the first singular vectors of a weight, so that its σ is right."""
        with torch.no_grad():
            held = self.reshape(weight.detach())
            matrix = held.float() if held.dtype in (torch.float16, torch.bfloat16) else held
            if not bool(matrix.any()):
                return
            u, v = _decomposed(matrix) if min(matrix.shape) <= EXACT else _iterated(matrix, self.u.to(matrix.dtype))
            self.u.copy_(u)
            self.v.copy_(v)


def spectral_norms(found: Walk) -> Iterator[Vectors]:
    """Every spectral norm of a model, of torch's parametrization and of its older hook."""
    for slot in found.parameters:
        if not slot.is_remade or slot.tensor.is_meta:
            continue
        module = slot.owner.module
        steps: list[Any] = list(module.children())
        for step in steps:
            if isinstance(step, _SpectralNorm) and hasattr(step, "_u"):
                yield Vectors(slot.name, slot.tensor, step._reshape_weight_to_matrix, step._u, step._v)
        hooks: list[Any] = list(module._forward_pre_hooks.values())
        for hook in hooks:
            stem = getattr(hook, "name", "")
            if isinstance(hook, SpectralNorm) and slot.owner.leaf == f"{stem}_orig":
                u, v = getattr(module, f"{stem}_u"), getattr(module, f"{stem}_v")
                yield Vectors(slot.name, slot.tensor, hook.reshape_weight_to_matrix, u, v)


def refresh(found: Walk, written: Collection[str]) -> tuple[str, ...]:
    """Set u and v to the first singular vectors of every weight that was written, so that its σ is 1 from the start.

    Returns:
        Notes: the weights for which it could not be done.
    """
    split = []
    for norm in spectral_norms(found):
        if norm.name in written:
            if is_split(norm.weight):
                split.append(norm.name)
            else:
                norm.follow(norm.weight)
    if not split:
        return ()
    more = f"{len(split)} sharded weights, {split[0]} first: run some forward passes in training mode before evaluation"
    return (f"the singular vectors of spectral norm are stale for {more}",)


def _decomposed(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    return left[:, 0], right[0].conj()


def _iterated(matrix: torch.Tensor, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    normal = torch.nn.functional.normalize
    v = normal(matrix.H @ u, dim=0)
    for _ in range(ROUNDS):
        u = normal(matrix @ v, dim=0)
        v = normal(matrix.H @ u, dim=0)
    return u, v
