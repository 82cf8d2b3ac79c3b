"""A group of runs in training: advanced in interruptible stretches, measured, ended one by one or together."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence

from initlab.errors import told
from initlab.training.engines.base import Engine, Score
from initlab.training.engines.processes import ProcessSession
from initlab.training.records import Keeper, RunRecord, Status
from initlab.training.task import Progress, RunSpec, Task

# Seconds between two looks at the clock, the progress display and the lease: well under the 2 s that Ctrl-C may take.
STRETCH_SECONDS = 0.4

Tick = Callable[["Training"], None]


class Training:
    """Runs that an engine's session trains, with what is kept of each.

    Args:
        task: what the runs share.
        engine: opens the session.
        specs: the runs.
        arms: run key -> label of its arm.
        tick: called after every stretch.
        points: most points of a curve.
    """

    def __init__(
        self, task: Task, engine: Engine, specs: Sequence[RunSpec], arms: Mapping[str, str], tick: Tick, points: int
    ) -> None:
        self.task = task
        self.points = points
        self.tick = tick
        self.keepers: dict[str, Keeper] = {}
        self.seconds: dict[str, float] = {}
        self.run_steps = 0
        self._stretch = 8
        self._measured_at: dict[str, int] = {}
        with told("the start of the runs"):
            self.session = engine.open(task, specs)
        if isinstance(self.session, ProcessSession):
            self.session.meanwhile = lambda: self.tick(self)
        self._keep(specs, arms)

    @property
    def choice(self) -> str:
        """The engine's line on how these runs are trained."""
        return self.session.choice

    def _keep(self, specs: Sequence[RunSpec], arms: Mapping[str, str]) -> None:
        for spec in specs:
            self.keepers[spec.key] = Keeper(spec, arms[spec.key], self.task.steps, self.points)
            self.seconds[spec.key] = 0.0

    def add(self, specs: Sequence[RunSpec], arms: Mapping[str, str]) -> None:
        """Take in new runs, which begin at step 0."""
        with told("the start of the runs"):
            self.session.add(specs)
        self._keep(specs, arms)

    def advance(self, steps: int) -> None:
        """Train every live run by `steps` steps, or to its end."""
        left = steps
        while left > 0 and self.session.live:
            stretch = min(left, self._stretch)
            started = time.perf_counter()
            with told("a step of training"):
                progress = self.session.advance(stretch)
            taken = time.perf_counter() - started
            self._add(progress, taken)
            left -= stretch
            self._pace(stretch, taken)
            self.tick(self)

    def through(self, stretches: Sequence[int], which: str = "test") -> Mapping[str, Score]:
        """Train by each of these numbers of steps, measure after each; the last scores. Those on "test" are kept.

        Workers of an executor get it as one request, since each costs them a job.
        """
        scores: Mapping[str, Score] = {}
        if isinstance(self.session, ProcessSession) and self.session.executor is not None:
            started = time.perf_counter()
            with told("a step of training"):
                answers = self.session.through(stretches, which)
            taken = (time.perf_counter() - started) / max(1, len(answers))
            for progress, scores in answers:
                self._add(progress, taken)
                self._measured(scores, which)
            self.tick(self)
            return scores
        for steps in stretches:
            self.advance(steps)
            scores = self.scores(which)
            self._measured(scores, which)
        return scores

    def _add(self, progress: Mapping[str, Progress], taken: float) -> None:
        for key, one in progress.items():
            self.run_steps += len(one.losses)
            self.keepers[key].add(one)
            self.seconds[key] += taken / len(progress)

    def _pace(self, stretch: int, taken: float) -> None:
        if taken < STRETCH_SECONDS / 2 and stretch == self._stretch:
            self._stretch *= 2
        elif taken > 2 * STRETCH_SECONDS:
            self._stretch = max(1, self._stretch // 2)

    def scores(self, which: str) -> Mapping[str, Score]:
        """(loss, accuracy) of every run on "test" or "valid"."""
        with told(f"an evaluation on the {which} data"):
            return self.session.evaluate(which)

    def _measured(self, scores: Mapping[str, Score], which: str) -> None:
        """Keep the scores of every run that has moved since it was last measured on the test data."""
        for key, (loss, accuracy) in scores.items() if which == "test" else ():
            keeper = self.keepers.get(key)
            if keeper is not None and self._measured_at.get(key) != keeper.steps:
                keeper.measured(loss, accuracy)
                self._measured_at[key] = keeper.steps

    def end(self, key: str, status: Status, reason: str = "") -> RunRecord:
        """Let go of one run; what it came to."""
        self.session.drop([key])
        return self.keepers.pop(key).record(status, reason, self.seconds[key])

    def end_all(self) -> list[RunRecord]:
        """What every run came to that has been run out or has diverged."""
        over = [k for k, keeper in self.keepers.items() if keeper.diverged or keeper.steps >= self.task.steps]
        records = [
            self.keepers[key].record("diverged" if self.keepers[key].diverged else "finished", "", self.seconds[key])
            for key in over
        ]
        self.session.drop(over)
        for key in over:
            del self.keepers[key]
        return records

    def close(self) -> None:
        """Free everything. Safe to call twice."""
        self.session.close()


def measuring_steps(task: Task, wanted: int | None) -> tuple[int, ...]:
    """The steps at which runs are measured on the test data; the last step is one of them.

    By default as often as costs about 2% of training: a training step is about three forward passes of a batch.

    Args:
        task: its steps and batch size.
        wanted: how many times, or None for that default, at most 20.
    """
    samples = len(task.test[0]) if isinstance(task.test, tuple) else len(task.test)
    affordable = int(0.02 * 3 * task.steps * task.batch_size / samples)
    count = max(1, min(20, affordable)) if wanted is None else wanted
    count = min(count, task.steps)
    return tuple(sorted({round(task.steps * (i + 1) / count) for i in range(count)}))


def train_through(training: Training, at: Sequence[int]) -> list[RunRecord]:
    """Train every run of the group to its end, measured at the steps `at`; the records."""
    training.through([step - before for before, step in itertools.pairwise((0, *at))])
    return training.end_all()
