"""`search`: the space, what is proposed, pruned, refused, resumed and reported."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
import torch
from conftest_comparison import tiny_build, tiny_data
from spawned import PATIENCE, at_once, fresh, spawned

import initlab
from initlab.comparison import StudyInterrupted
from initlab.errors import InputError
from initlab.reporting import Code
from initlab.schemes import get_scheme
from initlab.searching import space as spaces
from initlab.searching.space import space_of
from initlab.searching.view import page
from initlab.study.location import location_of
from initlab.study.sql import RUNS, open_tables

SPACE = {
    "@Linear": ["he_normal", "zeros", ("normal", {"std": (1e-3, 3.0)})],
    "*.bias": ["zeros"],
    "lr": (1e-4, 1e-1),
}


def searched(**changes: Any) -> initlab.Search:
    settings: dict[str, Any] = {
        "space": SPACE, "trials": 14, "steps": 54, "batch_size": 16, "engine": "sequential", "at_once": 4,
    }  # fmt: skip
    data = changes.pop("data", (tiny_data(), tiny_data(64, 1), tiny_data(64, 2)))
    return initlab.search(changes.pop("build", tiny_build), *data, **{**settings, **changes})


@pytest.fixture(scope="module")
def result() -> initlab.Search:
    torch.set_num_threads(1)
    return searched()


def test_every_trial_is_accounted_for(result: initlab.Search) -> None:
    assert [trial.number for trial in result.trials] == list(range(14))
    assert {trial.state for trial in result.trials} == {"COMPLETE", "PRUNED"}
    assert sum(trial.steps for trial in result.trials) == result.run_steps
    for trial in result.trials:
        assert trial.params["@Linear"] in ("he_normal", "zeros", "normal")
        assert 1e-4 <= trial.params["lr"] <= 1e-1
        assert ("@Linear normal std" in trial.params) == (trial.params["@Linear"] == "normal")


def test_a_loss_by_its_name_is_the_loss() -> None:
    """Targets that are numbers: "mse" and "auto" mean one loss, "l1" another; each is what its function gives."""
    rows = [(x, x[:, :3].clone()) for x, _ in (tiny_data(), tiny_data(64, 1), tiny_data(64, 2))]
    named = {
        loss if isinstance(loss, str) else loss.__name__: [
            t.value for t in searched(data=rows, loss=loss, trials=4, steps=12).trials
        ]
        for loss in ("auto", "mse", "l1", torch.nn.functional.l1_loss)
    }
    assert named["auto"] == named["mse"]
    assert named["l1"] == named["l1_loss"]
    assert named["l1"] != named["mse"]
    with pytest.raises(InputError, match="unknown loss 'hinge'"):
        searched(data=rows, loss="hinge")


def test_the_best_is_the_best_on_validation_and_measured_on_test(result: initlab.Search) -> None:
    assert result.best is not None
    assert result.best_value == max(t.value for t in result.trials if t.state == "COMPLETE")
    assert result.best_value == max(result.best.curve.values())
    assert 0 < result.test_accuracy <= 1
    model = tiny_build()
    initlab.init_(model, result.policy)
    assert result.lr == result.best_params["lr"]


def test_the_test_score_is_that_of_the_best_step(result: initlab.Search) -> None:
    # Trained again and measured on the validation data instead, it gives the very score that chose it.
    valid = tiny_data(64, 1)
    again = searched(data=(tiny_data(), valid, valid))
    assert again.best_params == result.best_params
    assert again.test_accuracy == pytest.approx(again.best_value, abs=1e-6)


def test_screening_is_said_and_recorded(result: initlab.Search) -> None:
    refused = [trial for trial in result.trials if trial.reason.startswith("certain not to train")]
    assert refused
    for trial in refused:
        assert (trial.state, trial.steps) == ("PRUNED", 0)
        assert trial.params["@Linear"] == "zeros"
    assert f"inspect refused {len(refused)} of 14" in result.notes[0]
    assert "screen=True" in repr(result)


def test_without_screening_everything_is_trained() -> None:
    result = searched(screen=False)
    assert all(trial.steps > 0 for trial in result.trials)
    assert "screen=False: every start was trained" in repr(result)


@pytest.mark.parametrize("pruning", ["halving", "hyperband", "median", "none"])
def test_pruners(pruning: str) -> None:
    result = searched(pruning=pruning, screen=False)
    pruned = [trial for trial in result.trials if trial.state == "PRUNED"]
    assert bool(pruned) == (pruning != "none")
    assert all("pruned at step" in trial.reason for trial in pruned)


def test_a_run_that_stops_improving_ends() -> None:
    result = searched(space={"scheme": ["zeros"], "lr": 1e-9}, trials=2, screen=False, pruning="none")
    assert [trial.reason for trial in result.trials] == ["stopped improving at step 6"] * 2
    assert all(trial.steps < 54 for trial in result.trials)


def test_divergence_is_an_outcome() -> None:
    result = searched(space={"scheme": [initlab.get_scheme("normal", std=1e30)]}, trials=3, screen=False)
    assert [trial.reason for trial in result.trials] == ["diverged"] * 3
    assert result.best is None
    assert "No trial was run to the end" in repr(result)


def test_what_mattered(result: initlab.Search) -> None:
    whole = searched(pruning="none", screen=False, trials=20)
    assert set(whole.importances) == {"@Linear", "lr"}
    assert sum(whole.importances.values()) == pytest.approx(1.0)


def test_a_search_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "search.db"
    first = searched(storage=path, trials=6)
    more = searched(storage=path)
    assert [t.number for t in more.trials] == list(range(14))
    assert [t.params for t in more.trials[:6]] == [t.params for t in first.trials]
    assert searched(storage=path).run_steps == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"space": {**SPACE, "lr": (1e-4, 1.0)}}, "space lr"),
        ({"space": {"@Linear": ["he_normal"]}}, "space @Linear"),
        ({"steps": 55}, "steps: 54 → 55"),
        ({"data": (tiny_data(seed=9), tiny_data(64, 1), tiny_data(64, 2))}, "data train"),
    ],
)
def test_a_changed_search_is_refused(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    searched(storage=tmp_path / "search.db", trials=1)
    with pytest.raises(InputError, match="was begun differently") as refused:
        searched(storage=tmp_path / "search.db", **change)
    assert named in str(refused.value)


def test_a_search_of_a_version_that_planned_differently_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {"storage": tmp_path / "search.db", "space": {"scheme": ["he_normal", "zeros"]}}
    searched(**given, trials=1)
    ordinary = spaces.plan
    monkeypatch.setattr(
        spaces, "plan", lambda model, policy: ordinary(model, policy="ones" if policy == "zeros" else policy)
    )
    with pytest.raises(InputError, match=r"was begun differently \(plan scheme zeros: \w+ → \w+\)"):
        searched(**given, trials=2)
    assert len(searched(**given, trials=2, allow_drift=True).trials) == 2


def test_killed_and_resumed(tmp_path: Path) -> None:
    path = tmp_path / "search.db"
    child = spawned(lambda: searched(storage=path, steps=1000))
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not _rows(path):
        time.sleep(0.1)
    time.sleep(0.5)
    child.kill()
    child.join()
    lost = {row.key: json.loads(row.proposal) for row in _rows(path) if row.state == "running" and row.proposal}
    result = searched(storage=path, steps=1000)
    assert [trial.number for trial in result.trials] == list(range(14))
    assert {trial.key: trial.params for trial in result.trials if trial.key in lost} == lost
    assert [(row.state, row.claims) for row in _rows(path) if row.key in lost] == [("ended", 2)] * len(lost)


def _rows(path: Path) -> list[Any]:
    if not path.exists():
        return []
    engine = open_tables(location_of(path))
    with engine.begin() as connection:
        found = list(connection.execute(sa.select(RUNS).order_by(RUNS.c.id)))
    engine.dispose()
    return found


def test_two_workers_share_a_search(tmp_path: Path) -> None:
    path = tmp_path / "search.db"
    workers = at_once([lambda: searched(storage=path, at_once=2)] * 2)
    for worker in workers:
        worker.join(PATIENCE)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert [(row.state, row.claims) for row in _rows(path)] == [("ended", 1)] * 14
    assert searched(storage=path).run_steps == 0


@pytest.mark.parametrize("pruning", ["none", "halving"])
def test_six_and_eight_more_are_fourteen(tmp_path: Path, pruning: str) -> None:
    """A proposal derives from the root seed, the run's key and the trials that have ended, not from a sampler's age."""
    whole = searched(at_once=1, pruning=pruning)
    searched(storage=tmp_path / "search.db", trials=6, at_once=1, pruning=pruning)
    rest = searched(storage=tmp_path / "search.db", at_once=1, pruning=pruning)
    assert [t.params for t in rest.trials] == [t.params for t in whole.trials]
    assert [(t.state, t.steps, dict(t.curve)) for t in rest.trials] == [
        (t.state, t.steps, dict(t.curve)) for t in whole.trials
    ]


def _interrupted(ready: Any, answer: Any) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    built = []

    def build() -> torch.nn.Module:
        built.append(1)
        if len(built) > 2:
            ready.set()
        return tiny_build()

    try:
        searched(build=build, steps=100_000, screen=False)
    except StudyInterrupted as stop:
        answer.send((str(stop), len(stop.result.trials)))


def test_ctrl_c() -> None:
    ready, (here, there) = fresh.Event(), fresh.Pipe()
    child = spawned(_interrupted, ready, there)
    assert ready.wait(PATIENCE)
    time.sleep(0.5)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGINT)
    assert here.poll(PATIENCE), "it did not stop"
    message, done = here.recv()
    child.join(PATIENCE)
    assert message.startswith(f"{done} of 14 trials are done")
    assert "storage=" in message


def test_reports(result: initlab.Search, tmp_path: Path) -> None:
    assert max(map(len, repr(result).splitlines())) <= 80
    page = result.save(tmp_path / "search.html").read_text(encoding="utf-8")
    for word in ("Search history", "Validation curves", "What was searched", "Trials that ended early"):
        assert word in page
    assert "he_normal, zeros, normal(std=(" in page  # the space, as the command line takes it
    stored = json.loads(result.save(tmp_path / "search.json").read_text())
    assert stored["best"]["number"] == result.best.number  # type: ignore[union-attr]  # there is one
    assert len(result.to_frame()) == len(stored["trials"]) == 14
    assert len(result.figure().data[0].y) == sum(t.state == "COMPLETE" for t in result.trials)
    assert "<table" in result._repr_html_()
    assert optuna.visualization.plot_optimization_history(result.study).data


@pytest.mark.parametrize(
    ("policy", "call"),
    [
        ("he_normal", "initlab.init_(model, 'he_normal', "),
        (get_scheme("normal", std=0.3), "initlab.get_scheme('normal', mean=0.0, std=0.3)"),
        (
            {"@Linear": get_scheme("normal", std=0.3), "*": "keep"},
            "    '@Linear': initlab.get_scheme('normal', mean=0.0, std=0.3),\n    '*': 'keep',\n",
        ),
        ({"@Linear": "he_normal", "*": None}, ""),
    ],
)
def test_the_code_of_the_best_start_holds_the_numbers_that_were_found(
    result: initlab.Search, policy: Any, call: str
) -> None:
    codes = [b.code for b in page(replace(result, policy=policy)).sections[0].blocks if isinstance(b, Code)]
    assert call in "".join(codes)
    assert bool(codes) == bool(call)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trials": 0}, "trials must be a whole number"),
        ({"trials": None}, "trials must be a whole number"),
        ({"at_once": 0}, "at_once must be"),
        ({"screen": 3}, "screen must be True or False"),
        ({"pruning": "medium"}, "did you mean 'median'"),
        ({"space": []}, "space must be a mapping"),
        ({"space": {"scheme": []}}, "at least one scheme"),
        ({"space": {"scheme": ["he_norml"]}}, "did you mean 'he_normal'"),
        ({"space": {"scheme": ["zeros", "zeros"]}}, "'zeros' twice"),
        ({"space": {"scheme": ["zeros", "ones"], "*": ["he_normal"]}}, "both stand for the whole model"),
        ({"space": {"scheme": [("normal", {"sdt": (0.1, 1)})]}}, "no argument 'sdt'"),
        ({"space": {"scheme": [("normal", {"std": (1, 0.1)})]}}, "low <= high"),
        ({"space": {"scheme": [("normal", 3)]}}, "scheme with ranges"),
        ({"space": {"lr": (0, 1)}}, "0 < low"),
        ({"space": {"lr": math.nan}}, "lr must be a finite number"),
        ({"data": (tiny_data(), None, tiny_data())}, "valid must be"),
        ({"steps": 0}, "steps must be"),
        ({"seed": "7"}, "seed must be"),
    ],
)
def test_bad_arguments(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        searched(**change)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("decay", [-1, math.nan, True])
def test_a_study_that_no_run_can_be_trained_for_is_not_begun(decay: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="weight_decay must be"):
        searched(weight_decay=decay, storage=str(tmp_path / "s.db"))
    assert not list(tmp_path.iterdir())


def test_the_space() -> None:
    space = space_of({"@Conv2d": ["he_normal", "orthogonal"], "@Linear": "xavier_normal", "lr": 0.1}, "sgd")
    policy, lr, decay = space.suggest(optuna.trial.FixedTrial({"@Conv2d": "orthogonal"}))
    assert policy == {"@Conv2d": "orthogonal", "@Linear": "xavier_normal"}
    assert (lr, decay) == (0.1, None)
    whole = space_of({"scheme": [("normal", {"std": (0.01, 1)})], "weight_decay": (1e-5, 1e-2)}, "adamw")
    policy, lr, decay = whole.suggest(
        optuna.trial.FixedTrial({"scheme normal std": 0.5, "lr": 0.01, "weight_decay": 1e-3})
    )
    assert policy.label == "normal(std=0.5)"
    assert (lr, decay) == (0.01, 1e-3)


@pytest.mark.parametrize("trials", [1, 3])
def test_few_trials_do_not_tell_what_mattered(trials: int) -> None:
    space = {"scheme": ["he_normal", "orthogonal"], "lr": (0.01, 0.1)}
    result = initlab.search(tiny_build, *[tiny_data()] * 3, space, trials, steps=9, batch_size=16)
    assert result.importances == {}


def test_drift_that_is_allowed_goes_on_in_the_new_space(tmp_path: Path) -> None:
    """A scheme that is gone, a range that has moved, a selector that was not there: what no longer fits is listed."""
    spaces: list[dict[str, Any]] = [
        {"scheme": ["he_normal", "zeros"], "lr": (1e-3, 1e-1)},
        {"scheme": ["he_normal", "xavier_normal"], "lr": (1e-3, 1e-1)},
        {"scheme": ["he_normal", "xavier_normal"], "lr": (1e-5, 1e-4)},
        {"@Linear": ["he_normal", ("normal", {"std": (0.01, 0.1)})], "lr": (1e-5, 1e-4), "weight_decay": (1e-5, 1e-2)},
    ]
    path = str(tmp_path / "study.db")
    for count, space in enumerate(spaces, 1):
        result = searched(storage=path, space=space, trials=3 * count, allow_drift=count > 1)
        assert len(result.trials) == 3 * count
        assert result.best is None or set(result.best.params) <= {*space, "@Linear normal std"}
    assert "9 of 12 trials lie outside the space: listed, not chosen from" in result.notes
    with pytest.raises(InputError, match="drift"):
        searched(storage=path, space=spaces[3], trials=13)


def test_numbers_under_an_unknown_name_are_no_schemes() -> None:
    with pytest.raises(initlab.InputError, match=r"'lrr' must hold schemes; got .*0.1\) .*did you mean 'lr'\?"):
        searched(space={"lrr": (1e-3, 0.1)}, trials=1)
    with pytest.raises(initlab.InputError, match=r"'@Linear' must hold schemes; got \[0.1\] .* weight_decay\)$"):
        searched(space={"@Linear": 0.1}, trials=1)
