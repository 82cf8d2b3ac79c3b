"""A tensor's own memory: what can be written, as numpy sees it, and block by block onto other devices."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from initlab.errors import InputError
from initlab.guest.check import is_strided, layout_name

Block = tuple[slice, ...]

DTYPES = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
}

# Complex numbers lie in memory as pairs of these.
PARTS = {torch.complex32: torch.float16, torch.complex64: torch.float32, torch.complex128: torch.float64}

# What one copy to another device may hold in pinned memory at a time.
STAGE_BYTES = 64 * 2**20

_PLAIN = (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer)
_NO_DISPATCH = torch.Tensor.__torch_dispatch__
_MOST_WORK: Any = 1_000_000  # steps of numpy's exact answer, an integer program, beyond which two tensors count as one
_NUMPY = {"float32": "f4", "float64": "f8", "float16": "f2", "bfloat16": "u2"}


class _Cells:
    """A tensor's memory in numpy's array interface."""

    def __init__(self, tensor: torch.Tensor, typestr: str) -> None:
        size = tensor.element_size()
        self.tensor = tensor
        self.__array_interface__ = {
            "version": 3,
            "data": (tensor.data_ptr(), False),
            "shape": tuple(tensor.shape),
            "strides": tuple(stride * size for stride in tensor.stride()),
            "typestr": typestr,
        }


def host_array(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """The memory of a CPU tensor as numpy sees it, strides and all; bfloat16 as its uint16 bits. No copy.

    `tensor.numpy()` would forbid torch to resize the storage ever after, which FSDP and share_memory rely on.
    """
    kind = np.dtype(_NUMPY[DTYPES[tensor.dtype]])
    if tensor.numel() == 0:
        return np.empty(tuple(tensor.shape), kind)
    return np.asarray(_Cells(tensor.detach(), kind.str))


def check_writable(name: str, tensor: torch.Tensor) -> None:
    """Refuse what cannot be written in place, before anything is.

    Raises:
        InputError: meta, inference, sparse, quantized, conjugated or subclassed tensors; expanded, overlapping or
            read-only memory.
    """
    if tensor.is_meta or _is_fake(tensor):
        raise InputError(f"{name!r} is on the meta device and has no memory: call model.to_empty(device=...) first")
    if tensor.is_inference():
        raise InputError(f"{name!r} is an inference tensor, which cannot be written: build it outside inference_mode")
    if not is_strided(tensor) or tensor.is_neg() or tensor.is_conj():
        kind = "negated" if tensor.is_neg() else "conjugated" if tensor.is_conj() else layout_name(tensor)
        raise InputError(f"{name!r} is {kind}: only plain strided tensors can be written")
    if not is_plain(tensor) and getattr(type(tensor), "__torch_dispatch__", None) is not _NO_DISPATCH:
        raise InputError(
            f"{name!r} is a {type(tensor).__name__}, whose memory is its own affair: "
            f"initlab writes plain tensors and DTensors; pass keep={name!r} to leave it alone"
        )
    if overlaps_itself(tensor):
        raise InputError(
            f"{name!r} is expanded or overlaps itself (shape {tuple(tensor.shape)}, strides {tensor.stride()}): "
            "several elements share one memory cell; make it contiguous first"
        )
    if tensor.device.type == "cpu" and not tensor.untyped_storage().resizable():
        _probe(name, tensor)


def is_plain(tensor: torch.Tensor) -> bool:
    """Whether a tensor is of torch's own types, whose memory is what it shows."""
    return type(tensor) in _PLAIN


def _is_fake(tensor: torch.Tensor) -> bool:
    return type(tensor).__name__ in ("FakeTensor", "FunctionalTensor")


def overlaps_itself(tensor: torch.Tensor) -> bool:
    """Whether two indices can reach one memory cell. Sorted by stride, each axis must step over the ones before it."""
    if tensor.numel() < 2:
        return False
    reach = 0
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size == 1:
            continue
        if stride <= reach:
            return True
        reach += stride * (size - 1)
    return False


def _probe(name: str, tensor: torch.Tensor) -> None:
    """Have the kernel write a tensor's first and last byte with what they hold: read-only memory is then an error code.

    Storage that torch did not allocate may be a read-only file mapping, and a plain write to that ends the process.
    """
    if tensor.numel() == 0:
        return
    array = _cells(tensor)
    for index in (0, -1):
        at = tuple(slice(index, None if index else 1) for _ in array.shape)
        cell = array[at].reshape(-1).view(np.uint8)
        source, sink = os.pipe()
        with open(source, "rb", buffering=0) as pipe, open(sink, "wb", buffering=0) as end:
            end.write(cell[:1].tobytes())
            try:
                pipe.readinto(cell[:1].data)  # straight into the cell: nothing is buffered
            except (OSError, ValueError, BufferError, TypeError):
                raise InputError(f"{name!r} lies in read-only memory (a mapped file?): clone it before init_") from None


def check_apart(named: Sequence[tuple[str, torch.Tensor]]) -> None:
    """Refuse two parameters that share some memory cells without being the same tensor.

    Raises:
        InputError: naming both.
    """
    by_storage: dict[int, list[tuple[str, torch.Tensor]]] = {}
    for name, tensor in named:
        if tensor.numel() and is_strided(tensor):
            by_storage.setdefault(tensor.untyped_storage().data_ptr(), []).append((name, tensor))
    for group in by_storage.values():
        ordered = sorted(group, key=lambda item: item[1].data_ptr())
        for index, (name, tensor) in enumerate(ordered):
            for other_name, other in itertools.islice(ordered, index + 1, None):
                if other.data_ptr() >= _end(tensor):
                    break
                if _share_cells(tensor, other):
                    raise InputError(
                        f"{name!r} and {other_name!r} overlap in memory without being one tied tensor: "
                        "clone one of them, or keep one"
                    )


def _end(tensor: torch.Tensor) -> int:
    last = sum(stride * (size - 1) for stride, size in zip(tensor.stride(), tensor.shape, strict=True))
    return tensor.data_ptr() + (last + 1) * tensor.element_size()


def _share_cells(one: torch.Tensor, other: torch.Tensor) -> bool:
    try:  # addresses are only compared, never read, so that they may be another device's
        return bool(np.shares_memory(_cells(one), _cells(other), max_work=_MOST_WORK))
    except np.exceptions.TooHardError:
        return True


def _cells(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """The memory of a tensor element by element, whatever they are."""
    return np.asarray(_Cells(tensor.detach(), f"|V{tensor.element_size()}"))


def row_blocks(shape: Sequence[int], itemsize: int, limit: int = STAGE_BYTES) -> Iterator[Block]:
    """Rectangular blocks that cover `shape`, each of at most `limit` bytes, cut along the leading axes.

    >>> [b[0] for b in row_blocks((5, 2), itemsize=4, limit=16)]
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    if math.prod(shape) == 0:
        return
    if not shape or math.prod(shape) * itemsize <= limit:
        yield tuple(slice(0, size) for size in shape)
        return
    row_bytes = math.prod(shape[1:]) * itemsize
    if row_bytes > limit:
        for index in range(shape[0]):
            for inner in row_blocks(shape[1:], itemsize, limit):
                yield (slice(index, index + 1), *inner)
        return
    step = max(1, limit // row_bytes)
    for start in range(0, shape[0], step):
        stop = min(start + step, shape[0])
        yield (slice(start, stop), *(slice(0, size) for size in shape[1:]))
