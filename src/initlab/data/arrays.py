"""`.npy` and `.npz` files that nobody vouches for: plain values only, and no more of them than the file can hold."""

from __future__ import annotations

import math
import os
import sys
import zipfile
import zlib
from typing import Any, BinaryIO

import numpy as np

from initlab.data.untrusted import gigabytes, memory_limit, open_ordinary, reason, short
from initlab.errors import InputError

_BROKEN = (ValueError, EOFError, OSError, KeyError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)


def load_arrays(
    path: str | os.PathLike[str], *, text: bool = False, most_bytes: int | None = None
) -> dict[str, np.ndarray]:
    """The arrays in a `.npz` file by name, or the one in a `.npy` file under the name "array".

    Nothing is unpickled. The declared shape is held against the bytes that are there, and a `.npz` against
    `most_bytes`, before memory is taken.

    Args:
        path: the file.
        text: whether arrays of text are right too: labels.
        most_bytes: the most that its arrays may take together; default half of the free memory.

    Returns:
        name -> array of numbers, or of text.

    Raises:
        InputError: an object array, a shape that disagrees with the file, a zip bomb, a member with a path in its
            name, a cut or broken file.
    """
    limit = memory_limit() if most_bytes is None else most_bytes
    shown = short(path)
    stream, size = open_ordinary(path, "array file")
    with stream:
        start = stream.read(6)
        stream.seek(0)
        try:
            if start.startswith(b"PK"):
                return _read_zip(stream, shown, limit, text)
            if start == b"\x93NUMPY":
                return {"array": _read_array(stream, size, shown, limit, text)}
        except InputError:
            raise
        except _BROKEN as error:
            raise InputError(f"array file {shown!r} is cut or broken: {reason(error)}") from None
    raise InputError(f"{shown!r} is neither a .npy nor a .npz file; save arrays with numpy.savez(path, X=..., Y=...)")


def _read_zip(stream: BinaryIO, shown: str, limit: int, text: bool) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(stream) as archive:
        members = archive.infolist()
        for member in members:
            if "/" in member.filename or "\\" in member.filename or ".." in member.filename:
                raise InputError(
                    f"array file {shown!r} has a member named {member.filename[:80]!r}; plain names are right"
                )
        names = [member.filename.removesuffix(".npy") for member in members]
        if len(set(names)) < len(names):
            raise InputError(f"array file {shown!r} holds two members of one name")
        total = sum(member.file_size for member in members)
        if total > limit:
            raise InputError(f"array file {shown!r} unpacks to {gigabytes(total)}; {gigabytes(limit)} are to be had")
        found = {}
        for name, member in zip(names, members, strict=True):
            with archive.open(member) as part:
                whole: Any = part  # a ZipExtFile reads as a BinaryIO
                found[name] = _read_array(whole, member.file_size, f"{shown}:{name}", limit, text)
        return found


def _read_array(stream: BinaryIO, size: int, shown: str, limit: int, text: bool) -> np.ndarray:
    version = np.lib.format.read_magic(stream)
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in headers:
        raise InputError(f"array file {shown!r} has format version {version}; 1.0 and 2.0 are right")
    try:
        shape, fortran, dtype = headers[version](stream, max_header_size=10_000)
    except Exception as error:  # the header is Python's text: its tokenizer and parser raise their own kinds
        raise InputError(
            f"array file {shown!r} is cut or broken: its header cannot be read ({reason(error)})"
        ) from None
    number = dtype.kind in "biufc" and dtype.itemsize <= (16 if dtype.kind == "c" else 8)
    if not number and not (text and dtype.kind == "U" and dtype.itemsize):
        raise InputError(
            f"array file {shown!r} holds {dtype} values; numbers of at most 64 bits"
            f"{' and text, as labels.astype(str) makes it,' if text else ''} are right (objects would need unpickling)"
        )
    if not all(type(size) is int and size >= 0 for size in shape):
        raise InputError(f"array file {shown!r} declares the shape {shape}; sizes from 0 on are right")
    needed = math.prod(shape) * dtype.itemsize
    if needed > min(size, limit):
        raise InputError(
            f"array file {shown!r} declares the shape {shape} of {gigabytes(needed)} in a file of {gigabytes(size)}"
        )
    body = stream.read(needed + 1)
    if len(body) != needed:
        raise InputError(f"array file {shown!r} has {len(body):,} bytes of values; its shape {shape} needs {needed:,}")
    if not number and np.any(np.frombuffer(body, np.dtype("u4").newbyteorder(dtype.byteorder)) > sys.maxunicode):
        raise InputError(f"array file {shown!r} is cut or broken: its text holds what is no character")
    array = np.frombuffer(bytearray(body), dtype=dtype).astype(dtype.newbyteorder("="), copy=False)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)
