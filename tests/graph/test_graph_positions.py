"""What positions have in common, through means, attention, norms, tables and padding: rules against drawn networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from initlab.graph import record
from initlab.graph.flow import Flow
from initlab.graph.operations.convolutions import taps_together
from initlab.graph.signals import Signal


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


class Attends(nn.Module):
    """One layer of attention with drawn queries, keys and values; `out` reads the averages."""

    def __init__(self, causal: bool, explicit: bool | str, types: bool = False) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(64, 64, bias=False) for _ in range(4))
        self.causal, self.explicit = causal, explicit
        self.types = nn.Embedding(2, 64) if types else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.types is not None:
            x = (x + self.types(torch.zeros(x.shape[1], dtype=torch.long))) / 2**0.5
        q, k, v = self.q(x), self.k(x), self.v(x)
        if not self.explicit:
            return self.out(F.scaled_dot_product_attention(q, k, v, is_causal=self.causal))
        scores = q @ k.transpose(-1, -2) / 8
        if self.causal:
            scores = scores + torch.full((x.shape[1],) * 2, -1e9).triu(1)
        if self.explicit == "einsum":
            return self.out(torch.einsum("b i j, b j d -> b i d", scores.softmax(-1), v))
        if self.explicit == "mixed":
            weights = scores.softmax(-1) + (2 * scores.mT).softmax(-1)
            return self.out((weights / weights.sum(-1, keepdim=True)) @ v)
        return self.out(scores.softmax(-1) @ v)


class Types(nn.Module):
    """A table of which every position reads one row: what they all have in common is the whole."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = nn.Embedding(2, 64), nn.Linear(64, 64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.table(torch.zeros(x.shape[:2], dtype=torch.long)).mean(1))


class InCommon(nn.Module):
    """Features of which a batch norm, over all samples or over each, takes the mean; `out` reads what is left of it."""

    def __init__(self, norm: nn.Module, flat: bool) -> None:
        super().__init__()
        self.a, self.b, self.out = (nn.Linear(64, 64, bias=False) for _ in range(3))
        self.norm, self.flat = norm, flat

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.a(x) + self.b(x.mean(1, keepdim=True))
        x = self.norm(x.flatten(0, 1)).view(x.shape) if self.flat else self.norm(x.mT).mT
        return self.out(x.relu().mean(1))


def convolutions(*after: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 128, 3), *after, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 8))


IMAGES, TOKENS = noise(16, 3, 10, 10), noise(8, 24, 64)
# model, inputs, the weight that reads the average
CASES: dict[str, tuple[nn.Module, torch.Tensor, str]] = {
    "mean of a linear layer": (convolutions(), IMAGES, "3.weight"),
    "mean of relu": (convolutions(nn.ReLU()), IMAGES, "4.weight"),
    "mean of two relus": (convolutions(nn.ReLU(), nn.Conv2d(128, 128, 1), nn.ReLU()), IMAGES, "6.weight"),
    "mean of tanh": (convolutions(nn.Tanh()), IMAGES, "4.weight"),
    "mean past a batch norm": (
        convolutions(nn.ReLU(), nn.Conv2d(128, 128, 1), nn.BatchNorm2d(128), nn.ReLU()), IMAGES, "7.weight",
    ),
    "mean past a batch norm of what a sample shares": (InCommon(nn.BatchNorm1d(64), False), TOKENS, "out.weight"),
    "the same, samples side by side": (InCommon(nn.BatchNorm1d(64), True), TOKENS, "out.weight"),
    "mean past an instance norm": (InCommon(nn.InstanceNorm1d(64), False), TOKENS, "out.weight"),
    "attention": (Attends(False, False), TOKENS, "out.weight"),
    "causal attention": (Attends(True, False), TOKENS, "out.weight"),
    "attention, step by step": (Attends(False, True), TOKENS, "out.weight"),
    "causal attention, step by step": (Attends(True, True), TOKENS, "out.weight"),
    "attention by einsum": (Attends(False, "einsum", types=True), TOKENS, "out.weight"),
    "attention by a mean of two": (Attends(False, "mixed", types=True), TOKENS, "out.weight"),
    "attention beside a type that all have": (Attends(False, False, types=True), TOKENS, "out.weight"),
    "one row of a table": (Types(), TOKENS, "out.weight"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_average_of_positions_has_the_second_moment_that_the_rule_says(case: str) -> None:
    model, inputs, name = CASES[case]
    graph = record(model, inputs)
    seen: list[float] = []
    layer = model.get_submodule(name.rpartition(".")[0])
    layer.register_forward_pre_hook(lambda _, args: seen.append(args[0].square().mean().item()))
    generator = torch.Generator().manual_seed(1)
    for _ in range(40):
        for weight, uses in ((p, graph.uses(n)) for n, p in model.named_parameters()):
            role = uses[0].role
            gain = (uses[0].feeds.second_moment or 1.0) ** -0.5 if uses[0].feeds is not None else 1.0
            std = {"weight": gain / weight[0].numel() ** 0.5, "embedding": 1.0}.get(role)
            with torch.no_grad():
                weight.fill_(float(role == "norm_weight")) if std is None else weight.normal_(
                    0, std, generator=generator
                )
        with torch.no_grad():
            model.train()(inputs)
    measured = sum(seen) / len(seen)
    feeds = graph.uses(name)[0].feeds
    assert feeds is not None
    # 40 draws of one batch: 4%, rounded up; scores q·k that share a query are taken as independent Gaussians: 15%
    assert feeds.second_moment == pytest.approx(measured, rel=0.18 if "attention" in case else 0.1)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv1d(8, 16, 5, padding=2), nn.Conv2d(8, 16, 3, padding=1), nn.Conv2d(8, 16, 3, 2, padding="valid"),
        nn.Conv2d(8, 16, (3, 5), padding="same"), nn.Conv2d(8, 16, 3, padding=2, dilation=2),
        nn.Conv2d(8, 16, 7, 2, padding=3), nn.Conv3d(8, 16, 3, padding=1),
    ],
    ids=str,
)  # fmt: skip
def test_taps_that_meet_padding_are_counted_as_a_brute_count_does(layer: nn.modules.conv._ConvNd) -> None:
    inputs = torch.ones(1, 8, *(6,) * (layer.weight.dim() - 2))
    feeds = record(layer, inputs).uses("weight")[0].feeds
    with torch.no_grad():
        nn.init.ones_(layer.weight)
        nn.init.zeros_(layer.bias)
        taps = layer(inputs).mean() / layer.weight[0].numel()
    assert feeds is not None
    assert feeds.seen == pytest.approx(taps.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("pad", "layer"),
    [
        (nn.ZeroPad2d(1), nn.Conv2d(8, 8, 3)), (nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(8, 8, 3, stride=2)),
        (nn.ZeroPad2d((0, 0, 2, 1)), nn.Conv2d(8, 8, (5, 3), padding=(0, 1))),
        (nn.ConstantPad1d((3, 0), 0.0), nn.Conv1d(8, 8, 4)),
        (nn.ConstantPad1d((3, 0), 0.0), nn.Conv1d(8, 8, 3, dilation=2, stride=2)),
    ],
    ids=str,
)  # fmt: skip
def test_taps_that_meet_zeros_padded_before_are_counted_as_a_brute_count_does(
    pad: nn.Module, layer: nn.modules.conv._ConvNd
) -> None:
    """E[y²] of weights of variance 1/fan_in is the share of taps that meet a number: E[x²] with zeros, times `seen`."""
    inputs = torch.ones(1, 8, *(6,) * (layer.weight.dim() - 2))
    feeds = record(nn.Sequential(pad, layer), inputs).uses("1.weight")[0].feeds
    with torch.no_grad():
        taps = layer._conv_forward(pad(inputs), torch.ones_like(layer.weight), None).mean() / layer.weight[0].numel()
    assert feeds is not None
    assert feeds.second_moment is not None
    assert feeds.second_moment < 1
    assert feeds.second_moment * feeds.seen == pytest.approx(taps.item(), rel=1e-5)


def test_padding_counts_in_what_is_measured_only_when_asked() -> None:
    """A product of a signal with its own softmax, which nothing has measured when it is padded."""

    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.a(x)
            return self.b(F.pad(x.softmax(-1), (0, 0, 0, 5)))

    feeds = record(Padded(), noise(2, 5, 6)).uses("b.weight")[0].feeds
    whole = torch.randn(100_000, 6, generator=torch.Generator().manual_seed(0)).softmax(-1).square().mean()
    assert feeds is not None
    assert feeds.second_moment == pytest.approx(float(whole) / 2, rel=0.05)


def test_what_is_zero_has_no_say_in_how_far_positions_agree() -> None:
    flow = Flow(record(nn.Linear(2, 2), torch.zeros(1, 2)))
    stream, branch = (
        Signal(second, 0.0, "norm", None, "", 0, alike=alike) for second, alike in ((2.0, 0.1), (0.0, 0.9))
    )
    assert flow.agreeing(stream, [stream, branch]).alike == pytest.approx(0.1)


@pytest.mark.parametrize(
    "layer",
    [nn.Conv1d(8, 16, 5, padding=2), nn.Conv2d(8, 16, 3, padding=1), nn.Conv2d(8, 16, (5, 3), 2, padding=(2, 1)),
     nn.Conv1d(8, 16, 3, padding=4, dilation=4), nn.Conv1d(8, 16, 3)],
    ids=str,
)  # fmt: skip
def test_what_all_positions_have_reaches_two_places_by_the_taps_that_both_see(
    layer: nn.modules.conv._ConvNd,
) -> None:
    """Of ones at all positions: E[yᵢyⱼ] over pairs, over E[y²], of a drawn kernel."""
    inputs = torch.ones(1, 8, *(6,) * (layer.weight.dim() - 2))
    flow = Flow(record(layer, inputs))
    weight = torch.randn(4096, 1, *layer.weight.shape[2:], generator=torch.Generator().manual_seed(0))
    made = layer._conv_forward(inputs[:, :1], weight, None).flatten(2)
    both = made.mean(2).square().mean() / made.square().mean()
    assert taps_together(flow, flow.graph.operations[0]) == pytest.approx(float(both), rel=0.04)


def test_features_lie_after_functions_and_windows_where_they_lay_before() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.1), nn.Flatten(2), nn.GELU())
    graph = record(model, torch.zeros(2, 3, 8, 8))
    axes = [graph.feature_axis(operation.outputs[0]) for operation in graph.operations]
    assert axes == [1, 1, 1, *([1] if len(axes) == 6 else []), 2, 2]


def test_numbers_beside_padding_are_fewer() -> None:
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(F.pad(self.a(x), (0, 0, 0, 3)))

    feeds = record(Padded(), noise(2, 5, 6)).uses("b.weight")[0].feeds
    assert feeds is not None
    assert feeds.second_moment == pytest.approx(5 / 8)


def test_a_long_chain_of_functions_is_taken_up_anew_and_its_moment_holds() -> None:
    class Long(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(64, 256), nn.Linear(256, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.a(x)
            for _ in range(60):
                x = F.leaky_relu(x, 0.99) * 1.01
            return self.b(x)

    model, seen = Long(), []
    feeds = record(model, noise(64, 64)).uses("b.weight")[0].feeds
    nn.init.normal_(model.a.weight, std=1 / 8)
    nn.init.zeros_(model.a.bias)
    model.b.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().square().mean().item()))
    model(noise(64, 64))
    assert feeds is not None
    assert feeds.second_moment == pytest.approx(seen[0], rel=0.1)  # each new root is taken as Gaussian


@pytest.mark.parametrize("how", [True, "einsum", "mixed"])
def test_what_is_averaged_by_shares_agrees_however_it_is_written(how: bool | str) -> None:
    """Queries that read the same values nearly alike: two averages correlate far more than two values."""
    graph = record(Attends(False, how), TOKENS)
    feeds = graph.uses("out.weight")[0].feeds
    assert feeds is not None
    assert feeds.source == "attention"
    assert 0.25 < feeds.common < 0.6  # of e/n of n values about 1/n is common: 1/e, and more by keys alike
