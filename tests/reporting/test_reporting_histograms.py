"""Histograms of one comparison on one axis."""

from __future__ import annotations

import re

import pytest

from initlab.reporting import HistogramGrid, Panel, block_html, on_one_axis

WIDE = HistogramGrid("wide", [Panel("a", [-4.0, 0.0, 4.0], [50, 50])])
NARROW = HistogramGrid("narrow", [Panel("b", [-0.1, 0.0, 0.1], [30, 70]), Panel("empty", [], [])])


def test_every_panel_has_the_same_edges_and_keeps_its_counts() -> None:
    wide, narrow = on_one_axis([WIDE, NARROW])
    assert wide.panels[0].edges == narrow.panels[0].edges
    assert sum(wide.panels[0].counts) == pytest.approx(100)
    assert sum(narrow.panels[0].counts) == pytest.approx(100)


def test_a_narrow_histogram_is_a_spike_beside_a_wide_one() -> None:
    wide, narrow = on_one_axis([WIDE, NARROW])
    assert max(narrow.panels[0].counts) > 10 * max(wide.panels[0].counts)


def test_the_scale_is_said() -> None:
    assert "-4 to 4" in on_one_axis([WIDE, NARROW])[1].note.replace("−", "-")


def test_a_far_value_does_not_stretch_the_axis() -> None:
    far = HistogramGrid("far", [Panel("c", [0.0, 1.0, 1e6, 2e6], [99_999, 0, 1])])
    panel = on_one_axis([far])[0].panels[0]
    assert panel.edges[-1] <= 2
    assert sum(panel.counts) == pytest.approx(100_000)


def test_one_that_explodes_is_cut_and_says_so() -> None:
    near = [HistogramGrid(f"start {i}", [Panel("c", [0.0, 1.0], [10])]) for i in range(3)]
    grids = on_one_axis([*near, HistogramGrid("exploding", [Panel("c", [0.0, 1e4], [10])])])
    assert grids[0].panels[0].edges[-1] == 1
    assert "100% beyond the axis" in grids[-1].panels[0].note
    assert grids[0].panels[0].note == ""


def test_values_all_alike_are_one_bin() -> None:
    (grid,) = on_one_axis([HistogramGrid("one", [Panel("d", [0.5, 0.5], [10]), Panel("e", [0.0, 1.0], [10])])])
    assert sorted(grid.panels[0].counts)[-1] == pytest.approx(10)


def test_nothing_to_show_stays() -> None:
    assert on_one_axis([HistogramGrid("none", [])]) == [HistogramGrid("none", [])]


def test_long_names_of_panels_are_cut_in_the_middle_and_stay_distinct() -> None:
    names = [f"encoder.layers.{i}.feed_forward_network.{j}" for i in range(3) for j in range(3)]
    shown = re.findall(
        r'<p class="name" title="([^"]*)">([^<]*)</p>',
        block_html(HistogramGrid("", [Panel(n, [0.0, 1.0], [1]) for n in names])),
    )
    assert [whole for whole, _ in shown] == names
    assert len({cut for _, cut in shown}) == len(names)
    assert all(len(cut) <= 22 for _, cut in shown)
