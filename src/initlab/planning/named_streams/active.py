"""The block of `streams` that a thread is in."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from initlab.errors import InputError
from initlab.planning.named_streams.mode import NamedDraws

_HERE = threading.local()


def active() -> NamedDraws | None:
    """The mode of the block that this thread is in."""
    mode: NamedDraws | None = getattr(_HERE, "mode", None)
    return mode


def refuse_nesting() -> None:
    """Refuse a block within another.

    Raises:
        InputError: this thread is in one.
    """
    if active() is not None:
        raise InputError("streams cannot be entered within streams: one block draws one model's start")


@contextlib.contextmanager
def entered(mode: NamedDraws) -> Iterator[None]:
    """This thread is in the block of a mode."""
    _HERE.mode = mode
    try:
        yield
    finally:
        _HERE.mode = None
