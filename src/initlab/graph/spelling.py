"""Names of torch functions: `+=`, `add_` and `__radd__` without what says in place, reflected or private."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_IN_PLACE_OPERATORS = frozenset(
    {"add", "sub", "mul", "truediv", "div", "pow", "matmul", "and", "or", "xor", "floordiv", "mod"}
)


def spelled(function: Callable[..., Any]) -> str:
    """A function's name, plain; a property's as ".name".

    >>> import torch
    >>> spelled(torch.Tensor.add_), spelled(torch.Tensor.__iadd__), spelled(torch.Tensor.shape.__get__)
    ('add', 'add', '.shape')
    """
    name = str(getattr(function, "__name__", type(function).__name__))
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
    name = str(getattr(function, "__name__", ""))
    if name.startswith("__"):
        return name == "__setitem__" or (name.startswith("__i") and name not in ("__invert__", "__index__", "__int__"))
    return name.endswith("_")
