"""Branches trained beside frozen weights that begin with next to nothing, so that the model begins as it was."""

from __future__ import annotations

import math

from initlab.graph.once import once
from initlab.planning.residual import projections
from initlab.planning.scene import Scene, Subject
from initlab.planning.shards import local_tensor, readable

NEXT_TO_NOTHING = (
    0.05  # rms · √fan_in of what is drawn so; torch's default is 0.58, GPT-2's 0.55, its branch ends' 0.11
)


def adds_next_to_nothing(subject: Subject) -> bool:
    """Whether a matrix ends such a branch: an adapter's last, drawn at std 10⁻³ or so (Houlsby et al., 2019, 2.1)."""
    tensor = subject.slot.tensor
    if subject.scene.graph is None or not readable(tensor) or not tensor.is_floating_point():
        return False
    if subject.name not in projections(subject.scene).names or not _mostly_frozen(subject.scene):
        return False
    rms = float(local_tensor(tensor).detach().float().square().mean().sqrt())
    return rms * math.sqrt(math.prod(subject.shape[1:])) < NEXT_TO_NOTHING


@once
def _mostly_frozen(scene: Scene) -> bool:
    weights = [s.slot.tensor for s in scene.subjects() if s.role == "weight"]
    return 2 * sum(not weight.requires_grad for weight in weights) >= len(weights)
