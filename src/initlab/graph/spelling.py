"""Names of torch functions: `+=`, `add_`, `__radd__` and aten's `add.Tensor` without what says how they are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_IN_PLACE_OPERATORS = frozenset(
    {"add", "sub", "mul", "truediv", "div", "pow", "matmul", "and", "or", "xor", "floordiv", "mod"}
)


def name_of(function: Callable[..., Any]) -> str:
    """A function's own name; that of aten's operators, which exported models call, without the overload.

    >>> import torch
    >>> name_of(torch.relu_), name_of(torch.ops.aten.relu_.default)
    ('relu_', 'relu_')
    """
    name = str(getattr(function, "__name__", type(function).__name__))
    return name.partition(".")[0] if getattr(function, "namespace", "") == "aten" else name


def spelled(function: Callable[..., Any]) -> str:
    """A function's name, plain; a property's as ".name".

    >>> import torch
    >>> spelled(torch.Tensor.add_), spelled(torch.Tensor.__iadd__), spelled(torch.Tensor.shape.__get__)
    ('add', 'add', '.shape')
    """
    name = name_of(function)
    if name in ("__get__", "__set__"):
        return "." + str(getattr(getattr(function, "__self__", None), "__name__", ""))
    return plain(name)


def plain(name: str) -> str:
    """A function's name without what says in place or private."""
    if name.startswith("__") and name.endswith("__"):
        inner = name[2:-2]
        return inner[1:] if inner.startswith("i") and inner[1:] in _IN_PLACE_OPERATORS else inner
    return name.strip("_")


def in_place(function: Callable[..., Any]) -> bool:
    """Whether the call changes its first argument."""
    name = name_of(function)
    if name.startswith("__"):
        return name == "__setitem__" or (name.startswith("__i") and name not in ("__invert__", "__index__", "__int__"))
    return name.endswith("_")
