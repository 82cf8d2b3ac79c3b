"""Weights that norms alone read: which they are, and how large they are drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab.planning.sizes.normed import LEAST, smallest
from initlab.planning.sizes.targets import POSITION, ROWS

F = nn.functional
PICTURES, INPUTS = (
    torch.randn(16, *shape, generator=torch.Generator().manual_seed(0)) for shape in ((8, 10, 10), (64,))
)


class Net(nn.Module):
    """What a function makes of a convolution, a matrix, and what follows them."""

    def __init__(self, made: Callable[[Net, torch.Tensor], torch.Tensor], *more: nn.Module) -> None:
        super().__init__()
        self.conv, self.linear, self.head = nn.Conv2d(8, 64, 3), nn.Linear(64, 64), nn.LazyLinear(10)
        self.more, self.made = nn.ModuleList(more), made

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(F.relu(self.made(self, x)).flatten(1))


BATCH, GROUP, LAYER, RMS = nn.BatchNorm2d(64), nn.GroupNorm(4, 64), nn.LayerNorm(64), nn.RMSNorm(64)
ALONE: dict[str, tuple[Callable[[Net, Any], Any], nn.Module | None, str, torch.Tensor]] = {
    "batch norm": (lambda net, x: net.more[0](net.conv(x)), BATCH, "conv.weight", PICTURES),
    "group norm": (lambda net, x: net.more[0](net.conv(x)), GROUP, "conv.weight", PICTURES),
    "layer norm": (lambda net, x: net.more[0](net.linear(x)), LAYER, "linear.weight", INPUTS),
    "heads apart": (lambda net, x: net.more[0](net.linear(x).view(-1, 4, 16)).flatten(1), nn.RMSNorm(16),
                    "linear.weight", INPUTS),
    "averaged first": (lambda net, x: net.more[0](F.avg_pool2d(net.conv(x), 2)), BATCH, "conv.weight", PICTURES),
    "dropout first": (lambda net, x: net.more[0](F.dropout(net.linear(x), 0.1)), LAYER, "linear.weight", INPUTS),
    "joined, normed by feature": (lambda net, x: net.more[0](torch.cat([net.conv(x), x[:, :, 1:-1, 1:-1]], 1)),
                                  nn.BatchNorm2d(72), "conv.weight", PICTURES),
    "a bias that begins at zero": (lambda net, x: net.more[0](F.linear(x, net.linear.weight) + net.linear.bias), LAYER,
                                   "linear.weight", INPUTS),
    "times a number": (lambda net, x: net.more[0](3 * net.linear(x)), LAYER, "linear.weight", INPUTS),
    "times a fixed tensor": (lambda net, x: net.more[0](net.linear(x) * torch.tensor(0.5)), LAYER, "linear.weight",
                             INPUTS),
    "over a number": (lambda net, x: net.more[0](net.linear(x) / 4), LAYER, "linear.weight", INPUTS),
    "asked for a shape": (lambda net, x: net.more[0](y := net.linear(x)) + torch.zeros_like(y[:, :1]), LAYER,
                          "linear.weight", INPUTS),
    "asked for its size": (lambda net, x: net.more[0](y := net.linear(x)) * (y.norm().item() > 0), LAYER,
                           "linear.weight", INPUTS),
}  # fmt: skip
NOT_ALONE: dict[str, tuple[Callable[[Net, Any], Any], nn.Module | None, str, torch.Tensor]] = {
    "added to a stream": (lambda net, x: net.more[0](x + net.linear(x)), LAYER, "linear.weight", INPUTS),
    "a function beside the norm": (lambda net, x: net.more[0](y := net.linear(x)) + y.tanh(), LAYER, "linear.weight",
                                   INPUTS),
    "joined, normed together": (lambda net, x: net.more[0](torch.cat([net.linear(x), x], 1)), nn.LayerNorm(128),
                                "linear.weight", INPUTS),
    "a number over it": (lambda net, x: net.more[0](1 / net.linear(x)), LAYER, "linear.weight", INPUTS),
    "used again": (lambda net, x: net.linear(net.more[0](net.linear(x))), LAYER, "linear.weight", INPUTS),
}  # fmt: skip


def built(made: Any, norm: nn.Module | None, given: torch.Tensor) -> Net:
    model = Net(made, *([] if norm is None else [norm]))
    model(given)
    return model


def planned(made: Any, norm: nn.Module | None, given: torch.Tensor) -> Any:
    return initlab.plan(built(made, norm, given), given)


@pytest.mark.parametrize("case", ALONE)
def test_what_norms_alone_read_is_small_and_said(case: str) -> None:
    made, norm, name, given = ALONE[case]
    entry = planned(made, norm, given)[name]
    second, target = entry.measured
    assert LEAST <= target < 0.8  # 8 to 72 units
    assert second * entry.correction**2 == pytest.approx(target, rel=0.01)  # three digits of a std
    assert "norms alone read it" in entry.reason


@pytest.mark.parametrize("case", NOT_ALONE)
def test_what_something_else_reads_keeps_its_size(case: str) -> None:
    made, norm, name, given = NOT_ALONE[case]
    entry = planned(made, norm, given)[name]
    assert entry.measured[0] * entry.correction**2 == pytest.approx(1, rel=0.25)  # the slack of a measurement
    assert "norms alone" not in entry.reason


def test_the_size_undone_by_a_norm_changes_no_output() -> None:
    """L(c·w) = L(w), up to the norm's ε; the gradient is 1/c of what it was."""
    made, norm, name, given = ALONE["batch norm"]
    model = built(made, norm, given)
    initlab.init_(model, example_inputs=given)
    weight = dict(model.named_parameters())[name]

    def slope() -> tuple[torch.Tensor, torch.Tensor]:
        output = model(given)
        return output.detach(), torch.autograd.grad(output.square().sum(), weight)[0]

    (output, gradient) = slope()
    with torch.no_grad():
        weight.mul_(4)
    again, smaller = slope()
    torch.testing.assert_close(again, output, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(4 * smaller, gradient, rtol=1e-2, atol=1e-3)


def test_a_law_that_was_asked_for_keeps_its_size() -> None:
    made, norm, name, given = ALONE["batch norm"]
    plan = initlab.plan(built(made, norm, given), given, {name: "he_normal", "*": "auto"})
    assert plan[name].std == pytest.approx((2 / 72) ** 0.5)


def _by_hand(x: torch.Tensor) -> torch.Tensor:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


def _centred(x: torch.Tensor) -> torch.Tensor:
    return (x - x.mean(-1, keepdim=True)) * (x.var(-1, unbiased=False, keepdim=True) + 1e-5).rsqrt()


def _centred_once(x: torch.Tensor) -> torch.Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def _undone_again(x: torch.Tensor) -> torch.Tensor:
    return _centred(x).tanh() * x.std(-1, keepdim=True)


class Stream(nn.Module):
    """Rows of a table and their places, or a matrix's output; branches that begin with a norm; a last norm."""

    def __init__(self, norm: Callable[[torch.Tensor], torch.Tensor], tokens: bool = True, last: bool = True) -> None:
        super().__init__()
        self.norm, self.last = norm, last
        self.first = nn.Embedding(32, 64) if tokens else nn.Linear(64, 64)
        self.place = nn.Parameter(torch.randn(1, 6, 64)) if tokens else None
        self.up, self.down = (nn.ModuleList(nn.Linear(64, 64) for _ in range(2)) for _ in range(2))
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x) if self.place is None else self.first(x) + self.place
        for up, down in zip(self.up, self.down, strict=True):
            x = x + down(F.gelu(up(self.norm(x))))
        return self.head(self.norm(x) if self.last else x)


def _layer(x: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, (64,))


TOKENS = torch.randint(32, (8, 6), generator=torch.Generator().manual_seed(0))


NORMS = {"layer norm": _layer, "in arithmetic": _by_hand, "centred": _centred, "centred once": _centred_once}


@pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
def test_rows_that_begin_a_stream_which_norms_alone_read_are_small(norm: Any) -> None:
    plan = initlab.plan(Stream(norm), TOKENS)
    assert plan["first.weight"].std == pytest.approx(ROWS**0.5, rel=0.05)
    assert "norms alone read it" in plan["first.weight"].reason
    assert plan["up.0.weight"].measured[0] == pytest.approx(1, rel=0.25)  # as large as before: a function reads it


def test_a_spread_that_comes_back_is_not_undone() -> None:
    assert initlab.plan(Stream(_undone_again), TOKENS)["first.weight"].std == pytest.approx(1, rel=0.05)


def test_positions_keep_their_share_of_small_rows() -> None:
    model = Stream(_layer)
    plan = initlab.init_(model, example_inputs=TOKENS, policy_or_plan=initlab.get_policy("auto", position_std=1.0))
    assert plan["place"].std == pytest.approx((POSITION * ROWS) ** 0.5, rel=0.1)


def test_a_matrix_that_begins_such_a_stream_stays_in_range() -> None:
    entry = initlab.plan(Stream(_layer, tokens=False), INPUTS)["first.weight"]
    assert LEAST <= entry.measured[0] * entry.correction**2 < 0.8


def test_a_stream_that_a_read_out_reads_as_it_is_keeps_its_size() -> None:
    assert initlab.plan(Stream(_layer, last=False), TOKENS)["first.weight"].std == 1.0


def test_a_std_that_was_asked_for_is_that_of_the_rows() -> None:
    plan = initlab.plan(Stream(_layer), TOKENS, initlab.get_policy("auto", embedding_std=0.5))
    assert plan["first.weight"].std == 0.5


def test_the_fewer_the_units_the_further_from_one_half() -> None:
    aims = [smallest(spread) for spread in (0.0, 0.1, 1 / 6, 0.5, 1.0)]
    assert aims == pytest.approx([LEAST, 0.5 / 0.7, 1, 1, 1])


def test_draws_of_what_norms_read_lie_above_one_half() -> None:
    """Depthwise kernels of few channels, which all read much the same, and kernels of many."""
    x, channels = PICTURES.abs(), (8, 16, 64)
    convs = [nn.Conv2d(8, 8, 3, groups=8, bias=False), *(nn.Conv2d(8, m, 1, bias=False) for m in channels[1:])]
    for conv, m in zip(convs, channels, strict=True):
        model = nn.Sequential(conv, nn.BatchNorm2d(m), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))
        model(x)
        plan = initlab.plan(model, x)
        found = []
        for seed in range(40):
            initlab.init_(model, plan, seed=seed)
            found.append(float(conv(x).detach().square().mean()))
        assert sum(second < 0.5 for second in found) <= 2
    assert sum(found) / len(found) < 0.9


DIVIDED = {
    "by hand": lambda w: w / w.norm(dim=-1, keepdim=True),
    "normalize": lambda w: F.normalize(w, dim=-1),
    "at least": lambda w: w / torch.linalg.vector_norm(w, dim=-1, keepdim=True).clamp_min(1e-6),
    "root": lambda w: w * torch.rsqrt(w.square().sum(-1, keepdim=True) + 1e-6),
    "whole": lambda w: w / w.norm(),
}


@pytest.mark.parametrize("form", DIVIDED)
def test_a_weight_that_is_divided_by_its_own_size_is_no_larger_for_small_inputs(form: str) -> None:
    """As in nGPT and cosine classifiers: on inputs of unit length the gain was √features, and they turned slowly."""

    class Unit(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(32, 48, bias=False), nn.Linear(48, 5, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for layer in (self.first, self.last):
                x = F.linear(F.normalize(x, dim=-1), DIVIDED[form](layer.weight))
            return 8 * x

    plan = initlab.plan(Unit(), torch.randn(64, 32, generator=torch.Generator().manual_seed(0)))
    assert plan["first.weight"].std == pytest.approx(32**-0.5)
    assert plan["last.weight"].std == pytest.approx(48**-0.5)
    assert "divided by its own size" in plan["first.weight"].reason
