"""The losses of one width at every rate and seed, trained by the engines that `compare` trains with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from initlab.errors import InputError
from initlab.guest.inputs import mapped
from initlab.interrupts import held
from initlab.planning import Plan
from initlab.scaling.runs import Run, Setup, begin, called, loss_of, rows_of, samples_in, still
from initlab.training.engines import engine_of
from initlab.training.engines.machine import memory_budget
from initlab.training.group import Training, train_through
from initlab.training.optimizers import optimizer_of
from initlab.training.records import RunRecord
from initlab.training.task import DTYPES, Factors, RunSpec, Task

AT_ONCE = 64  # runs that are made at once, where memory holds them
TENSORS = 6  # of a parameter's size that a run in training holds: itself, as built, gradient, slots


@dataclass(frozen=True)
class Way:
    """How the runs are trained.

    Args:
        steps: of each run.
        batch_size: samples a step; None takes all of them in every step.
        engine: the word of an engine.
        executor: has the workers; None for this process and its own.
    """

    steps: int
    batch_size: int | None
    engine: str
    executor: Executor | None


def losses_at(shared: Setup, width: int, rates: Sequence[float], seeds: int, way: Way) -> list[float]:
    """By rate, the mean over seeds of the loss of all samples after the steps; infinite where a run diverged.

    Raises:
        InputError: a model, batch or loss that do not go together, or a batch of more samples than there are.
    """
    run = begin(shared, (width,), 1.0, 0)
    if not math.isfinite(loss := run.passed()):
        raise InputError(f"at width {width} the loss is {loss} before any step: inputs and targets must be finite")
    if not run.groups:
        raise InputError(f"every parameter is frozen at width {width}: nothing is trained")
    task = _task(shared, width, run, way)
    specs = [_spec(run.plan, seed, rate) for seed in range(seeds) for rate in rates]
    size = sum(parameter.nbytes for parameter in run.model.parameters())
    fit = max(1, memory_budget(task.device) // (4 * TENSORS * max(1, size)))
    losses: dict[float, list[float]] = {rate: [] for rate in rates}
    with held():
        for record in _records(task, specs, min(AT_ONCE, fit), way):
            losses[record.lr].append(record.loss if math.isfinite(record.loss) else math.inf)
    return [sum(losses[rate]) / seeds for rate in rates]


def _records(task: Task, specs: Sequence[RunSpec], at_once: int, way: Way) -> Iterator[RunRecord]:
    for start in range(0, len(specs), at_once):
        part = specs[start : start + at_once]
        training = Training(
            task, engine_of(way.engine, way.executor), part, {spec.key: spec.key for spec in part}, _quiet, 1
        )
        try:
            yield from train_through(training, (task.steps,))
        finally:
            training.close()


def _quiet(training: Training) -> None:
    """Nothing is shown."""


def _spec(plan: Plan, seed: int, rate: float) -> RunSpec:
    return RunSpec(f"lr={rate!r}|seed={seed}", plan.policy, plan, seed, rate)


def _task(shared: Setup, width: int, run: Run, way: Way) -> Task:
    """What the runs of a width share: its samples as one pair of tensors, by number where they are not such a pair."""
    count = samples_in(run.inputs)
    size = count if way.batch_size is None else way.batch_size
    if size > count:
        raise InputError(f"batch_size must be at most the number of samples, {count}; got {size}")
    first = next(run.model.parameters())
    dtype = first.dtype if first.dtype in DTYPES else torch.float32  # what the engines train in
    pair = _pair(run, dtype)
    numbered = None if pair else Numbered(_in(dtype, run.inputs), _in(dtype, run.targets), way.batch_size is None)
    rows = torch.zeros(1, dtype=torch.int64) if way.batch_size is None else torch.arange(count)
    data = pair or (rows, rows)
    names = {id(parameter): name for name, parameter in run.model.named_parameters()}
    prefix = "" if numbered is None else "module."
    return Task(
        Built(shared, (width,), numbered),
        data,
        data,
        loss=_loss(shared, run, numbered),
        optimizer=shared.optimizer,
        batch_size=size if pair else min(size, len(rows)),
        steps=way.steps,
        dtype=dtype,
        device=str(first.device),
        factors={
            prefix + names[id(parameter)]: _factors(group, shared.optimizer)
            for group in run.groups
            for parameter in group["params"]
        },
        vectors=frozenset(
            prefix + names[id(parameter)]
            for group in run.groups
            for parameter in group["params"]
            if group.get("optimizer", shared.optimizer) != shared.optimizer
        ),
        own_modes=True,
    )


def _factors(group: dict[str, Any], optimizer: str) -> Factors:
    """Of a group for a rate of 1."""
    eps = optimizer_of(group.get("optimizer", optimizer)).eps
    return Factors(group["lr"], 1.0, group["eps"] / eps if "eps" in group else 1.0)


def _pair(run: Run, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The inputs and targets, where they are two tensors with a row for each sample that engines leave as they are."""
    x, y = run.inputs, run.targets
    for tensor in (x, y):
        if not isinstance(tensor, torch.Tensor) or not tensor.dim() or tensor.dtype not in (torch.int64, dtype):
            return None
    return (x.detach(), y.detach()) if len(x) == len(y) else None


def _in(dtype: torch.dtype, values: Any) -> Any:
    """Nested tensors with their floating-point numbers in a dtype."""
    return mapped(values, lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)


def _loss(shared: Setup, run: Run, numbered: Numbered | None) -> Any:
    """`auto`, which every engine knows, where that is the loss; a function of the output and the targets, or rows."""
    if numbered is not None:
        return partial(_numbered_loss, shared.loss, numbered)
    usual = run.targets.is_floating_point() or run.targets.dim() == 1
    if shared.loss is None and usual and isinstance(run.output, torch.Tensor):
        return "auto"
    return partial(loss_of, shared.loss)


def _numbered_loss(loss: Any, numbered: Numbered, output: Any, rows: torch.Tensor) -> torch.Tensor:
    return loss_of(loss, output, numbered.of(rows)[1])


@dataclass(frozen=True, eq=False)
class Numbered:
    """Samples by their number: any nest of tensors as inputs and targets.

    Args:
        inputs, targets: of all samples.
        whole: whether every batch is all of them, as they stand.
    """

    inputs: Any
    targets: Any
    whole: bool

    def of(self, rows: torch.Tensor) -> tuple[Any, Any]:
        """The inputs and targets of some samples."""
        return (self.inputs, self.targets) if self.whole else rows_of(self.inputs, self.targets, rows)


class OfRows(nn.Module):
    """A model that is given the numbers of samples and reads their inputs."""

    def __init__(self, module: nn.Module, samples: Numbered) -> None:
        super().__init__()
        self.module, self.samples = module, samples

    def forward(self, rows: torch.Tensor) -> Any:
        return called(self.module, self.samples.of(rows)[0])


@dataclass(frozen=True, eq=False)
class Built:
    """Makes the models of a size, as the engines call it: under a seeded generator."""

    shared: Setup
    size: tuple[int, ...]
    samples: Numbered | None

    def __call__(self) -> nn.Module:
        made = self.shared.build(*self.size)
        model = still(made[0] if isinstance(made, tuple) else made)
        return model if self.samples is None else OfRows(model, self.samples)
