"""The demo: eight starts, each predicted under two optimizers and then trained, and a report of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from initlab.errors import InputError
from initlab.experiments import demo, demo_view
from initlab.experiments.demo import LAYERS, OPTIMIZERS, STARTS, Demo, network
from initlab.inspection.results import Verdict


@pytest.fixture(scope="module")
def told() -> Demo:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "STEPS", 150)
        return demo.run(seed=0)


def test_every_start_is_predicted_and_trained_under_every_optimizer(told: Demo) -> None:
    assert [(t.start, t.optimizer) for t in told.trials] == [(s, o) for s in STARTS for o in OPTIMIZERS]
    assert all(
        t.inspection.optimizer == t.optimizer and t.inspection.lr == OPTIMIZERS[t.optimizer] for t in told.trials
    )


@pytest.mark.parametrize(
    ("start", "kinds"),
    [
        ("sigmoid, std 1", {"saturated"}),
        ("sigmoid, std 0.01", {"collapsed"}),
        ("ReLU, std 0.01", {"vanishing"}),
        ("ReLU, He", set()),
        ("ReLU, zeros", {"symmetric"}),
        ("ReLU, constant 0.1", {"symmetric"}),
    ],
)
def test_the_story_that_is_found_at_step_zero(told: Demo, start: str, kinds: set[str]) -> None:
    trial = next(t for t in told.trials if t.start.name == start and t.optimizer == "sgd")
    found = {finding.kind for finding in trial.inspection.findings}
    assert kinds <= found
    assert bool(kinds) == bool(found)


def test_a_dead_start_stays_at_chance_and_a_healthy_one_does_not(told: Demo) -> None:
    by_name = {(t.start.name, t.optimizer): t for t in told.trials}
    assert by_name["ReLU, He", "sgd"].accuracy > 0.9
    for name in ("ReLU, zeros", "sigmoid, std 0.01", "ReLU, std 0.01"):
        trial = by_name[name, "sgd"]
        assert (trial.inspection.verdict, trial.accuracy < 0.25) == ("untrainable", True)


@pytest.mark.parametrize("width", [40, 80])
def test_the_table_fits(told: Demo, width: int) -> None:
    text = told.text(width)
    assert max(map(len, text.split("\n"))) <= width
    assert all(word in text for word in ("healthy", "untrainable"))


def test_the_report_and_the_numbers(told: Demo, tmp_path: Path) -> None:
    html = told.save(tmp_path / "demo.html").read_text(encoding="utf-8")
    assert html.count('<div class="panel ') == LAYERS * len(STARTS)
    assert html.count('class="plot"') == len(OPTIMIZERS)
    numbers = json.loads(told.save(tmp_path / "demo.json").read_text(encoding="utf-8"))
    assert len(numbers["trials"]) == len(STARTS) * len(OPTIMIZERS)
    with pytest.raises(InputError, match="unknown report ending"):
        told.save(tmp_path / "demo.txt")


@pytest.mark.parametrize(
    ("verdict", "accuracy", "prediction", "counted"),
    [
        ("healthy", 0.9, "right", "16 were right, 0 wrong and 0 uncertain"),
        ("slow", 0.9, "right", "16 were right, 0 wrong and 0 uncertain"),
        ("untrainable", 0.1, "right", "16 were right, 0 wrong and 0 uncertain"),
        ("healthy", 0.1, "wrong", "0 were right, 16 wrong and 0 uncertain"),
        ("untrainable", 0.9, "wrong", "0 were right, 16 wrong and 0 uncertain"),
        ("uncertain", 0.1, "uncertain", "0 were right, 0 wrong and 16 uncertain"),
        ("uncertain", 0.9, "uncertain", "0 were right, 0 wrong and 16 uncertain"),
    ],
)
def test_an_uncertain_verdict_is_neither_right_nor_wrong(
    told: Demo, verdict: Verdict, accuracy: float, prediction: str, counted: str
) -> None:
    trials = tuple(
        replace(t, inspection=replace(t.inspection, verdict=verdict), accuracy=accuracy) for t in told.trials
    )
    assert {trial.prediction for trial in trials} == {prediction}
    assert f"Of 16 verdicts {counted}" in demo_view.agreement(replace(told, trials=trials))
    shown = str(demo_view.page(replace(told, trials=trials)))
    assert ("was predicted, and training reached" in shown) == (prediction != "right")


def test_the_network_has_five_layers_of_a_hundred() -> None:
    assert [tuple(p.shape) for p in network("Sigmoid").parameters() if p.ndim == 2] == [
        (100, 64),
        *[(100, 100)] * 4,
        (10, 100),
    ]


def test_every_histogram_of_the_demo_stands_on_one_axis(told: Demo) -> None:
    grids = demo_view.histograms(told)
    assert len({panel.edges for grid in grids for panel in grid.panels}) == 1
    assert all("One axis for all" in grid.note for grid in grids)


def test_the_margin_of_flattened_pictures_is_no_fault(told: Demo) -> None:
    assert not [f for t in told.trials for f in t.inspection.findings if f.kind == "inputs"]
