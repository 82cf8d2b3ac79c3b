"""Tensors within `torch.func.vmap` and `grad`, which stand for others: what they stand for, and others in their place.

Within a `vmap` a function sees one sample; torch runs it on all of them at once. Of a tensor that a function mode is
given there, the shape is that of one sample, and the numbers are those of all.
"""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import torch
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack

P = ParamSpec("P")
R = TypeVar("R")

Tensor = torch.Tensor
_functorch = torch._C._functorch


def is_transformed(tensor: Tensor) -> bool:
    """Whether it stands for another inside `torch.func.vmap` or `grad`, and has no values to read."""
    return bool(_functorch.is_functorch_wrapped_tensor(tensor))


def is_batched_gradient(tensor: Tensor) -> bool:
    """Whether it is many gradients at once, as hooks get from `torch.autograd.grad(..., is_grads_batched=True)`."""
    return bool(_functorch.is_legacy_batchedtensor(tensor))


def batch_axis(tensor: Tensor) -> int | None:
    """The axis of samples in what a tensor within `vmap` stands for; None where it stands for one of its own shape."""
    return int(_functorch.maybe_get_bdim(tensor)) if _functorch.is_batchedtensor(tensor) else None


def behind(tensor: Tensor) -> Tensor:
    """What a transformed tensor stands for, one transform further out."""
    found: Tensor = _functorch.get_unwrapped(tensor)
    return found


def plain(tensor: Tensor) -> Tensor:
    """What a transformed tensor stands for outside of all transforms; a plain tensor itself."""
    while is_transformed(tensor):
        tensor = behind(tensor)
    return tensor


def whole(tensor: Tensor) -> Tensor:
    """The numbers of all samples, their axes in front of those of one sample; a plain tensor as it is.

    >>> torch.func.vmap(lambda x: (print(tuple(x.shape), tuple(whole(x).shape)), x)[1])(torch.zeros(3, 2)).shape
    (2,) (3, 2)
    torch.Size([3, 2])
    """
    if not is_transformed(tensor):
        return tensor
    inner, axis = behind(tensor), batch_axis(tensor)
    if axis is None:
        return whole(inner)
    outer = whole(inner)
    ahead = outer.dim() - inner.dim()
    return outer.movedim(ahead + axis, ahead) if axis else outer


def like(tensor: Tensor, plain: Tensor) -> Tensor:
    """Another tensor under the transforms of a transformed one.

    Args:
        tensor: the transformed tensor.
        plain: what is to stand where the plain tensor stands that it is made of, of the same shape.
    """
    if not is_transformed(tensor):
        return plain
    inner = like(behind(tensor), plain)
    level = _functorch.maybe_get_level(tensor)
    axis = batch_axis(tensor)
    made: Any = (
        _functorch._wrap_for_grad(inner, level) if axis is None else _functorch._add_batch_dim(inner, axis, level)
    )
    found: Tensor = made
    return found


def of_whole(function: Callable[P, R]) -> Callable[P, R]:
    """A function of tensors' numbers that within transforms is given those of all samples, and runs outside of them.

    A transform takes every call for one of its own, also of plain tensors, and refuses those that read numbers.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if _functorch.peek_interpreter_stack() is None:
            return function(*args, **kwargs)
        given: Any = wholes(args)
        with temporarily_clear_interpreter_stack():
            return function(*given, **kwargs)

    return run


@contextlib.contextmanager
def outside() -> Iterator[None]:
    """What runs within it runs outside of all transforms, on tensors that are whole."""
    if _functorch.peek_interpreter_stack() is None:
        yield
        return
    with temporarily_clear_interpreter_stack():
        yield


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Within it, vmap does not warn of operations that it takes one after another: whether it pays was measured."""
    warn = getattr(_functorch, "_set_vmap_fallback_warning_enabled", lambda _: None)
    warn(False)
    try:
        yield
    finally:
        warn(True)


def wholes(value: Any) -> Any:
    """`whole` of every tensor in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return whole(value)
    if isinstance(value, dict):
        return {name: wholes(part) for name, part in value.items()}
    return type(value)(map(wholes, value)) if type(value) in (tuple, list) else value


class Outside:
    """Tensors of transforms, found again outside of them: what a transform returns is what it was working on."""

    def __init__(self) -> None:
        self._inside: dict[int, tuple[weakref.ref[Tensor], Any]] = {}

    def add(self, tensor: Tensor, note: Any) -> None:
        """Notes what a transformed tensor stands for at each transform further out."""
        while is_transformed(tensor):
            tensor = behind(tensor)
            self._inside[id(tensor)] = (weakref.ref(tensor), note)

    def get(self, tensor: Tensor) -> Any:
        """The note of the transformed tensor that one outside came of; None of any other."""
        for found in (tensor, tensor._base if tensor._is_view() else None):
            known = self._inside.get(id(found))
            if found is not None and known is not None and known[0]() is found:
                return known[1]
        return None
