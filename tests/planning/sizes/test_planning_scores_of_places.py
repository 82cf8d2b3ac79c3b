"""Functions of places that are added to attention scores begin at next to nothing, as tables of them do."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import initlab
from initlab.planning.sizes.targets import SCORE

F = nn.functional
WIDTH, HEADS, LENGTH = 32, 4, 12
X = torch.randn(8, LENGTH, WIDTH, generator=torch.Generator().manual_seed(0))


class Attention(nn.Module):
    """Self-attention whose scores are shifted by a perceptron of offsets, or of each pair of what attends.

    Args:
        of: "bounded" (16 times a sigmoid, as Swin V2 has it), "plain", "fused" (an attention in one call), or "pairs".
    """

    def __init__(self, of: str) -> None:
        super().__init__()
        self.of, heads = of, (HEADS, WIDTH // HEADS)
        self.norm, self.packed = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH)
        self.places = nn.Sequential(nn.Linear(WIDTH if of == "pairs" else 1, 64), nn.ReLU(), nn.Linear(64, HEADS))
        self.out, self.head, self.shape = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 5), heads
        self.register_buffer("offsets", torch.linspace(-1, 1, 2 * LENGTH - 1)[:, None])
        self.register_buffer("index", torch.arange(LENGTH)[:, None] - torch.arange(LENGTH) + LENGTH - 1)

    def shift(self, x: Tensor) -> Tensor:
        if self.of == "pairs":
            return self.places(x[:, :, None] + x[:, None]).permute(0, 3, 1, 2)
        rows = self.places(self.offsets)[self.index].permute(2, 0, 1)[None]
        return 16 * rows.sigmoid() if self.of == "bounded" else rows

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.packed(self.norm(x)).unflatten(-1, (3, *self.shape)).permute(2, 0, 3, 1, 4)
        if self.of == "fused":
            made = F.scaled_dot_product_attention(q, k, v, attn_mask=self.shift(x))
        else:
            made = (q @ k.mT / math.sqrt(self.shape[1]) + self.shift(x)).softmax(-1) @ v
        answer: Tensor = self.head((x + self.out(made.transpose(1, 2).flatten(2))).mean(1))
        return answer


def shifted(of: str) -> float:
    """The second moment of what the last weight of the perceptron makes."""
    model, seen = Attention(of), list[float]()
    initlab.init_(model, example_inputs=X)
    model.places[-1].register_forward_hook(
        lambda module, given, made: seen.append(float(made.detach().square().mean()))
    )
    model(X)
    return seen[0]


@pytest.mark.parametrize("of", ["bounded", "plain", "fused"])
def test_what_offsets_add_to_scores_is_next_to_nothing(of: str) -> None:
    assert SCORE / 4 < shifted(of) < 4 * SCORE  # few numbers that are much alike: one draw spreads


def test_what_the_data_adds_to_scores_has_the_size_of_scores() -> None:
    assert 0.25 < shifted("pairs") < 4


def test_queries_that_no_input_makes_are_no_shift() -> None:
    class Latents(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.latents = nn.Parameter(torch.randn(6, WIDTH))
            self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
            self.head = nn.Linear(WIDTH, 5)

        def forward(self, x: Tensor) -> Tensor:
            q = self.query(self.latents).expand(len(x), -1, -1)[:, None]
            made = F.scaled_dot_product_attention(q, self.key(x)[:, None], self.value(x)[:, None])
            answer: Tensor = self.head(made.mean((1, 2)))
            return answer

    plan = initlab.plan(Latents(), X)
    assert plan["query.weight"].std > 0.1  # 1/√32 of latents of unit size, and more of small ones
