"""Parameters that DeepSpeed's ZeRO-3 keeps as flat partitions, one a process: seen whole, and written run by run."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from initlab.errors import InputError
from initlab.guest.modules import modules_of
from initlab.planning.memory.tensors import Block

_KEY = "_initlab_partition"


@dataclass(frozen=True)
class Partition:
    """What this process holds of a parameter: elements `start` … of the whole in C order.

    Args:
        local: those elements, in one dimension, without the padding of the last process.
        start: the first one's place.
        shape: the whole parameter's.
    """

    local: torch.Tensor
    start: int
    shape: tuple[int, ...]

    def pieces(self) -> Iterator[tuple[torch.Tensor, Block]]:
        """Boxes of the whole, each with the view of local memory that is it."""
        place = 0
        for box in boxes(self.shape, self.start, self.start + self.local.numel()):
            sizes = [cut.stop - cut.start for cut in box]
            count = math.prod(sizes)
            yield self.local[place : place + count].view(sizes), box
            place += count


def boxes(shape: Sequence[int], start: int, stop: int) -> Iterator[Block]:
    """The fewest rectangular blocks, in order, that make up elements start … stop − 1 in C order.

    >>> list(boxes((2, 4), 2, 8))
    [(slice(0, 1, None), slice(2, 4, None)), (slice(1, 2, None), slice(0, 4, None))]
    """
    if start >= stop:
        return
    if not shape:
        yield ()
        return
    row = math.prod(shape[1:])
    first, last = start // row, (stop - 1) // row
    if len(shape) == 1 or (start % row == 0 and stop % row == 0):
        yield (slice(first, last + 1), *(slice(0, size) for size in shape[1:]))
    elif first == last:
        for inner in boxes(shape[1:], start - first * row, stop - first * row):
            yield (slice(first, first + 1), *inner)
    else:
        whole = start if start % row == 0 else (first + 1) * row
        yield from boxes(shape, start, whole)
        end = stop - stop % row
        yield from boxes(shape, whole, end)
        yield from boxes(shape, end, stop)


def partition_of(tensor: torch.Tensor) -> Partition | None:
    """The partition behind a stand-in; None for every other tensor."""
    found: Partition | None = getattr(tensor, _KEY, None)
    return found


def is_partitioned(tensor: torch.Tensor) -> bool:
    """Whether ZeRO-3 holds a parameter's elements elsewhere at the moment."""
    shape = getattr(tensor, "ds_shape", None)
    return shape is not None and tensor.numel() == 0 and math.prod(shape) > 0


@contextlib.contextmanager
def seen_whole(model: nn.Module) -> Iterator[None]:
    """While it is entered, every partitioned parameter is a stand-in of its whole shape, which takes no memory.

    Raises:
        InputError: a parameter whose partition is not in memory.
    """
    modules = [module for _, module in modules_of(model).values()] if isinstance(model, nn.Module) else []
    held = [
        (module._parameters, leaf, parameter)
        for module in modules
        for leaf, parameter in module._parameters.items()
        if parameter is not None and is_partitioned(parameter)
    ]
    stand_ins: dict[int, nn.Parameter] = {}
    try:
        for table, leaf, parameter in held:
            if id(parameter) not in stand_ins:
                stand_ins[id(parameter)] = _stand_in(leaf, parameter)
            table[leaf] = stand_ins[id(parameter)]
        yield
    finally:
        for table, leaf, parameter in held:
            table[leaf] = parameter


def _stand_in(leaf: str, parameter: nn.Parameter) -> nn.Parameter:
    local = getattr(parameter, "ds_tensor", None)
    if not isinstance(local, torch.Tensor) or local.numel() == 0:
        raise InputError(f"{leaf!r} is partitioned by ZeRO-3 and its partition is not in memory: offload after init_")
    shape = tuple(int(size) for size in parameter.ds_shape)  # type: ignore[attr-defined]  # DeepSpeed's
    flat, total = local.detach().reshape(-1), math.prod(shape)
    start = min(flat.numel() * _rank(parameter), total)
    whole = torch.zeros((), dtype=local.dtype, device=local.device).expand(shape)
    made = nn.Parameter(whole, requires_grad=parameter.requires_grad)
    setattr(made, _KEY, Partition(flat[: total - start], start, shape))
    return made


def _rank(parameter: torch.Tensor) -> int:
    """This process's place in the group that shares the parameter."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 0
    return int(torch.distributed.get_rank(getattr(parameter, "ds_process_group", None)))
