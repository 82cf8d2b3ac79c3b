"""Sines of the data: their frequencies are the author's; everything else is sized as before."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from functions import Of
from torch import nn

import initlab
from initlab.planning.plan import Plan


class Sine(nn.Module):
    def __init__(self, omega: float, function: Callable[[torch.Tensor], torch.Tensor] = torch.sin) -> None:
        super().__init__()
        self.omega, self.function = omega, function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self.omega * x)


def _plan(first: nn.Linear, *rest: nn.Module) -> Plan:
    x = torch.rand(64, first.in_features, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return initlab.plan(nn.Sequential(first, *rest, nn.Linear(first.out_features, 1)), x)


def _drawn(std: float) -> nn.Linear:
    torch.manual_seed(0)
    layer = nn.Linear(2, 32)
    nn.init.normal_(layer.weight, std=std)
    return layer


def test_the_first_weight_before_a_fast_sine_is_a_sirens() -> None:
    for sine in (Sine(30.0), Sine(-12.0), Sine(30.0, torch.cos)):
        entry = _plan(_drawn(0.4), sine)["0.weight"]
        assert (entry.code, entry.scheme) == ("frequencies", "uniform(low=-0.5, high=0.5)"), entry


def test_an_own_start_of_fast_sines_is_kept() -> None:
    assert _plan(_drawn(10.0), Sine(1.0))["0.weight"].action == "keep"


class Gabor(nn.Module):
    """cos(ω·y)·exp(−(s·y)²) (Saragadam et al., WIRE, 2023, section 3)."""

    def __init__(self, omega: float, width: float) -> None:
        super().__init__()
        self.omega, self.width = omega, width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cos(self.omega * x) * torch.exp(-((self.width * x) ** 2))


@pytest.mark.parametrize(("omega", "width"), [(20.0, 10.0), (10.0, 20.0)])
def test_waves_in_windows_are_as_fast_and_as_narrow_as_their_author_made_them(omega: float, width: float) -> None:
    plan = _plan(_drawn(0.4), Gabor(omega, width), nn.Linear(32, 32), Gabor(omega, width))
    assert plan["0.weight"].code == "frequencies"
    fed = plan["2.weight"].gain
    assert fed is not None
    assert plan["2.weight"].std is not None
    assert 20 * plan["2.weight"].std * 32**0.5 / fed < 2, "the faster of the two reads numbers of unit size"


WINDOWS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], float]] = {
    "gaussian": (lambda y: torch.exp(-((8 * y) ** 2)), 8.0),
    "by its width": (lambda y: torch.exp(-(y**2) / (2 * 0.1**2)), 50**0.5),
    "laplacian": (lambda y: torch.exp(-(8 * y).abs()), 8.0),
    "quadratic": (lambda y: 1 / (1 + (8 * y).square()), 8.0),
    "a product with itself": (lambda y: (lambda u: 1 / (1 + u * u))(8 * y), 8.0),
    "sinc": (lambda y: torch.sinc(8 * y), 8.0),
    "complex": (lambda y: torch.exp(8j * y - (4 * y).abs().square()).real, 8.0),
}


@pytest.mark.parametrize(("function", "constant"), WINDOWS.values(), ids=WINDOWS)
def test_windows_and_waves_that_are_written_out_keep_their_constant(
    function: Callable[[torch.Tensor], torch.Tensor], constant: float
) -> None:
    plan = _plan(_drawn(0.4), Of(function), nn.Linear(32, 32), Of(function))
    assert (plan["0.weight"].code, plan["0.weight"].scheme) == ("frequencies", "uniform(low=-0.5, high=0.5)")
    assert plan["2.weight"].measured is not None
    assert plan["2.weight"].measured[1] == pytest.approx(constant**-2)


def test_a_distance_between_rows_is_no_window_of_one_number() -> None:
    plan = _plan(_drawn(0.4), Of(lambda y: torch.exp(-(8 * y).square().sum(1, keepdim=True)).expand_as(y)))
    assert plan["0.weight"].code != "frequencies"


def test_what_is_no_sine_of_the_data_is_sized() -> None:
    slow = _plan(_drawn(0.4), Sine(1.0))
    curved = _plan(_drawn(0.4), Sine(30.0, torch.tanh))
    inner = _plan(_drawn(0.4), Sine(30.0), nn.Linear(32, 32), Sine(30.0))
    read = [slow["0.weight"], curved["0.weight"], inner["2.weight"]]
    assert all(entry.code != "frequencies" and entry.action == "write" for entry in read)
    assert inner["2.weight"].std is not None
    assert 30 * inner["2.weight"].std * 32**0.5 < 2
