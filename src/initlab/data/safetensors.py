"""The safetensors format, strictly: a JSON header and the bytes that it accounts for, each exactly once."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, BinaryIO

from initlab.data.untrusted import gigabytes, memory_limit
from initlab.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

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
    import torch

    header, start = _header(stream, size, shown)
    spans = sorted((*_span(name, entry, shown), name) for name, entry in header.items() if name != "__metadata__")
    position, found = 0, {}
    for begin, end, name in spans:
        if begin != position:
            raise _fault(shown, f"tensor {name[:80]!r} starts at byte {begin}, not at {position}: an overlap or a hole")
        position = end
    if start + position != size:
        raise _fault(shown, f"its tensors end at byte {start + position} and the file at {size}")
    if size > (limit := memory_limit()):
        raise InputError(f"safetensors file {shown!r} has {gigabytes(size)}; {gigabytes(limit)} are to be had")
    for begin, end, name in spans:
        entry = header[name]
        dtype = _dtypes()[entry["dtype"]]
        body = bytearray(stream.read(end - begin))
        if len(body) != end - begin:
            raise _fault(shown, "it ends early")
        flat = torch.frombuffer(body, dtype=dtype) if body else torch.empty(0, dtype=dtype)
        found[name] = flat.reshape(entry["shape"])
    return found


def _header(stream: BinaryIO, size: int, shown: str) -> tuple[dict[str, Any], int]:
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
    return header, 8 + length


def _unique(pairs: list[tuple[str, Any]], shown: str) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise _fault(shown, "its header names one tensor twice")
    return dict(pairs)


def _span(name: str, entry: Any, shown: str) -> tuple[int, int]:
    """The byte range of one tensor, which shape and dtype must fill exactly."""
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        whole = [begin, end, *shape]
    except (TypeError, KeyError, ValueError):
        raise _fault(shown, f"its entry for {name[:80]!r} lacks dtype, shape or data_offsets") from None
    if not isinstance(dtype, str) or dtype not in _dtypes():
        raise _fault(shown, f"tensor {name[:80]!r} has the dtype {str(dtype)[:20]!r}; known: {', '.join(_dtypes())}")
    sizes = all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**48 for n in whole)
    if not sizes or len(shape) > MOST_AXES or math.prod(max(n, 1) for n in shape) >= 2**60:
        raise _fault(shown, f"tensor {name[:80]!r} has a shape or offset that is no size")
    if math.prod(shape) * _dtypes()[dtype].itemsize != end - begin:
        raise _fault(shown, f"tensor {name[:80]!r} of shape {shape} and dtype {dtype} has {end - begin} bytes")
    return begin, end


def _dtypes() -> dict[str, torch.dtype]:
    import torch

    names = {"BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64"}
    names |= {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}
    names |= {"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
    return {key: getattr(torch, name) for key, name in names.items()}


def _fault(shown: str, what: str) -> InputError:
    return InputError(f"safetensors file {shown!r} is broken: {what}")
