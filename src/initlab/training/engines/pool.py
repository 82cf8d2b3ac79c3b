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

# Seconds until the first worker is there: it, or the server that it is forked from, imports torch and what trains.
START = 4.0
# The share of a study's time that workers save on two idle cores, by how it trains without: a small CNN and small MLPs.
# Beside other programs it is more, since the threads of one operation wait for one another.
SAVED, SAVED_STACKED = 0.15, 0.01

# Workers that wait for a study, by process: in a fork of this process they are not there.
_idle: dict[int, list[LocalWorker]] = {}
# Seconds that workers would have saved this process' studies.
_missed: dict[int, float] = {}


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


def ready() -> bool:
    """Whether workers are there, or on their way."""
    return bool(_idle.get(os.getpid())) or forkserver.begun()


def worth_starting(seconds: float, stacked: bool = False) -> bool:
    """Whether a study should start workers and wait for them, where none are there.

    It pays once what workers would have saved this study, and those that went without, comes to `START`. Before that,
    once it comes to what one core's work for so long is worth here, the fork server begins beside this study, so that
    the next has workers at once.

    Args:
        seconds: what the study takes without workers, as fast as this process can.
        stacked: whether its runs are then stacked.
    """
    process = os.getpid()
    missed = _missed.get(process, 0.0) + (SAVED_STACKED if stacked else SAVED) * seconds
    _missed[process] = missed
    if START / cores() < missed <= START:
        forkserver.begin()
    return missed > START


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
