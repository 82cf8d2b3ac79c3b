"""Checkpoints of long fits: arrays and settings in one .npz file, written whole or not at all, never unpickled."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from initlab.data import load_arrays
from initlab.errors import InputError
from initlab.guest.inputs import on_host
from initlab.reporting import atomic_write, check_output, json_text

_SETTINGS = "settings"


def save_checkpoint(path: str | os.PathLike[str], arrays: dict[str, Any], settings: dict[str, Any]) -> None:
    """Write arrays and settings to `path` through a temporary file and a rename."""
    text = np.frombuffer(json_text(settings, indent=None).encode(), dtype=np.uint8)
    stream = io.BytesIO()
    np.savez(stream, **{_SETTINGS: text}, **arrays)  # type: ignore[arg-type]  # numpy's stub takes ** for allow_pickle
    atomic_write(path, stream.getvalue())


def load_checkpoint(path: str | os.PathLike[str], settings: dict[str, Any]) -> dict[str, Any] | None:
    """The arrays saved at `path`; None when there is no file yet.

    Raises:
        InputError: a file that is no checkpoint, or one of a run with other settings or data (with the difference), or
            a place that cannot be written to.
    """
    check_output(path, "checkpoint")
    if not Path(path).exists():
        return None
    try:
        arrays = load_arrays(path)
        saved = json.loads(bytes(arrays.pop(_SETTINGS)).decode())
    except (KeyError, ValueError) as error:
        why = f" ({str(error).partition(';')[0]})" if isinstance(error, InputError) else ""
        raise InputError(
            f"checkpoint {os.fspath(path)!r} was not written by this function{why}; give another path"
        ) from None
    now = json.loads(json_text(settings, indent=None))
    changed = [
        f"{key}: {saved.get(key)!r} then, {now.get(key)!r} now"
        for key in sorted({*saved, *now})
        if saved.get(key) != now.get(key)
    ]
    if changed:
        raise InputError(f"checkpoint {os.fspath(path)!r} is of another run ({'; '.join(changed)}); give another path")
    return arrays


def fingerprint(values: Tensor) -> str:
    """A short name of a tensor's content: its shape, and a sum in which every element has a weight of its own."""
    flat = on_host(values.detach()).reshape(-1).double()
    weights = (torch.arange(1, flat.numel() + 1, dtype=torch.float64, device="cpu") * 0.6180339887498949).frac()
    return f"{tuple(values.shape)}:{float((flat * weights).sum()):.10g}"
