"""Writing a file so that it is either wholly there or not at all, and JSON that every reader accepts."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import stat
import tempfile
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from initlab.errors import InputError, path_of
from initlab.reporting.words import clean


def check_output(path: str | os.PathLike[str], argument: str = "path") -> Path:
    """`path` as a place that can be written to, found out before any work is spent.

    Refused: a directory, a symbolic link (a report never writes through one), a device or FIFO, a read-only file, a
    folder that is missing or read-only. An existing ordinary file is allowed: it is replaced at the end.

    Raises:
        InputError: names the path and what would be right.
    """
    target = path_of(argument, path)
    shown = clean(os.fspath(target))
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return _check_folder(target, shown, argument)
    except (OSError, ValueError) as error:
        raise InputError(f"{argument} {shown!r} cannot be written: {_reason(error)}") from None
    if stat.S_ISDIR(mode):
        raise InputError(f"{argument} {shown!r} is a directory; give a file name in it")
    if stat.S_ISLNK(mode):
        raise InputError(f"{argument} {shown!r} is a symbolic link; give the file that it points to, or another name")
    if not stat.S_ISREG(mode):
        raise InputError(f"{argument} {shown!r} is no ordinary file; give a file name")
    if not mode & 0o222 or not os.access(target, os.W_OK):
        raise InputError(f"{argument} {shown!r} is read-only; give another name or make it writable")
    return _check_folder(target, shown, argument)


def made_folder(path: str | os.PathLike[str], argument: str = "folder") -> Path:
    """A folder that files can be written into, made where it is not there: found out before any work is spent.

    Raises:
        InputError: it is a file, or cannot be made or written into.
    """
    folder = path_of(argument, path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, ValueError) as error:
        raise InputError(
            f"{argument} {clean(os.fspath(path))!r} must be a folder to write into: {_reason(error)}"
        ) from None
    return folder


def atomic_write(path: str | os.PathLike[str], data: str | bytes) -> Path:
    """Write `data` (text as UTF-8) to `path` through a temporary file beside it and a rename.

    A reader never sees half a file, and a failure leaves what was there before.

    Args:
        path: checked by `check_output`.
        data: text or bytes.

    Returns:
        The path.

    Raises:
        InputError: the path cannot be written; nothing has changed.
    """
    target = check_output(path)
    content = data if isinstance(data, bytes) else data.encode("utf-8", "backslashreplace")
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=".initlab-", suffix=".part", dir=target.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, _mode_for(target))
        os.replace(temporary, target)
    except OSError as error:
        raise InputError(f"path {clean(target)!r} cannot be written: {_reason(error)}") from None
    finally:
        if temporary and os.path.exists(temporary):
            with contextlib.suppress(OSError):
                os.unlink(temporary)
    return target


def json_text(data: Any, indent: int | None = 2) -> str:
    """`data` as JSON that every reader accepts (RFC 8259): dataclasses, arrays, tensors, paths and sets included.

    JSON has no word for non-finite numbers: they become the strings "NaN", "Infinity" and "-Infinity", as in protobuf's
    JSON mapping, so that `float(value)` reads them back. Text is ASCII with escapes: no control character, bidi mark
    or lone surrogate stands in the file as itself.

    >>> print(json_text({"loss": float("nan"), "seeds": (1, 2)}, indent=None))
    {"loss": "NaN", "seeds": [1, 2]}
    """
    return json.dumps(_jsonable(data), indent=indent, ensure_ascii=True, allow_nan=False)


def write_json(data: Any, path: str | os.PathLike[str]) -> Path:
    """`json_text(data)` written by `atomic_write`."""
    return atomic_write(path, json_text(data) + "\n")


def _jsonable(value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        number = float(value)
        return number if math.isfinite(number) else _non_finite(number)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _jsonable(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, Set):
        return sorted((_jsonable(item) for item in value), key=str)
    if hasattr(value, "tolist"):
        return _jsonable(value.tolist())
    if isinstance(value, list | tuple) or (hasattr(value, "__iter__") and not isinstance(value, bytes)):
        return [_jsonable(item) for item in value]
    return getattr(value, "__qualname__", None) or str(value)


def _non_finite(number: float) -> str:
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _check_folder(target: Path, shown: str, argument: str) -> Path:
    folder = target.parent
    if not target.name:
        raise InputError(f"{argument} {shown!r} names no file")
    if not folder.is_dir():
        raise InputError(f"{argument} {shown!r}: the folder {clean(folder)!r} does not exist")
    try:
        tempfile.TemporaryFile(dir=folder).close()  # what os.access allows may be refused all the same
    except OSError as error:
        raise InputError(
            f"{argument} {shown!r}: the folder {clean(folder)!r} cannot be written: {_reason(error)}"
        ) from None
    return target


def _mode_for(target: Path) -> int:
    """The mode of the file that is replaced, else what a plain open() would have given."""
    if target.exists():
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _reason(error: BaseException) -> str:
    return clean(getattr(error, "strerror", None) or error)
