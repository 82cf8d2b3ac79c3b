"""The profile that theory predicts beside the measured one."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from healthy import IMAGES, convolutional, drawn
from test_inspection_causes import CLASSES, DIGITS, built, stack
from torch import nn

import initlab
from initlab import theory


def outside(report: initlab.Inspection) -> list[str]:
    """Layers whose measured size lies outside the predicted band."""
    return [x.name for x in report.layers
            if x.predicted and not x.predicted[0] <= math.sqrt(x.second_moment) <= x.predicted[2]]  # fmt: skip


STACKS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: stack(8),
    "tanh": lambda: stack(8, act=nn.Tanh),
    "gelu": lambda: stack(8, act=nn.GELU),
    "silu": lambda: stack(8, act=nn.SiLU),
    "layer norm": lambda: stack(6, nn.LayerNorm),
    "batch norm": lambda: stack(6, nn.BatchNorm1d),
}


@pytest.mark.parametrize("name", STACKS)
def test_what_is_drawn_as_theory_has_it_stays_in_the_band(name: str) -> None:
    report = initlab.inspect(built(STACKS[name]), CLASSES, DIGITS)
    assert all(x.predicted is not None for x in report.layers)
    assert outside(report) == []


def test_the_middle_is_what_propagate_gives() -> None:
    report = initlab.inspect(built(lambda: stack(8)), CLASSES, DIGITS)
    linear = [x for x in report.layers if x.kind == "linear"]
    sigma_w = [x.weight_rms * math.sqrt(64) for x in linear]
    q = [sigma_w[0] ** 2 * float(CLASSES.square().mean())]
    for sigma in sigma_w[1:]:
        q.append(theory.variance_map("relu", q[-1], sigma))
    assert [x.predicted[1] ** 2 for x in linear] == pytest.approx(q, rel=1e-3)


def test_weights_that_are_no_independent_draws_leave_the_band() -> None:
    model = built(lambda: stack(5))
    with torch.no_grad():
        for layer in model[2::2]:
            layer.weight.abs_()  # a mean of its own: second moments of sums grow with the square of the fan
    assert len(outside(initlab.inspect(model, CLASSES, DIGITS))) > 3


def test_convolutions_are_predicted_and_what_is_not_known_is_left_out() -> None:
    report = initlab.inspect(built(lambda: convolutional(nn.BatchNorm2d, nn.ReLU)), IMAGES)
    assert [x.predicted is not None for x in report.layers if x.kind in ("conv2d", "batch_norm", "relu")] == [True] * 6
    attention = initlab.inspect(nn.MultiheadAttention(8, 2, batch_first=True), (drawn(16, 4, 8),) * 3)
    assert any(x.predicted is None for x in attention.layers) or len(attention.layers) == 1


def test_the_page_draws_the_band_over_the_measured_profile() -> None:
    figure = initlab.inspect(built(lambda: stack(4)), CLASSES, DIGITS).figure()
    names = [trace.name for trace in figure.data]
    assert any("theory" in (name or "") for name in names)
