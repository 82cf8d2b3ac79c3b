"""How much of what the loss asks for can be read from what arrives at the read-out."""

from __future__ import annotations

import pytest
import torch

from initlab.inspection.readable import RIDGE, readable

GENERATOR = torch.Generator().manual_seed(5)
X = torch.randn(96, 8, generator=GENERATOR)
TOLD = X @ torch.randn(8, 3, generator=GENERATOR)
NOISE = torch.randn(96, 3, generator=GENERATOR)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_what_rows_tell_of_rows_that_they_did_not_see(scale: float) -> None:
    assert readable(scale * X, TOLD / scale, 0) > 0.95  # a linear map, whatever the units
    assert readable(scale * X, NOISE, 0) < 0.1  # nothing to be told: the guess is worse than none


def test_it_is_the_error_of_each_row_left_out() -> None:
    """The closed form against ridge regression fitted anew without each row, on rows centred once."""
    x, y = X[:20].double(), (TOLD + NOISE)[:20].double()
    x, y = x - x.mean(0), y - y.mean(0)
    ridge = RIDGE * float((x @ x.t()).trace()) / 20
    left = []
    for i in range(20):
        rest = [j for j in range(20) if j != i]
        gram = x[rest] @ x[rest].t() + ridge * torch.eye(19, dtype=x.dtype)
        left.append(y[i] - x[i] @ x[rest].t() @ torch.linalg.solve(gram, y[rest]))
    expected = 1 - float(torch.stack(left).square().sum() / y.square().sum())
    assert readable(X[:20], (TOLD + NOISE)[:20], 0) == pytest.approx(expected, abs=0.06)  # 1 / n more for the mean


@pytest.mark.parametrize(
    ("source", "wanted", "axis", "known"),
    [
        (torch.randn(16, 7, 4, generator=GENERATOR), torch.randn(16, 7, 3, generator=GENERATOR), 0, True),
        (torch.randn(16, 2, 5, 5, generator=GENERATOR), torch.randn(16, 3, generator=GENERATOR), 0, True),
        (torch.randn(16, 4, generator=GENERATOR), torch.randn(12, 3, generator=GENERATOR), 0, False),
        (torch.randn(4, 4, generator=GENERATOR), torch.randn(4, 3, generator=GENERATOR), 0, False),
    ],
)
def test_rows_are_positions_or_samples(source: torch.Tensor, wanted: torch.Tensor, axis: int, known: bool) -> None:
    assert (readable(source, wanted, axis) is not None) == known


def test_rows_that_are_all_alike_tell_nothing() -> None:
    assert readable(torch.ones(16, 4), NOISE[:16], 0) == 0.0
