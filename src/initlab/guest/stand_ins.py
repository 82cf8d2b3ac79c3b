"""A model on the meta device, run on inputs that have values: what its weights make is noise of the right shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from initlab.guest.bare import of_shapes
from initlab.guest.inputs import mapped, tensors_in


class StandIns(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    """While it is entered, what is made of tensors with and without values has values: standard normal numbers.

    So a forward may look at numbers that it is given, as at a mask's, or that it makes, as a router's. What is made of
    tensors without values alone stays without, unless it is moved; nothing as large as a weight is held.

    Args:
        made_up: tensors whose values nobody gave.
    """

    def __init__(self, made_up: Iterable[torch.Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._made_up = WeakIdKeyDictionary()
        self._made_up.update((tensor, True) for tensor in made_up)

    def of(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """A tensor that has values; None where something without had a part in them."""
        return tensor if self._is_real(tensor) else None

    def _is_real(self, tensor: torch.Tensor) -> bool:
        return not tensor.is_meta and tensor not in self._made_up

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        given = list(tensors_in((args, kwargs)))
        made = self._made(func, args, kwargs, [tensor.is_meta for tensor in given])
        if not all(map(self._is_real, given)):
            self._made_up.update((tensor, True) for tensor in tensors_in(made))
        return made

    def _made(self, func: Callable[..., Any], args: Any, kwargs: Any, without: list[bool]) -> Any:
        moved = kwargs.get("device") is not None and kwargs["device"].type != "meta"
        if not any(without) or (all(without) and not moved):
            return func(*args, **kwargs)
        given, own = (args, kwargs), dict[int, torch.Tensor]()

        def without_values(tensor: torch.Tensor) -> torch.Tensor:
            bare = tensor if tensor.is_meta else torch.empty_like(tensor, device="meta")
            own[id(bare)] = tensor
            return bare

        args, kwargs = mapped(given, without_values)
        try:
            made = of_shapes(func, args, kwargs | {"device": torch.device("meta")} if moved else kwargs)
        except Exception:  # no kernel of shapes alone
            args, kwargs = mapped(given, _zeros)
            made = func(*args, **kwargs)
        return mapped(made, lambda tensor: own[id(tensor)] if id(tensor) in own else _noise(tensor))


def _zeros(tensor: torch.Tensor) -> torch.Tensor:
    return torch.zeros(tensor.shape, dtype=tensor.dtype, device="cpu") if tensor.is_meta else tensor


def _noise(tensor: torch.Tensor) -> torch.Tensor:
    made = torch.zeros(tensor.shape, dtype=tensor.dtype, device="cpu")
    return made.normal_() if tensor.is_floating_point() else made
