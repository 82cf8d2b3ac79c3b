"""This machine's worker processes: loky's, one executor each, so that a run comes back to the worker that holds it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from loky import ProcessPoolExecutor

from initlab.training import forkserver
from initlab.training.engines.machine import cores
from initlab.training.engines.worker import begin_worker, forget

IDLE_SECONDS = 300  # after which a worker that nobody asks anything ends

# Workers take about four seconds to start (fresh interpreters that import torch) and save about a tenth of a study's
# time on two cores: the start pays once a process' studies without them have taken this long together (seconds).
LONG = 60.0

# Workers that wait for a study, by process: in a fork of this process they are not there.
_idle: dict[int, list[LocalWorker]] = {}
# Seconds of this process' studies that went without workers.
_without: dict[int, float] = {}


class LocalWorker:
    """One worker process of this machine.

    Args:
        fellows: workers that share this machine's memory, this one included.
    """

    def __init__(self, fellows: int) -> None:
        self._fellows = fellows
        self._waiting: set[Future[Any]] = set()
        self._executor = self._start()

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            1,
            timeout=IDLE_SECONDS,
            context=forkserver.context(),
            initializer=begin_worker,
            initargs=(os.getpid(), self._fellows, {**os.environ, **forkserver.ONE_THREAD}),
            env=forkserver.ONE_THREAD,  # for workers that are spawned
        )

    def submit(self, call: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have the worker call something, after what it was asked before."""
        try:
            future: Future[Any] = self._executor.submit(call, *arguments)
        except (OSError, EOFError):
            if not forkserver.give_up():
                raise
            self._executor = self._start()
            future = self._executor.submit(call, *arguments)
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        return future

    @property
    def busy(self) -> bool:
        return any(not future.done() for future in self._waiting)

    def pids(self) -> list[int]:
        """The ids of the process, none before it was asked anything."""
        return list(self._executor._processes or {})

    def renew(self) -> None:
        """A new process in place of this one, which died."""
        self.end()
        self._executor = self._start()

    def end(self) -> None:
        """Kill the process, whatever it is at."""
        with contextlib.suppress(OSError):
            self._executor.shutdown(wait=True, kill_workers=True)


def worth_having(seconds: float) -> bool:
    """Whether a study of so many seconds should ask workers: they wait already, or their start pays by now.

    It pays once this study and those that went without have taken `LONG` seconds together.
    """
    process = os.getpid()
    if _idle.get(process):
        return True
    _without[process] = _without.get(process, 0.0) + seconds
    return _without[process] > LONG


def borrow(count: int) -> list[LocalWorker]:
    """`count` workers: those that wait, and new ones."""
    idle = _idle.setdefault(os.getpid(), [])
    taken = [idle.pop() for _ in range(min(count, len(idle)))]
    return taken + [LocalWorker(max(count, cores())) for _ in range(count - len(taken))]


def give_back(worker: LocalWorker, token: str) -> None:
    """Let a worker wait for the next study, or end it: if it computes or never started, or if enough of them wait."""
    idle = _idle.setdefault(os.getpid(), [])
    if worker.busy or not worker.pids() or len(idle) >= cores():
        worker.end()
        return
    try:
        worker.submit(forget, token)
    except (RuntimeError, OSError):
        worker.end()
    else:
        idle.append(worker)


def end_idle() -> None:
    """End the workers that wait."""
    for worker in _idle.pop(os.getpid(), []):
        worker.end()
