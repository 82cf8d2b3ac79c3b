"""A task handed to workers once: its large arrays in one file that every worker maps, the rest pickled by value."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import tempfile
import uuid
from typing import IO, Any

import cloudpickle
import numpy as np
import torch

from initlab.errors import InputError
from initlab.training.task import Task

MAPPED_BYTES = 1 << 16  # arrays from this size on go into the file
ALIGNED = 64

Place = tuple[str, int, int, Any, tuple[int, ...]]


class Missing(Exception):
    """The file of a handed task is not on this machine: it must be sent."""


class HandedTask:
    """The parent's side: the task's words for workers, and the file that holds its arrays.

    Args:
        task: its data as sources, so that what is converted is converted once.

    Raises:
        InputError: the task holds something that cannot be pickled; the message names it.
    """

    def __init__(self, task: Task) -> None:
        self.token = uuid.uuid4().hex
        handle, self.path = tempfile.mkstemp(prefix="initlab-task-")
        try:
            with os.fdopen(handle, "wb") as file:
                self.words = _pickled(task, file)
        except BaseException:
            self.remove()
            raise

    def whole(self) -> bytes:
        """The file's contents, for a worker that does not see the file."""
        with open(self.path, "rb") as file:
            return file.read()

    def remove(self) -> None:
        """Delete the file; what maps it keeps its contents (where a system refuses, it stays among temporary files)."""
        with contextlib.suppress(OSError):
            os.unlink(self.path)


def received(words: bytes, path: str, contents: bytes | None) -> Task:
    """The worker's side: the task, its arrays mapped from `path`, or read from `contents` where those were sent.

    Raises:
        Missing: no such file here, and no contents.
    """
    if contents is None and not os.path.exists(path):
        raise Missing(path)
    task = _Unpickler(io.BytesIO(words), path, contents).load()
    assert isinstance(task, Task)
    return task


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it ships no types
    """Writes plain arrays of some size into a file and keeps their places; each once."""

    def __init__(self, stream: IO[bytes], file: IO[bytes] | None) -> None:
        super().__init__(stream)
        self._file = file
        self._places: dict[int, tuple[Any, Place]] = {}

    def persistent_id(self, thing: Any) -> Place | None:
        if self._file is None or not (_plain_tensor(thing) or _plain_array(thing)):
            return None
        if id(thing) not in self._places:
            self._places[id(thing)] = thing, self._written(thing, self._file)
        return self._places[id(thing)][1]

    def _written(self, thing: Any, file: IO[bytes]) -> Place:
        kind = "tensor" if isinstance(thing, torch.Tensor) else "array"
        flat = thing.contiguous().view(-1).view(torch.uint8).numpy() if kind == "tensor" else _bytes_of(thing)
        start = -(-file.tell() // ALIGNED) * ALIGNED
        file.write(bytes(start - file.tell()))
        flat.tofile(file)
        file.flush()
        file.seek(0, os.SEEK_END)
        return kind, start, flat.size, thing.dtype, tuple(thing.shape)


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: IO[bytes], path: str, contents: bytes | None) -> None:
        super().__init__(stream)
        self._path = path
        self._contents = contents
        self._found: dict[int, Any] = {}

    def persistent_load(self, place: Any) -> Any:
        kind, start, size, dtype, shape = place
        if start not in self._found:
            flat = self._flat(start, size)
            array = flat if kind == "array" else torch.from_numpy(flat)
            self._found[start] = array.view(dtype).reshape(shape)
        return self._found[start]

    def _flat(self, start: int, size: int) -> np.ndarray:
        """(size,) bytes that may be written to without anybody else seeing it."""
        if self._contents is None:
            return np.asarray(np.memmap(self._path, np.uint8, "c", start, (size,)))
        return np.frombuffer(self._contents, np.uint8, size, start).copy()


def _bytes_of(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _plain_tensor(thing: Any) -> bool:
    return (
        type(thing) is torch.Tensor
        and thing.device.type == "cpu"
        and thing.layout == torch.strided
        and not thing.requires_grad
        and not thing.is_conj()
        and not thing.is_neg()
        and thing.nbytes >= MAPPED_BYTES
    )


def _plain_array(thing: Any) -> bool:
    return type(thing) is np.ndarray and thing.dtype.kind in "biufc" and thing.nbytes >= MAPPED_BYTES


def _pickled(task: Task, file: IO[bytes]) -> bytes:
    stream = io.BytesIO()
    try:
        _Pickler(stream, file).dump(task)
    except Exception as problem:  # whatever the user's own objects raise
        names = [name for name in ("build", "loss", "train", "test", "valid") if not _can_pickle(getattr(task, name))]
        told = f"{', '.join(names) or 'the task'} cannot be pickled for workers in other processes ({problem})"
        raise InputError(f"{told}; engine='sequential' trains in this process") from problem
    return stream.getvalue()


def _can_pickle(thing: Any) -> bool:
    try:
        cloudpickle.dumps(thing)
    except Exception:  # whatever the user's own objects raise
        return False
    return True
