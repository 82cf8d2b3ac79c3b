"""What positions have in common, through means, attention, norms, tables and padding: rules against drawn networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from initlab.graph import record


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


class Attends(nn.Module):
    """One layer of attention with drawn queries, keys and values; `out` reads the averages."""

    def __init__(self, causal: bool, explicit: bool, types: bool = False) -> None:
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
        return self.out(scores.softmax(-1) @ v)


class Types(nn.Module):
    """A table of which every position reads one row: what they all have in common is the whole."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = nn.Embedding(2, 64), nn.Linear(64, 64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.table(torch.zeros(x.shape[:2], dtype=torch.long)).mean(1))


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
    "attention": (Attends(False, False), TOKENS, "out.weight"),
    "causal attention": (Attends(True, False), TOKENS, "out.weight"),
    "attention, step by step": (Attends(False, True), TOKENS, "out.weight"),
    "causal attention, step by step": (Attends(True, True), TOKENS, "out.weight"),
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
