"""Calls on tensors without values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from initlab.guest.inputs import mapped, tensors_in


def of_shapes(func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """What a call makes of tensors without values; where a kernel of shapes has fewer dtypes than one of numbers has,
    in the dtype that all kernels have.

    Raises:
        Exception: what the call itself raises.
    """
    try:
        return func(*args, **kwargs)
    except Exception:
        given = list(tensors_in((args, kwargs)))
        wide = next((tensor.dtype for tensor in given if tensor.is_floating_point()), torch.bfloat16)
        if wide == torch.bfloat16 or not all(tensor.is_meta for tensor in given):
            raise
        args, kwargs = mapped(
            (args, kwargs), lambda tensor: tensor.bfloat16() if tensor.is_floating_point() else tensor
        )
        return mapped(func(*args, **kwargs), lambda made: made.to(wide) if made.is_floating_point() else made)
