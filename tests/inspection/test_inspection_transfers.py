"""How often `inspect` waits for the device: the same for any number of layers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

import initlab
from initlab.inspection.histogram import _counted, counts_of
from initlab.inspection.squares import square_of

# Operations that give the host a number, or a tensor whose shape depends on values.
WAITING = ("_local_scalar_dense", "item", "is_nonzero", "nonzero", "equal", "masked_select", "_unique2", "unique_dim",
           "unique_consecutive", "histc", "bincount", "repeat_interleave")  # fmt: skip
METHODS = ("cpu", "tolist", "numpy")
STEPS = 10  # each is counted operation by operation


class Waits(TorchDispatchMode):
    """Counts what would wait for a device."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.count = 0
        for name in METHODS:
            monkeypatch.setattr(torch.Tensor, name, self._counting(getattr(torch.Tensor, name)))

    def _counting(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return method(*args, **kwargs)

        return counted

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.__name__.partition(".")[0] in WAITING
        return func(*args, **(kwargs or {}))


def plain(depth: int) -> nn.Module:
    return nn.Sequential(*(part for _ in range(depth) for part in (nn.Linear(64, 64), nn.ReLU())), nn.Linear(64, 4))


class Residual(nn.Module):
    """Blocks with buffers, a scale and a sum."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.BatchNorm1d(64), nn.GELU(), nn.Linear(64, 64)) for _ in range(depth)
        )
        self.head = nn.Linear(64, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = x + 0.1 * block(x)
        return self.head(x)


class Encoder(nn.Module):
    """Encoder layers over eight tokens."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.body, self.head = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x.unflatten(1, (8, 8))).mean(1))


def on_the_host(step: torch.Tensor) -> Any:
    """How many steps Adam took, which it keeps on the host."""
    with _disable_current_modes():
        return step.item()


def waits(build: Callable[[int], nn.Module], depth: int, line_probe: bool) -> int:
    model = build(depth)
    initlab.init_(model, "he_normal", seed=0)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(64, 64, generator=generator), torch.randint(0, 4, (64,), generator=generator)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("initlab.inspection.evidence.plan", lambda *given: None)  # what advice asks for
        patch.setattr("initlab.inspection.fetching.HOST", frozenset())  # as on a device that has to be waited for
        patch.setattr("initlab.inspection.probe.GOING", STEPS)
        patch.setattr(sys.modules[torch.optim.Adam.__module__], "_get_value", on_the_host)
        with Waits(patch) as seen:
            initlab.inspect(model, x, y, line_probe=line_probe)
    return seen.count


@pytest.mark.parametrize("line_probe", [False, True])
@pytest.mark.parametrize("build", [plain, Residual, Encoder])
def test_the_device_is_waited_for_as_often_with_24_layers_as_with_4(
    build: Callable[[int], nn.Module], line_probe: bool
) -> None:
    few, many = waits(build, 4, line_probe), waits(build, 24, line_probe)
    real = 3 * (STEPS + 1) if line_probe else 0  # where one leaves the verdict open, by the loss after each real step
    assert 0 < many <= few + 5 + real  # what the findings of one and the other look at may differ


@pytest.mark.parametrize("build", [plain, Residual, Encoder])
def test_the_numbers_are_those_that_a_device_would_have_given(
    build: Callable[[int], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model, x, y = build(4), torch.randn(64, 64), torch.randint(0, 4, (64,))
    here = initlab.inspect(model, x, y)
    monkeypatch.setattr("initlab.inspection.fetching.HOST", frozenset())
    there = initlab.inspect(model, x, y)
    assert (here.verdict, [f.kind for f in here.findings]) == (there.verdict, [f.kind for f in there.findings])
    assert [layer.counts for layer in here.layers] == [layer.counts for layer in there.layers]
    for mine, its in zip((*here.layers, *here.parameters), (*there.layers, *there.parameters), strict=True):
        assert numbers(mine) == pytest.approx(numbers(its), rel=1e-5, abs=1e-7, nan_ok=True)  # single precision


def numbers(stats: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(stats).items() if isinstance(value, int | float)}


FILE = torch.arange(20_000.0) / 7
SAMPLES = {
    "a range": FILE,
    "one value": torch.full((100,), 3.0),
    "holes": torch.where(FILE > 5, FILE, torch.nan),
    "no bounds": torch.cat([FILE, torch.tensor([torch.inf, -torch.inf])]),
    "nothing finite": torch.full((9,), torch.nan),
    "the range of double": torch.tensor([-1e308, 0.0, 1e308], dtype=torch.float64),
    "tiny": FILE.double() * 1e-310,
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_histogram_is_counted_alike_here_and_on_a_device(name: str) -> None:
    (here,), there = counts_of([SAMPLES[name]]), _counted(SAMPLES[name].double().unsqueeze(0))[0]
    assert here.tolist() == there.tolist()


@pytest.mark.parametrize(
    ("flat", "rel"),
    [
        (torch.linspace(-2, 3, 300_000), 1e-5),  # single precision, added in pieces
        (torch.full((200_000,), 1e-25), 1e-12),  # squares that it cannot hold are taken in double
        (torch.full((200_000,), 1e25), 1e-12),
        (torch.linspace(-2, 3, 300_000, dtype=torch.float64), 1e-12),
    ],
)
def test_a_sum_of_squares_bears_what_single_precision_does_not(flat: torch.Tensor, rel: float) -> None:
    assert float(square_of(flat)) == pytest.approx(float(flat.double().square().sum()), rel=rel)
