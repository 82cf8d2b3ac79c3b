"""Takes the runs of a study from its store, group by group, trains them, and puts back what they came to."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from initlab.comparison.arms import Arm
from initlab.comparison.engines import ENGINES, Engine, get_engine
from initlab.comparison.progress import Watch
from initlab.comparison.records import CURVE_POINTS, RunRecord
from initlab.comparison.store import Store
from initlab.comparison.task import Task
from initlab.comparison.training import Training, measuring_steps, train_through

AT_ONCE = 64
MANY_RUNS = 1000  # from here on, curves are kept at fewer points
WAIT_SECONDS = 1.0


@dataclass
class Driven:
    """What `drive` did.

    Args:
        runs: the records, by arm and seed.
        missing: keys of runs that are not done.
        choice: the engine's line.
        notes: remarks for the reader.
        run_steps: optimizer steps trained here.
        interrupted: Ctrl-C ended it.
    """

    runs: tuple[RunRecord, ...] = ()
    missing: tuple[str, ...] = ()
    choice: str = ""
    notes: list[str] = field(default_factory=list)
    run_steps: int = 0
    interrupted: bool = False


def drive(
    task: Task,
    engine: str,
    arms: Sequence[Arm],
    seeds: Sequence[int],
    store: Store,
    watch: Watch,
    *,
    evaluations: int | None = None,
    at_once: int | None = None,
) -> Driven:
    """Train every run of `arms` × `seeds` that the store does not hold yet.

    Runs are claimed seed by seed, so that an interrupted study has whole seeds. Where other workers hold the last
    runs, this one waits for them, and takes over those of a worker that has died.
    """
    specs = {spec.key: (spec, arm) for seed in seeds for arm in arms for spec in (arm.spec(seed),)}
    labels = {key: arm.label for key, (_, arm) in specs.items()}
    points = CURVE_POINTS if len(specs) <= MANY_RUNS else CURVE_POINTS // 4
    at = measuring_steps(task, _samples(task), evaluations)
    driven = Driven()
    seen: set[str] = set()
    done = store.ended()

    def tick(training: Training) -> None:
        store.beat()
        watch.training(training)

    try:
        while True:
            for key in specs:
                if key in done and key not in seen:
                    seen.add(key)
                    watch.over(done[key])
            left = [key for key in specs if key not in done]
            if not left:
                break
            mine = store.claim(left, at_once or AT_ONCE)
            if not mine:
                time.sleep(WAIT_SECONDS)
                store.beat()
                done = store.ended()
                continue
            with (
                _released(store, mine),
                _training(task, engine_of(engine, store), specs, mine, labels, tick, points) as training,
            ):
                watch.say(training.choice)
                driven.choice = driven.choice or training.choice
                store.remember("engine", training.choice)
                records = train_through(training, at)
                driven.run_steps += training.run_steps
                store.put(records)
            done = store.ended()
    except KeyboardInterrupt:
        driven.interrupted = True
        done = store.ended()
    driven.runs = tuple(done[arm.spec(seed).key] for arm in arms for seed in seeds if arm.spec(seed).key in done)
    driven.missing = tuple(key for key in specs if key not in done)
    return driven


@contextlib.contextmanager
def _training(task, engine, specs, mine, labels, tick, points) -> Iterator[Training]:  # type: ignore[no-untyped-def]
    training = Training(task, engine, [specs[key][0] for key in mine], labels, tick, points)
    try:
        yield training
    finally:
        training.close()


@contextlib.contextmanager
def _released(store: Store, keys: Sequence[str]) -> Iterator[None]:
    """Claimed runs go back if they are not trained after all."""
    try:
        yield
    except BaseException:
        store.release(keys)
        raise


def _samples(task: Task) -> int:
    return len(task.test[0]) if isinstance(task.test, tuple) else len(task.test)


def engine_of(name: str, store: Store) -> Engine:
    """The engine called `name`; for "auto", what the study has been trained with so far, so that its numbers agree."""
    if name != "auto":
        return get_engine(name)
    known = (store.recall("engine") or "").split(":")[0]
    return get_engine(known if known in ENGINES else "auto")
