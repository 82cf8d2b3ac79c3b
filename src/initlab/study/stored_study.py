"""A study in an Optuna storage: opened or made, known by what it was begun with, watched by its living workers."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from initlab.errors import InputError
from initlab.study.fingerprint import refuse_drift
from initlab.study.storage import batch, guarded, open_storage
from initlab.study.workers import BEAT_SECONDS, LEASE_SECONDS, alive, this_worker

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

T = TypeVar("T")

MOST_NAME = 200
BEGUN, WORKER, NAME, FAILED = "initlab:begun", "initlab:worker", "initlab:worker:", "failed"


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


class StoredStudy:
    """One study, and this worker on it.

    Args:
        storage: as `open_storage` takes it.
        name: the study's name.
        begun: what the study is begun with; compared when it exists.
        maximize: whether a trial's value is better when higher.
        allow_drift: go on although `begun` differs.
    """

    def __init__(
        self, storage: Any, name: str, begun: Mapping[str, Any], maximize: bool, allow_drift: bool = False
    ) -> None:
        self.name = study_name(name)
        self.url = storage if isinstance(storage, str) else ""
        self.storage, self.shown = open_storage(storage)
        self.worker = this_worker()
        self.maximize = maximize
        self._beaten = 0.0
        self._words: dict[str, str] = {}
        self._cache: Any = None
        self.begun: Mapping[str, Any] = json.loads(json.dumps(begun))
        self.study_id = self._open(allow_drift)
        self.beat()

    def call(self, call: Callable[[], T]) -> T:
        """`call()`, tried again where the database may let it through then; its errors on one line."""
        return guarded(call, self.shown, self.url, tries=6)

    def _open(self, allow_drift: bool) -> int:
        from optuna.exceptions import DuplicatedStudyError
        from optuna.study import StudyDirection

        direction = StudyDirection.MAXIMIZE if self.maximize else StudyDirection.MINIMIZE

        def create() -> int:
            with batch(self.storage):
                study_id = self.storage.create_new_study([direction], self.name)
                self.storage.set_study_user_attr(study_id, BEGUN, json.dumps(self.begun, sort_keys=True))
                return int(study_id)

        try:
            return self.call(create)
        except DuplicatedStudyError:
            study_id = int(self.call(lambda: self.storage.get_study_id_from_name(self.name)))
        kept = self.call(lambda: self.storage.get_study_user_attrs(study_id)).get(BEGUN)
        if kept is None:
            raise InputError(f"study {self.name!r} in {self.shown} was not made by initlab; use another study name")
        if not allow_drift:
            refuse_drift(json.loads(kept), self.begun, self.name, self.shown)
        self.begun = json.loads(kept)
        return study_id

    def trials(self) -> list[FrozenTrial]:
        """Every trial, by number, through Optuna's own cache: ended trials are read once."""
        if self._cache is None:
            from optuna.storages import get_storage

            self._cache = get_storage(self.storage)
        found: list[FrozenTrial] = self.call(lambda: self._cache.get_all_trials(self.study_id, deepcopy=False))
        return found

    def dead(self, running: list[FrozenTrial]) -> list[FrozenTrial]:
        """Those of these RUNNING trials whose worker lives no more."""
        owners = {t._trial_id: (t.system_attrs.get(WORKER), t.datetime_start) for t in running}
        return [trial for trial in running if trial._trial_id in self.orphans(owners)]

    def orphans(self, owners: Mapping[int, tuple[str | None, datetime | None]], session: Any = None) -> list[int]:
        """Ids of the trials whose worker lives no more; the others' worker is this one, or has given a sign of life.

        Args:
            owners: trial id -> (name of its worker, when it began).
            session: a database session to read the signs of life with; None reads them from the storage.
        """
        others = {i: owner for i, owner in owners.items() if owner[0] != self.worker.name}
        if not others:
            return []
        signs = self._signs(session)
        return [i for i, (name, started) in others.items() if not _owned(name, started, signs)]

    def _signs(self, session: Any) -> Mapping[str, Any]:
        if session is None:
            found: Mapping[str, Any] = self.call(lambda: self.storage.get_study_system_attrs(self.study_id))
            return found
        from optuna.storages._rdb.models import StudySystemAttributeModel as Attribute
        from sqlalchemy import select

        rows = session.execute(select(Attribute.key, Attribute.value_json).where(Attribute.study_id == self.study_id))
        return {row.key: json.loads(row.value_json) for row in rows}

    def fail(self, trial_id: int, reason: str) -> None:
        """End an open trial as FAIL; nothing where it has ended already."""
        from optuna.trial import TrialState

        on_open_trial(lambda: self.storage.set_trial_user_attr(trial_id, FAILED, reason))
        on_open_trial(lambda: self.storage.set_trial_state_values(trial_id, TrialState.FAIL))

    def give_up(self, trial_ids: Sequence[int], reason: str) -> None:
        """End these trials as FAIL, whatever state an interruption left the connection in.

        Where even that fails they stay RUNNING, and are taken over once this worker is gone.
        """

        def write() -> None:
            with batch(self.storage):
                for trial_id in trial_ids:
                    self.fail(trial_id, reason)

        if trial_ids:
            self.given_up(write)

    def given_up(self, write: Callable[[], None]) -> None:
        """`write()` on a new connection; a storage that refuses it is no error."""
        disconnect(self.storage)
        with contextlib.suppress(InputError):
            self.call(write)

    def beat(self) -> None:
        """This worker is alive; may be called often."""
        now = time.monotonic()
        if now - self._beaten >= BEAT_SECONDS or not self._beaten:
            self._beaten = now
            self._sign(closed=False)

    def _sign(self, *, closed: bool) -> None:
        sign = self.worker.sign_of_life(closed)
        self.call(lambda: self.storage.set_study_system_attr(self.study_id, NAME + self.worker.name, sign))

    def remember(self, name: str, value: str) -> None:
        """Keep a word of the study, if it has none under this name yet."""
        if self.recall(name) is None:
            self._words[name] = value
            self.call(lambda: self.storage.set_study_user_attr(self.study_id, f"initlab:{name}", value))

    def recall(self, name: str) -> str | None:
        """The word that `remember` kept."""
        if name not in self._words:
            kept = self.call(lambda: self.storage.get_study_user_attrs(self.study_id)).get(f"initlab:{name}")
            if kept is None:
                return None
            self._words[name] = str(kept)
        return self._words[name]

    def close(self) -> None:
        """Leave the study and let go of connections. Safe to call twice."""
        with contextlib.suppress(InputError):
            self._sign(closed=True)
        disconnect(self.storage)


def disconnect(storage: Any) -> None:
    """Drop a database's connections; the next use makes new ones."""
    session, engine = getattr(storage, "scoped_session", None), getattr(storage, "engine", None)
    if session is not None and hasattr(session, "remove"):
        session.remove()
    if engine is not None:
        engine.dispose()


def on_open_trial(change: Callable[[], Any]) -> bool:
    """`change()`; False where another worker has ended the trial in the meantime."""
    try:
        change()
    except (RuntimeError, KeyError) as error:
        text = str(error)
        ended = "already finished" in text or "not be updated" in text or "not updatable" in text
        if ended or type(error).__name__ == "UpdateFinishedTrialError":
            return False
        raise
    return True


def _owned(name: str | None, started: datetime | None, signs: Mapping[str, Any]) -> bool:
    """Whether a trial's worker lives; a trial that names none is left alone for a while."""
    if name is not None:
        return alive(signs.get(NAME + name))
    return started is not None and (datetime.now() - started).total_seconds() < LEASE_SECONDS
