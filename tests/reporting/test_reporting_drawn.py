"""Figures saved as PNG, SVG and PDF, and one line for what cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import initlab
from initlab.errors import InputError
from initlab.reporting import ImageGrid, to_plotly
from initlab.reporting.drawn import DrawnFigure

MARKS = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


@pytest.fixture(scope="module")
def report() -> initlab.Inspection:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    return initlab.inspect(model, torch.randn(64, 8), torch.arange(64) % 3)


def test_a_report_names_its_figures(report: initlab.Inspection) -> None:
    assert set(report.figures()) == {"signals", "weights", "spread", "histograms", "shapes", "rates"}


@pytest.mark.parametrize("ending", MARKS)
@pytest.mark.parametrize("name", ["signals", "histograms", "rates"])
def test_a_figure_saves_itself(report: initlab.Inspection, tmp_path: Path, name: str, ending: str) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib, the extra `figures`, is not installed")
    path = report.figure(name).save(tmp_path / f"x{ending}")
    assert path.read_bytes().startswith(MARKS[ending])
    again = report.figure(name).save(tmp_path / f"y{ending}")
    assert again.read_bytes() == path.read_bytes()


def test_a_grid_of_images_saves_itself(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib, the extra `figures`, is not installed")
    grid = ImageGrid("Filters", [[[0, 1], [2, 3]], [[3, 2], [1, 0]]], captions=("a", "b"), columns=2)
    for ending, mark in MARKS.items():
        assert DrawnFigure(to_plotly(grid)).save(tmp_path / f"x{ending}").read_bytes().startswith(mark)


def test_images_of_one_scale_are_drawn_in_one_scale() -> None:
    grid = ImageGrid("Filters", [[[0, 1]], [[0, 9]]], shared_scale=True)
    assert [(trace.zmin, trace.zmax) for trace in to_plotly(grid).data] == [(0, 9), (0, 9)]


def test_what_cannot_be_meant_is_one_line(report: initlab.Inspection, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown figure 'signal'; did you mean 'signals'"):
        report.figure("signal")
    with pytest.raises(InputError, match=r"unknown figure ending '\.jpg'"):
        report.figure("signals").save(tmp_path / "x.jpg")
    assert list(tmp_path.iterdir()) == []
