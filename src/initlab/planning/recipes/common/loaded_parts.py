"""What recipes make of loaded weights: parts that are computed when the plan is made, and held by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from initlab.graph.once import once
from initlab.planning.choice import Options
from initlab.planning.defaults.by_role import DEFAULTS
from initlab.planning.memory.shards import is_split
from initlab.planning.parameters.low_rank import LowRank, adapter_of, low_rank
from initlab.planning.parameters.scene import Scene, Subject
from initlab.planning.policy import Need, RoleLaw
from initlab.planning.recipes.common.given import Kept, as_scheme
from initlab.sampling.request import Array
from initlab.sampling.whole_laws import Given
from initlab.schemes import Scheme

Split = Callable[[Array, int, LowRank], tuple[Array, Array]]


@dataclass(frozen=True)
class _Loaded:
    """A part of what a loaded weight is split into: A, B, or W − s · B A."""

    split: Split
    words: str

    def __call__(self, subject: Subject, options: Options) -> Scheme:
        adapter = adapter_of(subject)
        assert adapter is not None
        down, up, rest = _parts(subject.scene, adapter, self.split)
        values = {adapter.down: down, adapter.up: up, adapter.base: rest}
        law = Given(values[next(name for name in values if name in {subject.name, *subject.slot.ties})], self.words)
        return as_scheme("of_loaded", law, self.words)


@once
def _parts(scene: Scene, adapter: LowRank, split: Split) -> tuple[Array, Array, Array]:
    """(A, B, what is left of W) of an adapter's loaded weight."""
    tensors = {s.name: s.slot.tensor for s in scene.subjects()}
    weight, rank = tensors[adapter.base], tensors[adapter.down].shape[0]
    numbers = weight.detach().to(device="cpu", dtype=torch.float32).numpy()
    down, up = split(numbers, rank, adapter)
    return down, up, numbers - np.float32(adapter.scaling) * (up @ down)


def split_loaded(split: Split, down: str, up: str, part: str) -> tuple[RoleLaw, ...]:
    """The laws of adapters that hold a part of the loaded weight: (W, rank, adapter) -> (A, B).

    Args:
        split: what gives A and B.
        down, up, part: A, B and s · B A in words.
    """
    rest = Kept("no part of an adapter")
    return (
        RoleLaw("low_rank_down", _Loaded(split, down), down),
        RoleLaw("low_rank_up", _Loaded(split, up), up),
        RoleLaw("adapted", _Loaded(split, f"W less {part}"), f"W less {part}", loaded=True),
        *(RoleLaw(role, rest, "kept") for role in ("weight", *DEFAULTS)),
    )


def of_loaded() -> Need:
    """The need of weights whose values are here whole."""
    return Need("loaded weights whose values are here (not meta, not in shards) and finite", _readable)


def _readable(scene: Scene, subjects: Sequence[Subject]) -> bool:
    bases = {adapter.base for adapter in low_rank(scene)}
    held = [subject.slot.tensor for subject in subjects if subject.name in bases]
    return not any(tensor.is_meta or is_split(tensor) or not tensor.isfinite().all() for tensor in held)
