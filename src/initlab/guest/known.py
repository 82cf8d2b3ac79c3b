"""A model on the meta device, of which what it makes of its inputs and of numbers alone is known: masks, places."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from initlab.guest.bare import of_shapes
from initlab.guest.inputs import mapped, tensors_in

_MOST = 65_536  # elements of a tensor that is made twice


class Known(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    """While it is entered, small tensors that nothing without values had a part in are made on the host as well.

    Args:
        given: (tensor without values, the same with them) for each input.
    """

    def __init__(self, given: Iterable[tuple[torch.Tensor, torch.Tensor]] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._numbers: MutableMapping[torch.Tensor, torch.Tensor] = WeakIdKeyDictionary()
        for tensor, numbers in given:
            self._numbers[tensor] = numbers

    def of(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """A tensor with its numbers; None where these are not known."""
        return self._numbers.get(tensor) if tensor.is_meta else tensor

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        given = list(tensors_in((args, kwargs)))
        before = [self.of(tensor) for tensor in given]
        made = of_shapes(func, args, kwargs)
        outputs = list(tensors_in(made))
        if any(tensor.is_meta for tensor in outputs):
            sizes = (tensor.numel() for tensor in (*given, *outputs))
            if all(numbers is not None for numbers in before) and max(sizes) <= _MOST and _is_told(func):
                self._make(func, args, kwargs, outputs)
            else:
                for tensor in outputs:  # what is written into is known no more
                    self._numbers.pop(tensor, None)
        return made

    def _make(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any], outputs: list[torch.Tensor]) -> None:
        args, kwargs = mapped((args, kwargs), self.of)
        kwargs |= {"device": torch.device("cpu")} if "device" in kwargs else {}
        try:
            numbers = list(tensors_in(func(*args, **kwargs)))
        except Exception:  # no such kernel on the host
            numbers = []
        if len(numbers) == len(outputs):
            self._numbers.update(zip(outputs, numbers, strict=True))


def _is_told(func: Any) -> bool:
    """Whether what an operation makes follows from what it is given: it is no draw, and no memory that nobody wrote."""
    return torch.Tag.nondeterministic_seeded not in func.tags and "empty" not in str(func)
