"""Kernels of other frameworks, (*window, in, out), drawn in torch's layout (out, in, *window) and turned.

So a Dense kernel named "fc1.weight" is the transpose of what `initlab.init_` writes into that `nn.Linear` weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from initlab.schemes import Scheme, get_scheme


def draw(
    scheme: str | Scheme, shape: Sequence[int], *, seed: int, name: str, dtype: str = "float32"
) -> np.ndarray[Any, Any]:
    """Values of `scheme` for a kernel of this shape.

    Args:
        scheme: a catalogue name or a `Scheme`.
        shape: (*window, in, out); a tensor of fewer than two axes is drawn as it is.
        seed: in [0, 2^64).
        name: the stream's name, as torch would name the parameter.
        dtype: "float32", "float64" or "float16".

    Raises:
        InputError: as `Scheme.sample`.

    >>> from initlab.schemes import get_scheme
    >>> kernel = draw("he_normal", (3, 2), seed=0, name="fc.weight")
    >>> bool((kernel.T == get_scheme("he_normal").sample((2, 3), seed=0, name="fc.weight")).all())
    True
    """
    chosen = scheme if isinstance(scheme, Scheme) else get_scheme(scheme)
    dims = tuple(int(size) for size in shape)
    if len(dims) < 2:
        return np.asarray(chosen.sample(dims, seed=seed, name=name, dtype=dtype))
    values = chosen.sample((dims[-1], dims[-2], *dims[:-2]), seed=seed, name=name, dtype=dtype)
    return np.ascontiguousarray(np.moveaxis(values, (0, 1), (-1, -2)))
