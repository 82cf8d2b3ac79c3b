"""What a correction reaches: parts of an output that are read later, and no weight that its layer standardises."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initlab


def batch(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


class Modulated(nn.Module):
    """Blocks of a diffusion transformer whose six numbers a feature come of one layer (Peebles & Xie, 2023)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(8, 64), nn.Linear(64, 8)
        names = ("made", "mixed", "up", "down")
        sizes = ((64, 6 * 64), (64, 64), (64, 256), (256, 64))
        self.blocks = nn.ModuleList(
            nn.ModuleDict({name: nn.Linear(*size) for name, size in zip(names, sizes, strict=True)}) for _ in range(3)
        )

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        x = self.embed(x)
        for block in self.blocks:
            shift, scale, gate, shift_2, scale_2, gate_2 = block["made"](F.silu(condition))[:, None].chunk(6, -1)
            x = x + gate * block["mixed"](F.layer_norm(x, (64,)) * (1 + scale) + shift)
            h = F.layer_norm(x, (64,)) * (1 + scale_2) + shift_2
            x = x + gate_2 * block["down"](F.gelu(block["up"](h)))
        return self.head(F.layer_norm(x, (64,)))  # type: ignore[no-any-return]


def test_what_reads_a_modulation_is_sized_for_the_modulation_as_it_is_written() -> None:
    model, found = Modulated(), dict[str, float]()
    given = batch(32, 12, 8), batch(32, 64)
    plan = initlab.init_(model, example_inputs=given, seed=0)
    for number, block in enumerate(model.blocks):
        block["up"].register_forward_hook(
            lambda _, __, made, number=number: found.update({f"blocks.{number}.up": made.square().mean().item()})
        )
    model(*given)
    for name, second in found.items():
        assert second == pytest.approx(1.0, rel=0.35), name
        entry = plan[f"{name}.weight"]
        assert entry.measured is not None
        assert second == pytest.approx(entry.measured[0] * entry.correction**2, rel=0.25)


class Standardised(nn.Conv2d):
    """A convolution with scaled weight standardisation, whose weights have a size of their own (Brock et al., 2021)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = torch.full((self.out_channels,), 1.79 / math.sqrt(self.weight[0].numel()))
        rows = F.batch_norm(self.weight.flatten(1)[None], None, None, scale, training=True)
        return F.conv2d(x, rows.reshape_as(self.weight), self.bias)


def test_a_standardised_weight_is_not_said_to_be_corrected() -> None:
    model = nn.Sequential(nn.Conv2d(8, 40, 1), nn.SiLU(), Standardised(40, 40, 1), nn.SiLU(), nn.Conv2d(40, 40, 1))
    model.append(nn.ReLU()).append(nn.Flatten()).append(nn.Linear(40 * 16, 5))
    given = 2 * batch(64, 8, 4, 4)
    plan = initlab.init_(model, example_inputs=given, seed=0)
    assert plan["2.weight"].measured is None
    seconds = [layer(given).square().mean().item() for layer in (model[:3], model[:5])]
    assert plan["4.weight"].measured is not None
    assert seconds[1] == pytest.approx(plan["4.weight"].measured[0] * plan["4.weight"].correction ** 2, rel=0.3)
