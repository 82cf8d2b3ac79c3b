"""Runs in workers: this machine's own, with one thread each, or those of any `concurrent.futures.Executor`."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from typing import Any

import cloudpickle

from initlab.errors import InitlabError, InputError, unknown
from initlab.interrupts import check
from initlab.training.batches import with_sources
from initlab.training.engines.base import Engine, Score
from initlab.training.engines.handover import HandedTask
from initlab.training.engines.machine import cores
from initlab.training.engines.parts import Part, few, shares
from initlab.training.engines.pool import LocalWorker, borrow, give_back
from initlab.training.engines.runs import unique_keys
from initlab.training.engines.sequential import CHANNELS_LAST, SequentialEngine
from initlab.training.engines.stacked import StackedEngine
from initlab.training.engines.worker import Answer, Order, Request, after, work
from initlab.training.task import Progress, RunSpec, Task

POLL_SECONDS = 0.05  # how long an interrupt waits at most while workers compute
TRIES = 2  # a part whose worker dies is begun once more elsewhere


class NoWorkers(Exception):
    """Worker processes cannot be started here; the message says why."""


class WorkerDied(InitlabError, RuntimeError):
    """A worker ended while its runs were in training, and so did the one that took them over."""


class ProcessEngine:
    """Trains runs in worker processes of this machine, one thread each.

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
        session = ProcessSession(task, self.inner, self.workers or cores())
        try:
            session.add(specs)
        except BaseException as problem:
            session.close()
            if isinstance(problem, NoWorkers):
                raise InputError(f"engine='processes' cannot train here: {problem}; engine='auto' can") from problem
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


class ProcessSession:
    """Runs that workers hold, in parts.

    Args:
        task: what the runs share.
        engine: what a worker does with its runs.
        at_once: workers; how many parts runs are cut into.
        executor: has the workers; None for this machine's own.
    """

    def __init__(self, task: Task, engine: Engine, at_once: int, executor: Executor | None = None) -> None:
        self.task = with_sources(task) if task.device == "cpu" else task
        self.at_once = at_once
        self.detail = self.inner_plan = self.why = ""
        # Called again and again while workers compute.
        self.meanwhile: Callable[[], None] = check
        self.executor = executor
        self._engine = engine
        self._handed: HandedTask | None = None
        self._workers: list[LocalWorker] = []
        self._parts: list[Part] = []
        self._begun = 0

    @property
    def live(self) -> tuple[str, ...]:
        return tuple(key for part in self._parts for key in part.keys if key in part.live)

    @property
    def choice(self) -> str:
        if self.executor is not None:
            parts = f"{self._begun} part{'s' if self._begun != 1 else ''}"
            return f"executor: {type(self.executor).__name__}, {parts}; in each, {self.detail}{self.why}"
        count = len(self._workers)
        workers = "1 worker" if count == 1 else f"{count} workers"
        return f"processes: {workers} of one thread each; in each, {self.detail}{self.why}"

    @property
    def plan(self) -> str:
        return self.inner_plan if self.executor is not None else f"processes:{self.inner_plan}"

    def pids(self) -> list[int]:
        """The process ids of this machine's workers."""
        return [pid for worker in self._workers for pid in worker.pids()]

    def add(self, specs: Sequence[RunSpec]) -> None:
        unique_keys(specs, [key for part in self._parts for key in part.keys])
        if self._handed is None:
            self._handed = HandedTask(self.task)
        begun = [self._begin([specs[place] for place in places]) for places in shares(self.task, specs, self.at_once)]
        if self.executor is None:
            self._ask(begun)

    def _begin(self, specs: Sequence[RunSpec]) -> Part:
        """A part of these runs, on the worker that has the fewest."""
        keys = [spec.key for spec in specs]
        self._begun += 1
        part = Part(self._begun, self._engine, specs, keys, set(keys), self._least_busy())
        self._parts.append(part)
        return part

    def _least_busy(self) -> LocalWorker | None:
        if self.executor is not None:
            return None
        if len(self._workers) < self.at_once:
            self._workers += borrow(1)
            return self._workers[-1]
        held = {id(worker): 0 for worker in self._workers}
        for part in self._parts:
            if part.worker is not None:
                held[id(part.worker)] += len(part.live)
        return min(self._workers, key=lambda worker: held[id(worker)])

    def _ask(self, parts: Sequence[Part], *requests: Request) -> list[tuple[Part, list[Any]]]:
        """Have the parts' workers answer these requests; the parts with their answers, in order."""
        for part in parts:
            part.tries = 1
        waiting = {self._send(part, requests): part for part in parts}
        answers: dict[int, list[Any]] = {}
        try:
            while waiting:
                done, _ = wait(waiting, POLL_SECONDS, FIRST_COMPLETED)
                self.meanwhile()
                for future in done:
                    part = waiting.pop(future)
                    answer = self._received(future, part)
                    if answer is None or answer.missing:
                        waiting[self._send(part, requests, answer is not None)] = part
                    else:
                        answers[part.number] = self._taken(part, answer, requests)
        finally:
            for future in waiting:
                future.cancel()
        return [(part, answers[part.number]) for part in parts]

    def _send(self, part: Part, requests: Sequence[Request], whole: bool = False) -> Future[bytes]:
        assert self._handed is not None
        asked = (*part.later, *requests)
        order = Order(
            self._handed.token, self._handed.words, self._handed.path, part.number, part.engine, part.specs, part.done,
            asked, part.state, part.worker is None, part.tries,
        )  # fmt: skip
        arguments = (cloudpickle.dumps(order), self._handed.whole()) if whole else (cloudpickle.dumps(order),)
        return self._submit(part, arguments)

    def _submit(self, part: Part, arguments: tuple[bytes, ...]) -> Future[bytes]:
        if part.worker is None and self.executor is not None:
            try:
                return self.executor.submit(work, *arguments)
            except BrokenExecutor:
                self._do_without_executor()
            except RuntimeError as problem:
                raise InputError(f"executor takes no work ({problem}); give one that runs") from problem
        if part.worker is None:
            part.worker = self._least_busy()
        assert part.worker is not None
        try:
            try:
                return part.worker.submit(work, *arguments)
            except BrokenExecutor:
                part.worker.renew()
                return part.worker.submit(work, *arguments)
        except (OSError, RuntimeError, AssertionError) as problem:
            raise NoWorkers(f"no worker process could be started ({problem})") from problem

    def _do_without_executor(self) -> None:
        """An executor that a dead worker has broken takes nothing more: what is left is trained on this machine."""
        self.why += "; the executor broke, so the rest was trained by workers of this machine"
        self.executor = None
        self.at_once = cores()

    def _received(self, future: Future[bytes], part: Part) -> Answer | None:
        """The worker's answer; None where it died, for the first time."""
        try:
            answer: Answer = pickle.loads(future.result())
        except (Exception, CancelledError) as problem:  # `work` raises nothing: what comes here is the executor's
            part.tries += 1
            if part.tries > TRIES:
                words = (str(problem).strip() or type(problem).__name__).splitlines()[0]
                runs = few(part.keys)
                raise WorkerDied(f"a worker died, and so did the next, with runs {runs} ({words})") from problem
            return None
        if answer.problem is not None:
            raise answer.problem
        return answer

    def _taken(self, part: Part, answer: Answer, requests: Sequence[Request]) -> list[Any]:
        """The answers to `requests`, and what changed kept with the part."""
        part.done, part.state = after(part.done, (*part.later, *requests)), answer.state
        skipped, part.later = len(part.later), ()
        self.detail, self.inner_plan = answer.choice or self.detail, answer.plan or self.inner_plan
        return answer.values[skipped:]

    def request(self, name: str, *arguments: Any) -> list[Any]:
        """Call a method of every part's session."""
        return [values[0] for _, values in self._ask(self._parts, (name, *arguments))]

    def use(self, engine: Engine, choice: str, plan: str) -> None:
        """From now on parts are trained by `engine`, and this is what the workers do."""
        self._engine, self.detail, self.inner_plan = engine, choice, plan
        for part in self._parts:
            part.engine = engine

    def advance(self, steps: int) -> dict[str, Progress]:
        return self._merged(self._ask([part for part in self._parts if part.live], ("advance", steps)), 0)

    def evaluate(self, which: str = "test") -> dict[str, Score]:
        return {
            key: score
            for part, (scores,) in self._ask(self._parts, ("evaluate", which))
            for key, score in scores.items()
            if key in part.keys
        }

    def through(self, stretches: Sequence[int], which: str) -> list[tuple[dict[str, Progress], dict[str, Score]]]:
        """Advance by each of these numbers of steps and evaluate after each: one request to a worker."""
        requests = [one for steps in stretches for one in (("advance", steps), ("evaluate", which))]
        answers = self._ask(self._parts, *requests)
        result = []
        for i in range(len(stretches)):
            scores = {key: score for _, values in answers for key, score in values[2 * i + 1].items()}
            result.append((self._merged(answers, 2 * i), scores))
        return result

    def _merged(self, answers: Sequence[tuple[Part, list[Any]]], place: int) -> dict[str, Progress]:
        result: dict[str, Progress] = {}
        for part, values in answers:
            progress = values[place]
            part.live -= {key for key, one in progress.items() if one.diverged or one.steps >= self.task.steps}
            result.update((key, progress[key]) for key in part.keys if key in progress)
        return result

    def drop(self, keys: Iterable[str]) -> None:
        gone = set(keys)
        touched = [part for part in self._parts if gone & set(part.keys)]
        for part in touched:
            leaving = [key for key in part.keys if key in gone]
            part.keys = [key for key in part.keys if key not in gone]
            part.live -= gone
            part.later += (("drop", leaving),)
        self._parts = [part for part in self._parts if part.keys]
        self._ask([part for part in touched if part.worker is not None])

    def close(self) -> None:
        if self._handed is None:
            return
        for worker in self._workers:
            give_back(worker, self._handed.token)
        self._handed.remove()
        self._handed = None
        self._workers.clear()
        self._parts.clear()
