"""A study's runs as Optuna trials: claimed by one worker each, resumable, re-run where a worker died."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from initlab.comparison.fingerprint import refuse_drift
from initlab.comparison.records import RunRecord, record_from
from initlab.comparison.storage import batch, guarded, open_storage
from initlab.comparison.workers import BEAT_SECONDS, LEASE_SECONDS, alive, this_worker
from initlab.errors import InputError

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

T = TypeVar("T")

MOST_NAME = 200
INTERMEDIATE = 20  # points of a curve that Optuna's dashboard is given
BEGUN, KEY, WORKER, RECORD, NAME, LOCK = (
    f"initlab:{word}" for word in ("begun", "key", "worker", "record", "worker:", "lock")
)


def study_name(name: Any) -> str:
    """`name`, if it can be a study's.

    Raises:
        InputError: no text, an empty one, one that is too long or has control characters.
    """
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"study must be a name of 1 to {MOST_NAME} characters; got {name!r}")
    if len(name) > MOST_NAME:
        raise InputError(f"study must be a name of 1 to {MOST_NAME} characters; got {len(name)}")
    if not name.isprintable():
        raise InputError(f"study must be a name without control characters; got {name!r}")
    return name


class OptunaStore:
    """Runs of one study in an Optuna storage. A run's key is in its trial's system attributes.

    Claiming is the step from WAITING to RUNNING, which every Optuna storage makes atomic; of two waiting trials of one
    run (made by two workers at once) only the one with the lower number may be taken.

    Args:
        storage: as `open_storage` takes it.
        name: the study's name.
        begun: what the study is begun with; compared when it exists.
        maximize: whether a trial's value is better when higher.
        params: (run key, what the study was begun with) -> (params, distributions) of its trial.
        allow_drift: go on although `begun` differs.
    """

    def __init__(
        self,
        storage: Any,
        name: str,
        begun: Mapping[str, Any],
        maximize: bool,
        params: Callable[[str, Mapping[str, Any]], tuple[dict[str, Any], dict[str, Any]]],
        allow_drift: bool = False,
    ) -> None:
        self.name = study_name(name)
        self.url = storage if isinstance(storage, str) else ""
        self.storage, self.shown = open_storage(storage)
        self.params = params
        self.worker = this_worker()
        self.maximize = maximize
        self._records: dict[str, RunRecord] = {}
        self._read: set[int] = set()
        self._trials: dict[str, int] = {}
        self._beaten = 0.0
        self._locks = 0
        self._words: dict[str, str] = {}
        self.study_id = self._open(begun, allow_drift)
        self.beat()

    def _call(self, call: Callable[[], T]) -> T:
        return guarded(call, self.shown, self.url, tries=6)

    def _open(self, begun: Mapping[str, Any], allow_drift: bool) -> int:
        from optuna.exceptions import DuplicatedStudyError
        from optuna.study import StudyDirection

        direction = StudyDirection.MAXIMIZE if self.maximize else StudyDirection.MINIMIZE
        text = json.dumps(begun, sort_keys=True)

        def create() -> int:
            with batch(self.storage):
                study_id = self.storage.create_new_study([direction], self.name)
                self.storage.set_study_user_attr(study_id, BEGUN, text)
                return int(study_id)

        self.begun: Mapping[str, Any] = json.loads(text)
        try:
            return self._call(create)
        except DuplicatedStudyError:
            study_id = int(self._call(lambda: self.storage.get_study_id_from_name(self.name)))
        kept = self._call(lambda: self.storage.get_study_user_attrs(study_id)).get(BEGUN)
        if kept is None:
            raise InputError(f"study {self.name!r} in {self.shown} was not made by initlab; use another study name")
        if not allow_drift:
            refuse_drift(json.loads(kept), self.begun, self.name, self.shown)
        self.begun = json.loads(kept)
        return study_id

    def ended(self) -> dict[str, RunRecord]:
        for trial in self._new_trials():
            text = trial.system_attrs.get(RECORD)
            if trial.state.is_finished() and text is not None and trial.state.name != "FAIL":
                record = record_from(json.loads(text))
                self._records.setdefault(record.key, record)
        return dict(self._records)

    def _new_trials(self) -> list[FrozenTrial]:
        """Trials that have not been read in an ended state yet."""
        trials = self._all()
        new = [trial for trial in trials if trial.number not in self._read]
        self._read.update(trial.number for trial in new if trial.state.is_finished())
        return new

    def _all(self) -> list[FrozenTrial]:
        trials: list[FrozenTrial] = self._call(lambda: self._cached().get_all_trials(self.study_id, deepcopy=False))
        return trials

    def _cached(self) -> Any:
        """Optuna's own cache over a database: ended trials are read once."""
        if not hasattr(self, "_cache"):
            from optuna.storages import get_storage

            self._cache = get_storage(self.storage)
        return self._cache

    def claim(self, keys: Sequence[str], most: int) -> list[str]:
        wanted = set(keys)
        self._bury(wanted)
        self._call(lambda: self._enqueue(keys, most))
        ended = self.ended()
        waiting = self._open_trials(wanted)[1]
        chosen = [key for key in keys if key in waiting and key not in ended][:most]
        return self._call(lambda: self._take([(key, waiting[key]) for key in chosen]))

    def _open_trials(self, wanted: set[str]) -> tuple[dict[str, int], dict[str, int]]:
        """Run key -> trial id of its first trial that is waiting or running; the same of those that wait."""
        first: dict[str, int] = {}
        waiting: dict[str, int] = {}
        for trial in self._all():
            key = trial.system_attrs.get(KEY)
            if key not in wanted or trial.state.is_finished() or key in first:
                continue
            first[key] = trial._trial_id
            if trial.state.name == "WAITING":
                waiting[key] = trial._trial_id
        return first, waiting

    def _bury(self, wanted: set[str]) -> None:
        """Runs that a dead worker left RUNNING become FAIL, so that they are made anew."""
        signs: dict[str, Any] | None = None
        for trial in self._all():
            if trial.state.name != "RUNNING" or trial.system_attrs.get(KEY) not in wanted:
                continue
            if signs is None:
                signs = self._call(lambda: self.storage.get_study_system_attrs(self.study_id))
            owner = trial.system_attrs.get(WORKER)
            if owner is None and _age(trial) < LEASE_SECONDS:
                continue
            if owner is None or not alive(signs.get(NAME + owner)):
                self._call(lambda trial=trial: self._fail(trial._trial_id, "its worker died"))  # type: ignore[misc]

    def _fail(self, trial_id: int, reason: str) -> None:
        from optuna.trial import TrialState

        self._on_open_trial(lambda: self.storage.set_trial_user_attr(trial_id, "failed", reason))
        self._on_open_trial(lambda: self.storage.set_trial_state_values(trial_id, TrialState.FAIL))

    def _on_open_trial(self, change: Callable[[], Any]) -> bool:
        """`change()`; False where another worker has ended the trial in the meantime."""
        try:
            change()
        except (RuntimeError, KeyError) as error:
            if "already finished" in str(error) or "is not updatable" in str(error) or type(error).__name__ in _ENDED:
                return False
            raise
        return True

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

        mine = []
        with batch(self.storage):
            for key, trial_id in sorted(pairs, key=lambda pair: pair[1]):
                won: list[bool] = []
                self._on_open_trial(
                    lambda i=trial_id, w=won: w.append(self.storage.set_trial_state_values(i, TrialState.RUNNING))  # type: ignore[misc]
                )
                if won and won[0]:
                    self.storage.set_trial_system_attr(trial_id, WORKER, self.worker.name)
                    mine.append((key, trial_id))
        self._trials.update(mine)
        taken = dict(mine)
        return [key for key, _ in pairs if key in taken]

    def put(self, records: Iterable[RunRecord]) -> None:
        kept = list(records)
        self._call(lambda: self._write(kept))
        for record in kept:
            self._trials.pop(record.key, None)

    def _write(self, records: Sequence[RunRecord]) -> None:
        with batch(self.storage):
            for record in records:
                trial_id = self._trials[record.key]
                self._on_open_trial(lambda r=record, i=trial_id: self._write_one(r, i))  # type: ignore[misc]

    def _write_one(self, record: RunRecord, trial_id: int) -> None:
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
        held = [self._trials.pop(key) for key in keys if key in self._trials]

        def give_back() -> None:
            with batch(self.storage):
                for trial_id in held:
                    self._fail(trial_id, "given back untrained")

        if held:
            self._call(give_back)

    def beat(self) -> None:
        now = time.monotonic()
        if now - self._beaten >= BEAT_SECONDS or not self._beaten:
            self._beaten = now
            self._sign(closed=False)

    def _sign(self, *, closed: bool) -> None:
        sign = self.worker.sign_of_life(closed)
        self._call(lambda: self.storage.set_study_system_attr(self.study_id, NAME + self.worker.name, sign))

    def remember(self, name: str, value: str) -> None:
        if self.recall(name) is None:
            self._words[name] = value
            self._call(lambda: self.storage.set_study_user_attr(self.study_id, f"initlab:{name}", value))

    def recall(self, name: str) -> str | None:
        if name not in self._words:
            kept = self._call(lambda: self.storage.get_study_user_attrs(self.study_id)).get(f"initlab:{name}")
            if kept is None:
                return None
            self._words[name] = str(kept)
        return self._words[name]

    def close(self) -> None:
        with contextlib.suppress(InputError):
            self._sign(closed=True)
        engine = getattr(self.storage, "engine", None)
        if engine is not None:
            engine.dispose()


_ENDED = ("UpdateFinishedTrialError",)


def thinned(record: RunRecord) -> list[tuple[int, float]]:
    """At most `INTERMEDIATE` points of the training curve."""
    stride = max(1, math.ceil(len(record.curve) / INTERMEDIATE))
    points = record.curve[::-1][::stride][::-1]
    return [(int(step), float(loss)) for step, loss in points if math.isfinite(loss)]


def _age(trial: FrozenTrial) -> float:
    started = trial.datetime_start
    return math.inf if started is None else (datetime.now() - started).total_seconds()
