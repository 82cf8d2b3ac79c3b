"""Takes the runs of a study from its store, group by group, trains them, and puts back what they came to."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from initlab.comparison.arms import Arm
from initlab.errors import InputError
from initlab.interrupts import INTERRUPTIONS, acknowledge, check
from initlab.study.store import MemoryStore, Store
from initlab.training.engines import Engine, engine_of
from initlab.training.engines.machine import cores
from initlab.training.group import Training, train_through
from initlab.training.progress import Watch
from initlab.training.records import CURVE_POINTS, RunRecord
from initlab.training.task import RunSpec, Task

AT_ONCE = 64
AT_ONCE_STORED = 16  # a killed process loses at most this many runs, and leaves the rest to others
MANY_RUNS = 1000  # from here on, curves are kept at fewer points
WAIT_SECONDS = 0.5


@dataclass
class Driven:
    """What was done to a study's runs.

    Args:
        runs: the records, by arm and seed.
        missing: keys of runs that are not done.
        choice: the engine's line.
        notes: remarks for the reader.
        run_steps: optimizer steps trained here.
        interrupted: Ctrl-C ended it.
        level: family-wise level of the last tests.
    """

    runs: tuple[RunRecord, ...] = ()
    missing: tuple[str, ...] = ()
    choice: str = ""
    notes: list[str] = field(default_factory=list)
    run_steps: int = 0
    interrupted: bool = False
    level: float = 0.05


class Driver:
    """Trains runs of one study through its store.

    Args:
        task: what the runs share.
        engine: the word of an engine.
        store: keeps the runs.
        watch: shows what happens.
        at_once: the most runs trained together; None chooses.
        runs: about how many runs the study has; curves of very many are kept at fewer points.
        executor: has the workers; None for this process and its own.
    """

    def __init__(
        self,
        task: Task,
        engine: str,
        store: Store[RunRecord],
        watch: Watch,
        at_once: int | None,
        runs: int,
        executor: Executor | None = None,
    ) -> None:
        self.executor = executor
        self.task = task
        self.engine = engine
        self.store = store
        self.watch = watch
        self.stored = not isinstance(store, MemoryStore)
        self.at_once = at_once or (AT_ONCE_STORED if self.stored else AT_ONCE)
        self.chosen = at_once is not None
        self.points = CURVE_POINTS if runs <= MANY_RUNS else CURVE_POINTS // 4
        self.labels: dict[str, str] = {}
        self.choice = ""
        self.run_steps = 0
        self._shown: set[str] = set()

    def ended(self) -> dict[str, RunRecord]:
        """Every run of the study that has ended, and the watch has been told of those that are being waited for."""
        done = self.store.ended()
        for key in self.labels:
            if key in done and key not in self._shown:
                self._shown.add(key)
                self.watch.over(done[key])
        return done

    def left(self, keys: Iterable[str]) -> list[str]:
        """Those of `keys` whose runs have not ended."""
        done = self.ended()
        return [key for key in keys if key not in done]

    def run_out(self, runs: Sequence[tuple[RunSpec, str]], at: Sequence[int]) -> None:
        """Train these runs (with their arms' labels) to their end, measured at the steps `at`.

        Where other workers hold the last of them, wait, and take over those of a worker that has died.
        """
        specs = {spec.key: spec for spec, _ in runs}
        self.labels.update({spec.key: label for spec, label in runs})
        while left := self.left(specs):
            check()
            mine = self.store.claim(left, self.at_once)
            if not mine:
                self.wait()
                continue
            with self.releasing(mine):
                self._train([specs[key] for key in mine], at)

    def wait(self) -> None:
        """Until another worker may have got further."""
        time.sleep(WAIT_SECONDS)
        check()
        self.store.beat()

    def _train(self, specs: Sequence[RunSpec], at: Sequence[int]) -> None:
        """One group; where runs are trained one after another anyway, each is put away as soon as it has ended."""
        with self.training(specs) as training:
            together = self.chosen or self.executor is not None
            size = len(specs) if together else _portion(training.session.plan, len(specs))
            if size >= len(specs):
                self.store.put(train_through(training, at))
                return
        for start in range(0, len(specs), size):
            with self.training(specs[start : start + size]) as training:
                self.store.put(train_through(training, at))
                self.ended()

    @contextlib.contextmanager
    def training(self, specs: Sequence[RunSpec]) -> Iterator[Training]:
        """These runs, ready to advance."""
        training = Training(self.task, self._engine(), specs, self.labels, self._tick, self.points)
        try:
            self._known(training)
            yield training
            self._known(training)  # workers of an executor say what they do when they have done it
        finally:
            self.run_steps += training.run_steps
            training.close()

    def _known(self, training: Training) -> None:
        if training.session.plan and not self.choice:
            self.choice = training.choice
            self.store.remember("engine", training.session.plan)
            self.watch.say(training.choice)

    @contextlib.contextmanager
    def releasing(self, keys: Sequence[str]) -> Iterator[None]:
        """Claimed runs go back if they are not trained after all."""
        try:
            yield
        except BaseException:
            acknowledge()
            self.store.release(keys)
            raise

    def _tick(self, training: Training) -> None:
        check()
        self.store.beat()
        self.watch.training(training, self.run_steps + training.run_steps)

    def _engine(self) -> Engine:
        """For "auto", what the study has been trained with so far: its numbers agree, and nothing is timed anew."""
        known = self.store.recall("engine") if self.engine == "auto" else None
        try:
            return engine_of(known or self.engine, self.executor)
        except InputError:
            return engine_of(self.engine, self.executor)

    def driven(self, arms: Sequence[Arm], seeds: Mapping[str, Sequence[int]], wanted: bool = True) -> Driven:
        """What the store now holds of these arms and their seeds."""
        done = self.ended()
        keys = [arm.spec(seed).key for arm in arms for seed in seeds[arm.label]]
        runs = tuple(done[key] for key in keys if key in done)
        missing = tuple(key for key in keys if key not in done) if wanted else ()
        return Driven(runs, missing, self.choice, [], self.run_steps)


def _portion(plan: str, runs: int) -> int:
    """How many of a group's runs lose nothing by being trained apart from the others."""
    if plan == "sequential":
        return 1
    return cores() if plan == "processes:sequential" else runs


def drive(driver: Driver, arms: Sequence[Arm], seeds: Sequence[int], at: Sequence[int]) -> Driven:
    """Train every run of `arms` × `seeds` that the store does not hold yet.

    Runs are taken seed by seed, so that an interrupted study has whole seeds.
    """
    every = {arm.label: seeds for arm in arms}
    try:
        driver.run_out([(arm.spec(seed), arm.label) for seed in seeds for arm in arms], at)
        check()
    except INTERRUPTIONS:
        acknowledge()
        driven = driver.driven(arms, every)
        driven.interrupted = True
        return driven
    return driver.driven(arms, every)
