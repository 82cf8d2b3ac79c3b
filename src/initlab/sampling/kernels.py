"""Runs the compiled kernel over a block, on as many threads as there are processors.

Values depend on no thread.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from initlab.sampling.compiled import BFLOAT_16, PLAIN, TASK, run_tasks
from initlab.sampling.reference import Transform
from initlab.sampling.request import Shape, Target
from initlab.sampling.streams import Key
from initlab.sampling.threads import share, thread_count
from initlab.sampling.walks import walk_of

# Below this many elements a second thread costs more than it saves.
_ALONE = 2**18


def draw(target: Target, shape: Shape, key: Key, transform: Transform) -> None:
    """Fill the target with the values of its elements of the global tensor of this shape."""
    walk = walk_of(target, shape)
    if walk is None:
        whole = np.empty(target.out.shape, target.out.dtype)
        draw(replace(target, out=whole), shape, key, transform)
        target.out[...] = whole
        return
    precision = np.dtype(np.float64 if target.dtype == "float64" else np.float32)
    numbers, words = transform.numbers(precision), np.array(key, dtype=np.uint32)
    form = BFLOAT_16 if target.dtype == "bfloat16" else PLAIN
    runs, pieces = walk.runs, max(1, -(-walk.length // TASK))
    tasks = runs * pieces if pieces > 1 else -(-runs // max(1, TASK // walk.length))

    def work(first: int, last: int) -> None:
        run_tasks(
            walk.memory, walk.origin, walk.start, walk.length, walk.stride, walk.steps, runs,
            form, words, transform.kind, numbers, (first, last),
        )  # fmt: skip

    threads = min(thread_count(), tasks) if target.out.size >= _ALONE else 1
    if threads == 1:
        work(0, tasks)
    else:
        share(work, tasks, threads)
