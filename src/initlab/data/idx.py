"""IDX files, strictly: the format in which MNIST is published."""

from __future__ import annotations

import gzip
import math
import os
import zlib

import numpy as np

from initlab.data.untrusted import memory_limit, open_ordinary, short
from initlab.errors import InputError

UNSIGNED_BYTE = 0x08
MOST_VALUES = 2**31
# What a value takes before it is a sample: its byte twice, then a float32.
_COPIES = 6


def read_idx(path: str | os.PathLike[str], dimensions: int) -> np.ndarray:
    """The array in a gzipped IDX file of unsigned bytes.

    The header says how many values follow: exactly so many are read and not one more, so that a gzip bomb costs
    nothing, and the gzip trailer (CRC-32 and length) is checked.

    Args:
        path: a .gz file.
        dimensions: how many axes the array must have: 3 for images, 1 for labels.

    Returns:
        uint8 array.

    Raises:
        InputError: wrong magic number, wrong number of dimensions, a size that disagrees with the file, trailing bytes,
            a broken gzip stream.

    Source:
        LeCun, Cortes & Burges: The MNIST database of handwritten digits (1998), file formats.
    """
    shown = short(path)
    stream, _ = open_ordinary(path, "IDX file")
    try:
        with stream, gzip.GzipFile(fileobj=stream, mode="rb") as unzipped:
            return _parse(unzipped, shown, dimensions)
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(f"IDX file {shown!r} is cut or broken: {error}") from None


def _parse(stream: gzip.GzipFile, shown: str, dimensions: int) -> np.ndarray:
    magic = _exactly(stream, 4, shown)
    if magic[:2] != b"\x00\x00" or magic[2] != UNSIGNED_BYTE:
        raise InputError(f"IDX file {shown!r} has magic number 0x{magic.hex()}; unsigned bytes start with 0x000008")
    if magic[3] != dimensions:
        raise InputError(f"IDX file {shown!r} has {magic[3]} dimensions; {dimensions} are right here")
    header = _exactly(stream, 4 * dimensions, shown)
    shape = tuple(int.from_bytes(header[i : i + 4], "big") for i in range(0, len(header), 4))
    size = math.prod(shape)
    most = min(MOST_VALUES, memory_limit() // _COPIES)
    if size == 0 or size > most:
        raise InputError(f"IDX file {shown!r} declares the shape {shape}; 1 to {most:,} values are right here")
    body = _exactly(stream, size, shown)
    if stream.read(1):
        raise InputError(f"IDX file {shown!r} has bytes after the {size:,} values that its header declares")
    return np.frombuffer(body, dtype=np.uint8).reshape(shape)


def _exactly(stream: gzip.GzipFile, count: int, shown: str) -> bytes:
    """`count` bytes, read in pieces: a declared size alone reserves no memory."""
    pieces, missing = [], count
    while missing:
        piece = stream.read(min(missing, 2**22))
        if not piece:
            raise InputError(f"IDX file {shown!r} ends {missing:,} bytes short of the size that its header declares")
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)
