"""One run after another with torch.optim: the loop that the other engines must agree with, and their last resort."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from initlab.interrupts import check
from initlab.rng import RandomStates, random_states, random_states_kept, set_random_states
from initlab.training.batches import Order, order_seed, source_of
from initlab.training.engines.base import Score
from initlab.training.engines.runs import (
    Steps,
    data_named,
    evaluate_model,
    first_rng_state,
    forward_seed,
    hold_channels_last,
    loss_of,
    lost_score,
    make_models,
    make_optimizer,
    scalar,
    unique_keys,
)
from initlab.training.sources import Source
from initlab.training.task import Progress, RunSpec, Task


@dataclass
class _Run:
    """One run between two calls of `advance`."""

    spec: RunSpec
    model: nn.Module
    optimizer: Steps | None
    order: Order
    rng: RandomStates
    steps: int = 0
    diverged: bool = False
    losses: list[float] = field(default_factory=list)


# What follows "sequential:" in a plan, for weights of images held channels last.
CHANNELS_LAST = "channels_last"


class SequentialEngine:
    """Trains runs one after another on all cores.

    Args:
        channels_last: hold images and their weights channels last, which convolutions on CPU compute faster. Results
            change by rounding, but for a model that draws random numbers, which fall in the order of memory.
    """

    name = "sequential"

    def __init__(self, channels_last: bool = False) -> None:
        self.channels_last = channels_last

    def open(self, task: Task, specs: Sequence[RunSpec]) -> SequentialSession:
        return self.begin(task, specs, make_models(task, specs))

    def begin(self, task: Task, specs: Sequence[RunSpec], models: Sequence[nn.Module]) -> SequentialSession:
        """`open`, with the models already made."""
        session = SequentialSession(task, self.channels_last)
        session.take(specs, models)
        return session


class SequentialSession:
    """Runs that are trained one after another."""

    def __init__(self, task: Task, channels_last: bool = False) -> None:
        self.task = task
        self.channels_last = channels_last
        self.train = source_of(task.train, task)
        self.why = ""
        self._sources: dict[str, Source] = {}
        self._runs: dict[str, _Run] = {}

    @property
    def live(self) -> tuple[str, ...]:
        return tuple(key for key, run in self._runs.items() if not run.diverged and run.steps < self.task.steps)

    @property
    def choice(self) -> str:
        layout = ", channels last" if self.channels_last else ""
        return f"sequential: one run after another{layout}{self.why}"

    @property
    def plan(self) -> str:
        return f"sequential:{CHANNELS_LAST}" if self.channels_last else "sequential"

    def add(self, specs: Sequence[RunSpec]) -> None:
        self.take(specs, make_models(self.task, specs))

    def take(self, specs: Sequence[RunSpec], models: Sequence[nn.Module]) -> None:
        """`add`, with the models already made."""
        unique_keys(specs, tuple(self._runs))
        for spec, model in zip(specs, models, strict=True):
            if self.channels_last:
                hold_channels_last(model)
            seed = order_seed(self.task, spec)
            self._runs[spec.key] = _Run(
                spec,
                model,
                make_optimizer(self.task, spec, model),
                Order(len(self.train), self.task.batch_size, self.task.drop_last, seed, self.task.device),
                first_rng_state(self.task, spec),
            )

    def drop(self, keys: Iterable[str]) -> None:
        for key in list(keys):
            self._runs.pop(key, None)

    def close(self) -> None:
        self._runs.clear()

    def advance(self, steps: int) -> dict[str, Progress]:
        progress = {}
        for key in self.live:
            run = self._runs[key]
            wanted = min(steps, self.task.steps - run.steps)
            run.losses = []
            with random_states_kept(0, self.task.device):
                set_random_states(run.rng)
                for _ in range(wanted):
                    check()
                    self._step(run)
                    if run.diverged:
                        break
                run.rng = random_states()
            progress[key] = Progress(run.steps, np.array(run.losses), run.diverged)
        return progress

    def _step(self, run: _Run) -> None:
        x, y = self.train.gather(run.order.batch(run.steps))
        if run.optimizer is not None:
            run.optimizer.zero_grad(set_to_none=True)
        loss = scalar(loss_of(self.task, y)(run.model(x), y))
        value = loss.item()
        run.losses.append(value)
        if not math.isfinite(value):
            run.diverged = True
            return
        if run.optimizer is not None:
            loss.backward()  # type: ignore[no-untyped-call]  # torch ships it untyped
            run.optimizer.step()
        run.steps += 1

    def evaluate(self, which: str = "test") -> dict[str, Score]:
        if which not in self._sources:
            self._sources[which] = source_of(data_named(self.task, which), self.task)
        return {key: self._score(run, self._sources[which]) for key, run in self._runs.items()}

    def _score(self, run: _Run, source: Source) -> Score:
        if run.diverged:
            return lost_score(source)
        with random_states_kept(forward_seed(self.task, run.spec), self.task.device):
            return evaluate_model(self.task, run.model, source)
