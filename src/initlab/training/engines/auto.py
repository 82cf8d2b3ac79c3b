"""Chooses how to train: times the candidates on the runs themselves for a few steps, takes the fastest, says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from initlab.errors import InputError
from initlab.training.batches import with_sources
from initlab.training.engines.agree import CannotStack, may_be_channels_last
from initlab.training.engines.base import Session
from initlab.training.engines.bundle import Bundle
from initlab.training.engines.machine import cores
from initlab.training.engines.pool import ready, worth_starting
from initlab.training.engines.processes import NoWorkers, ProcessSession, WorkerDied, inner_engine
from initlab.training.engines.runs import make_models
from initlab.training.engines.sequential import CHANNELS_LAST, SequentialEngine, SequentialSession
from initlab.training.engines.stacked import StackedSession, split_timings, step_seconds
from initlab.training.task import RunSpec, Task

# A study that the plain loop ends sooner (seconds) is not worth a choice.
SHORT = 1.0


@dataclass(frozen=True)
class Timings:
    """Seconds of one run's step, by plan ("sequential…", or "stacked:N" for N at once); why stacking was refused."""

    seconds: dict[str, float]
    refused: str


class Trial:
    """Runs at step 0 on which the ways to train them are timed; `settle` then begins the training in one of them.

    In a worker it answers requests: `timings`, then `settle`, then those of the session that it settled on.
    """

    choice = plan = ""

    def __init__(self, task: Task, specs: Sequence[RunSpec], models: Sequence[nn.Module]) -> None:
        self.task = task
        self.specs = list(specs)
        self.models = list(models)
        self._settled: SequentialSession | StackedSession | None = None
        self._stacked = StackedSession(task)
        self._bundle: Bundle | None = None

    def timings(self) -> tuple[int, Timings]:
        """The number of runs, and the time of every way that works."""
        seconds = {"sequential": plain_seconds(self.task, self.specs)}
        if may_be_channels_last(self.task, self._stacked.train, self.specs[0], self.models[0]):
            seconds[f"sequential:{CHANNELS_LAST}"] = plain_seconds(self.task, self.specs, channels_last=True)
        refused = ""
        try:
            self._bundle = self._stacked.prepare(self.specs, self.models)
            for size, taken in split_timings(self.task, self._stacked.make, self._bundle).items():
                seconds[f"stacked:{size}"] = taken
        except CannotStack as problem:
            refused = str(problem)
        return len(self.specs), Timings(seconds, refused)

    def settle(self, plan: str) -> str:
        """Begin training in the way `plan` names; returns what to tell the reader."""
        if self._bundle is None or plan.startswith("sequential"):
            self._settled = SequentialEngine(plan.endswith(CHANNELS_LAST)).begin(self.task, self.specs, self.models)
        else:
            self._stacked.split = int(plan.removeprefix("stacked:"))
            self._stacked.stack([self._bundle])
            self._settled = self._stacked
        self._bundle = None
        self.models = []
        return self._settled.choice

    @property
    def settled(self) -> SequentialSession | StackedSession:
        """The session that training goes on in."""
        assert self._settled is not None
        return self._settled

    def __getattr__(self, name: str) -> Any:
        return getattr(self.settled, name)


class TrialEngine:
    """Begins with a `Trial`; what a worker does before the choice is made."""

    name = "trial"

    def open(self, task: Task, specs: Sequence[RunSpec]) -> Any:
        return Trial(task, specs, make_models(task, specs))


def plain_seconds(task: Task, specs: Sequence[RunSpec], channels_last: bool = False) -> float:
    """Seconds of one step of the plain loop, on a model of its own: the first whose loss is finite.

    A run that has diverged takes no step, and its time would stand for nothing. With lr 0 none does on the way.
    """
    seconds = 0.0
    for spec in specs:
        session = SequentialSession(replace(task, steps=1 << 30), channels_last)
        session.add([replace(spec, lr=0.0, weight_decay=0.0)])
        seconds = step_seconds(session.advance, task.device)
        if session.live:
            break
    return seconds


class AutoEngine:
    """The fastest of: one run after another, stacked on all cores, and worker processes that do either.

    On a GPU there are no workers. A study that the plain loop ends within a second is not timed further.

    Args:
        workers: whether there may be worker processes.
    """

    name = "auto"

    def __init__(self, workers: bool = True) -> None:
        self.workers = workers

    def open(self, task: Task, specs: Sequence[RunSpec]) -> Session:
        task = with_sources(task)
        if not specs:
            return SequentialSession(task)
        plain = len(specs) * plain_seconds(task, specs)
        if plain * task.steps < SHORT:
            session = SequentialEngine().open(task, specs)
            session.why = f" (about {plain * task.steps:.2g} s in all)"
            return session
        may = self.workers and task.device == "cpu" and len(specs) > 1 and cores() > 1
        workers = _workers(task, specs) if may and ready() else None
        if workers is not None and len(specs) >= cores() and workers[1] < plain:
            workers[0].why += f"; {1e3 * plain:.3g} ms one run after another on all cores)"
            return workers[0]
        return _here_or_there(task, specs, workers, may and not ready())


class WorkersEngine:
    """The faster of what worker processes can do: one run after another, or stacked."""

    name = "processes"

    def open(self, task: Task, specs: Sequence[RunSpec]) -> Session:
        task = with_sources(task)
        if not specs:
            return ProcessSession(task, SequentialEngine(), cores())
        try:
            session, _ = _in_workers(task, specs)
        except NoWorkers as problem:
            raise InputError(f"engine='processes' cannot train here: {problem}; engine='auto' can") from problem
        session.why += ")"
        return session


Found = tuple[ProcessSession, float]


def _workers(task: Task, specs: Sequence[RunSpec]) -> Found | None:
    """Workers, settled, and their seconds for one step of every run; None where there can be none."""
    try:
        return _in_workers(task, specs)
    except (NoWorkers, WorkerDied):
        return None


def _in_workers(task: Task, specs: Sequence[RunSpec]) -> Found:
    """Workers that do what takes the slowest of them least."""
    session = ProcessSession(task, TrialEngine(), cores())
    try:
        session.add(specs)
        found: list[tuple[int, Timings]] = session.request("timings")
        common = set.intersection(*(set(timings.seconds) for _, timings in found))
        rounds = {plan: max(runs * timings.seconds[plan] for runs, timings in found) for plan in common}
        plan = min(rounds, key=lambda plan: rounds[plan])
        session.use(inner_engine(plan), session.request("settle", plan)[0], plan)
    except BaseException:
        session.close()
        raise
    session.why = f" (a step of all {len(specs)} runs: {_shown(rounds)}"
    return session, rounds[plan]


def _here_or_there(task: Task, specs: Sequence[RunSpec], workers: Found | None, may_start: bool) -> Session:
    """What is fastest in this process, or the workers if they are faster still; they are started where that pays."""
    trial = Trial(task, specs, make_models(task, specs))
    runs, timings = trial.timings()
    rounds = {plan: runs * seconds for plan, seconds in timings.seconds.items()}
    plan = min(rounds, key=lambda plan: rounds[plan])
    if may_start and worth_starting(rounds[plan] * task.steps, plan.startswith("stacked")):
        workers = _workers(task, specs)
    if workers is not None and workers[1] <= rounds[plan]:
        workers[0].why += f"; on all cores: {_shown(rounds)})"
        return workers[0]
    if workers is not None:
        workers[0].close()
    trial.settle(plan)
    session = trial.settled
    session.why = f" (a step of all {runs} runs: {_shown(rounds)})" + (
        f"; not stacked: {timings.refused}" if timings.refused else ""
    )
    return session


def _shown(rounds: Mapping[str, float]) -> str:
    ranked = sorted(rounds.items(), key=lambda item: item[1])
    return ", ".join(f"{1e3 * seconds:.3g} ms {_words(plan)}" for plan, seconds in ranked)


def _words(plan: str) -> str:
    if plan.startswith("stacked:"):
        return f"{plan.removeprefix('stacked:')} at once"
    return "one after another" + (" channels last" if plan.endswith(CHANNELS_LAST) else "")
