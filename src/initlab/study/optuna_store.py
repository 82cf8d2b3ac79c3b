"""A comparison's runs as Optuna trials: claimed by one worker each, resumable, re-run where a worker died."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from initlab.study.storage import batch
from initlab.study.stored_study import WORKER, StoredStudy, on_open_trial
from initlab.training.records import RunRecord, record_from

INTERMEDIATE = 8  # points of a curve that the dashboard of Optuna is given: each is a write of a millisecond
KEY, RECORD, LOCK = "initlab:key", "initlab:record", "initlab:lock"

Params = Callable[[str, Mapping[str, Any]], tuple[dict[str, Any], dict[str, Any]]]


class OptunaStore(StoredStudy):
    """Runs of one study in an Optuna storage. A run's key is in its trial's system attributes.

    Claiming is the step from WAITING to RUNNING, which every Optuna storage makes atomic; of two waiting trials of one
    run (made by two workers at once) only the one with the lower number may be taken.

    Args:
        params: (run key, what the study was begun with) -> (params, distributions) of its trial.
        others: as for `StoredStudy`.
    """

    def __init__(
        self,
        storage: Any,
        name: str,
        begun: Mapping[str, Any],
        maximize: bool,
        params: Params,
        allow_drift: bool = False,
    ) -> None:
        self.params = params
        self._records: dict[str, RunRecord] = {}
        self._read: set[int] = set()
        self._mine: dict[str, int] = {}
        self._locks = 0
        super().__init__(storage, name, begun, maximize, allow_drift)

    def ended(self) -> dict[str, RunRecord]:
        for trial in self.trials():
            if trial.number in self._read or not trial.state.is_finished():
                continue
            self._read.add(trial.number)
            text = trial.system_attrs.get(RECORD)
            if text is not None and trial.state.name != "FAIL":
                record = record_from(json.loads(text))
                self._records.setdefault(record.key, record)
        return dict(self._records)

    def claim(self, keys: Sequence[str], most: int) -> list[str]:
        wanted = set(keys)
        running = [t for t in self.trials() if t.state.name == "RUNNING" and t.system_attrs.get(KEY) in wanted]
        for trial in self.dead(running):
            self.call(partial(self.fail, trial._trial_id, "its worker died"))
        self.call(lambda: self._enqueue(keys, most))
        ended = self.ended()
        waiting = self._open_trials(wanted)[1]
        chosen = [key for key in keys if key in waiting and key not in ended][:most]
        return self.call(lambda: self._take([(key, waiting[key]) for key in chosen]))

    def _open_trials(self, wanted: set[str]) -> tuple[dict[str, int], dict[str, int]]:
        """Run key -> trial id of its first trial that is waiting or running; the same of those that wait."""
        first: dict[str, int] = {}
        waiting: dict[str, int] = {}
        for trial in self.trials():
            key = trial.system_attrs.get(KEY)
            if key not in wanted or trial.state.is_finished() or key in first:
                continue
            first[key] = trial._trial_id
            if trial.state.name == "WAITING":
                waiting[key] = trial._trial_id
        return first, waiting

    def _enqueue(self, keys: Sequence[str], most: int) -> None:
        """Make waiting trials of the first runs that have none, in one transaction that other workers wait for."""
        from optuna.trial import TrialState, create_trial

        with batch(self.storage):
            self._locks += 1
            self.storage.set_study_system_attr(self.study_id, LOCK, f"{self.worker.name} {self._locks}")
            opened, waiting = self._open_trials(set(keys))
            ended = self.ended()
            free = [key for key in keys if key not in opened and key not in ended]
            for key in free[: max(0, most - len(waiting))]:
                params, distributions = self.params(key, self.begun)
                template = create_trial(
                    state=TrialState.WAITING,
                    params=params,
                    distributions=distributions,
                    system_attrs={KEY: key, "fixed_params": params},
                )
                self.storage.create_new_trial(self.study_id, template_trial=template)

    def _take(self, pairs: Sequence[tuple[str, int]]) -> list[str]:
        from optuna.trial import TrialState

        mine: dict[str, int] = {}
        with batch(self.storage):
            for key, trial_id in sorted(pairs, key=lambda pair: pair[1]):
                won: list[bool] = []
                on_open_trial(
                    lambda i=trial_id, w=won: w.append(self.storage.set_trial_state_values(i, TrialState.RUNNING))  # type: ignore[misc]
                )
                if won and won[0]:
                    self.storage.set_trial_system_attr(trial_id, WORKER, self.worker.name)
                    mine[key] = trial_id
        self._mine.update(mine)
        return [key for key, _ in pairs if key in mine]

    def put(self, records: Iterable[RunRecord]) -> None:
        kept = list(records)

        def write() -> None:
            with batch(self.storage):
                for record in kept:
                    on_open_trial(lambda r=record: self._write(r, self._mine[r.key]))  # type: ignore[misc]

        if kept:
            self.call(write)
        for record in kept:
            self._mine.pop(record.key, None)

    def _write(self, record: RunRecord, trial_id: int) -> None:
        from optuna.trial import TrialState

        storage = self.storage
        # The record first: it is refused if the trial was taken over and ended.
        storage.set_trial_system_attr(trial_id, RECORD, json.dumps(record.to_dict()))
        storage.set_trial_user_attr(trial_id, "status", record.status)
        if record.reason:
            storage.set_trial_user_attr(trial_id, "reason", record.reason)
        for step, loss in thinned(record):
            storage.set_trial_intermediate_value(trial_id, step, loss)
        value = record.accuracy if self.maximize else record.loss
        if math.isfinite(value):
            storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [value])
        else:
            storage.set_trial_state_values(trial_id, TrialState.PRUNED)

    def release(self, keys: Iterable[str]) -> None:
        self.give_up([self._mine.pop(key) for key in keys if key in self._mine], "given back untrained")


def thinned(record: RunRecord) -> list[tuple[int, float]]:
    """At most `INTERMEDIATE` points of the training curve."""
    stride = max(1, math.ceil(len(record.curve) / INTERMEDIATE))
    points = record.curve[::-1][::stride][::-1]
    return [(int(step), float(loss)) for step, loss in points if math.isfinite(loss)]
