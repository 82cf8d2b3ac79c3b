"""Figures hold whatever numbers a network gives, up to the ends of the range of floats."""

from __future__ import annotations

import math

import pytest

from initlab.reporting import LineFigure, Page, Section, Series, to_html, to_plotly


@pytest.mark.parametrize(
    "values",
    [(1e-300, 1e300), (5e-324, 1.7e308), (1.0, 1.0), (1e-12, 1e12), (0.0, -1.0), (math.nan, math.inf), (None, 2.0)],
)
@pytest.mark.parametrize("log", [True, False])
def test_any_range_can_be_drawn(values: tuple[float, float], log: bool) -> None:
    figure = LineFigure("signal", "layer", "second moment", (Series("he", (1, 2), values),), log_y=log)
    assert len(to_plotly(figure).data) >= 1
    assert "second moment" in to_html(Page("report", "", [Section("figures", [figure])]))
