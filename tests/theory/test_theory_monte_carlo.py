"""Promise 16: predicted second moment, correlation and chi lie in the Monte-Carlo 99.9% interval of networks."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from scipy import stats

from initlab import theory

DEPTHS = (1, 5, 12)
NETWORKS = 20
FUNCTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": torch.nn.functional.gelu,
    "sigmoid": torch.sigmoid,
    "hardtanh": torch.nn.functional.hardtanh,
}
SIGMAS = {"relu": (1.3, 0.2), "tanh": (1.6, 0.2), "gelu": (1.5, 0.1), "sigmoid": (3.0, 0.5), "hardtanh": (1.2, 0.4)}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The matrices are small: threads that wait for one another cost more than they give."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@functools.cache
def simulate(name: str, width: int) -> dict[str, np.ndarray]:
    """q, c and chi of every layer, and the gradient at every layer, of NETWORKS real networks: (networks, layers)."""
    generator = torch.Generator().manual_seed(width)
    sigma_w, sigma_b = SIGMAS[name]
    rows = []
    for _ in range(NETWORKS):
        inputs = torch.randn(2, width, dtype=torch.float64, generator=generator)
        first = inputs / inputs.square().mean(1, keepdim=True).sqrt()
        second = 0.5 * first[0] + math.sqrt(0.75) * first[1]
        x = torch.stack([first[0], second])
        layers: list[torch.Tensor] = []
        for _ in range(max(DEPTHS)):
            weight = torch.randn(width, width, dtype=torch.float64, generator=generator) * (sigma_w / math.sqrt(width))
            h = x @ weight.T + sigma_b * torch.randn(width, dtype=torch.float64, generator=generator)
            layers.append(h if layers else h.requires_grad_())
            x = FUNCTIONS[name](layers[-1])
        noise = torch.randn(width, dtype=torch.float64, generator=generator)
        gradients = torch.autograd.grad((layers[-1][0] * noise).sum(), layers)
        second_moments = torch.stack([h.square().mean(1) for h in layers])
        products = torch.stack([(h[0] * h[1]).mean() for h in layers])
        slopes = torch.stack([_slope_second(FUNCTIONS[name], h[0].detach()) for h in layers])
        back = torch.stack([g[0].square().sum() for g in gradients]) / noise.square().sum()
        rows.append(torch.stack([second_moments[:, 0], products, sigma_w**2 * slopes, back]).detach().numpy())
    stacked = np.stack(rows)
    return {key: stacked[:, i] for i, key in enumerate(("q", "product", "chi", "gradient"))}


def _slope_second(function: Callable[[torch.Tensor], torch.Tensor], h: torch.Tensor) -> torch.Tensor:
    point = h.clone().requires_grad_()
    return torch.autograd.grad(function(point).sum(), point)[0].square().mean()


def inside(sample: np.ndarray, predicted: float) -> bool:
    """Whether the 99.9% t interval of the sample's mean holds the prediction."""
    half = stats.t.ppf(0.9995, sample.size - 1) * sample.std(ddof=1) / math.sqrt(sample.size)
    return abs(float(sample.mean()) - predicted) <= half


@pytest.mark.parametrize("width", [100, 300])
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_theory_agrees_with_networks(name: str, depth: int, width: int) -> None:
    predicted = theory.propagate(name, max(DEPTHS), *SIGMAS[name], q0=1.0, c0=0.5)
    measured, layer = simulate(name, width), depth - 1
    assert inside(measured["q"][:, layer], predicted.q[layer])
    assert inside(measured["product"][:, layer], predicted.q[layer] * predicted.c[layer])
    assert inside(measured["chi"][:, layer], predicted.chi[layer])
    assert inside(measured["gradient"][:, -depth], predicted.gradient[-depth])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_prediction_for_another_sigma_falls_outside(name: str) -> None:
    """The planted fault: theory for weights 10% larger must not pass for these networks."""
    sigma_w, sigma_b = SIGMAS[name]
    wrong = theory.propagate(name, max(DEPTHS), 1.1 * sigma_w, sigma_b, q0=1.0, c0=0.5)
    measured = simulate(name, 300)
    assert not inside(measured["q"][:, 0], wrong.q[0])
    assert not inside(measured["chi"][:, 4], wrong.chi[4])


@pytest.mark.parametrize("name", sorted(set(theory.ACTIVATIONS) - {"exp"}))  # exp: log-normal tails, no such interval
@pytest.mark.parametrize("q", [0.3, 4.0])
def test_moments_agree_with_samples(name: str, q: float) -> None:
    """99.9% interval of 400,000 draws for E[φ], E[φ²] and E[φ(u)φ(v)] at correlation 0.4."""
    generator = np.random.default_rng(5)
    u = math.sqrt(q) * generator.standard_normal(400_000)
    v = 0.4 * u + math.sqrt(q * (1 - 0.16)) * generator.standard_normal(400_000)
    at_u, at_v = theory.ACTIVATIONS[name](u), theory.ACTIVATIONS[name](v)
    moments = theory.moments(name, q)
    pair = theory.correlation_map(name, 0.4, q) * moments.second
    for sample, predicted in ((at_u, moments.mean), (at_u**2, moments.second), (at_u * at_v, pair)):
        half = stats.norm.ppf(0.9995) * sample.std() / math.sqrt(sample.size)
        assert abs(float(sample.mean()) - predicted) <= half + 1e-12
