"""Branches trained beside frozen weights, whose start is a part of the model that they adapt.

With next to nothing at their end, so that the model begins as it was; or with what was taken out of the frozen weight,
as a part of its singular values: drawn anew, they would take it from the model.

Source: Houlsby et al., Parameter-efficient transfer learning, 2019, section 2.1; Meng, Wang & Zhang, PiSSA, 2024,
section 3 (A and B hold the principal part, the frozen weight the rest); Zhang et al., AdaLoRA, 2023, section 3.1 (Λ is
zero between two factors that are drawn).
"""

from __future__ import annotations

import math

import torch

from initlab.graph.once import once
from initlab.planning.memory.shards import local_tensor, readable
from initlab.planning.memory.values import LEAST, is_next_to_nothing, is_zero
from initlab.planning.parameters.names import ADAPTER_DOWN, ADAPTER_UP, beside_up
from initlab.planning.parameters.residual import projections
from initlab.planning.parameters.scene import Scene, Subject


def adds_next_to_nothing(subject: Subject) -> bool:
    """Whether a matrix ends such a branch: an adapter's last, drawn at std 10⁻³ or so (Houlsby et al., 2019, 2.1)."""
    if subject.scene.graph is None or subject.name not in projections(subject.scene).names:
        return False
    return _mostly_frozen(subject.scene) and (subject.slot.told(is_next_to_nothing) or subject.slot.told(is_zero))


@once
def _mostly_frozen(scene: Scene) -> bool:
    weights = [s.slot.tensor for s in scene.subjects() if s.role == "weight"]
    return 2 * sum(not weight.requires_grad for weight in weights) >= len(weights)


def is_held_adapter(subject: Subject) -> bool:
    """Whether a factor belongs to an adapter beside frozen weights whose second factor holds what no layer draws."""
    return subject.name in _held_adapters(subject.scene)


@once
def _held_adapters(scene: Scene) -> frozenset[str]:
    slots = {s.name: s.slot for s in scene.subjects()}
    if all(slot.tensor.requires_grad for slot in slots.values()):
        return frozenset()
    ups = {name for name, slot in slots.items() if ADAPTER_UP.search(name) and slot.told(_was_set)}
    downs = {name for name in slots if ADAPTER_DOWN.search(name) and not ups.isdisjoint(beside_up(name))}
    return frozenset(ups | downs)


def _was_set(tensor: torch.Tensor) -> bool:
    """Whether a matrix (out, in) is neither zero, nor memory that nobody wrote, nor torch's draw, U(±1/√in)."""
    if not readable(tensor) or not tensor.is_floating_point() or tensor.dim() < 2 or tensor.numel() == 0:
        return False
    values = local_tensor(tensor).detach().float()
    rms, most = float(values.square().mean().sqrt()), 1.001 / math.sqrt(math.prod(tensor.shape[1:]))
    if not LEAST**2 < rms < 1 / LEAST:
        return False
    return float(values.abs().max()) > most or not 0.8 < rms * math.sqrt(3) / most < 1.2
