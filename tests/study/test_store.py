"""One contract that every store keeps: in memory, in a SQLite file, on a PostgreSQL server."""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from spawned import PATIENCE, at_once, fresh, spawned

from initlab.comparison.arms import Arm
from initlab.errors import InputError
from initlab.study import lease, sql
from initlab.study.sql import SqlStore, stored_study
from initlab.study.store import MemoryStore, Store
from initlab.study.to_optuna import export_study, quiet_optuna
from initlab.training.records import RunRecord, ended, record_from

ARMS = [Arm(name, name, None, lr, 0.01) for name, lr in (("he_normal", 1e-3), ("zeros", 1e-2))]
SPECS = {spec.key: spec for seed in (0, 1, 2**60) for arm in ARMS for spec in [arm.spec(seed)]}
KEYS = list(SPECS)
CURVE = np.stack([np.arange(1, 41), np.linspace(2, 0.1, 40)], axis=1).astype(np.float32)
NAMES = (f"study {i}" for i in itertools.count())  # one server serves all tests

Open = Callable[[], SqlStore[RunRecord]]


def record(key: str, place: int) -> RunRecord:
    """A finished run; the last two of the six one that diverged and one that was stopped."""
    spec, curve = SPECS[key], CURVE.copy()
    if place == 4:
        curve[-1, 1] = np.inf
        return ended(spec, spec.scheme_label, "diverged", 40, curve, [(40.0, np.nan, np.nan)])
    if place == 5:
        return ended(spec, spec.scheme_label, "stopped", 20, curve[:20], [(20.0, 1.0, 0.5)], "worse beyond chance")
    return ended(spec, spec.scheme_label, "finished", 40, curve, [(40.0, 0.5 - place / 10, 0.8 + place / 100)])


def opened(storage: Any, name: str, maximize: bool = True) -> SqlStore[RunRecord]:
    return SqlStore(storage, name, {"kind": "compare"}, maximize, record_from)


@pytest.fixture(params=["sqlite", "postgres"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens one study in a database, as often as it is called: each time a worker of its own."""
    name = next(NAMES)
    storage = request.getfixturevalue("postgres") if request.param == "postgres" else tmp_path / "study.db"
    return lambda: opened(storage, name)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store[RunRecord]:
    if request.param == "memory":
        return MemoryStore()
    return opened(
        request.getfixturevalue("postgres") if request.param == "postgres" else tmp_path / "study.db", next(NAMES)
    )


def test_runs_are_claimed_in_order_and_once(store: Store[RunRecord]) -> None:
    assert store.claim(KEYS, 2) == KEYS[:2]
    assert store.claim(KEYS, 2) == KEYS[2:4]
    assert store.claim(KEYS[:4], 9) == []
    store.put([record(KEYS[1], 1)])
    store.release([KEYS[0], KEYS[2]])
    assert store.claim(KEYS, 9) == [KEYS[0], KEYS[2], *KEYS[4:]]
    assert store.claim(KEYS, 9) == []
    store.close()
    store.close()


def test_records_are_given_back_whole(store: Store[RunRecord]) -> None:
    store.claim(KEYS, 9)
    store.put(record(key, i) for i, key in enumerate(KEYS))
    kept = store.ended()
    assert set(kept) == set(KEYS)
    for i, key in enumerate(KEYS):
        wanted = record(key, i)
        assert kept[key].curve.tobytes() == wanted.curve.tobytes()
        assert kept[key].tests.tobytes() == wanted.tests.tobytes()
        assert (kept[key].status, kept[key].reason) == (wanted.status, wanted.reason)
    assert store.claim(KEYS, 9) == []


def test_what_was_not_claimed_is_not_kept(store: Store[RunRecord]) -> None:
    store.put([record(KEYS[0], 0)])
    assert store.ended() == {}


def test_the_first_word_is_remembered(store: Store[RunRecord]) -> None:
    assert store.recall("engine") is None
    store.remember("engine", "stacked")
    store.remember("engine", "sequential")
    store.remember("other", "word")
    assert (store.recall("engine"), store.recall("other")) == ("stacked", "word")


def test_a_proposal_outlives_the_claim(store: Store[RunRecord]) -> None:
    store.claim(KEYS, 1)
    assert store.proposal(KEYS[0]) is None
    store.propose(KEYS[0], {"lr": 0.1, "scheme": "zeros"})
    store.release(KEYS[:1])
    store.claim(KEYS, 1)
    assert store.proposal(KEYS[0]) == {"lr": 0.1, "scheme": "zeros"}


def test_a_run_has_one_worker(shared: Open) -> None:
    one, other = shared(), shared()
    assert one.claim(KEYS, 2) == KEYS[:2]
    assert other.claim(KEYS, 9) == KEYS[2:]
    assert one.claim(KEYS, 9) == []
    other.put([record(KEYS[3], 3)])
    assert list(one.ended()) == [KEYS[3]]
    other.close()
    assert one.claim(KEYS, 9) == [KEYS[2], *KEYS[4:]]
    one.remember("engine", "stacked")
    assert shared().recall("engine") == "stacked"


def _race_for_claims(shared: Open, done: Any, answer: Any) -> None:
    mine, store = [], shared()
    while claimed := store.claim([f"run {i}" for i in range(60)], 3):
        mine += claimed
    answer.send(mine)
    done.wait(PATIENCE)
    os._exit(0)


def test_workers_that_claim_at_once_share_without_overlap(shared: Open) -> None:
    shared().close()
    done, pipes = fresh.Barrier(4), [fresh.Pipe(duplex=False) for _ in range(4)]
    workers = at_once([lambda *ends: _race_for_claims(shared, *ends)] * 4, [(done, there) for _, there in pipes])
    got = [here.recv() for here, _ in pipes]
    for worker in workers:
        worker.join(PATIENCE)
    assert sorted(key for keys in got for key in keys) == sorted(f"run {i}" for i in range(60))


def _claim_and_die(shared: Open) -> None:
    shared().claim(KEYS, 3)
    os._exit(9)


def test_runs_of_a_dead_worker_are_taken_up_again(shared: Open) -> None:
    living = shared()
    assert living.claim(KEYS[3:], 1) == KEYS[3:4]
    child = spawned(lambda: _claim_and_die(shared))
    child.join(PATIENCE)
    assert child.exitcode == 9
    assert shared().claim(KEYS, 9) == [*KEYS[:3], *KEYS[4:]]
    assert living.claim(KEYS, 9) == []


def test_what_was_taken_over_is_not_written_twice(shared: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, quick = shared(), shared()
    assert slow.claim(KEYS, 1) == KEYS[:1]
    monkeypatch.setattr(sql, "alive", lambda sign: False)
    assert quick.claim(KEYS, 1) == KEYS[:1]
    slow.put([record(KEYS[0], 2)])
    assert slow.ended() == {}
    quick.put([record(KEYS[0], 1)])
    assert slow.ended()[KEYS[0]].accuracy == quick.ended()[KEYS[0]].accuracy == pytest.approx(0.81)


def test_a_silent_worker_of_another_machine_is_dead_after_its_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    sign = {**lease.this_worker().sign_of_life(), "host": "elsewhere"}
    assert lease.alive(sign)
    assert not lease.alive({**sign, "seen": sign["seen"] - lease.LEASE_SECONDS - 1})


def test_a_beat_renews_the_lease(shared: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    store, seen = shared(), []
    store.claim(KEYS, 1)
    monkeypatch.setattr(sql, "BEAT_SECONDS", 0.0)
    monkeypatch.setattr(sql, "alive", lambda sign: bool(seen.append(sign["seen"])) or True)
    other = shared()
    for _ in range(2):
        other.claim(KEYS[:1], 1)
        store.beat()
    assert seen[1] > seen[0]


@pytest.mark.parametrize("maximize", [True, False])
def test_a_study_is_exported_to_optuna(tmp_path: Path, maximize: bool) -> None:
    store = opened(tmp_path / "study.db", "mine", maximize)
    store.claim(KEYS, 9)
    store.put(record(key, i) for i, key in enumerate(KEYS))
    store.close()
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    export_study(tmp_path / "study.db", "mine", url)
    found = optuna.load_study(study_name="mine", storage=url)
    assert [t.state.name for t in found.trials] == ["COMPLETE"] * 4 + ["PRUNED"] * 2
    assert [t.params["scheme"] for t in found.trials] == ["he_normal", "zeros"] * 3
    assert [t.params.get("seed") for t in found.trials] == [0, 0, 1, 1, None, None]  # 2^60 is no exact number there
    assert found.best_trial.number == 3
    assert found.best_value == pytest.approx(0.83 if maximize else 0.2)
    assert found.trials[0].intermediate_values[40] == pytest.approx(0.1)
    assert len(optuna.visualization.plot_intermediate_values(found).data) == 6
    with pytest.raises(InputError, match="holds a study 'mine' already"):
        export_study(tmp_path / "study.db", "mine", url)


def test_a_study_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    opened(tmp_path / "study.db", "mine").close()
    with pytest.raises(InputError, match="holds no study 'other'; it holds mine"):
        stored_study(tmp_path / "study.db", "other")


def test_to_look_for_a_study_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        stored_study(tmp_path / "stdy.db", "mine")
    assert not list(tmp_path.iterdir())


def test_two_threads_leave_the_level_of_optunas_remarks_as_it_was() -> None:
    level = logging.getLogger("optuna").level
    within, left = threading.Event(), threading.Event()

    def first() -> None:
        with quiet_optuna():
            within.set()
            left.wait(PATIENCE)

    thread = threading.Thread(target=first)
    thread.start()
    within.wait(PATIENCE)
    with quiet_optuna():
        left.set()
        thread.join()
    assert logging.getLogger("optuna").level == level
