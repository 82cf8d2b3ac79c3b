"""Runs in worker processes with one thread each: no core waits for another, and each caches its own runs."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import threading
import warnings
from collections.abc import Iterable, Sequence
from multiprocessing import connection, parent_process
from pickle import PicklingError
from typing import Any, Protocol

import torch
from torch import multiprocessing, nn

from initlab.errors import InitlabError, InputError, unknown
from initlab.interrupts import acknowledge, check
from initlab.training.batches import order_seed, with_sources
from initlab.training.engines.agree import CannotStack
from initlab.training.engines.base import Score, Session
from initlab.training.engines.machine import can_fork, cores, keep_freed_memory, share_memory
from initlab.training.engines.runs import make_models, unique_keys
from initlab.training.engines.sequential import CHANNELS_LAST, SequentialEngine
from initlab.training.engines.stacked import StackedEngine
from initlab.training.task import Progress, RunSpec, Task

POLL_SECONDS = 0.05  # how long an interrupt waits at most while workers compute


class Starter(Protocol):
    """An engine that can begin with models already made; workers run one."""

    def begin(self, task: Task, specs: Sequence[RunSpec], models: Sequence[nn.Module]) -> Session: ...


class CannotFork(Exception):
    """Worker processes cannot be started here; the message says why."""


class WorkerDied(InitlabError, RuntimeError):
    """A worker process ended while its runs were in training."""


class ProcessEngine:
    """Trains runs in worker processes, one thread each.

    Workers are forked, so that `build` and the loss may be any callable and data is shared, not copied. Where forking
    is not safe they are spawned, which needs a task that can be pickled.

    Args:
        inner: what each worker does with its runs: "sequential", "stacked" (in stacks of a size it measures) or
            "stacked:N" (N runs at once).
        workers: processes; None means one for each core.
    """

    name = "processes"

    def __init__(self, inner: str = "sequential", workers: int | None = None) -> None:
        self.inner = inner_engine(inner)
        self.workers = workers

    def open(self, task: Task, specs: Sequence[RunSpec]) -> ProcessSession:
        try:
            return self.begin(task, specs, make_models(task, specs))
        except (CannotFork, CannotStack) as problem:
            raise InputError(f"engine='processes' cannot train here: {problem}; engine='auto' can") from problem

    def begin(self, task: Task, specs: Sequence[RunSpec], models: Sequence[nn.Module]) -> ProcessSession:
        """`open`, with the models already made.

        Raises:
            CannotFork: no worker can be started.
            CannotStack: the workers are to stack runs that cannot be.
        """
        session = ProcessSession(task, self.inner, self.workers or cores())
        try:
            session.take(specs, models)
        except BaseException:
            session.close()
            raise
        return session


def inner_engine(plan: str) -> SequentialEngine | StackedEngine:
    """What a worker does with its runs: "sequential", "stacked", or "stacked:N" for N runs at once.

    >>> inner_engine("stacked:4").split
    4
    """
    kind, _, split = plan.partition(":")
    if kind == "stacked" and (not split or (split.isdecimal() and int(split) > 0)):
        return StackedEngine(int(split) if split else None)
    if plan not in ("sequential", f"sequential:{CHANNELS_LAST}"):
        raise unknown("engine of a worker", plan, ("sequential", f"sequential:{CHANNELS_LAST}", "stacked", "stacked:4"))
    return SequentialEngine(channels_last=plan.endswith(CHANNELS_LAST))


class _Worker:
    """One worker process and the keys of the runs it holds."""

    def __init__(
        self, context: Any, engine: Starter, task: Task, specs: Sequence[RunSpec], models: Any, fellows: int
    ) -> None:
        self.keys = [spec.key for spec in specs]
        self.live = set(self.keys)
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, engine, task, specs, models, fellows), daemon=True)
        with warnings.catch_warnings():
            # The child takes no lock that another thread of the parent may hold: it computes and writes to its pipe.
            warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
            self.process.start()
        theirs.close()

    def receive(self) -> Any:
        """The worker's next answer. An interrupt need not wait for it: what the worker is at is lost with it."""
        try:
            while not self.pipe.poll(POLL_SECONDS):
                check()
            failed, value = self.pipe.recv()
        except (EOFError, ConnectionResetError) as problem:
            self.process.join(1)
            code = self.process.exitcode
            raise WorkerDied(f"a worker process died (exit code {code}) with runs {_few(self.keys)}") from problem
        if failed:
            raise value
        return value

    def end(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join(1)


class ProcessSession:
    """Runs that workers hold. As many workers compute at once as there are cores."""

    def __init__(self, task: Task, engine: Starter, at_once: int) -> None:
        self.task = with_sources(task)
        self.at_once = at_once
        self.detail = self.inner_plan = self.why = ""
        self._engine = engine
        self._workers: list[_Worker] = []

    @property
    def live(self) -> tuple[str, ...]:
        return tuple(key for worker in self._workers for key in worker.keys if key in worker.live)

    @property
    def choice(self) -> str:
        count = min(self.at_once, len(self._workers))
        workers = "1 worker" if count == 1 else f"{count} workers"
        return f"processes: {workers} of one thread each; in each, {self.detail}{self.why}"

    @property
    def plan(self) -> str:
        return f"processes:{self.inner_plan}"

    def add(self, specs: Sequence[RunSpec]) -> None:
        self.take(specs, make_models(self.task, specs))

    def take(self, specs: Sequence[RunSpec], models: Sequence[nn.Module]) -> None:
        """`add`, with the models already made; workers of their own are started for these runs."""
        unique_keys(specs, [key for worker in self._workers for key in worker.keys])
        context = multiprocessing.get_context("fork" if can_fork() else "spawn")
        started = []
        parts = shares(self.task, specs, self.at_once)
        for places in parts:
            some, made = [specs[place] for place in places], [models[place] for place in places]
            try:
                worker = _Worker(context, self._engine, self.task, some, made, len(parts))
            except (OSError, AttributeError, TypeError, ValueError, AssertionError, PicklingError) as problem:
                raise CannotFork(f"no worker process could be started ({problem})") from problem
            started.append(worker)
            self._workers.append(worker)
        for worker in started:
            self.detail, self.inner_plan = worker.receive()

    def _ask(self, workers: Sequence[_Worker], *request: Any) -> list[tuple[_Worker, Any]]:
        """Send a request to workers, few enough at a time that each has a core, and collect the answers."""
        waiting, busy, answers = list(workers), dict[Any, _Worker](), list[tuple[_Worker, Any]]()
        while waiting or busy:
            while waiting and len(busy) < self.at_once:
                worker = waiting.pop(0)
                with contextlib.suppress(BrokenPipeError):
                    worker.pipe.send(request)
                busy[worker.pipe] = worker
            check()
            for pipe in connection.wait(list(busy), POLL_SECONDS):
                worker = busy.pop(pipe)
                answers.append((worker, worker.receive()))
        return answers

    def request(self, name: str, *arguments: Any) -> list[Any]:
        """Call a method of every worker's session."""
        return [answer for _, answer in self._ask(self._workers, name, *arguments)]

    def use(self, engine: Starter, choice: str, plan: str) -> None:
        """From now on new workers begin with `engine`, and this is what the workers do."""
        self._engine, self.detail, self.inner_plan = engine, choice, plan

    def advance(self, steps: int) -> dict[str, Progress]:
        result: dict[str, Progress] = {}
        for worker, progress in self._ask([w for w in self._workers if w.live], "advance", steps):
            result.update(progress)
            ended = {key for key, one in progress.items() if one.diverged or one.steps >= self.task.steps}
            worker.live -= ended
        return {key: result[key] for worker in self._workers for key in worker.keys if key in result}

    def evaluate(self, which: str = "test") -> dict[str, Score]:
        scores: dict[str, Score] = {}
        for _, some in self._ask([w for w in self._workers if w.keys], "evaluate", which):
            scores.update(some)
        return {key: scores[key] for worker in self._workers for key in worker.keys}

    def drop(self, keys: Iterable[str]) -> None:
        gone = set(keys)
        touched = [worker for worker in self._workers if gone & set(worker.keys)]
        for worker in touched:
            worker.keys = [key for key in worker.keys if key not in gone]
            worker.live -= gone
        self._ask([worker for worker in touched if worker.keys], "drop", list(gone))
        for worker in [worker for worker in touched if not worker.keys]:
            worker.end()
            self._workers.remove(worker)

    def close(self) -> None:
        for worker in self._workers:
            worker.end()
        self._workers.clear()


def shares(task: Task, specs: Sequence[RunSpec], workers: int) -> list[list[int]]:
    """Places of `specs` cut into near-equal parts, one for each worker; runs with one data order stay together."""
    first: dict[int, int] = {}
    for place, spec in enumerate(specs):
        first.setdefault(order_seed(task, spec), place)
    places = sorted(range(len(specs)), key=lambda place: first[order_seed(task, specs[place])])
    parts = min(workers, len(places))
    return [places[i * len(places) // parts : (i + 1) * len(places) // parts] for i in range(parts)]


def _few(keys: Sequence[str]) -> str:
    return ", ".join(map(repr, keys[:3])) + (", …" if len(keys) > 3 else "")


def _work(pipe: Any, engine: Starter, task: Task, specs: Sequence[RunSpec], models: Any, fellows: int) -> None:
    """The life of a worker, one of `fellows`: begin, then answer requests until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    acknowledge()  # what the parent was told is the parent's to do
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    keep_freed_memory()
    share_memory(fellows)
    # What was inherited is never collected here: no finalizer of the parent's connections runs in a child.
    gc.freeze()
    try:
        session = engine.begin(task, specs, models)
        models.clear()
        pipe.send((False, (session.choice, session.plan)))
        while True:
            _answer(pipe, session)
    except (EOFError, BrokenPipeError):
        return
    except Exception as problem:
        with contextlib.suppress(OSError):
            pipe.send((True, _portable(problem)))


def _answer(pipe: Any, session: Session) -> None:
    name, *arguments = pipe.recv()
    try:
        answer = (False, getattr(session, name)(*arguments))
    except Exception as problem:
        answer = (True, _portable(problem))
    pipe.send(answer)


def _portable(problem: Exception) -> Exception:
    """The exception if it survives pickling as it is, else one that carries its words."""
    if type(problem) in (InputError, CannotStack):
        return problem
    return RuntimeError(f"{type(problem).__name__} in a worker process: {problem}")


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
