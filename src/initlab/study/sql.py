"""Runs in a database: two tables of our own, a claim is one UPDATE, a group of runs is one transaction."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from initlab.errors import InputError
from initlab.study.fingerprint import refuse_drift
from initlab.study.lease import BEAT_SECONDS, alive, this_worker
from initlab.study.location import Location, connect, guarded, location_of, sqlite_path
from initlab.study.name import study_name
from initlab.study.store import R

T = TypeVar("T")

MOST_KEYS = 500  # in one statement: databases bound the variables that it may have
WAITING, RUNNING, ENDED = "waiting", "running", "ended"

TABLES = sa.MetaData()
STUDIES = sa.Table(
    "initlab_studies",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("maximize", sa.Boolean, nullable=False),
    sa.Column("begun", sa.Text, nullable=False),  # JSON: the fingerprint
    sa.Column("words", sa.Text, nullable=False),  # JSON: what workers remember for one another
)
RUNS = sa.Table(
    "initlab_runs",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.Integer, sa.ForeignKey(STUDIES.c.id), nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("worker", sa.Text),  # who trains it, or has trained it
    sa.Column("lease", sa.Text),  # JSON: the worker's last sign of life
    sa.Column("claims", sa.Integer, nullable=False),  # how often it was begun: more than once where a worker died
    sa.Column("proposal", sa.Text),  # JSON: what it is trained with, where that was chosen on the way
    sa.Column("record", sa.Text),  # JSON: what it came to
    sa.UniqueConstraint("study_id", "key"),
    sa.Index("initlab_runs_by_state", "study_id", "state"),
)


class SqlStore(Generic[R]):
    """One study in a database, and this worker on it.

    Args:
        storage: as `location_of` takes it.
        name: the study's name.
        begun: what the study is begun with; compared when it exists.
        maximize: whether a run's score is better when higher.
        read: gives a record back from its `to_dict`.
        allow_drift: go on although `begun` differs.

    Raises:
        InputError: the storage cannot be used; the study was begun with something else.
    """

    def __init__(
        self,
        storage: Any,
        name: str,
        begun: Mapping[str, Any],
        maximize: bool,
        read: Callable[[Mapping[str, Any]], R],
        allow_drift: bool = False,
    ) -> None:
        self.name = study_name(name)
        self.where = location_of(storage)
        self.worker = this_worker()
        self._read = read
        self._records: dict[str, R] = {}
        self._words: dict[str, str] = {}
        self._beaten = time.monotonic()
        self._engine = open_tables(self.where)
        wanted = json.loads(json.dumps(begun))
        self._study, kept = self._call(lambda connection: _find_or_make(connection, self.name, wanted, maximize))
        if not allow_drift:
            refuse_drift(kept, wanted, self.name, self.where.shown)

    def _call(self, work: Callable[[sa.Connection], T]) -> T:
        """`work` in one transaction, tried again where the database may let it through then."""

        def whole() -> T:
            with self._engine.begin() as connection:
                return work(connection)

        return guarded(whole, self.where, tries=6)

    def ended(self) -> dict[str, R]:
        self._call(self._take_in)
        return dict(self._records)

    def _take_in(self, connection: sa.Connection) -> None:
        """Read the records that other workers have put; ours, and those read before, are known."""
        ours = (RUNS.c.study_id == self._study) & (RUNS.c.state == ENDED)
        if connection.scalar(sa.select(sa.func.count()).where(ours)) == len(self._records):
            return
        keys = connection.scalars(sa.select(RUNS.c.key).where(ours).order_by(RUNS.c.id)).all()
        for some in _parts([key for key in keys if key not in self._records]):
            query = sa.select(RUNS.c.record).where(ours, RUNS.c.key.in_(some)).order_by(RUNS.c.id)
            for text in connection.scalars(query):
                record = self._read(json.loads(text))
                self._records[record.key] = record

    def claim(self, keys: Sequence[str], most: int) -> list[str]:
        # Of two workers that want the same runs the second gets none of them, and asks for the next ones.
        while True:
            wanted, mine = self._call(lambda connection: self._claim(connection, keys, most))
            if mine or not wanted:
                return [key for key in wanted if key in mine]

    def _claim(self, connection: sa.Connection, keys: Sequence[str], most: int) -> tuple[list[str], set[str]]:
        """The first `most` runs that look free, and those of them that are now ours."""
        self._take_in(connection)
        running = (RUNS.c.study_id == self._study) & (RUNS.c.state == RUNNING)
        held = connection.execute(sa.select(RUNS.c.key, RUNS.c.worker, RUNS.c.lease).where(running)).all()
        leases = {row.worker: row.lease for row in held if row.worker != self.worker.name}
        dead = [worker for worker, lease in leases.items() if not alive(json.loads(lease))]
        taken = {row.key for row in held if row.worker not in dead}
        wanted = [key for key in keys if key not in self._records and key not in taken][:most]
        free = (RUNS.c.state == WAITING) | ((RUNS.c.state == RUNNING) & RUNS.c.worker.in_(dead))
        mine: set[str] = set()
        for some in _parts(wanted):
            fresh = [{"study_id": self._study, "key": key, "state": WAITING, "claims": 0} for key in some]
            connection.execute(_insert_missing(connection, RUNS), fresh)
            change = sa.update(RUNS).where(RUNS.c.study_id == self._study, RUNS.c.key.in_(some), free)
            claimed = change.values(
                state=RUNNING, worker=self.worker.name, lease=self._sign(), claims=RUNS.c.claims + 1
            )
            mine.update(connection.scalars(claimed.returning(RUNS.c.key)))
        return wanted, mine

    def propose(self, key: str, choices: Mapping[str, Any]) -> None:
        change = sa.update(RUNS).where(self._held(), RUNS.c.key == key).values(proposal=json.dumps(choices))
        self._call(lambda connection: connection.execute(change))

    def proposal(self, key: str) -> dict[str, Any] | None:
        query = sa.select(RUNS.c.proposal).where(RUNS.c.study_id == self._study, RUNS.c.key == key)
        text = self._call(lambda connection: connection.scalar(query))
        return None if text is None else dict(json.loads(text))

    def _held(self) -> sa.ColumnElement[bool]:
        """The runs that this worker has claimed and has not lost."""
        return sa.and_(RUNS.c.study_id == self._study, RUNS.c.worker == self.worker.name, RUNS.c.state == RUNNING)

    def put(self, records: Iterable[R]) -> None:
        kept = list(records)
        rows = [{"run": record.key, "text": json.dumps(record.to_dict())} for record in kept]
        change = sa.update(RUNS).where(self._held(), RUNS.c.key == sa.bindparam("run"))
        if rows:
            written = self._call(
                lambda connection: [
                    connection.execute(change.values(state=ENDED, record=sa.bindparam("text")), row).rowcount
                    for row in rows
                ]
            )
            # Of a run that was taken over, the record of whoever has it now counts.
            self._records |= {record.key: record for record, count in zip(kept, written, strict=True) if count}

    def release(self, keys: Iterable[str]) -> None:
        listed = list(keys)
        for some in _parts(listed):
            self._give_up(RUNS.c.key.in_(some))

    def _give_up(self, which: sa.ColumnElement[bool]) -> None:
        """Let runs wait again. Where that fails they stay RUNNING, and are taken over once this worker is gone."""
        self._engine.dispose()  # an interruption may have left a connection in any state
        change = sa.update(RUNS).where(self._held(), which).values(state=WAITING, worker=None, lease=None)
        with contextlib.suppress(InputError):
            self._call(lambda connection: connection.execute(change))

    def _sign(self) -> str:
        return json.dumps(self.worker.sign_of_life())

    def beat(self) -> None:
        now = time.monotonic()
        if now - self._beaten >= BEAT_SECONDS:
            self._beaten = now
            change = sa.update(RUNS).where(self._held()).values(lease=self._sign())
            self._call(lambda connection: connection.execute(change))

    def remember(self, name: str, value: str) -> None:
        if self.recall(name) is None:
            self._words = self._call(lambda connection: self._add_word(connection, name, value))

    def _add_word(self, connection: sa.Connection, name: str, value: str) -> dict[str, str]:
        mine = STUDIES.c.id == self._study
        text = connection.scalar(sa.select(STUDIES.c.words).where(mine).with_for_update())
        words = {name: value} | dict(json.loads(text or "{}"))
        connection.execute(sa.update(STUDIES).where(mine).values(words=json.dumps(words)))
        return words

    def recall(self, name: str) -> str | None:
        if name not in self._words:
            query = sa.select(STUDIES.c.words).where(STUDIES.c.id == self._study)
            self._words = json.loads(self._call(lambda connection: connection.scalar(query)) or "{}")
        return self._words.get(name)

    def close(self) -> None:
        self._give_up(sa.true())
        self._engine.dispose()


def _find_or_make(
    connection: sa.Connection, name: str, begun: Mapping[str, Any], maximize: bool
) -> tuple[int, dict[str, Any]]:
    """The study's id, and what it was begun with."""
    fresh = {"name": name, "maximize": maximize, "begun": json.dumps(begun, sort_keys=True), "words": "{}"}
    connection.execute(_insert_missing(connection, STUDIES), fresh)
    row = connection.execute(sa.select(STUDIES).where(STUDIES.c.name == name)).one()
    return int(row.id), json.loads(row.begun)


def _insert_missing(connection: sa.Connection, table: sa.Table) -> Any:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return insert(table).on_conflict_do_nothing()


def _parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    return (keys[start : start + MOST_KEYS] for start in range(0, len(keys), MOST_KEYS))


def open_tables(where: Location) -> sa.Engine:
    """The database of a storage, with our tables in it.

    Raises:
        InputError: it cannot be used, or holds the studies of an older initlab.
    """
    engine = guarded(lambda: connect(where), where)

    def complete() -> None:
        with engine.begin() as connection:
            if not sa.inspect(connection).has_table(STUDIES.name):
                _refuse_older(connection, where.shown)
                TABLES.create_all(connection)

    guarded(complete, where, tries=6)
    return engine


def _refuse_older(connection: sa.Connection, shown: str) -> None:
    """Refuse a database in which an older initlab has kept studies as Optuna trials."""
    if not sa.inspect(connection).has_table("study_user_attributes"):
        return
    older = sa.text("SELECT count(*) FROM study_user_attributes WHERE key = 'initlab:begun'")
    if connection.scalar(older):
        raise InputError(f"storage {shown} holds studies of an older initlab, which are not read; give another name")


def stored_study(storage: Any, name: str) -> tuple[dict[str, Any], bool, list[dict[str, Any]]]:
    """(what it was begun with, whether higher scores are better, its ended runs in order) of a stored study.

    Raises:
        InputError: the storage cannot be used, or holds no such study.
    """
    where = location_of(storage)
    path = sqlite_path(where.url) if where.url.startswith("sqlite") else None
    if path is not None and not path.exists():  # to connect would make the file
        raise InputError(f"storage {where.shown} does not exist; give the one that the study is kept in")
    engine = guarded(lambda: connect(where), where)

    def read() -> tuple[Any, list[str], list[str]]:
        with engine.begin() as connection:
            if not sa.inspect(connection).has_table(STUDIES.name):
                _refuse_older(connection, where.shown)
                return None, [], []
            names = list(connection.scalars(sa.select(STUDIES.c.name)))
            row = connection.execute(sa.select(STUDIES).where(STUDIES.c.name == name)).one_or_none()
            ended = (RUNS.c.study_id == (row.id if row else -1)) & (RUNS.c.state == ENDED)
            return row, names, list(connection.scalars(sa.select(RUNS.c.record).where(ended).order_by(RUNS.c.id)))

    try:
        row, names, texts = guarded(read, where)
    finally:
        engine.dispose()
    if row is None:
        raise InputError(f"storage {where.shown} holds no study {name!r}; it holds {', '.join(names[:10]) or 'none'}")
    return json.loads(row.begun), bool(row.maximize), [json.loads(text) for text in texts]
