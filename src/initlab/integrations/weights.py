"""One variable of another framework as torch would hold it: its role, geometry and layout."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from initlab.graph.layers import Part, Shape, embedding_geometry, vector
from initlab.integrations.layout import Layout
from initlab.schemes import Geometry


@dataclass(frozen=True)
class Weight:
    """One variable as torch would hold it.

    Args:
        part: its role and geometry, in torch's layout.
        layout: how the framework stores it.
        leaf: its name in a torch layer.
    """

    part: Part
    layout: Layout
    leaf: str


ByPath = Mapping[tuple[str, ...], Weight]  # what variables are, by their paths in the framework
# (layer, the variable's name, its shape) -> what the layer's type says of it.
Entry = Callable[[Any, str, Shape], Weight | None]


def matrix(geometry: Geometry, layout: Layout, leaf: str = "weight", role: str = "weight") -> Weight:
    """A variable that has fans."""
    return Weight(Part(role, geometry), layout, leaf)


def single(shape: Shape, role: str, leaf: str) -> Weight:
    """A bias, or the scale or shift of a norm."""
    layout = Layout.flat(shape) if len(shape) > 1 else Layout.same(shape)
    return Weight(Part(role, vector(layout.shape, role)), layout, leaf)


def product_weight(shape: Shape, summed: list[int], made: list[int], batch: list[int]) -> Weight | None:
    """A weight of a product, as the matrix (made, summed); one matrix for each index of the batch axes."""
    layout = Layout.product(shape, summed, made, batch)
    if not summed or 0 in layout.shape:
        return None
    groups = math.prod(shape[axis] for axis in batch)
    return matrix(Geometry(layout.shape, layout.shape[1], layout.shape[0] // groups, groups=groups), layout)


# The words that frameworks use for what torch calls weight and bias.
LEAVES = {
    "kernel": "weight", "w": "weight", "scale": "weight", "gamma": "weight", "g": "weight", "embedding": "weight",
    "embeddings": "weight", "b": "bias", "beta": "bias", "offset": "bias",
}  # fmt: skip
_KERNELS, _SCALES = ("kernel", "weight", "w"), ("scale", "gamma", "g")


def by_convention(name: str, shape: Shape) -> Weight:
    """A variable that no layer type explains, by its framework's words: kernels are (*window, in, out)."""
    leaf = LEAVES.get(name, name)
    if name.endswith(("bias", "beta", "offset")) or (name == "b" and len(shape) <= 1):
        return single(shape, "bias", leaf)
    if (len(shape) == 1 and name in (*_SCALES, "weight")) or (len(shape) > 1 and name in _SCALES[:2]):  # stacked norms'
        return single(shape, "norm_weight", leaf)
    if len(shape) == 2 and name.startswith("embedding") and 0 not in shape:
        return matrix(embedding_geometry(shape), Layout.same(shape), leaf, "embedding")
    if len(shape) >= 2 and 0 not in shape and name.endswith(_KERNELS):
        layout = Layout.kernel(shape)
        kind = "linear" if len(shape) == 2 else "conv"
        return matrix(replace(Geometry.from_shape(layout.shape), kind=kind), layout, leaf)
    return Weight(Part("other", vector(shape, "other") if len(shape) < 2 else None), Layout.same(shape), leaf)


def left_to_the_pass(weight: Weight, values: np.ndarray[Any, Any] | None) -> Weight:
    """A variable known by its name alone, where a pass shows its use: one called a scale and set to another number than
    one may scale a branch, and is not taken for a norm's."""
    if weight.part.role != "norm_weight" or values is None or bool((values == 1).all()):
        return weight
    return replace(weight, part=Part("other", None))
