"""The user's `storage` argument as an open Optuna storage: checked first, errors on one line, passwords never shown."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from initlab.errors import InputError
from initlab.interrupts import shielded

T = TypeVar("T")

BUSY_SECONDS = 30.0  # how long another process may hold a SQLite file before that is an error
TRIES = 5
# What a database says when the same transaction may go through a moment later.
_PASSES = re.compile(r"(?i)deadlock|serializ|connection|terminat|starting up|recovery|duplicate key|UNIQUE constraint")
_MAGIC = b"SQLite format 3\x00"


def open_storage(storage: Any) -> tuple[Any, str]:
    """An Optuna storage, and how messages call it.

    Args:
        storage: a file name, an SQLAlchemy URL (`sqlite:///file.db`, `postgresql://me@host/db`), or an Optuna storage.

    Raises:
        InputError: no such thing, a file that is no study database, one that cannot be written, a missing driver.
    """
    from optuna.storages import BaseStorage, RDBStorage

    if isinstance(storage, RDBStorage):
        return storage, shown_url(storage.url)
    if isinstance(storage, BaseStorage):
        return storage, type(storage).__name__
    if isinstance(storage, os.PathLike):
        storage = os.fspath(storage)
    if not isinstance(storage, str) or not storage.strip():
        raise InputError(f"storage must be a file name, an Optuna URL or an Optuna storage; got {storage!r:.100}")
    url = storage if "://" in storage else f"sqlite:///{Path(storage).expanduser().absolute()}"
    shown = shown_url(url)
    kind = url.split("://", 1)[0].split("+")[0]
    if kind == "sqlite":
        path = sqlite_path(url)
        if path is not None:
            check_sqlite(path, shown)
    return guarded(lambda: _connect(url, kind), shown, url), shown


def is_database(storage: Any) -> bool:
    """Whether `open_storage(storage)` is Optuna's storage in a database rather than one of its others."""
    from optuna.storages import BaseStorage, RDBStorage

    return isinstance(storage, RDBStorage) or not isinstance(storage, BaseStorage)


def shown_url(url: str) -> str:
    """The URL without its password: as it may stand in messages.

    >>> shown_url("postgresql://me:secret@host/db")
    'postgresql://me:***@host/db'
    """
    head, separator, tail = url.partition("://")
    if not separator:
        return url
    before, at, after = tail.rpartition("@")
    user, colon, _ = before.partition(":")
    after = re.sub(r"(?i)(passw(?:or)?d|passfile|token)=[^&]*", r"\1=***", after)
    return f"{head}://" + (f"{user}{colon and ':***'}{at}{after}" if at else after)


def sqlite_path(url: str) -> Path | None:
    """The file of a sqlite URL; None for a database in memory."""
    tail = url.split("://", 1)[1].removeprefix("/").split("?")[0]
    return None if tail in ("", ":memory:") else Path(tail)


def check_sqlite(path: Path, shown: str) -> None:
    """Refuse a file that no study can be kept in, before anything is written to it.

    Raises:
        InputError: a directory, a missing folder, a read-only place, another kind of file, another program's database.
    """
    if path.is_dir():
        raise InputError(f"storage {shown} is a directory; give a file name in it, such as {path / 'study.db'}")
    folder = path.parent
    if not folder.is_dir():
        raise InputError(f"storage {shown}: the folder {str(folder)!r} does not exist")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(
            f"storage {shown}: the folder {str(folder)!r} is read-only, and SQLite must write beside its file"
        )
    if not path.exists():
        return
    if not path.is_file():
        raise InputError(f"storage {shown} is no ordinary file; give the name of a SQLite file")
    if not os.access(path, os.R_OK | os.W_OK) or not path.stat().st_mode & 0o222:
        raise InputError(f"storage {shown} is read-only; make it writable or give another name")
    with open(path, "rb") as file:
        head = file.read(16)
    if head and head != _MAGIC:
        raise InputError(f"storage {shown} is no SQLite database; give another name")
    if head:
        _check_tables(path, shown)


def _check_tables(path: Path, shown: str) -> None:
    def read() -> tuple[set[str], str]:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS)
        try:
            names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
            return names, str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        finally:
            connection.close()

    try:
        tables, state = read()
    except sqlite3.Error as error:
        raise InputError(f"storage {shown} cannot be read: {_reason(error)}") from None
    if state != "ok":
        raise InputError(
            f"storage {shown} is damaged ({state.splitlines()[-1][:100]}); restore it or give another name"
        )
    # A worker killed while it made the tables leaves some of them: the rest are made then.
    foreign = [name for name in tables if not name.startswith(("stud", "trial", "version_info", "alembic_version"))]
    if foreign and "studies" not in tables:
        raise InputError(f"storage {shown} is another program's database (no Optuna studies in it); give another name")


def _connect(url: str, kind: str) -> Any:
    from optuna.storages import RDBStorage

    kwargs: dict[str, Any] = {}
    fresh = False
    if kind == "sqlite":
        path = sqlite_path(url)
        fresh = path is None or not path.exists()  # nobody else's tables, so none to be checked
        kwargs["connect_args"] = {"timeout": BUSY_SECONDS, **({"factory": _Making} if path else {})}
    elif kind in ("postgresql", "postgres"):
        url = _with_driver(re.sub(r"^postgres(?=[:+])", "postgresql", url))
        kwargs["pool_pre_ping"] = True

    def whole() -> Any:
        made = RDBStorage(url, kwargs, skip_compatibility_check=fresh)
        _complete(made.engine)
        return made

    storage = _created_once(whole)
    if kind == "sqlite" and sqlite_path(url) is not None:
        _synced_and_locked(storage.engine)
    return storage


class _Making(sqlite3.Connection):
    """A connection that makes tables without waiting for the disk after each: a killed worker loses nothing by it."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.execute("PRAGMA synchronous = OFF")


def _complete(engine: Any) -> None:
    """Make the indexes that a worker killed between a table and its indexes left out: one keeps study names unique."""
    from optuna.storages._rdb.models import BaseModel

    for table in BaseModel.metadata.sorted_tables:
        for index in table.indexes:
            index.create(engine, checkfirst=True)


def _with_driver(url: str) -> str:
    """A PostgreSQL URL that names no driver, with the one that is installed."""
    from importlib.util import find_spec

    plain = url.startswith("postgresql://")
    return url.replace("://", "+psycopg2://", 1) if plain and find_spec("psycopg2") else url


def _created_once(make: Callable[[], T]) -> T:
    """`make()`, again where two processes made the tables at once and the other was first."""
    from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

    for attempt in range(TRIES):
        try:
            return make()
        except (OperationalError, ProgrammingError, IntegrityError) as error:
            text = str(error).lower()
            if attempt == TRIES - 1 or not ("already exists" in text or "unique" in text or "duplicate" in text):
                raise
            time.sleep(0.1 + 0.2 * random.Random(os.getpid()).random())
    raise AssertionError("unreachable")


def _synced_and_locked(engine: Any) -> None:
    """From here on each commit is on the disk when it returns, and each transaction begins with the write lock.

    Optuna reads a trial's state and then changes it in one transaction; SQLite would let two workers read first and
    both claim one run.
    """
    from sqlalchemy import event

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, record: Any) -> None:
        connection.execute("PRAGMA synchronous = FULL")
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def on_begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()


class _Batched:
    """A SQLAlchemy session whose commits wait for the end of the batch."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def commit(self) -> None:
        self._session.flush()

    def close(self) -> None: ...

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


@contextlib.contextmanager
def transaction(storage: Any) -> Iterator[Any]:
    """A SQLAlchemy session of a database storage, whose work is committed at the end, or undone."""
    session = storage.scoped_session()
    try:
        yield session
        session.commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        session.close()


@contextlib.contextmanager
def batch(storage: Any) -> Iterator[None]:
    """Everything written inside is one transaction where the storage is a database; else as if it were not here.

    One commit costs milliseconds; a run's record is some thirty writes.
    """
    real = getattr(storage, "scoped_session", None)
    if real is None:
        yield
        return
    with shielded(), transaction(storage) as session:
        shared = _Batched(session)
        storage.scoped_session = lambda: shared
        try:
            yield
        finally:
            storage.scoped_session = real


@contextlib.contextmanager
def quiet_optuna() -> Iterator[None]:
    """Optuna's remarks on studies and trials are for its own users."""
    names = ("optuna.storages._rdb.storage", "optuna.study.study", "optuna")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def guarded(call: Callable[[], T], shown: str, url: str = "", tries: int = 1) -> T:
    """`call()`; what the database says against it becomes one line without a password.

    Args:
        tries: how often a failed transaction is tried again (deadlocks, a server that restarts).

    Raises:
        InputError: the storage cannot be used.
    """
    from optuna.exceptions import DuplicatedStudyError, StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    for attempt in range(tries):
        try:
            with quiet_optuna(), shielded():
                return call()
        except DuplicatedStudyError:
            raise
        except (StorageInternalError, SQLAlchemyError, RuntimeError, ImportError, OSError) as error:
            reason = _without_password(_reason(error), url)
            if attempt + 1 < tries and _PASSES.search(reason):
                time.sleep(0.2 * 2**attempt)
                continue
            raise InputError(f"storage {shown} cannot be used: {reason}") from None
    raise AssertionError("unreachable")


def _reason(error: BaseException) -> str:
    """The database's own words, in a line."""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    original = getattr(cause, "orig", None) or cause
    line = " ".join(str(original).split())[:300] or type(original).__name__
    if isinstance(error, ImportError) or "access module" in line:
        return f"{line} (PostgreSQL: pip install 'initlab[postgres]')"
    if "locked" in line:
        return f"{line}: another process has held it for {BUSY_SECONDS:g} s"
    return line


def _without_password(text: str, url: str) -> str:
    from urllib.parse import unquote

    before = url.partition("://")[2].rpartition("@")[0]
    secret = before.partition(":")[2]
    found = [secret, unquote(secret), *re.findall(r"(?i)(?:passw(?:or)?d|token)=([^&]*)", url)]
    for word in found:
        if word:
            text = text.replace(word, "***")
    return text
