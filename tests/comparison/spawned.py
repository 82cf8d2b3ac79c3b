"""Processes of tests: forked, where that can be, from a server that imports and never computes, else new interpreters.

A fork of this process, which has used autograd, would die on a GPU.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

import cloudpickle

fresh: Any = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
if sys.platform == "linux":
    fresh.set_forkserver_preload(
        ["initlab.training.forkserver.__main__", "initlab.comparison.api", "initlab.searching.api"]
    )
Work = Callable[..., Any]
# Seconds that a test waits for what must come, on however busy a machine: pytest's own limit is hardly more. At load 9
# on two cores a test of four processes took 126 s.
PATIENCE = 280


def spawned(work: Work, *args: Any) -> BaseProcess:
    """A process that has loaded all it needs and now runs `work(*args)`; pipes and events go as arguments."""
    return at_once([work], [args])[0]


def at_once(works: list[Work], args: list[tuple[Any, ...]] | None = None) -> list[BaseProcess]:
    """Processes that begin together, each when all have loaded what they need."""
    gate = fresh.Barrier(len(works) + 1)
    children = [
        fresh.Process(target=_run, args=(_by_value(work), gate, *given))
        for work, given in zip(works, args or [()] * len(works), strict=True)
    ]
    for child in children:
        child.start()
    gate.wait(PATIENCE)
    return children


def _by_value(work: Work) -> bytes:
    module = sys.modules.get(work.__module__)
    if module is not None:  # tests are no modules that another interpreter finds
        cloudpickle.register_pickle_by_value(module)
    return bytes(cloudpickle.dumps(work))


def _run(pickled: bytes, gate: Any, *args: Any) -> None:
    work = cloudpickle.loads(pickled)
    gate.wait(PATIENCE)
    work(*args)
