"""Streams: the key of a parameter's random numbers, and the seeds of runs, from SHA-256 of length-prefixed fields."""

from __future__ import annotations

import hashlib
import struct
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

from initlab.errors import InputError, seed_number, shown

STREAM_VERSION = "1"

Key = tuple[int, int, int, int]

# Wrappers that torch puts round a model or any part of it; a path component of this name is never the user's own.
WRAPPERS = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_fpw_module"})


def canonical_name(name: str) -> str:
    """A parameter's name without what wrappers add to it, in Unicode normal form C.

    `_orig_mod`, `_fsdp_wrapped_module` and `_checkpoint_wrapped_module` are dropped wherever they stand; `module` only
    in front, where DataParallel and DDP put it: inside a path it may be the user's own.

    Raises:
        InputError: something that is not a string.

    >>> canonical_name("module._orig_mod.blocks.0._checkpoint_wrapped_module.fc.weight")
    'blocks.0.fc.weight'
    """
    if not isinstance(name, str):
        raise InputError(f"name must be a string; got {shown(name)}")
    return _canonical(name)


@lru_cache(maxsize=1 << 14)
def _canonical(name: str) -> str:
    parts = [part for part in unicodedata.normalize("NFC", name).split(".") if part not in WRAPPERS]
    while len(parts) > 1 and parts[0] == "module":
        parts = parts[1:]
    return ".".join(parts)


def _prefixed(fields: Iterable[bytes]) -> bytes:
    return b"".join(struct.pack("<Q", len(field)) + field for field in fields)


def stream_key(seed: int, name: str, shape: Sequence[int], family: str) -> Key:
    """The 128 bits that key a parameter's stream, as four 32-bit words.

    SHA-256 over the length-prefixed (stream version, seed, canonical name, global shape, law family), first 16 bytes.

    >>> stream_key(0, "fc.weight", (2, 2), "normal") == stream_key(0, "module.fc.weight", (2, 2), "normal")
    True
    """
    fields = (
        STREAM_VERSION.encode(),
        struct.pack("<Q", seed_number(seed)),
        canonical_name(name).encode("utf-8", "surrogatepass"),
        b"".join(struct.pack("<Q", size) for size in shape),
        family.encode(),
    )
    words = struct.unpack("<4I", hashlib.sha256(_prefixed(fields)).digest()[:16])
    return words[0], words[1], words[2], words[3]


def derive_seed(root_seed: int, *parts: object) -> int:
    """A seed for one purpose, in [0, 2^64): a function of the root seed and of `parts` alone.

    Args:
        root_seed: an integer in [0, 2^64).
        parts: strings, integers, floats, booleans, None, or tuples of these; their types count.

    >>> derive_seed(0, "weights", 1) != derive_seed(0, "weights", "1")
    True
    """
    fields = [b"derive_seed", struct.pack("<Q", seed_number(root_seed, "root_seed")), *map(_tagged, parts)]
    return int.from_bytes(hashlib.sha256(_prefixed(fields)).digest()[:8], "little")


def _tagged(part: object) -> bytes:
    if part is None or isinstance(part, bool):
        return b"b" + repr(part).encode()
    if isinstance(part, str):
        return b"s" + part.encode("utf-8", "surrogatepass")
    if isinstance(part, bytes):
        return b"y" + part
    if isinstance(part, int):
        return b"i" + str(part).encode()
    if isinstance(part, float):
        return b"f" + part.hex().encode()
    if isinstance(part, tuple | list):
        return b"t" + _prefixed(map(_tagged, part))
    index = getattr(part, "__index__", None)
    if index is not None:
        return b"i" + str(int(index())).encode()
    raise InputError(
        f"a part of a derived seed must be a string, number, boolean, None or tuple of these; got {shown(part)}"
    )
