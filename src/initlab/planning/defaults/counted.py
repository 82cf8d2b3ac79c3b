"""How many of a model's parameters are of a kind: what stands out was made so on purpose."""

from __future__ import annotations

from collections.abc import Callable

import torch

from initlab.graph.once import once
from initlab.planning.parameters.scene import Scene, Subject

Question = Callable[[torch.Tensor], bool]


@once
def counted(scene: Scene, is_so: Question, *roles: str) -> tuple[int, int]:
    """(of how many parameters in these roles the values are so, how many there are)."""
    asked = [subject.slot for subject in scene.subjects() if subject.role in roles]
    return sum(slot.told(is_so) for slot in asked), len(asked)


def stands_out(subject: Subject, is_so: Question) -> bool:
    """Whether a matrix is of a kind that fewer than half of the matrices of its model are."""
    if subject.scene.graph is None or not subject.slot.told(is_so):
        return False
    found, count = counted(subject.scene, is_so, "weight")
    return 2 * found < count
