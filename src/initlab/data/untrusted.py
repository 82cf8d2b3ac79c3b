"""Opening a file that nobody vouches for: an ordinary file of a sane size, or an `InputError`."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from initlab.errors import InputError, nearest, text

_GIB = 2**30


def open_ordinary(path: str | os.PathLike[str], what: str) -> tuple[BinaryIO, int]:
    """`path` opened for reading and its size in bytes.

    It is opened without waiting, so that a FIFO cannot hold the program up, and looked at only after it is open, so
    that it cannot be changed for another file in between.

    Args:
        path: the file.
        what: what it should be, for the message: "IDX file".

    Raises:
        InputError: missing, unreadable, a directory, a FIFO, a device, or empty.
    """
    shown = short(path)
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError as error:
        close = nearest(os.fspath(path), near_names(Path(path)))
        hint = f"; did you mean {short(close[0])!r}?" if close else ""
        raise InputError(f"{what} {shown!r} cannot be opened: {reason(error)}{hint}") from None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{what} {shown!r} cannot be opened: {reason(error)}") from None
    info = os.fstat(handle)
    problem = "is a directory" if stat.S_ISDIR(info.st_mode) else "is no ordinary file"
    if stat.S_ISREG(info.st_mode):
        if info.st_size:
            return os.fdopen(handle, "rb"), info.st_size
        problem = "is empty"
    os.close(handle)
    raise InputError(f"{what} {shown!r} {problem}; give an ordinary file")


def near_names(path: Path) -> list[str]:
    """What stands in the folder where `path` would, each as the user would write it."""
    try:
        return [str(path.with_name(child.name)) for child in path.parent.iterdir() if not child.name.startswith(".")]
    except (OSError, ValueError):
        return []


def short(path: object) -> str:
    """A path for a message: printable, and its last 120 characters if it is longer."""
    try:
        words = os.fspath(path) if isinstance(path, str | os.PathLike) else path
    except TypeError:
        words = path
    shown = "".join(c if c.isprintable() else "?" for c in text(words))
    return shown if len(shown) <= 120 else "…" + shown[-119:]


def reason(error: BaseException) -> str:
    """Why, as one line of at most 200 characters."""
    said = " ".join(str(getattr(error, "strerror", None) or error).split())
    return said if len(said) <= 200 else said[:199] + "…"


def memory_limit() -> int:
    """The most bytes that data may take: half of the free memory, or 2 GiB where that is unknown."""
    return max(free_memory(4 * _GIB) // 2, _GIB // 4)


def free_memory(unknown: int) -> int:
    """Bytes of memory that programs can still have, files that the system only keeps at hand counted among them.

    Args:
        unknown: what is given where this cannot be found out.
    """
    free = _available()
    if free is None:
        return unknown
    for limits in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = Path(limits).read_text("ascii").strip() if Path(limits).is_file() else ""
        free = min(free, int(text)) if text.isdigit() else free
    return free


def _available() -> int | None:
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            fields = dict(line.split(":", 1) for line in lines)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        pass
    if not hasattr(os, "sysconf"):
        return None
    try:  # without the files at hand
        free: int = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
    return free


def gigabytes(size: float) -> str:
    """A size for a message.

    >>> gigabytes(3 * 2**30)
    '3.0 GiB'
    """
    return f"{size / _GIB:,.1f} GiB" if size >= _GIB / 10 else f"{size / 2**20:,.1f} MiB"
