"""Executors for clusters that have none of their own: Ray, and submitit (Slurm). Dask's is `client.get_executor()`."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, InvalidStateError
from typing import Any


class RayExecutor(Executor):
    """A `concurrent.futures.Executor` whose calls are Ray tasks.

    Args:
        options: Ray's options of a task, such as `num_cpus=4` or `num_gpus=1`; Ray then shows each task its own GPU
            (`CUDA_VISIBLE_DEVICES`). Default: one CPU, and no retries by Ray, since initlab retries.

    Connects to the cluster that `ray.init` has been told of, or starts a local one.
    """

    def __init__(self, **options: Any) -> None:
        import ray  # lazy: an extra, and slow to import

        if not ray.is_initialized():
            ray.init(log_to_driver=False)
        self._ray: Any = ray
        self._options = {"num_cpus": 1, "max_retries": 0, **options}

    @property
    def workers(self) -> int:
        """Tasks that the cluster can run at once."""
        have = self._ray.cluster_resources()
        needs = {"CPU": self._options["num_cpus"], "GPU": self._options.get("num_gpus", 0)}
        return max(1, min(int(have.get(name, 0) / need) for name, need in needs.items() if need))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        reference = self._ray.remote(fn).options(**self._options).remote(*args, **kwargs)
        future: Future[Any] = reference.future()
        return future


class SubmititExecutor(Executor):
    """A `concurrent.futures.Executor` whose calls are jobs of a submitit executor: Slurm's, or local processes.

    Args:
        executor: such as `submitit.AutoExecutor(folder="logs")`, with its parameters set; `folder` must be one that
            every node sees.
        workers: into how many jobs a group of runs is cut.
    """

    def __init__(self, executor: Any, workers: int) -> None:
        self.workers = workers
        self._executor = executor

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        job = self._executor.submit(fn, *args, **kwargs)
        future: Future[Any] = Future()
        future.add_done_callback(lambda ended: job.cancel() if ended.cancelled() else None)
        threading.Thread(target=_hand_on, args=(job, future), daemon=True).start()
        return future


def _hand_on(job: Any, future: Future[Any]) -> None:
    """Wait for a job, and give the future what it came to."""
    with contextlib.suppress(InvalidStateError):  # it was cancelled meanwhile
        try:
            value = job.result()
        except BaseException as problem:  # whatever submitit raises for a job that failed, was killed or timed out
            future.set_exception(problem)
        else:
            future.set_result(value)
