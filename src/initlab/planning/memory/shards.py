"""Which part of a parameter's global tensor this process holds: plain tensors, and DTensors however sharded."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from initlab.errors import InputError
from initlab.guest.check import is_strided
from initlab.guest.whole import is_sharded_type
from initlab.planning.memory.partitions import partition_of
from initlab.planning.memory.tensors import Block

# (start in the local tensor, start in the global tensor, length) along one axis.
Run = tuple[int, int, int]


@dataclass(frozen=True)
class Part:
    """What this process holds of a tensor.

    Args:
        tensor: the plain local tensor.
        shape: the global shape.
        blocks: pairs (slices of the local tensor, slices of the global tensor) that cover the local tensor.
    """

    tensor: torch.Tensor
    shape: tuple[int, ...]
    blocks: tuple[tuple[Block, Block], ...]

    @property
    def whole(self) -> bool:
        everything = tuple(slice(0, size) for size in self.shape)
        return tuple(self.tensor.shape) == self.shape and self.blocks == ((everything, everything),)

    def rows(self, first: int, last: int) -> Part:
        """The rows from `first` to `last` of the global tensor, so far as this process holds them."""
        blocks = []
        for local, place in self.blocks:
            low, high = max(first, place[0].start), min(last, place[0].stop)
            if low < high:
                shift = place[0].start - local[0].start
                blocks.append(((slice(low - shift, high - shift), *local[1:]), (slice(low, high), *place[1:])))
        return replace(self, blocks=tuple(blocks))


def is_split(tensor: torch.Tensor) -> bool:
    """Whether this process holds less than the whole tensor."""
    elsewhere = is_sharded_type(tensor) or partition_of(tensor) is not None
    return elsewhere and tuple(local_tensor(tensor).shape) != tuple(tensor.shape)


def readable(tensor: torch.Tensor) -> bool:
    """Whether all of its values are here, each in its place: what one shard holds says nothing of the whole."""
    return is_strided(tensor) and not (tensor.is_meta or is_split(tensor) or tensor.numel() == 0)


def local_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """The plain tensor whose memory this process owns."""
    partition = partition_of(tensor)
    if partition is not None:
        return partition.local
    local: torch.Tensor = tensor._local_tensor if is_sharded_type(tensor) else tensor  # type: ignore[attr-defined]  # DTensor
    return local


def refuse_gathered(modules: Iterable[tuple[str, nn.Module]]) -> None:
    """Refuse a model whose parameters FSDP has gathered: what is written into those copies is lost at the next reshard.

    Raises:
        InputError: naming the first such module.
    """
    for name, module in modules:
        find: Any = getattr(module, "_get_fsdp_state", None)
        state = None if find is None else find()
        groups = getattr(state, "_fsdp_param_groups", None) or (getattr(state, "_fsdp_param_group", None),)
        for group in groups:
            if not getattr(group, "is_sharded", True):
                where = repr(name) if name else "the model"
                raise InputError(
                    f"the parameters of {where} are gathered (FSDP, after a forward pass or unshard()), and what "
                    "is written into the copies would be lost: call .reshard() on it first"
                )


def parts_of(name: str, tensor: torch.Tensor) -> list[Part]:
    """What this process holds of `tensor`, as few rectangular pieces where it lies flat in memory, else as one part."""
    partition = partition_of(tensor)
    if partition is None:
        return [part_of(name, tensor)]
    return [
        Part(piece, partition.shape, ((tuple(slice(0, size) for size in piece.shape), box),))
        for piece, box in partition.pieces()
    ]


def part_of(name: str, tensor: torch.Tensor) -> Part:
    """What this process holds of `tensor`, from its own placements and without communication.

    Raises:
        InputError: a placement that is neither a shard nor a replica (a partial sum has no values of its own).
    """
    shape = tuple(int(size) for size in tensor.shape)
    local = local_tensor(tensor)
    if local is tensor or tuple(local.shape) == shape:
        everything = tuple(slice(0, size) for size in shape)
        if local is not tensor:
            _check_placements(name, tensor)
        return Part(local, shape, ((everything, everything),))
    runs = _axis_runs(name, tensor)
    held = tuple(sum(length for _, _, length in axis) for axis in runs)
    if held != tuple(local.shape):
        raise InputError(
            f"{name!r}: the local shard has shape {tuple(local.shape)} where its placements "
            f"{tensor.placements} of {shape} give {held}"  # type: ignore[attr-defined]  # DTensor
        )
    blocks = tuple(
        (
            tuple(slice(at, at + length) for at, _, length in corner),
            tuple(slice(start, start + length) for _, start, length in corner),
        )
        for corner in itertools.product(*runs)
    )
    return Part(local, shape, blocks)


def _check_placements(name: str, tensor: Any) -> None:
    for placement in tensor.placements:
        if placement.is_partial():
            raise InputError(f"{name!r} is a DTensor with placement {placement}: a partial sum cannot be initialized")


def _axis_runs(name: str, tensor: Any) -> list[list[Run]]:
    """For each axis, which global indices the local tensor holds, as runs of consecutive ones.

    Axes are sharded on their own, so it is enough to push each axis's index through the placements' own split rule,
    mesh axis by mesh axis; uneven, repeated and strided shards then come out as torch itself lays them out.
    """
    _check_placements(name, tensor)
    mesh = tensor.device_mesh
    coordinate = mesh.get_coordinate()
    indices: dict[int, torch.Tensor] = {}
    for mesh_axis, placement in enumerate(tensor.placements):
        axis = getattr(placement, "dim", None)
        if axis is None:
            continue
        if coordinate is None:
            indices[axis] = torch.empty(0, dtype=torch.int64, device="cpu")
            continue
        index = indices.get(axis)
        if index is None:
            index = torch.arange(tensor.shape[axis], device="cpu")
        index = index.view((1,) * axis + (-1,))
        pieces, _ = placement._split_tensor(index, mesh.size(mesh_axis), with_padding=False, contiguous=False)
        indices[axis] = pieces[coordinate[mesh_axis]].reshape(-1)
    return [_runs(indices[a]) if a in indices else [(0, 0, size)] for a, size in enumerate(tensor.shape)]


def _runs(index: torch.Tensor) -> list[Run]:
    if index.numel() == 0:
        return []
    breaks = (torch.nonzero(index[1:] - index[:-1] != 1).reshape(-1) + 1).tolist()
    edges = [0, *breaks, index.numel()]
    return [(a, int(index[a]), b - a) for a, b in itertools.pairwise(edges)]
