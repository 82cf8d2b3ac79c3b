"""Weights that a layer makes for each sample (dynamic filters), or that are products of parameters: sized for the
product that applies them."""

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
    assert plan["make.weight"].std == pytest.approx((2 * 3 / 32 / 20) ** 0.5, rel=0.2)  # relu of 1/3 before; 20 inputs
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


COMPOSED: dict[str, tuple[tuple[tuple[int, ...], ...], Callable[..., torch.Tensor]]] = {  # shapes of factors, (128, 20)
    "low rank": (((128, 16), (16, 20)), lambda u, v: u @ v),
    "einsum": (((128, 16), (16, 20)), lambda u, v: torch.einsum("or,ri->oi", u, v)),
    "singular values": (((128, 16), (16,), (16, 20)), lambda u, s, v: (u * s) @ v),
    "three factors": (((128, 16), (16, 16), (16, 20)), lambda a, b, c: a @ (b @ c)),
    "turned": (((20, 16), (16, 128)), lambda u, v: (u @ v).T),
    "scaled rows": (((128, 20), (128, 1)), lambda w, scale: w * scale),
    "Kronecker": (((16, 4), (8, 5)), torch.kron),
    "sums of Kronecker products": (((4, 16, 4), (4, 8, 5)), lambda a, b: sum(map(torch.kron, a, b))),  # Zhang, 2021
}


@pytest.mark.parametrize("kind", COMPOSED)
def test_a_product_of_parameters_has_the_size_that_its_consumer_needs(kind: str) -> None:
    shapes, compose = COMPOSED[kind]

    class Composed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            draws = torch.Generator().manual_seed(1)
            self.factors = nn.ParameterList(nn.Parameter(3 * torch.randn(shape, generator=draws)) for shape in shapes)
            self.read = nn.Linear(128, 5)

        def hidden(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.linear(x, compose(*self.factors))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.read(torch.tanh(self.hidden(x)))

    model = Composed()
    plan = initlab.init_(model, example_inputs=X)
    assert any("which sizes the product with factors." in entry.reason for entry in plan)
    assert 1 / 6 < model.hidden(X).detach().square().mean().item() < 0.6  # 1/3; one draw of rank 16: √(4/16) at most


def test_keys_of_latent_vectors_are_no_composed_weight() -> None:
    class Latents(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.latents = nn.Parameter(torch.randn(16, 32, generator=torch.Generator().manual_seed(1)))
            self.key, self.read = nn.Parameter(torch.zeros(32, 20)), nn.Linear(16, 5)
            nn.init.normal_(self.key, generator=torch.Generator().manual_seed(2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.read(torch.softmax(x @ (self.latents @ self.key).T / 20**0.5, -1))

    assert "sizes the product" not in initlab.plan(Latents(), X)["key"].reason


class Noisy(nn.Module):
    """A weight with noise of learned size added to it (Fortunato et al., Noisy networks, 2018; Bayes by backprop)."""

    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.mu, self.sigma = nn.Linear(fan_in, fan_out), nn.Parameter(torch.full((fan_out, fan_in), 0.02))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(self.sigma.shape, generator=torch.Generator().manual_seed(3))
        return nn.functional.linear(x, self.mu.weight + self.sigma * noise, self.mu.bias)


def test_a_weight_with_noise_added_is_measured_and_its_scales_may_be_one_number() -> None:
    model = nn.Sequential(Noisy(20, 64), nn.Softplus(), Noisy(64, 5))
    plan = initlab.init_(model, example_inputs=X)
    assert "read-out" in plan["2.mu.weight"].reason
    assert plan["0.sigma"].action == "keep"
    assert not [f for f in initlab.inspect(model, X, X[:, 0].argsort() % 5).findings if f.kind == "symmetric"]


APPLIED: dict[str, tuple[tuple[tuple[int, ...], ...], Callable[..., torch.Tensor]]] = {  # shapes, (x, …) -> 64 numbers
    "a train of tensors": (
        ((1, 4, 4, 3), (3, 4, 4, 3), (3, 4, 4, 1)),  # Novikov et al., 2015
        lambda x, a, b, c: torch.einsum("nijk,xiay,yjbz,zkcw->nabc", x.view(-1, 4, 4, 4), a, b, c).flatten(1),
    ),
    "quaternions": (
        ((16, 16), (16, 16), (16, 16), (16, 16)),  # Parcollet et al., 2019
        lambda x, r, i, j, k: nn.functional.linear(
            x, torch.cat([torch.cat(row, 1) for row in ([r, -i, -j, -k], [i, r, -k, j], [j, k, r, -i], [k, -j, i, r])])
        ),
    ),
    "symmetric": (((64, 64),), lambda x, w: x @ (w + w.T)),
}


@pytest.mark.parametrize("kind", APPLIED)
def test_parameters_of_which_one_map_is_made_keep_the_size_of_signals(kind: str) -> None:
    shapes, apply = APPLIED[kind]

    class Mapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            draws = torch.Generator().manual_seed(1)
            self.parts = nn.ParameterList(nn.Parameter(3 * torch.randn(shape, generator=draws)) for shape in shapes)
            self.norm, self.read = nn.LayerNorm(64), nn.Linear(64, 5)

        def hidden(self, x: torch.Tensor) -> torch.Tensor:
            return apply(self.norm(x), *self.parts)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.read(torch.tanh(self.hidden(x)))

    model, x = Mapped(), torch.randn(256, 64, generator=torch.Generator().manual_seed(2))
    plan = initlab.init_(model, example_inputs=x)
    assert all(entry.role == "weight" for entry in plan if entry.name.startswith("parts"))
    assert 0.4 < model.hidden(x).detach().square().mean().item() < 2.5
