"""Many runs of one architecture as one stacked computation, in stacks of a size that is measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from initlab.errors import InputError
from initlab.training.batches import orders, source_of
from initlab.training.engines.agree import CannotStack, check_agreement, check_alike, check_repeatable
from initlab.training.engines.base import Score
from initlab.training.engines.bundle import Bundle, bundle_of, join, packs, take
from initlab.training.engines.chain import ChainTrainer
from initlab.training.engines.optim import runs_that_fit
from initlab.training.engines.recognise import Stage, recognise
from initlab.training.engines.runs import data_named, lost_score, make_models, unique_keys
from initlab.training.engines.trainer import Trainer
from initlab.training.engines.vmapped import VmapTrainer
from initlab.training.sources import Source
from initlab.training.task import Progress, RunSpec, Task

Maker = Callable[[Task, Bundle], Trainer]


class StackedEngine:
    """Trains runs of one architecture as stacked computations, on all cores or on a GPU.

    Args:
        split: runs in one stack; None measures which size is fastest.
    """

    name = "stacked"

    def __init__(self, split: int | None = None) -> None:
        self.split = split

    def open(self, task: Task, specs: Sequence[RunSpec]) -> StackedSession:
        try:
            return self.begin(task, specs, make_models(task, specs))
        except CannotStack as problem:
            raise InputError(f"engine='stacked' cannot train this model: {problem}; engine='auto' can") from problem

    def begin(self, task: Task, specs: Sequence[RunSpec], models: Sequence[nn.Module]) -> StackedSession:
        """`open`, with the models already made.

        Raises:
            CannotStack: the model cannot be stacked, with the reason.
        """
        session = StackedSession(task, self.split)
        session.take(specs, models)
        return session


class StackedSession:
    """Runs in stacks. Runs of a stack are at one step; stacks that have shrunk are joined."""

    def __init__(self, task: Task, split: int | None = None) -> None:
        self.task = task
        self.train = source_of(task.train, task)
        self.split = split
        self.timings: dict[int, float] = {}
        self.way = ""
        self.why = ""
        self._sources: dict[str, Source] = {}
        self._trainers: list[Trainer] = []
        self._lost: list[str] = []
        self._make: Maker | None = None

    @property
    def _keys(self) -> tuple[str, ...]:
        return (*self._lost, *(spec.key for trainer in self._trainers for spec in trainer.bundle.specs))

    @property
    def live(self) -> tuple[str, ...]:
        running = [t.bundle for t in self._trainers if t.bundle.steps < self.task.steps]
        return tuple(spec.key for bundle in running for spec in bundle.specs)

    @property
    def choice(self) -> str:
        return f"stacked: by {self.way}, {self.split} run{'s' if self.split != 1 else ''} at once{self.why}"

    @property
    def plan(self) -> str:
        return f"stacked:{self.split}"

    def add(self, specs: Sequence[RunSpec]) -> None:
        self.take(specs, make_models(self.task, specs))

    def take(self, specs: Sequence[RunSpec], models: Sequence[nn.Module]) -> None:
        """`add`, with the models already made; they are left as they are."""
        if specs:
            bundle = self.prepare(specs, models)
            if self.split is None:
                self.timings = split_timings(self.task, self.make, bundle)
                self.split = fastest(self.timings)
                self.why = f" ({shown(self.timings)})"
            self.stack([bundle])

    def prepare(self, specs: Sequence[RunSpec], models: Sequence[nn.Module]) -> Bundle:
        """The runs as one bundle, once it is sure that it computes what they would compute alone."""
        unique_keys(specs, self._keys)
        check_alike(self.task, models)
        if self._make is None:
            check_repeatable(self.task, self.train, specs[0])
        bundle = bundle_of(self.task, specs, models)
        if self._make is None:
            self._make, self.way = maker_for(self.task, models[0], self.train, specs[0])
        check_agreement(self.task, self.train, specs, models, bundle, self._make)
        return bundle

    @property
    def make(self) -> Maker:
        """What makes this session's trainers; known once runs were prepared."""
        assert self._make is not None
        return self._make

    def stack(self, bundles: Sequence[Bundle]) -> None:
        """Train the runs of `bundles`, which are at one step, in stacks of `split`."""
        assert self.split is not None
        whole = join(bundles) if len(bundles) > 1 else bundles[0]
        for places in packs(self.task, whole.specs, self.split):
            self._trainers.append(self.make(self.task, take(whole, places)))

    def drop(self, keys: Iterable[str]) -> None:
        gone = set(keys)
        self._lost = [key for key in self._lost if key not in gone]
        self._leave_out(gone)

    def _leave_out(self, gone: set[str]) -> None:
        """Take runs out of their stacks, and join stacks of one step where that makes fewer."""
        if not gone & {spec.key for trainer in self._trainers for spec in trainer.bundle.specs}:
            return
        by_step: dict[int, list[Bundle]] = {}
        for trainer in self._trainers:
            bundle = trainer.bundle
            kept = [place for place, spec in enumerate(bundle.specs) if spec.key not in gone]
            if kept:
                by_step.setdefault(bundle.steps, []).append(take(bundle, kept))
        self._trainers = []
        for bundles in by_step.values():
            self.stack(bundles)

    def advance(self, steps: int) -> dict[str, Progress]:
        progress: dict[str, Progress] = {}
        for trainer in self._trainers:
            bundle = trainer.bundle
            before, wanted = bundle.steps, min(steps, self.task.steps - bundle.steps)
            if wanted <= 0:
                continue
            losses = trainer.advance(wanted)
            for spec, column in zip(bundle.specs, losses.T, strict=True):
                progress[spec.key] = _progress(before, column)
        diverged = [key for key, one in progress.items() if one.diverged]
        self._lost.extend(diverged)
        self._leave_out(set(diverged))
        return progress

    def evaluate(self, which: str = "test") -> dict[str, Score]:
        if which not in self._sources:
            self._sources[which] = source_of(data_named(self.task, which), self.task)
        source = self._sources[which]
        scores = {key: lost_score(source) for key in self._lost}
        for trainer in self._trainers:
            measured = trainer.measure(source)
            scores.update(zip((spec.key for spec in trainer.bundle.specs), measured, strict=True))
        return scores

    def close(self) -> None:
        self._trainers.clear()
        self._make = None


def _progress(before: int, losses: np.ndarray) -> Progress:
    finite = np.isfinite(losses)
    if finite.all():
        return Progress(before + len(losses), losses.copy(), False)
    stop = int(np.argmin(finite))
    return Progress(before + stop, losses[: stop + 1].copy(), True)


def maker_for(task: Task, model: nn.Module, source: Source, spec: RunSpec) -> tuple[Maker, str]:
    """What makes trainers for this architecture, and what to call it."""
    first = next(iter(orders(task, [spec], len(source)).values())).batch(0)
    stages: tuple[Stage, ...] | None = recognise(model, source.gather(first)[0])
    if stages is not None:
        chain = stages
        return lambda task, bundle: ChainTrainer(task, chain, source, bundle), "matrix products"
    return lambda task, bundle: VmapTrainer(task, model, source, bundle), "vmap"


# Steps that one timing of a stack size takes, after one that warms up; and the sizes beyond which no gain was seen.
TIMED_STEPS = 3
LARGEST_CPU, LARGEST_GPU = 64, 4096
# A size this much slower per run than the best is past the cache; two in a row end the search.
WORSE = 1.1


def split_timings(task: Task, make: Maker, bundle: Bundle) -> dict[int, float]:
    """Seconds that a run's step takes, by the runs in a stack.

    Sizes double from one run to as many as there are, or as fit a quarter of the free memory.
    """
    cpu = task.device == "cpu"
    largest = min(len(bundle), runs_that_fit(task, bundle), LARGEST_CPU if cpu else LARGEST_GPU)
    sizes = sorted({*(2**power for power in range(13) if 2**power < largest), largest})
    timings: dict[int, float] = {}
    for size in sizes:
        timings[size] = step_seconds(make(task, take(bundle, range(size))).advance, task.device) / size
        best = min(timings.values())
        if cpu and len(timings) > 2 and all(seconds > WORSE * best for seconds in list(timings.values())[-2:]):
            break
    return timings


def step_seconds(advance: Callable[[int], object], device: str = "cpu") -> float:
    """The least seconds that one step took, of a few after a first.

    Seconds of this process alone where one thread computes: a busy machine then does not sway the choice.
    """
    alone = device == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    advance(1)
    times = []
    for _ in range(TIMED_STEPS):
        start = clock()
        advance(1)
        if device != "cpu":
            torch.accelerator.synchronize(device)
        times.append(clock() - start)
    return min(times)


def fastest(timings: Mapping[int, float]) -> int:
    """The size at which a run's step took least."""
    return min(timings, key=lambda size: timings[size])


def shown(timings: Mapping[int, float]) -> str:
    """What was measured, as text: the time of a run's step by the runs at once."""
    return "a run's step by runs at once: " + ", ".join(f"{size}: {1e3 * t:.3g} ms" for size, t in timings.items())
