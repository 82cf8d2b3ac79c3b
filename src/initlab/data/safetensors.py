"""The safetensors format by its own library, with limits on header, shapes and memory in front of it."""

from __future__ import annotations

import json
import math
from typing import Any, BinaryIO

import safetensors.torch
from torch import Tensor

from initlab.data.untrusted import gigabytes, memory_limit, reason
from initlab.errors import InputError

MOST_HEADER_BYTES = 100_000_000
MOST_AXES = 64


def read_safetensors(stream: BinaryIO, size: int, shown: str) -> dict[str, Tensor]:
    """Every tensor of an open safetensors file.

    Args:
        stream: at the start of the file.
        size: of the file, in bytes.
        shown: the file's name for messages.

    Raises:
        InputError: a header length beyond the file, duplicate names, offsets that overlap, leave a hole or end
            elsewhere than the file, a size that disagrees with shape and dtype.

    Source:
        The safetensors format, https://github.com/huggingface/safetensors (2022).
    """
    tensor_shapes(stream, size, shown)
    if size > (limit := memory_limit()):
        raise InputError(f"safetensors file {shown!r} has {gigabytes(size)}; {gigabytes(limit)} are to be had")
    stream.seek(0)
    try:
        return dict(safetensors.torch.load(stream.read()))
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise _fault(shown, reason(error)) from None


def tensor_shapes(stream: BinaryIO, size: int, shown: str) -> dict[str, tuple[int, ...]]:
    """The names and shapes in the header of an open safetensors file.

    Raises:
        InputError: as for `read_safetensors`, so far as the header tells.
    """
    shapes = {}
    for name, entry in _header(stream, size, shown).items():
        if name != "__metadata__":
            _check_shape(name, entry, shown)
            shapes[name] = tuple(entry["shape"])
    return shapes


def _header(stream: BinaryIO, size: int, shown: str) -> dict[str, Any]:
    length = int.from_bytes(stream.read(8), "little")
    if not 2 <= length <= min(size - 8, MOST_HEADER_BYTES):
        raise _fault(shown, f"its header declares {length:,} bytes in a file of {size:,}")
    try:
        header = json.loads(stream.read(length).decode("utf-8"), object_pairs_hook=lambda pairs: _unique(pairs, shown))
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise _fault(shown, f"its header is no JSON ({type(error).__name__})") from None
    if not isinstance(header, dict):
        raise _fault(shown, "its header is no JSON object")
    return header


def _unique(pairs: list[tuple[str, Any]], shown: str) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise _fault(shown, "its header names one tensor twice")
    return dict(pairs)


def _check_shape(name: str, entry: Any, shown: str) -> None:
    """No more axes and no larger sizes than torch can take: what the library does not ask."""
    shape = entry.get("shape") if isinstance(entry, dict) else None
    if not isinstance(shape, list):
        raise _fault(shown, f"its entry for {name[:80]!r} lacks dtype, shape or data_offsets")
    sizes = all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**48 for n in shape)
    if not sizes or len(shape) > MOST_AXES or math.prod(max(n, 1) for n in shape) >= 2**60:
        raise _fault(shown, f"tensor {name[:80]!r} has a shape that is no size")


def _fault(shown: str, what: str) -> InputError:
    return InputError(f"safetensors file {shown!r} is broken: {what}")
