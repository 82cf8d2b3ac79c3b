"""`compare`: what it takes, what it refuses, what it says, and that it stops when asked."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
import torch
from conftest_comparison import tiny_build, tiny_data
from spawned import PATIENCE, fresh, spawned
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import initlab
from initlab.comparison import StudyInterrupted
from initlab.comparison.analysis import analyse
from initlab.errors import InputError
from initlab.study.location import location_of
from initlab.study.sql import RUNNING, RUNS, open_tables
from initlab.training.engines.runs import make_model
from initlab.training.group import measuring_steps
from initlab.training.records import RunRecord
from initlab.training.task import RunSpec, Task

TRAIN, TEST = tiny_data(), tiny_data(48, 1)


def compared(**changes: Any) -> initlab.Comparison:
    settings: dict[str, Any] = {
        "schemes": ["he_normal", "zeros"], "seeds": 3, "steps": 40, "batch_size": 16, "lr": 0.01,
        "engine": "sequential",
    }  # fmt: skip
    build, train, test = (changes.pop(k, v) for k, v in (("build", tiny_build), ("train", TRAIN), ("test", TEST)))
    return initlab.compare(build, train, test, **{**settings, **changes})


@pytest.mark.parametrize(
    ("shape", "counted"),
    [((3,), True), ((3, 2), False)],
    ids=["classes last", "classes between"],
)
def test_classes_are_counted_where_targets_fit(shape: tuple[int, ...], counted: bool) -> None:
    """A loss of the user's own reads logits (batch, places, classes); of classes elsewhere there is no accuracy."""

    def each(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(output.flatten(0, 1), target.flatten(0, 1))

    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(4, math.prod(shape)), nn.Unflatten(-1, shape))

    data = (torch.randn(32, 6, 4), torch.randint(0, 3, (32, 6, *shape[1:])))
    found = compared(build=build, train=data, test=data, loss=each, schemes=["he_normal"], steps=3)
    assert all(math.isfinite(run.loss) for run in found.runs)
    assert all(0 <= run.accuracy <= 1 if counted else math.isnan(run.accuracy) for run in found.runs)


@pytest.fixture(scope="module")
def result() -> initlab.Comparison:
    return compared(seeds=5, steps=100, schemes=["zeros", "he_normal", "xavier_normal"])


def test_who_wins(result: initlab.Comparison) -> None:
    assert result.best in ("he_normal", "xavier_normal")
    assert [arm.label for arm in result.summaries][-1] == "zeros"
    test = result.analysis.between("he_normal", "zeros")
    assert test is not None
    assert test.significant
    assert test.difference.mean > 0.2
    assert result.analysis.between("zeros", "he_normal").difference.mean == -test.difference.mean  # type: ignore[union-attr]  # exists, as above
    assert sum(arm.odds for arm in result.summaries) == pytest.approx(1.0)


def test_a_curve_has_the_points_that_are_asked_for() -> None:
    fine, coarse = (compared(steps=20, curve_points=points).runs[0].curve for points in (20, 5))
    assert coarse[:, 0].tolist() == [4, 8, 12, 16, 20]
    np.testing.assert_allclose(coarse[:, 1], fine[:, 1].reshape(5, 4).mean(1), rtol=1e-6)  # float32 means of the same


def test_a_run_is_the_loop_a_user_would_write(result: initlab.Comparison) -> None:
    task = Task(tiny_build, TRAIN, TEST, batch_size=16, steps=100)
    spec = RunSpec("he_normal|lr=0.01|wd=0.01|seed=0", "he_normal", result.plans["he_normal"], 0, 0.01, 0.01)
    model = make_model(task, spec)
    from initlab.training.batches import Order, order_seed

    order = Order(96, 16, True, order_seed(task, spec))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.01)
    losses = []
    for step in range(100):
        index = order.batch(step)
        loss = nn.functional.cross_entropy(model(TRAIN[0][index]), TRAIN[1][index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    run = result.of("he_normal")[0]
    assert run.curve[:, 1] == pytest.approx(np.array(losses), abs=1e-5)
    accuracy = float((model(TEST[0]).argmax(1) == TEST[1]).float().mean())
    assert run.accuracy == pytest.approx(accuracy, abs=1e-6)


def test_what_is_printed_fits_80_columns(result: initlab.Comparison) -> None:
    text = repr(result)
    assert max(map(len, text.splitlines())) <= 80
    for word in ("he_normal", "xavier_normal", "zeros", "95% interval", "not shown to be better"):
        assert word in text
    assert "5 seeds cannot show a difference of" in " ".join(text.split())


def test_reports(result: initlab.Comparison, tmp_path: Path) -> None:
    page = result.save(tmp_path / "compare.html").read_text(encoding="utf-8")
    for word in ("Plans that were used", "Which differences are real", "Training loss", "0.weight"):
        assert word in page
    stored = json.loads(result.save(tmp_path / "compare.json").read_text())
    assert stored["best"] == result.best
    assert len(stored["runs"]) == 15
    assert len(result.to_frame()) == 15
    assert next(trace.name for trace in result.figure().data if trace.name) == result.best
    assert "<table" in result._repr_html_()
    with pytest.raises(InputError, match=r"\.html"):
        result.save(tmp_path / "compare.pdf")


def test_labels_from_users_are_text_everywhere(tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>\x1b[31m[/]"
    result = compared(schemes={evil: "he_normal"}, seeds=1, steps=2)
    assert "<img src=x" not in result._repr_html_()
    assert "<img src=x" not in result.save(tmp_path / "x.html").read_text(encoding="utf-8")
    assert "\x1b" not in repr(result)


def test_kinds_of_schemes() -> None:
    model = tiny_build()
    schemes = [
        "auto",
        initlab.get_scheme("normal", std=0.5),
        {"@Linear": "he_normal", "2.weight": "zeros"},
        None,
        initlab.plan(model, policy="orthogonal"),
    ]
    result = compared(schemes=schemes, seeds=1, steps=2)
    assert result.arms == ("auto", "normal(std=0.5)", "@Linear: he_normal; 2.weight: zeros", "as_built", "orthogonal")
    assert result.plans["normal(std=0.5)"]["0.weight"].std == 0.5


def test_learning_rates_as_a_list_and_per_scheme() -> None:
    grid = compared(lr=[0.001, 0.01], seeds=1, steps=2)
    assert grid.arms == ("he_normal, lr 0.001", "he_normal, lr 0.01", "zeros, lr 0.001", "zeros, lr 0.01")
    own = compared(lr={"he_normal": 0.1, "zeros": [0.2, 0.3]}, seeds=1, steps=2)
    assert [(r.arm, r.lr) for r in own.runs] == [("he_normal", 0.1), ("zeros, lr 0.2", 0.2), ("zeros, lr 0.3", 0.3)]


def test_kinds_of_data() -> None:
    x, y = TRAIN
    whole = compared(steps=4, seeds=1)
    arrays = compared(steps=4, seeds=1, train=(x.numpy(), y.numpy()))
    dataset = compared(steps=4, seeds=1, train=TensorDataset(x, y))
    loader = compared(steps=4, seeds=1, train=DataLoader(TensorDataset(x, y), batch_size=10))
    curves = {r.runs[0].curve.tobytes() for r in (whole, arrays, dataset, loader)}
    assert len(curves) == 1


def test_regression() -> None:
    x = TRAIN[0]
    data = (x, x[:, :1] * 2)
    result = compared(train=data, test=data, build=lambda: nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1)))
    assert result.analysis.metric == "loss"
    assert result.best == "he_normal"
    assert result.summaries[0].score.mean < result.summaries[1].score.mean


def test_a_run_that_diverges_is_an_outcome() -> None:
    result = compared(schemes=["he_normal", initlab.get_scheme("normal", std=1e30)], optimizer="sgd", lr=0.1)
    wild = result.of("normal(std=1e+30)")
    assert {run.status for run in wild} == {"diverged"}
    assert result.summaries[1].score.mean == 0.0
    assert any("diverged runs: normal(std=1e+30)" in line for line in result.warnings)
    assert "3 diverged" in repr(result)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_both_infinities_are_divergence(bad: float) -> None:
    class Spoiled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x)

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(output, target) + output.sum() * 0 + bad

    result = compared(build=Spoiled, loss=loss, seeds=2, steps=3)
    assert {run.status for run in result.runs} == {"diverged"}
    assert result.table().rows
    assert repr(result)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"seeds": -1}, "seeds must be at least 1"),
        ({"seeds": []}, "at least one seed"),
        ({"seeds": [1, 1]}, "seeds holds 1 twice"),
        ({"seeds": [*range(20_000), 7]}, "seeds holds 7 twice"),
        ({"seeds": [-1]}, "seeds must be an integer in"),
        ({"seeds": 2.5}, "seeds must be a count"),
        ({"seeds": True}, "seeds must be a count"),
        ({"steps": 0}, "steps must be a whole number of at least 1"),
        ({"steps": 1.5}, "steps must be a whole number"),
        ({"lr": math.nan}, "lr must be a finite number"),
        ({"lr": -1}, "lr must be at least 0"),
        ({"lr": []}, "at least one learning rate"),
        ({"lr": [0.1, 0.1]}, "lr holds 0.1 twice"),
        ({"lr": {"he_normal": 0.1}}, "misses 'zeros'"),
        ({"lr": {"he_normal": 0.1, "zeros": 0.1, "ones": 1}}, "names 'ones'"),
        ({"schemes": []}, "at least one scheme"),
        ({"schemes": "he_normal"}, "must be a list"),
        ({"schemes": ["he_normal", "he_normal"]}, "'he_normal' twice"),
        ({"schemes": ["he_norml"]}, "did you mean 'he_normal'"),
        ({"schemes": [3]}, "schemes holds int"),
        ({"schemes": [{"nothing.*": "zeros"}]}, "nothing"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"optimizer": "adamm"}, "did you mean"),
        ({"options": {"moment": 1}}, "option"),
        ({"engine": "warp"}, "unknown engine"),
        ({"weight_decay": math.inf}, "weight_decay must be a finite number"),
        ({"evaluations": 0}, "evaluations must be"),
        ({"curve_points": 0}, "curve_points must be"),
        ({"at_once": 0}, "at_once must be"),
        ({"seed": -1}, "seed must be an integer"),
        ({"loss": "hinge"}, "unknown loss"),
        ({"options": [1]}, "options must be a mapping"),
        ({"race": "yes"}, "race must be True or False"),
        ({"shared_order": 1}, "shared_order must be True or False"),
        ({"build": lambda: 3}, "build must return an nn.Module"),
        ({"build": lambda: nn.Linear(6, 3, device="meta")}, "build must return a model that has its values: 'weight'"),
        ({"build": "net"}, "build must be a callable"),
        ({"train": (TRAIN[0] * math.nan, TRAIN[1])}, "NaN"),
        ({"train": (TRAIN[0][:0], TRAIN[1][:0])}, "no rows"),
        ({"train": (TRAIN[0][:5], TRAIN[1])}, "must agree"),
        ({"test": (TEST[0][:, :5], TEST[1])}, "test samples must have the shape of train's"),
        ({"test": None}, "test must be"),
    ],
)
def test_bad_arguments(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        compared(**change)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "remark"),
    [
        ({"train": (TRAIN[0], torch.zeros(96, dtype=torch.int64))}, "all 96 targets are the same"),
        ({"train": (torch.zeros(96, 6), TRAIN[1])}, "all 6 features are constant"),
        ({"seeds": 1}, "1 seed: no interval"),
        ({"schemes": ["he", "zeros"]}, "'he' means he_normal"),
    ],
)
def test_what_is_allowed_and_said(change: dict[str, Any], remark: str) -> None:
    assert any(remark in line for line in compared(steps=2, **change).warnings)


def test_no_global_random_state_is_read_or_moved() -> None:
    def states() -> tuple[Any, ...]:
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()

    torch.manual_seed(1)
    before = states()
    first = compared(steps=5, seeds=2)
    assert states() == before
    torch.manual_seed(2)
    np.random.seed(3)
    again = compared(steps=5, seeds=2)
    assert [r.curve.tobytes() for r in first.runs] == [r.curve.tobytes() for r in again.runs]


def test_a_run_depends_on_no_other() -> None:
    alone = compared(schemes=["he_normal"], seeds=[2], at_once=1)
    among = compared(seeds=4, at_once=3)
    assert alone.runs[0].curve.tobytes() == next(r for r in among.of("he_normal") if r.seed == 2).curve.tobytes()


def test_how_often_runs_are_measured() -> None:
    task = Task(tiny_build, TRAIN, TEST, batch_size=16, steps=1000)
    # 2% of 3 · 1000 · 16 samples are 960: twenty measurements of 48
    assert len(measuring_steps(task, None)) == 20
    large = Task(tiny_build, TRAIN, tiny_data(10_000), batch_size=16, steps=1000)
    assert measuring_steps(large, None) == (1000,)
    assert measuring_steps(task, 3) == (333, 667, 1000)


def test_curves_are_summaries() -> None:
    few = compared(steps=400, seeds=1).runs[0]
    assert len(few.curve) == 100
    assert few.curve[-1, 0] == 400
    many = compared(steps=50, seeds=1001, schemes=["zeros"], build=lambda: nn.Linear(6, 3), engine="auto").runs
    assert len(many) == 1001
    assert {run.curve.nbytes for run in many} == {25 * 8}


def _record(
    arm: str, seed: int, accuracy: float, *, curve: list[tuple[int, float]], status: str = "finished", loss: float = 1.0
) -> RunRecord:
    tests = np.array([[curve[-1][0], loss, accuracy]])
    return RunRecord(
        f"{arm}|{seed}", arm, arm, seed, 0.1, 0.0, status, curve[-1][0], np.array(curve, np.float32), tests
    )  # type: ignore[arg-type]  # a status


def test_an_interval_of_accuracies_lies_within_0_and_1() -> None:
    curve = [(10, 1.0)]
    runs = [_record("a", seed, accuracy, curve=curve) for seed, accuracy in enumerate((0.6, 0.99, 0.99))]
    runs += [_record("b", seed, accuracy, curve=curve) for seed, accuracy in enumerate((0.4, 0.01, 0.01))]
    ends = {arm.label: (arm.score.low, arm.score.high) for arm in analyse(runs, ["a", "b"]).arms}
    assert ends["a"][1] == 1.0
    assert ends["b"][0] == 0.0


@pytest.mark.parametrize("metric", ["accuracy", "loss"])
def test_the_best_arm_has_the_highest_odds_of_being_best(metric: str) -> None:
    """Of losses the lowest is best: the odds were those of being worst."""
    runs = [
        _record(arm, seed, math.nan if metric == "loss" else 1.0 - score, curve=[(10, 1.0)], loss=score)
        for arm, middle in (("good", 0.1), ("bad", 0.5))
        for seed, score in enumerate((middle, middle + 0.01, middle + 0.02))
    ]
    analysis = analyse(runs, ["bad", "good"])
    assert analysis.metric == metric
    assert {arm.label: arm.odds for arm in analysis.arms} == {"good": 1.0, "bad": 0.0}


def test_steps_to_a_loss_are_censored_where_a_run_never_comes_to_it() -> None:
    runs = [
        _record("a", 0, 0.9, curve=[(10, 2.0), (20, 0.5)]),
        _record("a", 1, 0.9, curve=[(10, 0.5), (20, 0.4)]),
        _record("a", 2, 0.9, curve=[(10, 2.0), (20, 1.9)]),
        _record("b", 0, 0.8, curve=[(10, 2.0), (20, 1.5)]),
        _record("b", 1, 0.8, curve=[(10, 2.0), (20, 1.5)]),
        _record("b", 2, 0.8, curve=[(10, 2.0), (20, 0.9)]),
    ]
    analysis = analyse(runs, ["a", "b"], target_loss=1.0)
    times = {arm.label: arm.steps_to for arm in analysis.arms}
    assert (times["a"].median, times["a"].reached) == (20.0, 2)
    assert (times["b"].median, times["b"].reached) == (math.inf, 1)


def test_significance_is_corrected_over_all_pairs() -> None:
    rng = np.random.default_rng(0)
    arms = [f"arm {i}" for i in range(7)]
    shown = 0
    for _ in range(25):
        runs = [_record(a, s, float(rng.normal(0.9, 0.01)), curve=[(1, 1.0)]) for a in arms for s in range(5)]
        shown += any(test.significant for test in analyse(runs, arms).tests)
    # Holm keeps the family at 5%: of 25 studies without any difference, 6 or more would come up once in 500
    assert shown <= 5


def _interrupted(path: str | None, ready: Any, answer: Any) -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)

    built = []

    def build() -> nn.Module:
        built.append(1)
        if len(built) > 2:  # the first is built to plan for
            ready.set()
        return tiny_build()

    try:
        compared(build=build, steps=20_000, seeds=8, storage=path)
    except StudyInterrupted as stop:
        answer.send((time.monotonic(), str(stop), len(stop.result.runs), repr(stop.result)))


@pytest.mark.parametrize("stored", [False, True])
def test_ctrl_c_ends_soon_and_says_how_to_go_on(tmp_path: Path, stored: bool) -> None:
    ready, (here, there) = fresh.Event(), fresh.Pipe()
    child = spawned(_interrupted, str(tmp_path / "s.db") if stored else None, ready, there)
    assert ready.wait(PATIENCE)
    time.sleep(1.0)
    assert child.pid is not None
    asked = time.monotonic()
    os.kill(child.pid, signal.SIGINT)
    assert here.poll(PATIENCE), "it did not stop"
    stopped, message, runs, shown = here.recv()
    child.join(PATIENCE)
    assert "\n" not in message
    assert f"{runs} of 16 runs are done" in message
    assert ("goes on from there" if stored else "storage=") in message
    assert "interrupted" in shown
    # No wall time is asserted but the promise's own, with room for a busy machine.
    assert stopped - asked < 20
    if stored:
        engine = open_tables(location_of(tmp_path / "s.db"))
        with engine.begin() as connection:
            assert RUNNING not in list(connection.scalars(sa.select(RUNS.c.state)))
        engine.dispose()


def test_nothing_is_printed_without_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    compared(steps=3, seeds=1)
    assert capfd.readouterr() == ("", "")


def test_the_live_table(capsys: pytest.CaptureFixture[str]) -> None:
    compared(steps=30, seeds=2, progress=True, schemes={"[bold]he[/]": "he_normal"})
    assert "\x1b]" not in capsys.readouterr().out
    assert sys.stdout is not None


def test_target_loss_and_settings() -> None:
    result = compared(target_loss=0.5, seeds=2)
    assert result.analysis.target_loss == 0.5
    assert result.settings["steps"] == 40
    assert result.settings["train samples"] == 96


def test_where_every_run_diverges_none_is_best(tmp_path: Path) -> None:
    result = compared(schemes=["he_normal", "xavier_normal"], lr=1e30)
    assert "No start trained: every run diverged." in repr(result)
    assert not any("cannot show" in line for line in result.warnings)
    with pytest.raises(InputError, match="no run was finished"):
        result.best
    assert "No start trained" in result.save(tmp_path / "compare.html").read_text(encoding="utf-8")
