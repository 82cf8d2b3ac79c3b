"""Runs written in bulk: the rows are those that Optuna would have written, and Optuna goes on from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from initlab.comparison.arms import Arm
from initlab.comparison.study import trial_params
from initlab.study.optuna_store import OptunaStore
from initlab.study.sql_store import SqlStore
from initlab.training.records import RunRecord, ended

ARMS = [Arm(name, name, None, lr, 0.01) for name, lr in (("he_normal", 1e-3), ("zeros", 1e-2))]
SPECS = {spec.key: spec for seed in (0, 1, 2**60) for arm in ARMS for spec in [arm.spec(seed)]}
KEYS = list(SPECS)
CURVE = np.stack([np.arange(1, 41), np.linspace(2, 0.1, 40)], axis=1).astype(np.float32)


def store(path: Path, kind: type[OptunaStore] = SqlStore, maximize: bool = True) -> OptunaStore:
    begun = {"kind": "compare", "schemes": {arm.scheme: "" for arm in ARMS}}

    def params(key: str, kept: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        return trial_params(key, kept, ARMS)

    return kind(f"sqlite:///{path}", "bulk", begun, maximize, params)


def record(key: str, place: int) -> RunRecord:
    """A finished run; the last two of the six one that diverged and one that was stopped."""
    spec, curve = SPECS[key], CURVE.copy()
    if place == 4:
        curve[-1, 1] = np.inf
        return ended(spec, spec.scheme_label, "diverged", 40, curve, [(40.0, np.nan, np.nan)])
    if place == 5:
        return ended(spec, spec.scheme_label, "stopped", 20, curve[:20], [(20.0, 1.0, 0.5)], "worse beyond chance")
    return ended(spec, spec.scheme_label, "finished", 40, curve, [(40.0, 0.5 - place / 10, 0.8 + place / 100)])


def filled(path: Path, kind: type[OptunaStore], maximize: bool) -> list[optuna.trial.FrozenTrial]:
    opened = store(path, kind, maximize)
    assert opened.claim(KEYS, 4) == KEYS[:4]
    opened.put(record(key, i) for i, key in enumerate(KEYS[:4]))
    assert opened.claim(KEYS, 4) == KEYS[4:]
    opened.put(record(key, 4 + i) for i, key in enumerate(KEYS[4:]))
    opened.close()
    return optuna.load_study(study_name="bulk", storage=f"sqlite:///{path}").trials


def plain(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """What Optuna knows of a trial, but for times, ids, who trained it, and the queue of `enqueue_trial`."""
    system = {k: v for k, v in trial.system_attrs.items() if k not in ("fixed_params", "initlab:worker")}
    assert trial.datetime_complete is not None
    assert trial.datetime_start is not None
    assert 0 <= (trial.datetime_complete - trial.datetime_start).total_seconds() < 60
    return {
        "number": trial.number, "state": trial.state, "values": trial.values, "params": trial.params,
        "distributions": trial.distributions, "curve": trial.intermediate_values, "user": trial.user_attrs,
        "system": system,
    }  # fmt: skip


@pytest.mark.parametrize("maximize", [True, False])
def test_rows_are_those_that_optuna_writes(tmp_path: Path, maximize: bool) -> None:
    bulk = filled(tmp_path / "bulk.db", SqlStore, maximize)
    one_by_one = filled(tmp_path / "plain.db", OptunaStore, maximize)
    assert [plain(t) for t in bulk] == [plain(t) for t in one_by_one]
    assert [t.state.name for t in bulk] == ["COMPLETE"] * 4 + ["PRUNED"] * 2


def test_optuna_reads_plots_and_goes_on(tmp_path: Path) -> None:
    filled(tmp_path / "a.db", SqlStore, True)
    study = optuna.load_study(study_name="bulk", storage=f"sqlite:///{tmp_path / 'a.db'}")
    assert study.best_trial.number == 3
    assert study.best_value == pytest.approx(0.83)
    assert len(optuna.visualization.plot_intermediate_values(study).data) == 6
    assert list(study.trials_dataframe()["params_scheme"]) == ["he_normal", "zeros"] * 3
    study.optimize(lambda trial: trial.suggest_float("lr", 1e-3, 1e-2), n_trials=2)
    assert [t.number for t in study.trials] == list(range(8))
    again = store(tmp_path / "a.db")
    assert list(again.ended()) == KEYS
    assert again.claim(KEYS, 9) == []


def test_records_are_read_back_whole(tmp_path: Path) -> None:
    filled(tmp_path / "a.db", SqlStore, True)
    kept = store(tmp_path / "a.db").ended()
    for i, key in enumerate(KEYS):
        wanted = record(key, i)
        assert kept[key].curve.tobytes() == wanted.curve.tobytes()
        assert kept[key].tests.tobytes() == wanted.tests.tobytes()
        assert kept[key].to_dict().keys() == wanted.to_dict().keys()
        assert (kept[key].status, kept[key].reason) == (wanted.status, wanted.reason)


def test_one_run_has_one_worker(tmp_path: Path) -> None:
    one, other = store(tmp_path / "a.db"), store(tmp_path / "a.db")
    assert one.claim(KEYS, 2) == KEYS[:2]
    assert other.claim(KEYS, 9) == KEYS[2:]
    assert one.claim(KEYS, 9) == []
    other.put([record(KEYS[3], 3)])
    assert list(one.ended()) == [KEYS[3]]
    other.release(KEYS[2:])
    assert one.claim(KEYS, 9) == [KEYS[2], *KEYS[4:]]
    failed = [t for t in optuna.load_study(study_name="bulk", storage=f"sqlite:///{tmp_path / 'a.db'}").trials
              if t.state.name == "FAIL"]  # fmt: skip
    assert [t.user_attrs["failed"] for t in failed] == ["given back untrained"] * 3


def test_what_was_taken_over_is_not_written_twice(tmp_path: Path) -> None:
    slow, quick = store(tmp_path / "a.db"), store(tmp_path / "a.db")
    assert slow.claim(KEYS, 1) == KEYS[:1]
    slow._sign(closed=True)
    assert quick.claim(KEYS, 1) == KEYS[:1], "its worker has left"
    quick.put([record(KEYS[0], 1)])
    slow.put([record(KEYS[0], 2)])
    assert slow.ended()[KEYS[0]].accuracy == quick.ended()[KEYS[0]].accuracy == pytest.approx(0.81)
    states = [
        t.state.name for t in optuna.load_study(study_name="bulk", storage=f"sqlite:///{tmp_path / 'a.db'}").trials
    ]
    assert states == ["FAIL", "COMPLETE"]


def test_on_postgres_too(postgres: str, tmp_path: Path) -> None:
    opened = store(tmp_path / "unused.db")
    stored = SqlStore(postgres, "bulk", opened.begun, True, opened.params)
    assert stored.claim(KEYS, 9) == KEYS
    stored.put(record(key, i) for i, key in enumerate(KEYS))
    stored.close()
    url = postgres.replace("postgresql:", "postgresql+psycopg2:")
    found = optuna.load_study(study_name="bulk", storage=url).trials
    assert [plain(t) for t in found] == [plain(t) for t in filled(tmp_path / "a.db", SqlStore, True)]
