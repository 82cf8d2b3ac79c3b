"""Outputs that an identity is added to: matrices of each sample, which begin near it.

In x (1 + M(x)), also written x M(x) + x, for a k × k matrix M of unit elements, M is √k times as large as the identity
beside it, and what the network makes of x is lost. With k·E[M²] small the signal passes, and M is learned beside it.

Source: Jaderberg et al., Spatial transformer networks, 2015, section 3 (the last layer begins at the identity);
Qi et al., PointNet, 2017, section 4.2 and appendix C (the output matrix of a T-Net begins as an identity matrix).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import passed
from initlab.planning.signals.ways import read_alone


def beside_identity(graph: SignalGraph, applied: Mapping[str, Iterable[Operation]]) -> dict[str, int]:
    """The weights, of those applied, whose every output first has an identity added -> the side of that.

    A constant one, or what the output multiplies is added to the product.

    Args:
        graph: the recording.
        applied: by weight, the operations that apply it.
    """
    found = {name: [_side(graph, use) for use in uses] for name, uses in applied.items()}
    return {name: max(sides) for name, sides in found.items() if sides and all(sides)}


def _side(graph: SignalGraph, use: Operation) -> int:
    for value, reader in read_alone(graph, use.outputs[0]):
        if reader.traits.combines == "sum":
            sides = [_identity(graph, other) for other in reader.inputs if other != value]
            if any(sides) or not reader.parameters:  # else a bias
                return max(sides, default=0)
        elif not reader.traits.passes:
            return _side_of_product(graph, reader, value)
    return 0


def _side_of_product(graph: SignalGraph, product: Operation, matrix: int) -> int:
    """The side of a square matrix of each sample, where what it multiplies is added to the product: x M + x."""
    shape = graph.values[matrix].shape
    if product.kind not in ("matmul", "bmm") or len(shape) < 3 or shape[-1] != shape[-2]:
        return 0
    given = {item for value in product.inputs if value != matrix for item in passed(graph, value)}
    value = product.outputs[0]
    while len(readers := graph.consumers(value)) == 1 and readers[0].traits.passes:
        value = readers[0].outputs[0]
    sums = [reader for reader in readers if reader.traits.combines == "sum"]
    added = {item for reader in sums for other in reader.inputs if other != value for item in passed(graph, other)}
    return shape[-1] if given & added else 0


def _identity(graph: SignalGraph, value: int) -> int:
    """The side of an identity matrix, as a constant holds it once or many times, in rows or one after another."""
    tensor = next((t for item in passed(graph, value) if (t := graph.values[item].tensor) is not None), None)
    if tensor is None or graph.values[passed(graph, value)[-1]].source != "constant" or not tensor.is_floating_point():
        return 0
    for length in dict.fromkeys((tensor.shape[-1] ** 2, tensor.shape[-1])) if tensor.dim() else ():
        side = math.isqrt(length)
        if side > 1 and side * side == length and tensor.numel() and tensor.numel() % length == 0:
            rows = tensor.detach().reshape(-1, side, side)
            if bool((rows == torch.eye(side, dtype=rows.dtype, device=rows.device)).all()):
                return side
    return 0
