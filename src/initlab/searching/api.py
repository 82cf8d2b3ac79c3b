"""`search`: schemes, their arguments and the learning rate searched together by Optuna, many trials at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any

import torch
from torch import nn

from initlab.comparison.arms import weight_decay_of
from initlab.comparison.result import StudyInterrupted
from initlab.comparison.tasks import Readied, readied
from initlab.errors import InputError, argued, check_flags, known, seed_number, whole_number
from initlab.interrupts import INTERRUPTIONS, acknowledge, held
from initlab.searching.ongoing import OngoingSearch
from initlab.searching.proposals import PRUNERS
from initlab.searching.result import Search, TrialRecord, trial_record
from initlab.searching.space import Space, space_of
from initlab.study.fingerprint import task_fingerprint
from initlab.study.name import study_name
from initlab.study.sql import SqlStore
from initlab.study.store import MemoryStore, Store
from initlab.study.to_optuna import quiet_optuna
from initlab.training.engines import checked_executor, get_engine
from initlab.training.progress import watch_for
from initlab.training.settings import Study, Training, grouped
from initlab.training.task import Loss

PATIENCE = 3  # checks without a better score after which a run ends by itself
AT_ONCE = 8
MOST_TRIALS = 1_000_000


@argued
@grouped
def search(
    build: Callable[[], nn.Module],
    train: Any,
    valid: Any,
    test: Any,
    space: Mapping[str, Any] | None = None,
    trials: int = 100,
    storage: Any = None,
    *,
    steps: int = 1000,
    batch_size: int = 128,
    optimizer: str = "adamw",
    weight_decay: float | None = None,
    options: Mapping[str, Any] | None = None,
    loss: str | Loss = "auto",
    pruning: str = "halving",
    patience: int | None = PATIENCE,
    screen: bool = True,
    study: str | Study = "search",
    training: Training | None = None,
    allow_drift: bool = False,
    engine: str = "auto",
    executor: Executor | None = None,
    at_once: int = AT_ONCE,
    seed: int = 0,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: bool | None = None,
) -> Search:
    """Search for the scheme of each selector, the schemes' own arguments and the learning rate.

    TPE proposes, several trials train at once, each is measured on `valid` nine times, unpromising ones are pruned, and
    a run that stops improving ends. The best is trained once more to its best step and measured on `test`, which
    nothing else has seen.

    Args:
        build, train, optimizer, options, loss, batch_size, steps, engine, device, dtype: as for `compare`.
        valid: what choices are made by.
        test: what the final score is measured on.
        space: {selector or "scheme": [schemes], "lr": (low, high), "weight_decay": (low, high)}; a scheme is a name, a
            Scheme, or (name, {argument: (low, high)}); ranges are on a log scale. Default: the main schemes.
        trials: how many settings to try, over all workers.
        storage: as for `compare`: the search goes on from there, in as many processes as call it.
        weight_decay: where the space does not search it; default torch's own.
        pruning: "halving" (successive halving), "hyperband", "median" or "none".
        patience: measurements without a better score after which a run ends by itself; None trains it to its end.
        screen: let `inspect` refuse a start that is certain not to train; it is recorded as pruned with the finding.
        study: the study's name within the storage; or a `Study`, which holds storage and allow_drift too.
        training: a `Training` in place of optimizer, weight_decay, options, loss, batch_size, steps, dtype and device.
        executor: as for `compare`; the best trial is measured on `test` in this process.
        allow_drift: go on although model, data, settings or space have changed.
        at_once: trials that train at once.
        seed: root seed.
        progress: a live table on stderr; default where that is a terminal.

    Returns:
        A `Search`: `.best_params`, `.policy`, `.test_score`, `.table()`, `.save("search.html")`.

    Raises:
        InputError: an argument that cannot be meant; nothing has been trained.
        StudyInterrupted: Ctrl-C; `.result` holds what was done.
    """
    started = time.perf_counter()
    trials, at_once = whole_number("trials", trials, high=MOST_TRIALS), whole_number("at_once", at_once)
    patience = None if patience is None else whole_number("patience", patience, none=True)
    check_flags(screen=screen, allow_drift=allow_drift)
    get_engine(engine)
    checked_executor(executor, engine)
    known("pruning", pruning, PRUNERS)
    found = space_of(space, optimizer)
    decay = weight_decay_of(weight_decay, optimizer)
    if valid is None:
        raise InputError("valid must be (X, Y) to choose by; got None")
    begun = readied(
        build, train, test, valid, loss=loss, optimizer=optimizer, options={} if options is None else options,
        batch_size=batch_size, steps=steps, root_seed=seed_number(seed, "seed"), dtype=dtype,
        device=device, executor=executor,
    )  # fmt: skip
    name = study_name(study)
    found.check(begun.model)
    with held():
        store = _store(begun, found, storage, name, allow_drift)
        watch = watch_for(progress, trials * steps, {"trials": trials})
        ongoing = OngoingSearch(
            begun.task, found, decay, trials, pruning, patience, screen, engine, at_once, store, name, begun.maximize,
            watch, executor,
        )  # fmt: skip
        result, interrupted = _run_out(ongoing, list(begun.remarks), started)
    if interrupted:
        again = "the same call goes on from there" if storage is not None else "storage='study.db' would let you go on"
        raise StudyInterrupted(f"{len(result.trials)} of {trials} trials are done (in .result); {again}", result)
    return result


def _run_out(ongoing: OngoingSearch, notes: list[str], started: float) -> tuple[Search, bool]:
    """The search, run to its end or to Ctrl-C; whether it was interrupted."""
    try:
        with quiet_optuna():
            try:
                ongoing.run()
                return ongoing.result(notes, False, started), False
            except INTERRUPTIONS:
                acknowledge()
                ongoing.watch.close()
                return ongoing.result(notes, True, started), True
    finally:
        ongoing.watch.close()
        ongoing.store.close()


def _store(begun: Readied, space: Space, storage: Any, name: str, allow_drift: bool) -> Store[TrialRecord]:
    if storage is None:
        return MemoryStore()
    known_by = {"kind": "search", **task_fingerprint(begun.task, begun.model), "space": space.describe()}
    known_by["plan"] = space.plans(begun.model)
    return SqlStore(storage, name, known_by, begun.maximize, trial_record, allow_drift)
