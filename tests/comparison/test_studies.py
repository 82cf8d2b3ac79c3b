"""Studies: stored, resumed, shared by workers, killed anywhere; the storages that are refused."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from conftest_comparison import tiny_build, tiny_data
from torch import nn

import initlab
from initlab.errors import InputError
from initlab.study import storage as storage_module
from initlab.study.storage import batch, shown_url

fork = multiprocessing.get_context("fork")
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


def trials(path: Path, name: str = "compare") -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{path}").trials


@pytest.fixture(scope="module")
def whole() -> initlab.Comparison:
    """The study as memory alone gives it: what every stored one must equal."""
    torch.set_num_threads(1)
    return study(None)


def in_child(work: Callable[[], Any], kill_after: float | None = None) -> int:
    """Run `work` in a forked process; kill it after some seconds."""
    child = fork.Process(target=work)
    child.start()
    if kill_after is not None:
        time.sleep(kill_after)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
    child.join(120)
    assert child.exitcode is not None
    return child.exitcode


def test_storage_changes_no_number(tmp_path: Path, whole: initlab.Comparison) -> None:
    path = tmp_path / "study.db"
    first, again = study(path), study(f"sqlite:///{path}")
    assert numbers(first) == numbers(again) == numbers(whole)
    assert first.run_steps == 12 * 60
    assert again.run_steps == 0
    assert repr(first.table().rows) == repr(whole.table().rows)


def test_every_run_is_one_optuna_trial_with_its_curve(tmp_path: Path) -> None:
    result = study(tmp_path / "study.db")
    found = {(t.params["scheme"], t.params["seed"]): t for t in trials(tmp_path / "study.db")}
    assert len(found) == len(result.runs) == 12
    for run in result.runs:
        trial = found[run.scheme, run.seed]
        assert trial.value == run.accuracy
        assert trial.params["lr"] == 0.01
        assert trial.intermediate_values[60] == pytest.approx(float(run.curve[-1, 1]))
        assert 2 <= len(trial.intermediate_values) <= 20


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
    done = [t for t in trials(path) if t.state.is_finished() and t.state.name != "FAIL"]
    assert len(done) == 12, "a run was done twice"
    assert sum(t.state.name == "FAIL" for t in trials(path)) <= 3 * len(delays), "more was lost than was in flight"


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
    assert [t.state.name for t in trials(path)] == ["RUNNING"] * 12
    assert numbers(study(path)) == numbers(whole)
    assert [t.state.name for t in trials(path)].count("FAIL") == 12


def test_a_living_workers_runs_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    started = fork.Event()

    def hold() -> None:
        from initlab.comparison import driver

        driver.train_through = lambda *args: (started.set(), time.sleep(60))
        study(path, at_once=4)

    child = fork.Process(target=hold)
    child.start()
    try:
        assert started.wait(60)
        waits = fork.Process(target=lambda: study(path))
        waits.start()
        deadline = time.monotonic() + 60
        while sum(t.state.name in ("COMPLETE", "PRUNED") for t in trials(path)) < 8 and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(1.5)
        states = [t.state.name for t in trials(path)]
        assert states.count("COMPLETE") == 8
        assert states.count("RUNNING") == 4
        assert waits.is_alive(), "it must wait for the runs of the other"
    finally:
        child.kill()
        child.join()
    waits.join(60)
    assert waits.exitcode == 0, "it takes over the runs of the worker that died"
    assert [t.state.name for t in trials(path)].count("COMPLETE") == 12


def _two_workers(url: str, name: str) -> list[optuna.trial.FrozenTrial]:
    workers = [fork.Process(target=lambda: study(url, at_once=2, study=name)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    return optuna.load_study(study_name=name, storage=url.replace("postgresql:", "postgresql+psycopg2:")).trials


def test_two_workers_share_the_runs(tmp_path: Path, whole: initlab.Comparison) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    found = _two_workers(url, "compare")
    assert [t.state.name for t in found] == ["COMPLETE"] * 12, "every run was done once"
    assert len({t.system_attrs["initlab:worker"] for t in found}) == 2
    assert numbers(study(url)) == numbers(whole)


def test_two_workers_on_postgres_and_one_killed(postgres: str, whole: initlab.Comparison) -> None:
    in_child(lambda: study(postgres, at_once=3, study="shared"), kill_after=0.5)
    found = _two_workers(postgres, "shared")
    assert sum(t.state.name == "COMPLETE" for t in found) == 12
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
    assert len(trials(tmp_path / "study.db", name)) == 1


@pytest.mark.parametrize("name", ["", "   ", "x" * 300, "a\nb", "\x1b[31m", 7, None])
def test_study_names_that_are_refused(tmp_path: Path, name: Any) -> None:
    with pytest.raises(InputError, match="study must be a name"):
        study(tmp_path / "study.db", study=name)
    assert not (tmp_path / "study.db").exists()


def _of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")


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
    monkeypatch.setattr(storage_module, "BUSY_SECONDS", 0.3)
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
    real = storage_module._synced_and_locked

    def small(engine: Any) -> None:
        from sqlalchemy import event

        real(engine)
        event.listen(engine, "connect", lambda c, record: c.execute(f"PRAGMA max_page_count = {pages + 1}"))

    monkeypatch.setattr(storage_module, "_synced_and_locked", small)
    with pytest.raises(InputError, match="full"):
        study(path, seeds=4, at_once=3)
    monkeypatch.undo()
    assert study(path, seeds=4).missing == ()


@pytest.mark.parametrize("storage", ["", 7, object(), "nosuchdb://host/x", "postgresql://u:hidden@127.0.0.1:1/x"])
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


def test_a_batch_is_one_transaction(tmp_path: Path) -> None:
    storage = storage_module.open_storage(tmp_path / "study.db")[0]
    study_id = storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "batched")

    def write_and_fail() -> None:
        with batch(storage):
            storage.create_new_trial(study_id)
            storage.set_study_user_attr(study_id, "a", 1)
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        write_and_fail()
    assert storage.get_all_trials(study_id) == []
    with batch(storage):
        first = storage.create_new_trial(study_id)
        storage.set_trial_user_attr(first, "a", 1)
        storage.create_new_trial(study_id)
    assert [t.number for t in storage.get_all_trials(study_id)] == [0, 1]
    assert storage.get_trial(first).user_attrs == {"a": 1}


def test_other_optuna_storages_work_too(tmp_path: Path, whole: initlab.Comparison) -> None:
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal.log"))
    assert numbers(study(optuna.storages.JournalStorage(backend))) == numbers(whole)
    assert numbers(study(optuna.storages.InMemoryStorage())) == numbers(whole)


def test_copies_of_a_study_go_on_apart(tmp_path: Path, whole: initlab.Comparison) -> None:
    study(tmp_path / "a.db", seeds=2)
    shutil.copy(tmp_path / "a.db", tmp_path / "b.db")
    assert numbers(study(tmp_path / "a.db")) == numbers(study(tmp_path / "b.db")) == numbers(whole)


def test_a_worker_killed_between_a_table_and_its_index(tmp_path: Path) -> None:
    """Without the index that keeps study names unique, each call would begin a study of its own."""
    path = tmp_path / "study.db"
    optuna.storages.RDBStorage(f"sqlite:///{path}").engine.dispose()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP INDEX ix_studies_study_name")
    study(path, seeds=1)
    study(path, seeds=1)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM studies").fetchone() == (1,)


def test_after_its_tables_are_made_a_sqlite_file_is_written_through_to_the_disk(tmp_path: Path) -> None:
    for _ in ("made", "opened again"):
        storage, _shown = storage_module.open_storage(str(tmp_path / "study.db"))
        with storage.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        storage.engine.dispose()
