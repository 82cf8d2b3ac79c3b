"""Structure in a matrix that no law of single elements shows: identity, orthogonal, sparse, repeated blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from initlab.guest.doubles import doubled
from initlab.planning.memory.shards import is_split, local_tensor
from initlab.schemes import Geometry

MOST_ROWS = 96  # rows whose products tell whether a matrix is orthogonal
LARGEST = 2**26  # elements beyond which structure is not looked for
_CLOSE = 5e-3  # of 1, for products of unit rows; bfloat16 rounds each element by 2⁻⁹


@dataclass(frozen=True)
class Structure:
    """What a matrix is.

    Args:
        family: "identity", "orthogonal", "delta_orthogonal", "mirrored" or "sparse"; "" for none of these.
        gain: of the identity or the orthogonal matrix.
        sparsity: the share of zeros in each column.
    """

    family: str
    gain: float = 1.0
    sparsity: float = 0.0

    def describe(self) -> str:
        if self.family == "sparse":
            return f"{self.sparsity:.3g} of each column zero"
        return f"{self.gain:.3g} · {self.family.replace('_', ' ')}"


NOTHING = Structure("")


def structure_of(tensor: torch.Tensor, geometry: Geometry | None) -> Structure:
    """The structure of a weight; none for vectors, for what is not here whole, and where nothing is certain."""
    local = local_tensor(tensor.detach())
    usable = local.is_floating_point() and not local.is_meta and local.layout == torch.strided
    if not usable or is_split(tensor) or local.ndim < 2 or not 4 <= local.numel() <= LARGEST:
        return NOTHING
    local = local.float() if local.element_size() == 1 else local  # float8 has no operations
    out_axis, in_axis = (0, 1) if geometry is None else (geometry.out_axis, geometry.in_axis)
    moved = torch.movedim(local, (out_axis, in_axis), (0, 1))
    centre, alone = _centre(moved)
    found = _of_plane(centre) if alone else NOTHING
    if found.family == "orthogonal" and moved.ndim > 2:
        return Structure("delta_orthogonal", found.gain)
    if found.family:
        return found
    if moved.ndim == 2:
        return NOTHING
    flat = moved.reshape(moved.shape[0], -1)
    return _sparse(flat) or _orthogonal(flat)


def _centre(weight: torch.Tensor) -> tuple[torch.Tensor, bool]:
    """The plane at the kernel's centre, and whether everything beside it is zero."""
    plane = weight
    for size in weight.shape[2:]:
        plane = plane.select(2, size // 2)
    return plane, weight.ndim == 2 or int(torch.count_nonzero(weight)) == int(torch.count_nonzero(plane))


def _of_plane(plane: torch.Tensor) -> Structure:
    nonzero = torch.count_nonzero(plane)
    diagonal = torch.diagonal(plane)
    if int(nonzero) == 0 or min(plane.shape) < 2:
        return NOTHING
    if int(nonzero) == diagonal.numel() and bool((diagonal == diagonal[0]).all()):
        return Structure("identity", float(diagonal[0]))
    return _sparse(plane) or _mirrored(plane) or _orthogonal(plane)


def _sparse(plane: torch.Tensor) -> Structure | None:
    zeros = (plane == 0).sum(0)
    share = float(zeros[0]) / plane.shape[0]
    equal = bool((zeros == zeros[0]).all())
    return Structure("sparse", sparsity=share) if equal and 0 < share < 1 and plane.shape[0] >= 4 else None


def _mirrored(plane: torch.Tensor) -> Structure | None:
    rows, columns = plane.shape[0] // 2, plane.shape[1] // 2
    for axis, half in ((0, rows), (1, columns)):
        one, other = plane.narrow(axis, 0, half), plane.narrow(axis, plane.shape[axis] - half, half)
        if half >= 2 and bool((one == -other).all()):
            return Structure("mirrored", float(_orthogonal(one.narrow(1 - axis, 0, plane.shape[1 - axis])).gain))
    return None


def _orthogonal(matrix: torch.Tensor) -> Structure:
    """Orthonormal rows or columns, the fewer, times a gain."""
    short = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    if short.shape[0] < 2:
        return NOTHING
    step = max(1, short.shape[0] // MOST_ROWS)
    rows = doubled(short[::step]).cpu().numpy()
    norms = np.sqrt((rows * rows).sum(1))
    if not norms.all():
        return NOTHING
    products = (rows / norms[:, None]) @ (rows / norms[:, None]).T
    off = np.abs(products - np.eye(len(rows))).max()
    # Independent rows of n elements have products of about 1/√n: that must be far above what counts as none.
    told_apart = short.shape[1] ** -0.5 > 4 * _CLOSE or len(rows) > 8
    if off < _CLOSE and norms.max() / norms.min() < 1 + _CLOSE and told_apart:
        return Structure("orthogonal", float(norms.mean()))
    return NOTHING


def repeated_blocks(tensor: torch.Tensor) -> tuple[int, int] | None:
    """(axis, number) of equal blocks that a tensor consists of, as where every process drew the same shard."""
    local = local_tensor(tensor.detach())
    if local.is_meta or local.layout != torch.strided or local.ndim < 1 or local.numel() < 64:
        return None
    for axis in range(min(local.ndim, 2)):
        for number in (2, 3, 4, 8, 16, 32, 64):
            size = local.shape[axis] // number
            if size < 1 or local.shape[axis] % number or local.numel() // number < 16:
                continue
            first = local.narrow(axis, 0, size)
            blocks = (local.narrow(axis, k * size, size) for k in range(1, number))
            if all(torch.equal(first, block) for block in blocks) and not _constant(first):
                return axis, number
    return None


def _constant(tensor: torch.Tensor) -> bool:
    """Whether equal blocks say nothing: one value, or a table of few."""
    return int(torch.unique(tensor.reshape(-1)[:4096]).numel()) < 8
