"""A plain drawing of laws, until the kernels land."""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Any

import numpy as np

from initlab.errors import seed_number
from initlab.sampling import laws

STREAM_VERSION = "1"


def canonical_name(name: str) -> str:
    for prefix in ("module.", "_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."):
        name = name.replace(prefix, "")
    return unicodedata.normalize("NFC", name)


def _digest(*parts: object) -> bytes:
    h = hashlib.sha256()
    for part in parts:
        raw = str(part).encode()
        h.update(len(raw).to_bytes(8, "little") + raw)
    return h.digest()


def derive_seed(root_seed: int, *parts: object) -> int:
    return int.from_bytes(_digest("seed", seed_number(root_seed), *parts)[:8], "little")


def _draw(law: Any, shape: tuple[int, ...], seed: int, name: str) -> np.ndarray[Any, Any]:
    rng = np.random.Generator(np.random.Philox(key=int.from_bytes(_digest(seed, name, shape, law.family)[:16], "little")))
    if isinstance(law, laws.Constant):
        return np.full(shape, law.value)
    if isinstance(law, laws.Uniform):
        return rng.uniform(law.low, law.high, shape)
    if isinstance(law, laws.Normal):
        return law.mean + law.std * rng.standard_normal(shape)
    if isinstance(law, laws.TruncatedNormal):
        from scipy.special import ndtr, ndtri

        s = law.parent_std or 1.0
        a, b = ndtr((law.low - law.location) / s), ndtr((law.high - law.location) / s)
        return law.location + law.parent_std * ndtri(a + (b - a) * rng.uniform(0, 1, shape))
    if isinstance(law, laws.Stacked):
        out = np.empty(shape)
        start = 0
        for k, (size, part) in enumerate(zip(law.sizes, law.laws)):
            index = [slice(None)] * len(shape)
            index[law.axis] = slice(start, start + size)
            out[tuple(index)] = _draw(part, out[tuple(index)].shape, seed, f"{name}#{k}")
            start += size
        return out
    out = np.zeros(shape)
    moved = np.moveaxis(out, (law.out_axis, law.in_axis), (0, 1))
    centre = tuple(n // 2 for n in moved.shape[2:])
    if isinstance(law, laws.Identity):
        for i in range(min(moved.shape[:2])):
            moved[(i, i, *centre)] = law.gain
    elif isinstance(law, laws.Sparse):
        moved[...] = law.std_nonzero * rng.standard_normal(moved.shape)
        zeros = int(np.ceil(law.sparsity * moved.shape[0]))
        for column in moved.reshape(moved.shape[0], -1).T if out.ndim == 2 else []:
            column[rng.permutation(moved.shape[0])[:zeros]] = 0
    else:
        rows = moved.shape[0]
        columns = moved.shape[1] if isinstance(law, laws.DeltaOrthogonal) else moved.size // rows
        g = rng.standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(g)
        q = q * np.sign(np.diag(r))
        q = law.gain * (q if rows >= columns else q.T)
        if isinstance(law, laws.DeltaOrthogonal):
            moved[(slice(None), slice(None), *centre)] = q
        else:
            moved[...] = q.reshape(moved.shape)
    return out


def fill(out: Any, law: Any, *, seed: int, name: str, shape: Any = None, block: Any = None, dtype: str | None = None) -> None:
    whole = _draw(law, tuple(shape or out.shape), seed_number(seed), canonical_name(name))
    values = whole if block is None else whole[tuple(block)]
    if dtype == "bfloat16":
        bits = values.astype(np.float32).view(np.uint32)
        out[...] = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    else:
        out[...] = values.astype(np.float32) if out.dtype == np.float16 else values


def sample(law: Any, shape: Any, *, seed: int = 0, name: str = "weight", dtype: str = "float32") -> Any:
    out = np.empty(tuple(shape), dtype=dtype)
    fill(out, law, seed=seed, name=name)
    return out
