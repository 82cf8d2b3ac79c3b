"""Racing: the level that is stated, the arms that are stopped, set aside and refused, the seeds that are added."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest_comparison import tiny_build, tiny_data

import initlab
from initlab.comparison.analysis import analyse
from initlab.comparison.leaving import losers, scores_of
from initlab.comparison.race import LEVEL, LOOKS, Spending, default_budget
from initlab.statistics import paired_t
from initlab.training.records import Keeper
from initlab.training.task import Progress, RunSpec


def raced(**changes: Any) -> initlab.Comparison:
    normal = initlab.get_scheme
    settings: dict[str, Any] = {
        "schemes": ["he_normal", "xavier_normal", "zeros", normal("normal", std=3.0)], "seeds": 5, "steps": 100,
        "batch_size": 16, "lr": 0.003, "engine": "sequential", "race": True,
    }  # fmt: skip
    return initlab.compare(tiny_build, tiny_data(), tiny_data(200, 1), **{**settings, **changes})


@pytest.fixture(scope="module")
def result() -> initlab.Comparison:
    return raced()


def test_a_race_spends_less_and_names_the_same_winner(result: initlab.Comparison) -> None:
    whole = raced(race=False)
    assert result.best == whole.best
    assert result.run_steps <= 0.6 * whole.run_steps
    assert sum(run.steps for run in result.runs) == result.run_steps


def test_a_start_that_cannot_train_is_refused(result: initlab.Comparison) -> None:
    refused = result.of("zeros")
    assert {(run.status, run.steps) for run in refused} == {("refused", 0)}
    assert refused[0].reason.startswith("certain not to train: symmetric")
    assert any(line.startswith("zeros was refused") for line in result.notes)


def test_what_was_stopped_when_and_why_is_said(result: initlab.Comparison, tmp_path: Path) -> None:
    out = result.of("normal(std=3.0)")
    assert {run.status for run in out} <= {"stopped", "set aside"}
    assert all(0 < run.steps < 100 for run in out)
    assert f"at step {out[0].steps}" in out[0].reason
    page = result.save(tmp_path / "race.html").read_text(encoding="utf-8")
    assert "Runs that were stopped, set aside or refused" in page


def test_the_two_best_get_the_further_seeds(result: initlab.Comparison) -> None:
    counts = {arm: len(result.of(arm)) for arm in result.arms}
    assert counts["he_normal"] >= 3
    assert max(counts.values()) == max(counts["he_normal"], counts["xavier_normal"])
    assert counts["zeros"] == counts["normal(std=3.0)"] == 3


def test_a_race_resumed_decides_the_same(tmp_path: Path, result: initlab.Comparison) -> None:
    path = tmp_path / "race.db"
    first, again = raced(storage=path), raced(storage=path)
    numbers = [[(r.key, r.status, r.steps, r.curve.tobytes()) for r in c.runs] for c in (result, first, again)]
    assert numbers[0] == numbers[1] == numbers[2]
    assert again.run_steps == 0
    assert set(again.notes) == set(result.notes)


def test_a_race_goes_on_from_a_study_without_one(tmp_path: Path) -> None:
    """It waited for ever for the runs that it had not claimed, because they had ended."""
    path = tmp_path / "study.db"
    settings = {"schemes": ["he_normal", "xavier_normal"], "steps": 20, "storage": path}
    raced(**settings, seeds=2, race=False)
    again = raced(**settings, seeds=3)
    assert {run.status for run in again.runs} == {"finished"}
    assert len(again.runs) == 6
    assert again.run_steps == 2 * 20
    assert any("4 of the first 6 runs were done before the race" in note for note in again.notes)


def test_a_larger_budget_adds_seeds_beyond_those_asked_for() -> None:
    twins = raced(schemes={"one": "he_normal", "two": "he_normal"}, seeds=3, steps=20, budget=2 * 6 * 20)
    assert len(twins.of("one")) == len(twins.of("two")) == 6
    assert not any(test.significant for test in twins.tests)


def test_an_arm_that_diverges_leaves_and_its_steps_do_not_count(tmp_path: Path) -> None:
    settings = {
        "schemes": {"he": "he_normal", "xavier": "xavier_normal", "huge": "lecun_normal"},
        "optimizer": "sgd", "lr": {"he": 0.05, "xavier": 0.05, "huge": 1e30},
    }  # fmt: skip
    whole, first, again = (raced(**settings, **more) for more in ({"race": False}, *[{"storage": tmp_path / "a"}] * 2))
    broken = first.of("huge")
    assert {run.status for run in broken} == {"diverged"}
    assert any(line.startswith("huge left the race: every seed diverged by step") for line in first.notes)
    assert whole.run_steps < 3 * 5 * 100
    assert first.run_steps <= max(0.4 * whole.run_steps, 2 * 5 * 100)
    assert set(again.notes) == set(first.notes), "a race that goes on from its records must know it as well"


@pytest.mark.parametrize(("looks", "arms"), [(1, 2), (5, 7), (7, 3), (12, 30)])
def test_spending_adds_up_to_the_level(looks: int, arms: int) -> None:
    spending = Spending(looks, arms)
    assert sum(spending.at(look) for look in range(1, looks + 1)) == pytest.approx(LEVEL)
    assert spending.pair(looks) * arms * (arms - 1) / 2 == pytest.approx(spending.at(looks))


def _null_race(rng: np.random.Generator, arms: int, seeds: int, spread: str) -> bool:
    """Whether any of equally good arms is stopped at any look of one race without differences."""
    steps = 100
    looks = [round(share * steps) for share in LOOKS]
    noise = {"normal": rng.normal, "uniform": rng.uniform, "skewed": rng.exponential}[spread](size=(arms, seeds))
    seed_effect = rng.normal(size=seeds)
    spending = Spending(len(LOOKS) + 1 + 2, arms)
    table: dict[str, dict[int, np.ndarray]] = {f"arm {i}": {} for i in range(arms)}
    for look, step in enumerate(looks, 1):
        for i in range(arms):
            table[f"arm {i}"][max(1, step // 2)] = np.full(seeds, 10.0)  # so that only the test decides
            table[f"arm {i}"][step] = noise[i] + seed_effect + 0.3 * rng.normal(size=seeds)
        if losers(table, step, spending.pair(look), "loss"):
            return True
    final = [table[f"arm {i}"][looks[-1]] for i in range(arms)]
    best = int(np.argmax([row.mean() for row in final]))
    return any(paired_t(row - final[best]) < spending.pair(len(LOOKS) + 1) for row in final if row is not final[best])


@pytest.mark.parametrize(("arms", "seeds"), [(2, 3), (7, 3), (7, 5)])
@pytest.mark.parametrize("spread", ["normal", "uniform", "skewed"])
def test_the_level_holds_without_differences(arms: int, seeds: int, spread: str) -> None:
    rng = np.random.default_rng(arms * seeds)
    wrong = sum(_null_race(rng, arms, seeds, spread) for _ in range(300))
    # At the stated 5%, more than 27 of 300 would come up less than once in 1,000
    assert wrong <= 27


@pytest.mark.nightly
@pytest.mark.parametrize(("arms", "seeds"), [(2, 3), (4, 5), (7, 3), (20, 5)])
def test_the_level_holds_in_many_races(arms: int, seeds: int) -> None:
    rng = np.random.default_rng(1)
    wrong = sum(_null_race(rng, arms, seeds, "normal") for _ in range(5000))
    assert wrong / 5000 <= LEVEL + 4 * (LEVEL * (1 - LEVEL) / 5000) ** 0.5


def test_a_clear_loser_is_found_and_a_late_bloomer_is_not() -> None:
    good = {10: np.array([0.5, 0.51, 0.49]), 20: np.array([0.9, 0.91, 0.89])}
    bad = {10: np.array([0.1, 0.1, 0.1]), 20: np.array([0.1, 0.1, 0.1])}
    late = {10: np.array([0.2, 0.21, 0.19]), 20: np.array([0.8, 0.81, 0.79])}
    found = losers({"good": good, "bad": bad, "late": late}, 20, 0.01, "accuracy")
    assert set(found) == {"bad"}, "worse now, but past where the leader was at half the steps"
    assert "behind good at step 20 over 3 seeds" in found["bad"]
    assert "80 points behind" in found["bad"]
    losses = losers({"good": good, "bad": bad}, 20, 0.01, "loss")  # of a loss below 0, such as a density's
    assert "0.8 behind" in losses["bad"], "a difference of losses is none of percents"


@pytest.mark.parametrize("metric", ["accuracy", "loss"])
def test_a_seed_that_diverged_scores_in_a_race_what_it_scores_in_the_tables(metric: str) -> None:
    """A race took its last measurement: what a network of nan answers, or the loss on its way to no number."""
    measured = {
        "gone": [(10.0, 0.5, 0.8), (14.0, 1e30, 0.1)],
        "well": [(10.0, 0.5, 0.8), (20.0, 0.4, 0.9)],
    }
    keepers = {}
    for seed, (key, tests) in enumerate(measured.items()):
        keeper = Keeper(RunSpec(key, "scheme", None, seed, 0.1, 0.0), "arm", 20)
        losses = np.full(int(tests[-1][0]), 2.5)
        keeper.add(Progress(len(losses), losses, key == "gone"))
        keeper.tests = [(step, loss, accuracy if metric == "accuracy" else np.nan) for step, loss, accuracy in tests]
        keepers[key] = keeper
    training: Any = SimpleNamespace(keepers=keepers)
    raced = scores_of(training, {"arm": list(keepers)}, metric)["arm"][20]
    records = [keepers["gone"].record("diverged"), keepers["well"].record("finished")]
    assert raced.tolist() == ([0.0, 0.9] if metric == "accuracy" else [-2.5, -0.4])
    assert analyse(records, ["arm"]).arms[0].score.mean == pytest.approx(abs(raced.mean()))


@pytest.mark.parametrize(
    ("arms", "seeds", "steps", "budget"), [(7, 5, 600, 8400), (3, 5, 100, 1000), (2, 4, 10, 80), (1, 5, 10, 50)]
)
def test_default_budget(arms: int, seeds: int, steps: int, budget: int) -> None:
    assert default_budget(arms, seeds, steps) == budget


def test_a_diverged_arm_lowers_the_default_budget() -> None:
    assert default_budget(7, 5, 600, unspent=5 * 590) == 2 * (7 * 5 * 600 - 5 * 590) // 5
    assert default_budget(2, 5, 600, unspent=5 * 590) == 2 * 5 * 600
