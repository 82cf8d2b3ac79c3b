"""Arrays of numpy, jax and Keras as torch tensors, in whatever holds them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from initlab.errors import InputError, said


def tensors(items: Any) -> Any:
    """The tensors of nested tuples, lists and dicts of arrays; what is no array stays.

    Raises:
        InputError: an array that torch has no dtype for; a shape of integers without values.
    """
    if isinstance(items, dict):
        return {key: tensors(item) for key, item in items.items()}
    if isinstance(items, list | tuple):
        parts = [tensors(item) for item in items]
        return parts if isinstance(items, list) else tuple(parts)
    if isinstance(items, torch.Tensor) or not hasattr(items, "dtype") or not hasattr(items, "shape"):
        return items
    return _drawn(items) if not hasattr(items, "__array__") and not hasattr(items, "numpy") else _tensor(items)


def _tensor(item: Any) -> torch.Tensor:
    array = np.asarray(item)
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    array = array.astype(np.float32) if array.dtype == np.float64 else array
    try:
        return torch.from_numpy(np.array(array))
    except TypeError as error:
        raise InputError(f"inputs must be arrays that torch can hold; got {array.dtype}: {said(error)}") from None


def _drawn(struct: Any) -> torch.Tensor:
    """Standard normal numbers where only a shape is given."""
    if np.dtype(struct.dtype).kind not in "fV":
        raise InputError(f"example_inputs of dtype {np.dtype(struct.dtype).name} must be values, not only a shape")
    generator = torch.Generator().manual_seed(0)
    return torch.randn(tuple(struct.shape), generator=generator, device="cpu")
