"""A comparison's runs in Optuna's own tables, a whole group in a few statements and one transaction.

Optuna writes a trial value by value, each with queries of its own: some fifty milliseconds a run. The rows here are
those that it would have written, so that `optuna.load_study` and optuna-dashboard read them as ever.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from initlab.study.optuna_store import KEY, RECORD, OptunaStore, thinned
from initlab.study.storage import transaction
from initlab.study.stored_study import FAILED, WORKER
from initlab.training.records import RunRecord, record_from

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

MOST_IDS = 500  # trial ids in one statement: databases bound the variables that it may have


@dataclass(frozen=True)
class Open:
    """A trial that has not ended, as this worker last read it."""

    key: str
    worker: str | None
    started: datetime | None


class SqlStore(OptunaStore):
    """As `OptunaStore`, for a database.

    Claims are made under the study's row lock, which Optuna takes as well when it numbers a new trial: of two workers
    that want one run the second sees the first one's trial. Trials begin RUNNING, so that none is left waiting.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        self._last = -1
        self._opened: dict[int, Open] = {}
        super().__init__(*args, **settings)

    def ended(self) -> dict[str, RunRecord]:
        self.call(self._read_alone)
        return dict(self._records)

    def claim(self, keys: Sequence[str], most: int) -> list[str]:
        mine = self.call(lambda: self._claim(keys, most))
        self._mine.update(mine)
        self._opened |= {trial_id: Open(key, self.worker.name, None) for key, trial_id in mine.items()}
        self._last = max([self._last, *mine.values()])
        return list(mine)

    def put(self, records: Iterable[RunRecord]) -> None:
        kept = {self._mine[record.key]: record for record in records}
        if not kept:
            return
        for trial_id in self.call(lambda: self._end(kept)):
            self._records.setdefault(kept[trial_id].key, kept[trial_id])
            self._opened.pop(trial_id, None)
        for record in kept.values():
            self._mine.pop(record.key, None)

    # -- reading --

    def _read_alone(self) -> None:
        with transaction(self.storage) as session:
            self._take_in(session)

    def _take_in(self, session: Session) -> None:
        """Take in trials that are new, and what became of those that were open; ended ones are read once."""
        from optuna.storages._rdb import models
        from sqlalchemy import or_, select

        trial, known = models.TrialModel, list(self._opened)
        fresh = [trial.trial_id > self._last]
        fresh += [trial.trial_id.in_(some) for some in _parts(known)]
        query = select(trial.trial_id, trial.state).where(trial.study_id == self.study_id, or_(*fresh))
        rows = session.execute(query).all()
        running = [row.trial_id for row in rows if row.state.name == "RUNNING"]
        done = [row.trial_id for row in rows if row.state.name in ("COMPLETE", "PRUNED")]
        found = {trial_id: self._opened[trial_id] for trial_id in running if trial_id in self._opened}
        found |= _open_trials(session, [trial_id for trial_id in running if trial_id not in found])
        for text in _attributes(session, done, RECORD):
            record = record_from(json.loads(text))
            self._records.setdefault(record.key, record)
        self._opened = found
        self._last = max((row.trial_id for row in rows), default=self._last)

    # -- claiming --

    def _claim(self, keys: Sequence[str], most: int) -> dict[str, int]:
        """Run key -> its new trial, for the first `most` runs that nobody has done or is training."""
        from optuna.storages._rdb import models
        from sqlalchemy import select

        with transaction(self.storage) as session:
            session.execute(
                select(models.StudyModel.study_id).where(models.StudyModel.study_id == self.study_id).with_for_update()
            )
            self._take_in(session)
            wanted = set(keys)
            held = {trial_id: one for trial_id, one in self._opened.items() if one.key in wanted}
            dead = self.orphans({trial_id: (one.worker, one.started) for trial_id, one in held.items()}, session)
            _fail(session, dead, "its worker died")
            taken = {one.key for trial_id, one in held.items() if trial_id not in dead}
            free = [key for key in keys if key not in taken and key not in self._records][:most]
            return dict(zip(free, self._begin(session, free), strict=True)) if free else {}

    def _begin(self, session: Session, keys: Sequence[str]) -> list[int]:
        from optuna.distributions import distribution_to_json
        from optuna.storages._rdb import models
        from optuna.trial import TrialState
        from sqlalchemy import insert, select

        last = session.scalar(
            select(models.TrialModel.number)
            .where(models.TrialModel.study_id == self.study_id)
            .order_by(models.TrialModel.trial_id.desc())
            .limit(1)
        )
        first, now = 0 if last is None else last + 1, datetime.now()
        trials = [
            models.TrialModel(study_id=self.study_id, number=first + i, state=TrialState.RUNNING, datetime_start=now)
            for i in range(len(keys))
        ]
        session.add_all(trials)
        session.flush()
        ids = [int(trial.trial_id) for trial in trials]
        attrs, params = [], []
        for trial_id, key in zip(ids, keys, strict=True):
            attrs += [_attribute(trial_id, KEY, key), _attribute(trial_id, WORKER, self.worker.name)]
            values, distributions = self.params(key, self.begun)
            for name, value in values.items():
                law = distributions[name]
                params.append({"trial_id": trial_id, "param_name": name, "param_value": law.to_internal_repr(value),
                               "distribution_json": distribution_to_json(law)})  # fmt: skip
        session.execute(insert(models.TrialSystemAttributeModel), attrs)
        session.execute(insert(models.TrialParamModel), params)
        return ids

    # -- ending --

    def _end(self, kept: Mapping[int, RunRecord]) -> list[int]:
        """Write these records and end their trials; the ids of those that another worker has not ended meanwhile."""
        from optuna.storages._rdb import models
        from optuna.trial import TrialState
        from sqlalchemy import insert

        values, points, told, records = [], [], [], []
        with transaction(self.storage) as session:
            trials = _running(session, list(kept))
            for trial in trials:
                record, trial_id = kept[trial.trial_id], trial.trial_id
                records.append(_attribute(trial_id, RECORD, json.dumps(record.to_dict())))
                told.append(_attribute(trial_id, "status", record.status))
                if record.reason:
                    told.append(_attribute(trial_id, "reason", record.reason))
                points += [_point(trial_id, step, loss) for step, loss in thinned(record)]
                value = record.accuracy if self.maximize else record.loss
                trial.state = TrialState.COMPLETE if math.isfinite(value) else TrialState.PRUNED
                trial.datetime_complete = datetime.now()
                if math.isfinite(value):
                    values.append(_value(trial_id, value))
            for model, rows in (
                (models.TrialSystemAttributeModel, records),
                (models.TrialUserAttributeModel, told),
                (models.TrialIntermediateValueModel, points),
                (models.TrialValueModel, values),
            ):
                if rows:
                    session.execute(insert(model), rows)
            return [int(trial.trial_id) for trial in trials]

    def give_up(self, trial_ids: Sequence[int], reason: str) -> None:
        if trial_ids:
            self.given_up(lambda: self._fail_alone(trial_ids, reason))
        for trial_id in trial_ids:
            self._opened.pop(trial_id, None)

    def _fail_alone(self, trial_ids: Sequence[int], reason: str) -> None:
        with transaction(self.storage) as session:
            _fail(session, trial_ids, reason)


def _fail(session: Session, trial_ids: Sequence[int], reason: str) -> None:
    """End those of these trials that are RUNNING as FAIL."""
    from optuna.storages._rdb import models
    from optuna.trial import TrialState
    from sqlalchemy import insert

    trials = _running(session, trial_ids)
    for trial in trials:
        trial.state, trial.datetime_complete = TrialState.FAIL, datetime.now()
    if trials:
        rows = [_attribute(trial.trial_id, FAILED, reason) for trial in trials]
        session.execute(insert(models.TrialUserAttributeModel), rows)


def _running(session: Session, trial_ids: Sequence[int]) -> list[Any]:
    """Those of these trials that are RUNNING, locked."""
    from optuna.storages._rdb import models
    from optuna.trial import TrialState
    from sqlalchemy import select

    trial = models.TrialModel
    found: list[Any] = []
    for some in _parts(sorted(trial_ids)):
        query = select(trial).where(trial.trial_id.in_(some), trial.state == TrialState.RUNNING)
        found += session.scalars(query.order_by(trial.trial_id).with_for_update())
    return found


def _open_trials(session: Session, trial_ids: Sequence[int]) -> dict[int, Open]:
    """What is known of these running trials; those that are no runs of ours are left out."""
    from optuna.storages._rdb import models
    from sqlalchemy import select

    attrs, trial = models.TrialSystemAttributeModel, models.TrialModel
    kept: dict[int, dict[str, Any]] = {}
    started: dict[int, datetime | None] = {}
    for some in _parts(trial_ids):
        columns = select(attrs.trial_id, attrs.key, attrs.value_json)
        for row in session.execute(columns.where(attrs.trial_id.in_(some), attrs.key.in_([KEY, WORKER]))):
            kept.setdefault(row.trial_id, {})[row.key] = json.loads(row.value_json)
        trials: list[Any] = list(session.scalars(select(trial).where(trial.trial_id.in_(some))))
        started |= {one.trial_id: one.datetime_start for one in trials}
    return {i: Open(own[KEY], own.get(WORKER), started.get(i)) for i, own in kept.items() if KEY in own}


def _attributes(session: Session, trial_ids: Sequence[int], key: str) -> Iterator[str]:
    """The system attribute `key` of these trials, where they have it, in the order of the trials."""
    from optuna.storages._rdb import models
    from sqlalchemy import select

    attrs = models.TrialSystemAttributeModel
    for some in _parts(trial_ids):
        query = select(attrs.value_json).where(attrs.trial_id.in_(some), attrs.key == key).order_by(attrs.trial_id)
        yield from (json.loads(text) for text in session.scalars(query))


def _parts(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[start : start + MOST_IDS] for start in range(0, len(ids), MOST_IDS)]


def _attribute(trial_id: int, key: str, value: str) -> dict[str, Any]:
    return {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}


def _point(trial_id: int, step: int, loss: float) -> dict[str, Any]:
    from optuna.storages._rdb.models import TrialIntermediateValueModel

    value, kind = TrialIntermediateValueModel.intermediate_value_to_stored_repr(loss)
    return {
        "trial_id": trial_id, "step": step, "intermediate_value": value, "intermediate_value_type": kind,
    }  # fmt: skip


def _value(trial_id: int, value: float) -> dict[str, Any]:
    from optuna.storages._rdb.models import TrialValueModel

    stored, kind = TrialValueModel.value_to_stored_repr(value)
    return {"trial_id": trial_id, "objective": 0, "value": stored, "value_type": kind}
