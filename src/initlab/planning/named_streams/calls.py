"""One call of torch's dispatcher: what it writes, on what device it runs, and what a log keeps of it."""

# mypy: disable-error-code="no-untyped-call"
# (torch leaves its dispatch modes unannotated.)

from __future__ import annotations

from typing import Any

import torch

from initlab.planning.memory.shards import local_tensor
from initlab.planning.named_streams.draws import Draw
from initlab.planning.named_streams.history import Call


def written_places(func: Any) -> list[int]:
    """The places of the arguments that an operation writes into."""
    given = enumerate(func._schema.arguments)
    return [place for place, one in given if one.alias_info is not None and one.alias_info.is_write]


def tensor_at(place: int, func: Any, args: tuple[Any, ...], named: dict[str, Any]) -> torch.Tensor | None:
    """The tensor that was given at a place, by position or by name."""
    value = args[place] if place < len(args) else named.get(func._schema.arguments[place].name)
    return value if isinstance(value, torch.Tensor) else None


def device_of(args: tuple[Any, ...], named: dict[str, Any]) -> torch.device:
    """Where what an operation makes will lie."""
    held = next((value.device for value in args if isinstance(value, torch.Tensor)), torch.device("cpu"))
    return torch.device(named.get("device") or held)


def overwrites(func: Any, target: torch.Tensor) -> bool:
    """Whether nothing of what the memory held before is left."""
    return fills_memory(target) and func.overloadpacket.__name__ in ("copy_", "fill_", "zero_")


def call_of(func: Any, args: tuple[Any, ...]) -> Call:
    """The call as a log keeps it: `copy(…)`."""
    return Call.of(Draw(func.overloadpacket.__name__.rstrip("_"), args[1:]))


def made_whole(func: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Memory of another shape than a shard's is made whole on each process, as no placement is known for it."""
    if func.overloadpacket.__name__ == "new_empty" and tuple(args[1]) != tuple(args[0].shape):
        return (local_tensor(args[0]), *args[1:])
    return args


def fills_memory(tensor: torch.Tensor) -> bool:
    """Whether a tensor has all of the memory that it lies in."""
    return tensor.numel() * tensor.element_size() == tensor.untyped_storage().nbytes()


def memory_of(tensor: torch.Tensor) -> torch.Tensor:
    """All of the memory that a tensor lies in, in a row."""
    count = tensor.untyped_storage().nbytes() // tensor.element_size()
    return tensor.detach().as_strided((count,), (1,), 0)
