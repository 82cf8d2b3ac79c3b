"""What is known of each piece of memory: whose parameter it is, or how its content was made."""

# mypy: disable-error-code="no-untyped-call"
# (torch leaves its storage references unannotated.)

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch.multiprocessing.reductions import StorageWeakRef

from initlab.planning.memory.shards import local_tensor
from initlab.planning.memory.tensors import is_plain
from initlab.planning.named_streams.homes import Entry, Home, home_of
from initlab.planning.named_streams.tape import Node

_PURGE = 4096  # pieces of memory on record before those that are gone are dropped


@dataclass(eq=False)
class Cell:
    """What is known of a piece of memory that is not the model's.

    Args:
        memory: it; its address is not used again while this is held.
        node: how its content was made, where a draw is behind it.
        home: the one parameter that it was derived from.
    """

    memory: StorageWeakRef
    node: Node | None = None
    home: Home | None = None


class Memories:
    """The model's tensors by the address of their memory, and what was derived from them or from draws."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._owned: dict[int, list[tuple[StorageWeakRef, Entry]]] = {}
        self._cells: dict[int, Cell] = {}
        for entry in entries:
            key = address(entry.part.tensor)
            if key is not None:
                memory = StorageWeakRef(entry.part.tensor.untyped_storage())
                self._owned.setdefault(key, []).append((memory, entry))

    def entry_of(self, tensor: torch.Tensor) -> Entry | None:
        """The parameter whose memory it is, or lies in."""
        key = address(tensor)
        held = () if key is None else self._owned.get(key, ())
        if len(held) == 1:
            return held[0][1]
        first = local_tensor(tensor).data_ptr() if held else 0
        return next((entry for _, entry in held if _begins_in(first, entry)), None)

    def cell_of(self, tensor: torch.Tensor) -> Cell | None:
        """What is known of memory that is not the model's."""
        key = address(tensor)
        return None if key is None else self._cells.get(key)

    def node_of(self, tensor: torch.Tensor) -> Node | None:
        """How its content was made, where a draw is behind it."""
        cell = self.cell_of(tensor)
        return None if cell is None else cell.node

    def home_of(self, tensor: torch.Tensor) -> Home | None:
        """The parameter, or the box of one, that it is or was derived from."""
        entry = self.entry_of(tensor)
        if entry is not None:
            return home_of(entry, local_tensor(tensor))
        cell = self.cell_of(tensor)
        return None if cell is None else cell.home

    def remember(self, tensor: torch.Tensor, node: Node | None, home: Home | None) -> None:
        """From now on this is known of a tensor's memory, unless it is the model's."""
        key = address(tensor)
        if key is None or key in self._owned:
            return
        if len(self._cells) >= _PURGE and len(self._cells) % _PURGE == 0:
            self._cells = {k: cell for k, cell in self._cells.items() if not cell.memory.expired()}
        self._cells[key] = Cell(StorageWeakRef(local_tensor(tensor).untyped_storage()), node, home)


def address(tensor: torch.Tensor) -> int | None:
    """What tells a piece of memory from every other; None for a tensor without memory of its own."""
    local = local_tensor(tensor)
    if not is_strided(local) or local.is_meta:
        return None
    return int(local.untyped_storage()._cdata)


def is_strided(tensor: torch.Tensor) -> bool:
    """Whether a tensor is torch's own kind, with memory of its own."""
    return is_plain(tensor) and tensor.layout == torch.strided


def _begins_in(address: int, entry: Entry) -> bool:
    local = entry.part.tensor
    reach = sum((size - 1) * stride for size, stride in zip(local.shape, local.stride(), strict=True)) + 1
    return local.data_ptr() <= address < local.data_ptr() + reach * local.element_size()
