"""Copies a tensor just before an operation first writes to it, so that what a forward pass writes can be put back."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _get_current_dispatch_mode,
    _pop_mode_temporarily,
)

from initlab.guest.inputs import tensors_in

Tensor = torch.Tensor


class Writes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch ships it untyped
    """Watches every operation that runs inside; those that write to the memory of a watched tensor find it copied.

    It sees the operations below autograd, so that a write through a view, through `.data` or by a kernel (as an
    embedding's max_norm) is seen like any other. Only what is written is copied.

    Args:
        tensors: what is watched.
    """

    supports_higher_order_operators = True

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch ships it untyped
        self._watched: dict[int, list[Tensor]] = {}
        for tensor in tensors:
            memory = memory_of(tensor)
            if memory is not None:
                self._watched.setdefault(memory, []).append(tensor)
        self._written: list[tuple[Tensor, Tensor]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        for index, name in _written_arguments(func):
            given = args[index] if index < len(args) else kwargs.get(name)
            for tensor in tensors_in(given):
                self._copy(tensor)
        if isinstance(func, torch._ops.HigherOrderOperator):
            return func(*args, **kwargs)  # it runs code of the user's
        with torch._C.DisableTorchFunction():  # what listens above has heard of it, or is not to (scripted code)
            return func(*args, **kwargs)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else every operation would pass through the compiler's wrapper; nothing is compiled inside

    @property
    def written(self) -> list[Tensor]:
        """What was written to, in the order of the first writes."""
        return [tensor for tensor, _ in self._written]

    def put_back(self) -> None:
        """Every tensor that was written to holds again what it held."""
        with torch.no_grad():
            for tensor, values in self._written:
                tensor.detach().copy_(values)

    def _copy(self, tensor: Tensor) -> None:
        memory = memory_of(tensor)
        for watched in self._watched.pop(memory, ()) if memory is not None else ():
            self._written.append((watched, watched.detach().clone()))


@contextlib.contextmanager
def unwatched() -> Iterator[None]:
    """What runs inside is not looked at: for statistics, which write to nothing of the model's and are many."""
    if isinstance(_get_current_dispatch_mode(), Writes):
        with _pop_mode_temporarily():
            yield
    else:
        yield


@functools.cache  # of an operation, which torch holds as long
def _written_arguments(func: Any) -> tuple[tuple[int, str], ...]:
    """(position, name) of the arguments that an operation writes to, as its schema says."""
    schema = getattr(func, "_schema", None)
    if schema is None or not schema.is_mutable:
        return ()
    arguments = enumerate(schema.arguments)
    return tuple((i, a.name) for i, a in arguments if a.alias_info is not None and a.alias_info.is_write)


def memory_of(tensor: Tensor) -> int | None:
    """What tensors that share memory have in common; None for one that has no memory of its own (meta, sparse)."""
    if tensor.is_meta or tensor.layout != torch.strided:
        return None
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):  # a subclass that stands for other tensors
        return None
