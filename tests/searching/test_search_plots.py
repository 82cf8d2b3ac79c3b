"""Optuna's plots in the report: there, titled by the page, without markup from names, and without network."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from conftest_comparison import tiny_data
from torch import nn

import initlab
from initlab.reporting import Callout, ReadyFigure, block_html, print_page, to_plotly
from initlab.searching.plots import PLOTS, optuna_figures
from initlab.searching.view import mattering

EVIL = "<img src=x onerror=alert(1)>"


class Named(nn.Module):
    """Parameters whose selector can hold what it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 12)
        self.last = nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> Any:
        return self.last(self.first(x).relu())


@pytest.fixture(scope="module")
def result() -> initlab.Search:
    torch.set_num_threads(1)
    space = {
        "first.*": ["he_normal", ("normal", {"std": (0.01, 1)})],
        "last.*": ["zeros", "he_normal"],
        "lr": (1e-3, 0.1),
    }
    return initlab.search(
        Named, tiny_data(), tiny_data(64, 1), tiny_data(64, 2), space, 16, steps=45, batch_size=16, pruning="none",
        screen=False, patience=None, engine="sequential",
    )  # fmt: skip


def test_every_plot_is_drawn(result: initlab.Search) -> None:
    figures = optuna_figures(result, list(PLOTS))
    assert [figure.title for figure in figures] == [title for title, _, _ in PLOTS.values()]
    assert all(figure.data for figure in figures)


def test_the_parallel_lines_are_seen_on_a_dark_ground_as_on_a_light_one(result: initlab.Search) -> None:
    """No ground of Optuna's own, and the score's colours from orange to blue, none of them near white or black."""
    (figure,) = optuna_figures(result, ["parallel"])
    shown = to_plotly(figure)
    assert shown.layout.plot_bgcolor == "rgba(0,0,0,0)"
    lines = [line for line in shown.data if line.mode != "markers"]
    ends = {line.y[0]: line.line.color for line in lines if line.y[0] in (0, 1)}
    assert ends == {0: "rgb(224, 106, 43)", 1: "rgb(42, 120, 214)"}
    assert len(lines) == 16


def test_patience_none_trains_to_the_end(result: initlab.Search) -> None:
    assert [trial.steps for trial in result.trials] == [45] * 16
    assert result.run_steps == 16 * 45


def test_the_history_is_optunas(result: initlab.Search) -> None:
    found = result.figure()
    wanted = optuna.visualization.plot_optimization_history(result.study, target_name="validation accuracy")
    assert list(found.data[0].y) == list(wanted.data[0].y) == [t.value for t in result.trials]


def test_the_report_holds_them_in_one_file(result: initlab.Search, tmp_path: Path) -> None:
    text = result.save(tmp_path / "search.html").read_text()
    for title, _, _ in PLOTS.values():
        assert title in text
    assert len(text) < 8_000_000
    assert "default-src" in text
    assert not re.search(r'<script[^>]+src=|<link[^>]+href="http', text)


def test_too_few_trials_have_no_plots() -> None:
    one = initlab.search(Named, tiny_data(), tiny_data(64, 1), tiny_data(64, 2), trials=1, steps=9, batch_size=16)
    assert optuna_figures(one, list(PLOTS)) == []
    assert "Best" in repr(one)


def test_markup_in_a_ready_figure_is_text() -> None:
    data = [
        {
            "type": "scatter",
            "name": EVIL,
            "x": [EVIL],
            "y": [1],
            "text": [f"a<br>{EVIL}"],
            "hovertemplate": "%{x}<extra></extra>",
        }
    ]
    layout = {"title": {"text": "no"}, "template": {"layout": {}}, "xaxis": {"title": {"text": EVIL}}, "height": 400}
    figure = ReadyFigure("Ready", data, layout)
    shown = to_plotly(figure)
    text = json.dumps(shown.to_plotly_json(), default=str)
    assert "<img" not in text
    assert "a<br>&lt;img" in text
    assert "<extra></extra>" in text
    assert shown.layout.height == 400
    assert shown.layout.title.text == "Ready"
    assert "<img" not in block_html(figure)


def test_in_a_terminal_the_report_is_pointed_to(capsys: pytest.CaptureFixture[str]) -> None:
    print_page(ReadyFigure("Slices", [], {}))
    assert "Slices: see the report" in capsys.readouterr().out


def test_few_trials_are_points_and_the_evidence_is_said_to_be_thin() -> None:
    space = {"scheme": ["he_normal"], "lr": (1e-3, 0.1), "weight_decay": (1e-5, 1e-2)}
    few = initlab.search(
        Named, tiny_data(), tiny_data(64, 1), tiny_data(64, 2), space, 4, steps=20, batch_size=16, pruning="none",
        screen=False, patience=None, engine="sequential",
    )  # fmt: skip
    blocks = mattering(few)
    assert isinstance(blocks[0], Callout)
    assert "4 complete trials over 2 parameters" in blocks[0].title
    assert [block.title for block in blocks[1:]] == ["Slices", "lr and weight_decay"]
    assert len(blocks[-1].series[0].x) == 4
