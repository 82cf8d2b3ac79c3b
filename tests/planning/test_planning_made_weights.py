"""Weights that a layer makes for each sample (dynamic filters): sized for the product that applies them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import initlab

GENERATOR = torch.Generator().manual_seed(0)
X, CODE = torch.randn(256, 20, generator=GENERATOR), torch.randn(256, 6, generator=GENERATOR)
Apply = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # (320 numbers a sample, x) -> 16 numbers a sample

PRODUCTS: dict[str, Apply] = {
    "bmm": lambda made, x: torch.bmm(made.view(-1, 16, 20), x[:, :, None])[:, :, 0],
    "on the right": lambda made, x: torch.matmul(x[:, None], made.view(-1, 20, 16))[:, 0],
    "turned": lambda made, x: (x[:, None] @ made.view(-1, 16, 20).mT)[:, 0],
    "einsum": lambda made, x: torch.einsum("bi,boi->bo", x, made.unflatten(-1, (16, 20))),
}


class Dynamic(nn.Module):
    def __init__(self, product: Apply) -> None:
        super().__init__()
        self.look, self.make, self.read, self.product = nn.Linear(6, 32), nn.Linear(32, 320), nn.Linear(16, 5), product

    def hidden(self, x: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        return self.product(self.make(torch.relu(self.look(code))), x)

    def forward(self, x: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        return self.read(torch.tanh(self.hidden(x, code)))


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_matrix_of_each_sample_keeps_the_size_of_what_it_is_applied_to(product: str) -> None:
    model = Dynamic(PRODUCTS[product])
    plan = initlab.init_(model, example_inputs=(X, CODE))
    assert plan["make.weight"].std == pytest.approx((2 / 32 / 20) ** 0.5, rel=0.2)  # relu before, 20 inputs behind
    assert model.hidden(X, CODE).detach().square().mean().item() == pytest.approx(1.0, rel=0.3)


@pytest.mark.parametrize("positions", [4, 6])  # four heads: as many as positions, and fewer
def test_heads_of_attention_are_no_such_matrix(positions: int) -> None:
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.read = nn.Linear(32, 32), nn.Linear(32, 32), nn.Linear(8, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q, k = (layer(x).view(*x.shape[:2], 4, 8).transpose(1, 2) for layer in (self.q, self.k))
            return self.read((torch.softmax(q @ k.mT / 8**0.5, -1) @ k).mean((1, 2)))

    plan = initlab.plan(Heads(), torch.randn(8, positions, 32, generator=GENERATOR))
    assert plan["q.weight"].std == pytest.approx(32**-0.5, rel=0.2)
