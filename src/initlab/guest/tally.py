"""How often a user's model was run and differentiated: the cost that a result can say."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Tally:
    """Passes that were begun while it was open."""

    forward: int = 0
    backward: int = 0


_OPEN: ContextVar[tuple[Tally, ...]] = ContextVar("open tallies", default=())


@contextlib.contextmanager
def tallied() -> Iterator[Tally]:
    """Counts the passes that begin inside.

    >>> with tallied() as passes:
    ...     count_forward()
    >>> passes
    Tally(forward=1, backward=0)
    """
    tally = Tally()
    token = _OPEN.set((*_OPEN.get(), tally))
    try:
        yield tally
    finally:
        _OPEN.reset(token)


def count_forward() -> None:
    for tally in _OPEN.get():
        tally.forward += 1


def count_backward() -> None:
    for tally in _OPEN.get():
        tally.backward += 1
