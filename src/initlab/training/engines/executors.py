"""Any `concurrent.futures.Executor` as the place where runs train: loky, Dask, Ray, submitit, threads, one's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from typing import Any

import cloudpickle

from initlab.errors import InputError
from initlab.training.engines.base import Engine
from initlab.training.engines.processes import TRIES, ProcessSession, WorkerDied
from initlab.training.engines.worker import portable
from initlab.training.task import RunSpec, Task

HINTS = {
    "distributed": "client.get_executor() gives Dask's",
    "ray": "initlab.integrations.cluster.RayExecutor() is Ray's",
    "submitit": "initlab.integrations.cluster.SubmititExecutor(it, workers=8) wraps submitit's",
}


def checked_executor(executor: Any, engine: str) -> Executor | None:
    """`executor`, if runs can be trained by it.

    Raises:
        InputError: it is no executor, or the engine has workers of its own.
    """
    forget_stdin()
    if executor is None:
        return None
    if not isinstance(executor, Executor):
        hint = HINTS.get(type(executor).__module__.partition(".")[0], "such as loky.get_reusable_executor()")
        raise InputError(f"executor must be a concurrent.futures.Executor; got {type(executor).__name__} ({hint})")
    if engine.partition(":")[0] == "processes":
        raise InputError(
            "engine='processes' has workers of its own; with executor= give 'auto', 'stacked', 'sequential'"
        )
    return executor


def forget_stdin() -> None:
    """Takes the file "<stdin>" off a main module that was read from standard input: there is no such file.

    `multiprocessing`, and with it Dask's local cluster, has every spawned interpreter run the file of the main module
    again, and would die looking for one of that name. Functions of such a program travel by value (cloudpickle).
    """
    main = vars(sys.modules["__main__"]) if "__main__" in sys.modules else {}
    if main.get("__file__") == "<stdin>":
        del main["__file__"]


def workers_of(executor: Executor) -> int | None:
    """How many workers an executor has now, where it says so: Dask's cluster, an adapter of ours, a pool."""
    client = getattr(executor, "_client", None)
    if client is not None and hasattr(client, "scheduler_info"):
        return max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
    for name in ("workers", "_max_workers"):
        count = getattr(executor, name, None)
        if isinstance(count, int) and count > 0:
            return count
    return None


class ExecutorEngine:
    """Trains runs through an executor, in as many parts as it has workers; one part a run where it does not say.

    Args:
        executor: has the workers.
        inner: what a worker does with its runs.
        most: the most runs of one part; None for no bound.
    """

    name = "executor"

    def __init__(self, executor: Executor, inner: Engine, most: int | None = None) -> None:
        self.executor = executor
        self.inner = inner
        self.most = most

    def open(self, task: Task, specs: Sequence[RunSpec]) -> ProcessSession:
        workers = workers_of(self.executor) or len(specs)
        parts = max(workers, -(-len(specs) // self.most)) if self.most else workers
        session = ProcessSession(task, self.inner, max(1, parts), self.executor)
        try:
            session.add(specs)
        except BaseException:
            session.close()
            raise
        return session


def call(words: bytes) -> bytes:
    """What a pickled call came to, pickled: (value, None), or (None, the call's own error)."""
    function, arguments = cloudpickle.loads(words)
    try:
        return bytes(cloudpickle.dumps((function(*arguments), None)))
    except Exception as problem:  # the call's own, which trying again would not mend
        return bytes(cloudpickle.dumps((None, portable(problem))))


def called(executor: Executor, function: Callable[..., Any], rows: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
    """`function(*row)` for each row, all submitted at once, given in order; one whose worker dies is tried again.

    Raises:
        WorkerDied: it died again.
    """
    words = [cloudpickle.dumps((function, row)) for row in rows]
    futures = [executor.submit(call, one) for one in words]
    for place, row in enumerate(rows):
        for tried in range(1, TRIES + 1):
            try:
                value, problem = cloudpickle.loads(futures[place].result())
                break
            except Exception as death:  # `call` raises nothing: what comes here is the executor's
                if tried == TRIES:
                    raise WorkerDied(f"a worker died, and so did the next, with {row} ({death})") from death
                # Longer by a byte that is not read: an executor that knows equal calls must not answer as before.
                futures[place] = executor.submit(call, words[place] + bytes(tried))
        if problem is not None:
            raise problem
        yield value
