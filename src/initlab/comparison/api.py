"""`compare`: the alternatives trained side by side with seeds, measured, tested, reported."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import torch
from torch import nn

from initlab.comparison.arms import Arm, lr_lists, make_arms, make_plans, named_policies, seed_list, weight_decay_of
from initlab.comparison.driver import Driver, drive
from initlab.comparison.racing import drive_race
from initlab.comparison.result import Comparison, StudyInterrupted
from initlab.comparison.study import study_store
from initlab.comparison.tasks import readied
from initlab.errors import InputError, argued, check_flags, finite_number, seed_number, shown, whole_number
from initlab.interrupts import held
from initlab.study.name import study_name
from initlab.training.engines import checked_executor, get_engine
from initlab.training.group import measuring_steps
from initlab.training.progress import watch_for
from initlab.training.settings import Statistics, Study, Training, grouped
from initlab.training.task import Loss, Task, first_samples

EXAMPLES = 8  # samples that the model is recorded on when a plan is made


@argued
@grouped
def compare(
    build: Callable[[], nn.Module],
    train: Any,
    test: Any,
    schemes: Any,
    seeds: int | Sequence[int] = 5,
    optimizer: str = "adamw",
    lr: float | Sequence[float] | Mapping[str, Any] | None = None,
    batch_size: int = 128,
    steps: int = 1000,
    storage: Any = None,
    engine: str = "auto",
    race: bool = False,
    *,
    budget: int | None = None,
    study: str | Study = "compare",
    training: Training | None = None,
    statistics: Statistics | None = None,
    allow_drift: bool = False,
    weight_decay: float | None = None,
    options: Mapping[str, Any] | None = None,
    loss: str | Loss = "auto",
    target_loss: float | None = None,
    evaluations: int | None = None,
    curve_points: int | None = None,
    seed: int = 0,
    shared_order: bool = False,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    executor: Executor | None = None,
    at_once: int | None = None,
    progress: bool | None = None,
) -> Comparison:
    """Train `build()` under each scheme with each seed, and say which differences are real.

    Every scheme with one seed sees the same data in the same order and, where two schemes give a parameter the same
    law, the same values: differences are paired over seeds. A run's random numbers are a function of `seed` and the
    run's own key alone.

    Args:
        build: returns a new model; called once for each run.
        train: (X, Y) tensors, arrays or data frames; (a data frame, the name of its target column); a Dataset or a
            DataLoader of samples (x, y) or {input: x, "label": y}. It is read into memory once where it fits in half
            of what is free, else each batch is read when it is needed. Labels that are text are coded, and said.
        test: as `train`; what the final scores are measured on.
        schemes: names, Schemes, Policies, Plans or {selector: scheme} mappings; or {label: any of these}. None or
            "as_built" leaves the weights as `build` makes them.
        seeds: how many seeds (0, 1, …), or a list of them.
        optimizer: "sgd", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop" or "adagrad".
        lr: learning rate; a list compares every scheme at each; {label: rate or list} sets it per scheme. Default
            1e-3, for SGD 1e-2.
        batch_size: samples in a batch.
        steps: optimizer steps of each run.
        storage: None keeps runs in memory; a file name, `sqlite:///file.db` or `postgresql://me@host/db` keeps them:
            the same call goes on from what is done, in as many processes and machines as call it.
        study: the study's name within the storage; or a `Study`, which holds storage and allow_drift too.
        training: a `Training` in place of optimizer, lr, weight_decay, options, loss, batch_size, steps, dtype, device.
        statistics: a `Statistics` in place of seeds, seed, race, budget, target_loss, evaluations, ….
        allow_drift: go on with a stored study although model, data, settings or schemes have changed.
        engine: "auto", or how to train: "stacked", "processes", "sequential".
        race: spend run-steps where the decision is open: starts certain not to train are refused, starts worse than
            the leader beyond chance are stopped, and the seeds beyond the first three go to the two best.
        budget: with `race`, the most run-steps (steps of all runs together); seeds beyond `seeds` are added to the
            two best until then. Default: two fifths of the whole study and no seed beyond `seeds`.
        weight_decay: default torch's own: 0.01 for AdamW, else 0.
        options: the optimizer's other options, such as {"momentum": 0.9}.
        loss: "auto" (integer targets: cross-entropy; else mean squared error), the name of a loss ("mse", "l1", …) or a
            callable (output, target) -> scalar, which alone takes all that a model returns, if that is not one tensor.
        target_loss: the training loss that steps are counted to; default the median of the arms' final losses.
        evaluations: how often each run is measured on `test`; default as often as costs 2% of the training.
        curve_points: how many points each run's training curve has, each the mean loss since the last; default 100, and
            25 where there are more than 1,000 runs.
        seed: root seed of the study, in [0, 2^64).
        shared_order: one data order for all seeds.
        dtype, device: what runs are trained in and on: the CPU, or what torch takes for this machine's accelerator
            ("cuda", "mps", "xpu"); data and models may come from any device.
        executor: any `concurrent.futures.Executor` (loky, Dask, Ray, submitit: docs/clusters.md) whose workers train
            the runs, in parts; `engine` is then what each worker does. A part whose worker dies is trained once more.
        at_once: the most runs that are trained together.
        progress: a live table on stderr; default where that is a terminal.

    Returns:
        A `Comparison`; print it for the table, `.save("compare.html")` for the report.

    Raises:
        InputError: an argument that cannot be meant; nothing has been trained.
        StudyInterrupted: Ctrl-C; `.result` holds what was done.

    >>> import torch, initlab
    >>> x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    >>> data = (x, (x[:, 0] > 0).long())
    >>> build = lambda: torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> result = initlab.compare(build, data, data, ["zeros", "he_normal"], seeds=3, lr=0.01, steps=50, batch_size=16)
    >>> result.best
    'he_normal'
    """
    started = time.perf_counter()
    root = seed_number(seed, "seed")
    seed_numbers = seed_list(seeds)
    policies = named_policies(schemes)
    rates = lr_lists(lr, list(policies), optimizer)
    decay = weight_decay_of(weight_decay, optimizer)
    get_engine(engine)
    checked_executor(executor, engine)
    evaluations, curve_points, at_once, budget = (
        None if count is None else whole_number(name, count, none=True)
        for name, count in (
            ("evaluations", evaluations), ("curve_points", curve_points), ("at_once", at_once), ("budget", budget)
        )
    )  # fmt: skip
    check_flags(race=race, shared_order=shared_order, allow_drift=allow_drift)
    if budget is not None and not race:
        raise InputError(f"budget is a race's: give race=True with it; got budget={shown(budget)}")
    if target_loss is not None:
        target_loss = finite_number("target_loss", target_loss)
    name = study_name(study)
    begun = readied(
        build, train, test, None, loss=loss, optimizer=optimizer, options={} if options is None else options,
        batch_size=batch_size, steps=steps, root_seed=root, shared_order=shared_order, dtype=dtype,
        device=device, executor=executor,
    )  # fmt: skip
    task = begun.task
    plans, plan_notes = make_plans(begun.model, policies, _examples(task))
    arms = make_arms(policies, rates, decay, plans)
    watch = watch_for(progress, len(arms) * len(seed_numbers) * steps, {a.label: len(seed_numbers) for a in arms})
    with held(), contextlib.ExitStack() as after:
        after.callback(watch.close)
        store = study_store(storage, name, begun, arms, plans, allow_drift)
        after.callback(store.close)
        driver = Driver(task, engine, store, watch, at_once, len(arms) * len(seed_numbers), executor)
        driver.points = curve_points or driver.points
        at = measuring_steps(task, evaluations)
        if race:
            driven = drive_race(driver, arms, seed_numbers, at, budget, "accuracy" if begun.maximize else "loss")
        else:
            driven = drive(driver, arms, seed_numbers, at)
    result = Comparison(
        runs=driven.runs,
        arms=tuple(arm.label for arm in arms),
        plans=plans,
        settings=settings_of(task, arms, seed_numbers),
        engine=driven.choice,
        missing=driven.missing,
        notes=(*begun.remarks, *plan_notes, *driven.notes),
        target_loss=target_loss,
        level=driven.level,
        run_steps=driven.run_steps,
        seconds=time.perf_counter() - started,
    )
    if driven.interrupted:
        raise StudyInterrupted(_how_to_go_on(result, storage), result)
    return result


def _examples(task: Task) -> torch.Tensor:
    return first_samples(task.train, EXAMPLES)[0]


def settings_of(task: Task, arms: Sequence[Arm], seeds: Sequence[int]) -> dict[str, Any]:
    """What every run shared, for the reader."""
    rates = sorted({arm.lr for arm in arms})
    decays = sorted({arm.weight_decay for arm in arms})
    settings: dict[str, Any] = {
        "train samples": len(task.train[0]) if isinstance(task.train, tuple) else len(task.train),
        "test samples": len(task.test[0]) if isinstance(task.test, tuple) else len(task.test),
        "optimizer": task.optimizer,
        "lr": ", ".join(f"{rate:g}" for rate in rates),
        "weight decay": ", ".join(f"{decay:g}" for decay in decays),
        "batch size": task.batch_size,
        "steps": task.steps,
        "seeds": len(seeds),
        "root seed": task.root_seed,
    }
    return settings


def _how_to_go_on(result: Comparison, storage: Any) -> str:
    done, asked = len(result.runs), len(result.runs) + len(result.missing)
    if storage is None:
        return f"{done} of {asked} runs are done (in .result of this exception); storage='study.db' would let you go on"
    return f"{done} of {asked} runs are done and kept; the same call with the same storage goes on from there"
