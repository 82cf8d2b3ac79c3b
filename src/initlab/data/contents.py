"""What a weight file holds, without reading its values: names and shapes of safetensors, an index, or a state_dict."""

from __future__ import annotations

import json
import os
from pathlib import Path

from initlab.data.safetensors import tensor_shapes
from initlab.data.untrusted import open_ordinary, short
from initlab.data.weights import load_weights
from initlab.errors import InputError, path_of

_MOST_INDEX_BYTES = 200_000_000

Shapes = dict[str, tuple[int, ...] | None]


def weight_shapes(path: str | os.PathLike[str]) -> Shapes:
    """The tensors that a weight file, or an index of several, holds.

    Args:
        path: a safetensors file, an index of such files (`model.safetensors.index.json`), or what `load_weights` takes.

    Returns:
        name -> shape; None where the index alone says the name.

    Raises:
        InputError: what `load_weights` refuses; an index without names, or one that names a file that is not there.
    """
    place = path_of("path", path)
    if place.suffix == ".json":
        return _in_index(place)
    if place.suffix == ".safetensors":
        stream, size = open_ordinary(place, "weight file")
        with stream:
            return {**tensor_shapes(stream, size, short(place))}
    return {name: tuple(tensor.shape) for name, tensor in load_weights(place).items()}


def _in_index(path: Path) -> Shapes:
    stream, size = open_ordinary(path, "safetensors index")
    with stream:
        if size > _MOST_INDEX_BYTES:
            raise InputError(f"safetensors index {short(path)!r} has {size:,} bytes; no index is so large")
        try:
            files = json.loads(stream.read().decode("utf-8"))["weight_map"]
            names = {str(name): str(file) for name, file in files.items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise InputError(f"safetensors index {short(path)!r} has no weight_map of names and files") from None
    for file in sorted(set(names.values())):
        if Path(file).name != file or not (path.parent / file).is_file():
            raise InputError(f"safetensors index {short(path)!r} names {file[:200]!r}, which is not beside it")
    return dict.fromkeys(names)
