"""The user's `storage` argument as a database: checked first, errors on one line, passwords never shown."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from initlab.errors import InputError, shown
from initlab.interrupts import shielded

T = TypeVar("T")

BUSY_SECONDS = 30.0  # how long another process may hold a SQLite file before that is an error
# What a database says when the same transaction may go through a moment later.
_PASSES = re.compile(
    r"(?i)deadlock|serializ|connection|terminat|starting up|recovery|duplicate key|UNIQUE constraint|already exists"
)
_MAGIC = b"SQLite format 3\x00"


@dataclass(frozen=True)
class Location:
    """Where studies are kept.

    Args:
        url: for SQLAlchemy.
        shown: the URL without its password: as it may stand in messages.
    """

    url: str
    shown: str


def location_of(storage: Any) -> Location:
    """Where the user's `storage` is.

    Args:
        storage: a file name, `sqlite:///file.db`, or `postgresql://me@host/db`.

    Raises:
        InputError: no such thing, a file that no study can be kept in.
    """
    if isinstance(storage, os.PathLike):
        storage = os.fspath(storage)
    if not isinstance(storage, str) or not storage.strip():
        hint = " (initlab.study.to_optuna.export_study copies a study there)" if _is_optunas(storage) else ""
        raise InputError(
            f"storage must be a file name, sqlite:///FILE or postgresql://…; got {_no_secret(storage)}{hint}"
        )
    url = storage if "://" in storage else f"sqlite:///{Path(storage).expanduser().absolute()}"
    shown = shown_url(url)
    kind = url.split("://", 1)[0].split("+")[0]
    if kind not in ("sqlite", "postgresql", "postgres"):
        raise InputError(f"storage {shown} must be a file name, sqlite:///FILE or postgresql://…")
    try:
        sa.make_url(url)
    except (SQLAlchemyError, ValueError):
        raise InputError(f"storage {shown} is no URL; it must be like postgresql://me@host:5432/database") from None
    if kind != "sqlite":
        return Location(_with_driver(re.sub(r"^postgres(?=[:+])", "postgresql", url)), shown)
    path = sqlite_path(url)
    if path is None:
        raise InputError(f"storage {shown} names no file; storage=None keeps runs in memory")
    check_sqlite(path, shown)
    return Location(url, shown)


def _is_optunas(storage: Any) -> bool:
    return type(storage).__module__.split(".")[0] == "optuna"


def _no_secret(storage: Any) -> str:
    return type(storage).__name__ if _is_optunas(storage) else shown(storage)


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
    try:
        tables, state = _tables_and_state(path)
    except sqlite3.Error as error:
        raise InputError(f"storage {shown} cannot be read: {_reason(error)}") from None
    if state != "ok":
        raise InputError(
            f"storage {shown} is damaged ({state.splitlines()[-1][:100]}); restore it or give another name"
        )
    if not tables or "initlab_studies" in tables:
        return
    if {"studies", "trials", "study_user_attributes"} <= tables:
        raise InputError(
            f"storage {shown} was made by Optuna or by an older initlab, whose studies are not read; give another name"
        )
    raise InputError(f"storage {shown} is another program's database (no initlab_studies in it); give another name")


def _tables_and_state(path: Path) -> tuple[set[str], str]:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS)
    try:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        return names, str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    finally:
        connection.close()


def connect(where: Location) -> sa.Engine:
    """The database there, which answers; nothing is written to it."""
    if not where.url.startswith("sqlite"):
        engine = sa.create_engine(where.url, pool_pre_ping=True)
        engine.connect().close()
        return engine
    engine = sa.create_engine(where.url, connect_args={"timeout": BUSY_SECONDS})
    synced_and_locked(engine)
    return engine


def synced_and_locked(engine: sa.Engine) -> None:
    """Each commit is on the disk when it returns, and each transaction begins with the write lock.

    The journal is SQLite's plain one: the file may lie on a network drive, where a write-ahead log fails, and a study
    is one file to copy, also after a worker was killed.
    """

    @sa.event.listens_for(engine, "connect")
    def on_connect(connection: Any, record: Any) -> None:
        connection.execute("PRAGMA synchronous = FULL")
        connection.isolation_level = None

    @sa.event.listens_for(engine, "begin")
    def on_begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _with_driver(url: str) -> str:
    """A PostgreSQL URL that names no driver, with the one that is installed."""
    plain = url.startswith("postgresql://")
    return url.replace("://", "+psycopg2://", 1) if plain and find_spec("psycopg2") else url


def guarded(call: Callable[[], T], where: Location, tries: int = 1) -> T:
    """`call()`; what the database says against it becomes one line without a password.

    Args:
        call: what asks the database.
        where: the database, for the error.
        tries: how often a failed transaction is tried again (deadlocks, a server that restarts).

    Raises:
        InputError: the storage cannot be used.
    """
    for attempt in range(tries):
        try:
            with shielded():
                return call()
        except (SQLAlchemyError, sqlite3.Error, ImportError, OSError) as error:
            reason = _without_password(_reason(error), where.url)
            if attempt + 1 < tries and _PASSES.search(reason):
                time.sleep(0.2 * 2**attempt)
                continue
            raise InputError(f"storage {where.shown} cannot be used: {reason}") from None
    raise AssertionError("unreachable")


def _reason(error: BaseException) -> str:
    """The database's own words, in a line."""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    original = getattr(cause, "orig", None) or cause
    line = " ".join(str(original).split())[:300] or type(original).__name__
    if isinstance(error, ImportError):
        return f"{line} (PostgreSQL: pip install 'initlab[postgres]')"
    if "locked" in line:
        return f"{line}: another process has held it for {BUSY_SECONDS:g} s"
    return line


def _without_password(text: str, url: str) -> str:
    before = url.partition("://")[2].rpartition("@")[0]
    secret = before.partition(":")[2]
    found = [secret, unquote(secret), *re.findall(r"(?i)(?:passw(?:or)?d|token)=([^&]*)", url)]
    for word in found:
        if word:
            text = text.replace(word, "***")
    return text
