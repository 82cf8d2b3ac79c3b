"""Norms whose scale is multiplied into one over the standard deviation: it is applied last, as torch's norms do."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from initlab.graph.operations import TABLE
from initlab.graph.spelling import in_place
from initlab.guest.inputs import mapped, tensors_in


@dataclass(frozen=True)
class Scaled:
    """(part·inverse)·scale + shift, of which no product has been computed where others see it."""

    inverse: torch.Tensor
    scale: torch.Tensor
    part: Any = None  # a tensor or a number; None is one
    shift: torch.Tensor | None = None

    def computed(self) -> torch.Tensor:
        made = (self.inverse if self.part is None else self.part * self.inverse) * self.scale
        return made if self.shift is None else made + self.shift

    def times(self, factor: Any) -> Scaled:
        return replace(self, part=factor if self.part is None else self.part * factor)


class ScalesLast(TorchFunctionMode):
    """Computes x·(r·γ) as (x·r)·γ, and x·(r·γ) + (β − m·(r·γ)) as ((x − m)·r)·γ + β, while it is entered.

    r is one over a standard deviation (a reciprocal root), γ and β are made of parameters alone. Keras, Flax and Haiku
    write their norms in the first way of each pair, which hides that what γ multiplies is normalised; torch's are the
    second. Modes that were entered before see the second alone; values agree to rounding.

    Args:
        parameters: what counts as a parameter.
    """

    def __init__(self, parameters: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self._made_of: dict[int, tuple[weakref.ref[torch.Tensor], str]] = {}
        self._held: dict[int, _Held] = {}
        for tensor in parameters:
            self._note(tensor, "parameter")

    def shown(self, item: Any) -> Any:
        """What was held back, computed where others see it."""
        return mapped(item, self._shown)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs, kind = kwargs or {}, TABLE.kind_of(func)
        if not kind or TABLE[kind].reads_only:
            return func(*args, **kwargs)
        if not (kwargs or in_place(func)):
            if (moved := self._moved(func, kind, args)) is not None:
                return self._hold(*moved)
            if (held := self._product(kind, args) or self._sum(kind, args)) is not None:
                return self._hold(held, _hidden(held.computed))
        if kind == "mul" and len(args) == 2 and not kwargs:
            for x, factor in (args, args[::-1]):
                form = self._unshifted(factor)
                if form is not None and (x is args[0] or not in_place(func)):
                    x = self._shown(x)
                    x = x if form.part is None else func(x, form.part)
                    return func(func(x, form.inverse), form.scale)
        args, kwargs = self.shown((args, kwargs))
        result = func(*args, **kwargs)
        if word := self._word(kind, list(tensors_in((args, kwargs)))):
            for tensor in tensors_in(result):
                self._note(tensor, word)
        return result

    def _product(self, kind: str, args: tuple[Any, ...]) -> Scaled | None:
        """r·γ; m·(r·γ) of a mean; x·(r·γ) where β − m·(r·γ) waits for it."""
        if kind == "neg" and (form := self._unshifted(args[0])) is not None:
            return form.times(-1)
        if kind == "div" and len(args) == 2 and self._is(args[0], "parameter") and self._is(args[1], "root"):
            return Scaled(1 / args[1], args[0])
        for x, factor in (args, args[::-1]) if kind == "mul" and len(args) == 2 else ():
            if self._is(x, "inverse") and self._is(factor, "parameter"):
                return Scaled(x, factor)
            form = self._unshifted(factor)
            if form is not None and (_elements(x) <= _elements(form.inverse) or self._is_awaited(form)):
                return form.times(self._shown(x))
        return None

    def _sum(self, kind: str, args: tuple[Any, ...]) -> Scaled | None:
        """A product and β, or two products of one scale, of which one has a shift at most."""
        if kind not in ("add", "sub") or len(args) != 2:
            return None
        sign = 1 if kind == "add" else -1
        first, second = map(self._form, args)
        if first is None or second is None:
            form, beside = (first, args[1]) if second is None else (second, args[0])
            if form is None or form.shift is not None or not self._is(beside, "parameter"):
                return None
            flipped = form.times(-1) if sign < 0 and second is not None else form
            return replace(flipped, shift=-beside if sign < 0 and first is not None else beside)
        if not _of_one_norm(first, second) or (first.shift is not None and second.shift is not None):
            return None
        one, other = (1 if form.part is None else form.part for form in (first, second))
        shift = second.shift if second.shift is None or sign > 0 else -second.shift
        part = one + other if sign > 0 else one - other
        return replace(first, part=part, shift=first.shift if shift is None else shift)

    def _moved(self, func: Callable[..., Any], kind: str, args: tuple[Any, ...]) -> tuple[Scaled, torch.Tensor] | None:
        """A product r·γ that is repeated along axes of length one or before its first: it is broadcast so anyway."""
        form = self._unshifted(args[0]) if args and TABLE[kind].rearranges else None
        if form is None:
            return None
        made = _hidden(lambda: func(*args))
        own, after = args[0].shape, made.shape[max(made.dim() - args[0].dim(), 0) :]
        fits = len(own) == len(after) and all(size in (1, new) for size, new in zip(own, after, strict=True))
        return (form, made) if fits and made.dtype == args[0].dtype else None

    def _hold(self, form: Scaled, made: torch.Tensor) -> torch.Tensor:
        self._held = {key: held for key, held in self._held.items() if held.tensor() is not None}
        self._held[id(made)] = _Held(weakref.ref(made), form)
        return made

    def _shown(self, tensor: torch.Tensor) -> torch.Tensor:
        if self._form(tensor) is None:
            return tensor
        held = self._held[id(tensor)]
        if held.shown is None:
            made = held.form.computed()
            held.shown = made if made.shape == tensor.shape else made.expand(tensor.shape)
        return held.shown

    def _form(self, item: Any) -> Scaled | None:
        found = self._held.get(id(item))
        return found.form if found is not None and found.tensor() is item else None

    def _unshifted(self, item: Any) -> Scaled | None:
        form = self._form(item)
        return form if form is not None and form.shift is None else None

    def _is_awaited(self, form: Scaled) -> bool:
        """Whether the shift of the same norm, β − m·(r·γ), is held back."""
        live = (held.form for held in self._held.values() if held.tensor() is not None)
        return any(made.shift is not None and _of_one_norm(made, form) for made in live)

    def _word(self, kind: str, read: list[torch.Tensor]) -> str:
        """What a call makes: something of parameters alone, a root, one over a root, or none of these ("")."""
        if read and all(self._is(tensor, "parameter") for tensor in read):
            return "parameter"
        if kind in ("sqrt", "rsqrt"):
            return "root" if kind == "sqrt" else "inverse"
        if len(read) != 1 or not (TABLE[kind].rearranges or kind in ("reciprocal", "div")):
            return ""
        word = next((word for word in ("inverse", "root") if self._is(read[0], word)), "")
        return word if TABLE[kind].rearranges else {"root": "inverse"}.get(word, "")

    def _note(self, tensor: torch.Tensor, word: str) -> None:
        self._made_of[id(tensor)] = (weakref.ref(tensor), word)

    def _is(self, item: Any, word: str) -> bool:
        found = self._made_of.get(id(item))
        return found is not None and found[0]() is item and found[1] == word


@dataclass
class _Held:
    """A tensor that is held back, and what was shown in its place."""

    tensor: weakref.ref[torch.Tensor]
    form: Scaled
    shown: torch.Tensor | None = None


def _of_one_norm(one: Scaled, other: Scaled) -> bool:
    return one.scale is other.scale and one.inverse is other.inverse


def _elements(item: Any) -> int:
    """Its numbers, those that are repeated counted once."""
    if not isinstance(item, torch.Tensor):
        return 1
    return math.prod(size for size, stride in zip(item.shape, item.stride(), strict=True) if stride)


def _hidden(call: Callable[[], Any]) -> Any:
    with torch._C.DisableTorchFunction():
        return call()
