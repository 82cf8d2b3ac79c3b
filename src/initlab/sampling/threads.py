"""Work shared among threads.

Threads are Python's own, over kernels that release the interpreter lock: numba's thread pools end the process when a
forked child uses them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable


def thread_count() -> int:
    """How many threads draw: INITLAB_THREADS or OMP_NUM_THREADS where set, else the processors this process may use."""
    for name in ("INITLAB_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name, "")
        if text.isdecimal() and int(text) > 0:
            return int(text)
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def share(work: Callable[[int, int], None], tasks: int, threads: int) -> None:
    """Have threads take tasks off one list, a few at a time, until it is empty."""
    step = max(1, tasks // (8 * threads))
    spans = iter([(first, min(first + step, tasks)) for first in range(0, tasks, step)])
    lock, errors = threading.Lock(), list[BaseException]()

    def take() -> None:
        try:
            while True:
                with lock:
                    span = next(spans, None)
                if span is None or errors:
                    return
                work(*span)
        except BaseException as error:
            errors.append(error)

    helpers = [threading.Thread(target=take, daemon=True) for _ in range(threads - 1)]
    for helper in helpers:
        helper.start()
    try:
        take()
    finally:
        for helper in helpers:
            helper.join()
    if errors:
        raise errors[0]
