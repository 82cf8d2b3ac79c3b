"""Python's collector of cycles, while a plan is made: less often, since nearly all new objects live to the end."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator

SELDOM = 50_000  # new objects after which the young ones are looked at; Python's own number is some hundreds

_LOCK = threading.Lock()
_within = 0
_before = (0, 0, 0)


@contextlib.contextmanager
def seldom_collected() -> Iterator[None]:
    """Cycles are looked for every 50,000 new objects, and every ten such times among older ones.

    At Python's own number a fifth of a plan's time went into looking through its own recording again and again. A
    collector that is switched off, or set to be slower still, is left alone. Several threads may be within at once.
    """
    global _within, _before
    with _LOCK:
        _within += 1
        if _within == 1:
            _before = gc.get_threshold()
            if 0 < _before[0] < SELDOM:
                gc.set_threshold(SELDOM, *_before[1:])
    try:
        yield
    finally:
        with _LOCK:
            _within -= 1
            if _within == 0:
                gc.set_threshold(*_before)
