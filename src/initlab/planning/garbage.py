"""Python's collector of cycles, while a plan is made: less often, since nearly all new objects live to the end."""

from __future__ import annotations

import gc
from collections.abc import Callable

from initlab.shared import Shared

SELDOM = 50_000  # new objects after which the young ones are looked at; Python's own number is some hundreds


def _seldom() -> Callable[[], object]:
    before = gc.get_threshold()
    if 0 < before[0] < SELDOM:
        gc.set_threshold(SELDOM, *before[1:])
    return lambda: gc.set_threshold(*before)


# Cycles are looked for every 50,000 new objects, and every ten such times among older ones: at Python's own number a
# fifth of a plan's time went into looking through its own recording again and again. A collector that is switched off,
# or set to be slower still, is left alone.
seldom_collected = Shared(_seldom).held
