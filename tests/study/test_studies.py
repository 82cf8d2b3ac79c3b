"""Studies: stored, resumed, shared by workers, killed anywhere; the storages that are refused."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
import torch
from conftest_comparison import tiny_build, tiny_data
from spawned import PATIENCE, at_once, fresh, spawned
from torch import nn

import initlab
from initlab.errors import InputError
from initlab.study import location
from initlab.study.location import shown_url
from initlab.study.sql import RUNS, STUDIES, open_tables

SCHEMES = ["he_normal", "xavier_normal", "zeros"]


def study(storage: Any, **changes: Any) -> initlab.Comparison:
    settings: dict[str, Any] = {
        "schemes": SCHEMES, "seeds": 4, "steps": 60, "batch_size": 16, "lr": 0.01, "engine": "sequential",
        "evaluations": 2, "storage": storage,
    }  # fmt: skip
    train, test = changes.pop("train", tiny_data()), changes.pop("test", tiny_data(48, 1))
    return initlab.compare(changes.pop("build", tiny_build), train, test, **{**settings, **changes})


def numbers(result: initlab.Comparison) -> list[tuple[Any, ...]]:
    """Everything of the runs but the time they took, bit for bit."""
    return [(r.key, r.status, r.steps, r.curve.tobytes(), r.tests.tobytes()) for r in result.runs]


def rows(storage: Any, name: str = "compare") -> list[Any]:
    """The runs of a study as the database holds them."""
    engine = open_tables(location.location_of(storage))
    with engine.begin() as connection:
        mine = sa.select(STUDIES.c.id).where(STUDIES.c.name == name)
        found = connection.execute(sa.select(RUNS).where(RUNS.c.study_id.in_(mine)).order_by(RUNS.c.id)).all()
    engine.dispose()
    return list(found)


def states(storage: Any, name: str = "compare") -> list[str]:
    return [row.state for row in rows(storage, name)]


@pytest.fixture(scope="module")
def whole() -> initlab.Comparison:
    """The study as memory alone gives it: what every stored one must equal."""
    torch.set_num_threads(1)
    return study(None)


def in_child(work: Callable[[], Any], kill_after: float | None = None) -> int:
    """Run `work` in a process of its own; kill it after some seconds of it."""
    child = spawned(work)
    if kill_after is not None:
        time.sleep(kill_after)
        child.kill()
    child.join(PATIENCE)
    assert child.exitcode is not None
    return child.exitcode


def test_storage_changes_no_number(tmp_path: Path, whole: initlab.Comparison) -> None:
    path = tmp_path / "study.db"
    first, again = study(path), study(f"sqlite:///{path}")
    assert numbers(first) == numbers(again) == numbers(whole)
    assert first.run_steps == 12 * 60
    assert again.run_steps == 0
    assert repr(first.table().rows) == repr(whole.table().rows)


def test_six_runs_and_six_more_are_twelve(tmp_path: Path, whole: initlab.Comparison) -> None:
    assert study(tmp_path / "study.db", seeds=2).run_steps == 6 * 60
    rest = study(tmp_path / "study.db")
    assert rest.run_steps == 6 * 60
    assert numbers(rest) == numbers(whole)


def _killed_study(path: Path, delays: list[float], **changes: Any) -> initlab.Comparison:
    for delay in delays:
        in_child(lambda: study(path, at_once=3, **changes), kill_after=delay)
    return study(path, at_once=3, **changes)


def _assert_survives(path: Path, delays: list[float], whole: initlab.Comparison) -> None:
    result = _killed_study(path, delays)
    assert numbers(result) == numbers(whole)
    assert result.missing == ()
    assert states(path) == ["ended"] * 12
    assert sum(row.claims for row in rows(path)) <= 12 + 3 * len(delays), "more was lost than was in flight"


def test_killed_and_resumed(tmp_path: Path, whole: initlab.Comparison) -> None:
    _assert_survives(tmp_path / "study.db", [0.15, 0.4, 0.7], whole)


@pytest.mark.nightly
@pytest.mark.parametrize("point", range(20))
def test_killed_anywhere(tmp_path: Path, whole: initlab.Comparison, point: int) -> None:
    delays = [random.Random(100 * point + i).uniform(0.0, 1.5) for i in range(3)]
    _assert_survives(tmp_path / "study.db", delays, whole)


def test_runs_of_a_dead_worker_are_made_anew(tmp_path: Path, whole: initlab.Comparison) -> None:
    path = tmp_path / "study.db"

    def die_in_training() -> None:
        from initlab.comparison import driver

        driver.train_through = lambda *args: os._exit(9)
        study(path)

    assert in_child(die_in_training) == 9
    assert states(path) == ["running"] * 12
    assert numbers(study(path)) == numbers(whole)
    assert [(row.state, row.claims) for row in rows(path)] == [("ended", 2)] * 12


def test_a_living_workers_runs_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    started = fresh.Event()

    def hold(started: Any) -> None:
        from initlab.comparison import driver

        driver.train_through = lambda *args: (started.set(), time.sleep(PATIENCE))
        study(path, at_once=4)

    child = spawned(hold, started)
    try:
        assert started.wait(PATIENCE)
        waits = spawned(lambda: study(path))
        deadline = time.monotonic() + PATIENCE
        while states(path).count("ended") < 8 and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(1.5)
        assert sorted(states(path)) == ["ended"] * 8 + ["running"] * 4
        assert waits.is_alive(), "it must wait for the runs of the other"
    finally:
        child.kill()
        child.join()
    waits.join(PATIENCE)
    assert waits.exitcode == 0, "it takes over the runs of the worker that died"
    assert states(path) == ["ended"] * 12


def _two_workers(url: str, name: str) -> list[Any]:
    def met(gate: Any) -> None:
        from initlab.comparison import driver

        own = driver.train_through

        def first(*args: Any) -> Any:
            driver.train_through = own
            gate.wait(PATIENCE)  # until the other has runs too, which one that is quick enough would leave it none of
            return own(*args)

        driver.train_through = first
        study(url, at_once=2, study=name)

    workers = at_once([met] * 2, [(fresh.Barrier(2),)] * 2)
    for worker in workers:
        worker.join(PATIENCE)
    assert [worker.exitcode for worker in workers] == [0, 0]
    return rows(url, name)


def test_two_workers_share_the_runs(tmp_path: Path, whole: initlab.Comparison) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    found = _two_workers(url, "compare")
    assert [(row.state, row.claims) for row in found] == [("ended", 1)] * 12, "every run was done once"
    assert len({row.worker for row in found}) == 2
    assert numbers(study(url)) == numbers(whole)


def test_two_workers_on_postgres_and_one_killed(postgres: str, whole: initlab.Comparison) -> None:
    in_child(lambda: study(postgres, at_once=3, study="shared"), kill_after=0.5)
    found = _two_workers(postgres, "shared")
    assert [row.state for row in found] == ["ended"] * 12
    assert sum(row.claims for row in found) <= 12 + 3, "more was lost than was in flight"
    assert numbers(study(postgres, study="shared")) == numbers(whole)


def _wider() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 13), nn.ReLU(), nn.Linear(13, 3))


def _tanh() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 3))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"steps": 61}, "steps: 60 → 61"),
        ({"batch_size": 8}, "batch_size: 16 → 8"),
        ({"seed": 1}, "root_seed: 0 → 1"),
        ({"optimizer": "sgd"}, "optimizer: adamw → sgd"),
        ({"lr": 0.02}, "lr he_normal: [0.01] → [0.02]"),
        ({"schemes": SCHEMES[:2]}, "schemes zeros"),
        ({"schemes": [*SCHEMES, "ones"]}, "schemes ones: absent"),
        ({"train": tiny_data(96, 7)}, "data train"),
        ({"test": tiny_data(47, 1)}, "data test: 48×6"),
        ({"build": _wider}, "model 0.weight: 12×6 float32 → 13×6 float32"),
        ({"build": _tanh}, "model structure"),
    ],
)
def test_a_changed_study_is_refused_with_the_difference(
    tmp_path_factory: pytest.TempPathFactory, change: dict[str, Any], named: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "drift.db"
    study(path, seeds=1, steps=60)
    with pytest.raises(InputError, match="was begun differently") as refused:
        study(path, seeds=1, **change)
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


def test_drift_can_be_allowed(tmp_path: Path) -> None:
    study(tmp_path / "study.db", seeds=2)
    result = study(tmp_path / "study.db", seeds=2, schemes=["he_normal", "ones"], allow_drift=True)
    assert result.run_steps == 2 * 60
    assert result.arms == ("he_normal", "ones")
    assert {run.arm for run in result.runs} == {"he_normal", "ones"}


@pytest.mark.parametrize("name", ["../../x", "x" * 200, "naïve 🙂", "a'; DROP TABLE trials; --", "<b>"])
def test_study_names_that_work(tmp_path: Path, name: str) -> None:
    study(tmp_path / "study.db", study=name, seeds=1, schemes=["zeros"], steps=2)
    assert [p.name for p in tmp_path.iterdir()] == ["study.db"]
    assert states(tmp_path / "study.db", name) == ["ended"]


@pytest.mark.parametrize("name", ["", "   ", "x" * 300, "a\nb", "\x1b[31m", 7, None])
def test_study_names_that_are_refused(tmp_path: Path, name: Any) -> None:
    with pytest.raises(InputError, match="study must be a name"):
        study(tmp_path / "study.db", study=name)
    assert not (tmp_path / "study.db").exists()


def _of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")


def _of_optuna(path: Path) -> None:
    optuna.create_study(storage=f"sqlite:///{path}", study_name="compare").set_user_attr("initlab:begun", "{}")


def _truncated(path: Path) -> None:
    study(path, seeds=1, schemes=["zeros"], steps=2)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _read_only(path: Path) -> None:
    study(path, seeds=1, schemes=["zeros"], steps=2)
    path.chmod(0o444)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_of_another_program, "another program's database"),
        (_of_optuna, "made by Optuna or by an older initlab"),
        (_truncated, "damaged|malformed|cannot be read"),
        (_read_only, "read-only"),
        (lambda path: path.mkdir(), "is a directory"),
        (lambda path: path.write_text("no database at all"), "no SQLite database"),
        (lambda path: path.write_bytes(b"SQLite format 3\x00" + bytes(50)), "cannot be read|damaged"),
        (lambda path: os.mkfifo(path), "no ordinary file"),
    ],
)  # fmt: skip
def test_bad_files_are_refused_and_left_as_they_were(tmp_path: Path, make: Callable[[Path], Any], message: str) -> None:
    path = tmp_path / "study.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(InputError, match=message) as refused:
        study(path)
    assert "\n" not in str(refused.value)
    if before is not None:
        assert path.read_bytes() == before


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"folder .*nowhere.* does not exist"):
        study(tmp_path / "nowhere" / "study.db")


def test_a_file_locked_by_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "study.db"
    study(path, seeds=1, schemes=["zeros"], steps=2)
    monkeypatch.setattr(location, "BUSY_SECONDS", 0.3)
    holder = sqlite3.connect(path)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(InputError, match="locked"):
            study(path, seeds=1, schemes=["zeros"], steps=2)
    finally:
        holder.rollback()
        holder.close()


def test_a_full_disk_is_an_error_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "study.db"
    study(path, seeds=2)
    pages = int(sqlite3.connect(path).execute("PRAGMA page_count").fetchone()[0])
    real = location.synced_and_locked

    def small(engine: Any) -> None:
        real(engine)
        sa.event.listen(engine, "connect", lambda c, record: c.execute(f"PRAGMA max_page_count = {pages + 1}"))

    monkeypatch.setattr(location, "synced_and_locked", small)
    with pytest.raises(InputError, match="full"):
        study(path, seeds=4, at_once=3)
    monkeypatch.undo()
    assert study(path, seeds=4).missing == ()


@pytest.mark.parametrize(
    "storage",
    [
        "", 7, object(), "nosuchdb://host/x", "postgresql://u:hidden@127.0.0.1:1/x", "sqlite://",
        "postgresql://u:hidden@127.0.0.1:port/x", "postgresql://u:hidden@[::1/x",
        optuna.storages.InMemoryStorage(),
    ],
)  # fmt: skip
def test_storages_that_are_none(storage: Any) -> None:
    with pytest.raises(InputError, match="storage") as refused:
        study(storage)
    assert "hidden" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_password_is_never_shown(postgres: str) -> None:
    wrong = postgres.replace("se%3Acr%2Fet", "wr%3Aong%2Fsecret")
    with pytest.raises(InputError) as refused:
        study(wrong)
    text = str(refused.value)
    assert "***" in text
    for secret in ("wr%3Aong%2Fsecret", "wr:ong/secret", "secret"):
        assert secret not in text
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:pw@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:p@w@host/db", "postgresql://me:***@host/db"),
        ("postgresql://host/db?user=me&password=pw", "postgresql://host/db?user=me&password=***"),
        ("mysql+pymysql://me@host/db", "mysql+pymysql://me@host/db"),
        ("sqlite:////tmp/a.db", "sqlite:////tmp/a.db"),
    ],
)
def test_urls_as_shown(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_copies_of_a_study_go_on_apart(tmp_path: Path, whole: initlab.Comparison) -> None:
    study(tmp_path / "a.db", seeds=2)
    shutil.copy(tmp_path / "a.db", tmp_path / "b.db")
    assert numbers(study(tmp_path / "a.db")) == numbers(study(tmp_path / "b.db")) == numbers(whole)


def test_a_database_of_an_older_initlab_is_refused(postgres: str) -> None:
    engine = sa.create_engine(postgres.replace("postgresql:", "postgresql+psycopg2:"))
    other = postgres.rpartition("/")[0] + "/older"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("CREATE DATABASE older")
    engine.dispose()
    storage = optuna.storages.RDBStorage(other.replace("postgresql:", "postgresql+psycopg2:"))
    optuna.create_study(storage=storage, study_name="compare").set_user_attr("initlab:begun", "{}")
    with pytest.raises(InputError, match="older initlab") as refused:
        study(other)
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_each_commit_is_on_the_disk(tmp_path: Path) -> None:
    for _ in ("made", "opened again"):
        engine = open_tables(location.location_of(tmp_path / "study.db"))
        with engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        engine.dispose()
