"""A parameter's values for a look at them: all of a small tensor, evenly spaced ones of a large one."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from initlab.guest.doubles import doubled
from initlab.planning.memory.shards import local_tensor

MOST = 2**16

Values = np.ndarray[Any, np.dtype[np.float64]]


def values_of(tensor: torch.Tensor, most: int = MOST) -> Values:
    """At most `most` of what this process holds of a tensor, evenly spaced, as float64; complex numbers as pairs."""
    local = local_tensor(tensor.detach())
    if local.is_meta or local.numel() == 0 or local.layout != torch.strided or local.is_quantized:
        return np.empty(0)
    with torch.no_grad():
        real = torch.view_as_real(local.resolve_conj()) if local.is_complex() else local
        flat = real.reshape(-1) if real.is_contiguous() else real.flatten()
        step = max(1, -(-flat.numel() // most))
        # A step that shares no factor with the row's length meets every column.
        while step > 1 and real.ndim and real.shape[-1] % step == 0:
            step += 1
        return doubled(flat[::step]).cpu().numpy()
