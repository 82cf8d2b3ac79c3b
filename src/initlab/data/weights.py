"""Weight files that nobody vouches for: tensors by name from safetensors or a zipped state_dict, and never any code."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import torch
from torch import Tensor

from initlab.data.arrays import load_arrays
from initlab.data.safetensors import read_safetensors
from initlab.data.untrusted import gigabytes, memory_limit, open_ordinary, short
from initlab.errors import InputError, text

_ADVICE = "save a state_dict with torch.save(model.state_dict(), path), or safetensors"
_WRAPPERS = ("state_dict", "model_state_dict", "model", "module")


def load_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors in a weight file, by parameter name.

    The format is told by the content, not by the ending: safetensors; the zip form of `torch.save`, read with
    `weights_only=True`; `.npz`. A checkpoint that keeps its state_dict under "state_dict", "model_state_dict", "model"
    or "module" is unwrapped.

    Args:
        path: the file.

    Returns:
        name -> tensor on the CPU.

    Raises:
        InputError: a pickle that would run code, a whole module, TorchScript, a bare pickle, a cut or broken file, a
            directory, FIFO or device.
    """
    shown = short(path)
    stream, size = open_ordinary(path, "weight file")
    with stream:
        start = stream.read(16)
        stream.seek(0)
        # First, since the header's length in the first eight bytes may look like the mark of another format.
        if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < size:
            return read_safetensors(stream, size, shown)
        if start.startswith(b"PK"):
            return _read_zip(path, stream, size, shown)
        if start.startswith(b"\x80") or (start[:1] in b"(c]}" and not start[8:9] == b"{"):
            raise InputError(f"weight file {shown!r} is a bare pickle, which can run code; {_ADVICE}")
        if start.startswith(b"\x93NUMPY"):
            raise InputError(f"weight file {shown!r} is one array without names; use numpy.savez with parameter names")
        if len(start) > 8 and start[8:9] == b"{":
            return read_safetensors(stream, size, shown)
    raise InputError(f"weight file {shown!r} is neither safetensors nor a zipped state_dict; {_ADVICE}")


def _read_zip(path: str | os.PathLike[str], stream: BinaryIO, size: int, shown: str) -> dict[str, Tensor]:
    try:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"weight file {shown!r} is cut or broken ({error}); {_ADVICE}") from None
    names = [member.filename for member in members]
    if names and all(name.endswith(".npy") for name in names):
        arrays = load_arrays(path)
        return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        raise InputError(f"weight file {shown!r} is TorchScript, which holds code; {_ADVICE}")
    if not any(name.endswith("/data.pkl") for name in names):
        raise InputError(f"weight file {shown!r} is a zip file without a state_dict; {_ADVICE}")
    total = sum(member.file_size for member in members)
    if total > size + 2**20 or total > memory_limit():
        raise InputError(f"weight file {shown!r} unpacks to {gigabytes(total)} from {gigabytes(size)}; {_ADVICE}")
    stream.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on kinds of tensors that are refused below
            loaded = torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a broken or hostile file makes torch raise, it is the file's fault
        raise InputError(f"weight file {shown!r} is refused: {_why(error)}; {_ADVICE}") from None
    return _state_dict(loaded, shown)


def _state_dict(loaded: Any, shown: str) -> dict[str, Tensor]:
    for candidate in (loaded, *(loaded.get(key) for key in _WRAPPERS if isinstance(loaded, Mapping))):
        if _is_state_dict(candidate):
            return {name: _bounded(value, name, shown) for name, value in candidate.items()}
    held = f"a {type(loaded).__name__}"
    if isinstance(loaded, Mapping) and loaded:
        held += " with the keys " + ", ".join(repr(text(key)[:40]) for key in list(loaded)[:8])
    raise InputError(f"weight file {shown!r} holds {held}, no name -> tensor mapping; {_ADVICE}")


def _is_state_dict(value: Any) -> bool:
    if not isinstance(value, Mapping) or not value:
        return False
    return all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in value.items())


def _bounded(tensor: Tensor, name: str, shown: str) -> Tensor:
    """`tensor`, unless its shape stands for more values than the file stored (an expanded view of a few)."""
    special = tensor.is_nested or tensor.is_quantized or tensor.is_meta
    if special or str(tensor.layout) != "torch.strided":
        raise InputError(f"weight file {shown!r}: {name!r} is no dense tensor; {_ADVICE}")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise InputError(f"weight file {shown!r}: {name!r} has the shape {tuple(tensor.shape)}, more than is stored")
    return tensor.detach()


def _why(error: Exception) -> str:
    text = " ".join(str(error).split()).lower()
    if "global" in text or "unsupported class" in text:
        return "its pickle asks for code to run"
    return f"it is cut or broken ({type(error).__name__})"
