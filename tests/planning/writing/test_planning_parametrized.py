"""Selectors reach the weight behind a parametrization, and spectral norm's vectors follow a weight that is written."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

import initlab

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.nn.utils import spectral_norm as old_spectral_norm
    from torch.nn.utils import weight_norm as old_weight_norm

# (wrapper, the parameters that hold the weight, after the layer's name)
WRAPPERS: dict[str, tuple[Callable[[nn.Module], nn.Module], set[str]]] = {
    "weight norm": (
        parametrizations.weight_norm,
        {"parametrizations.weight.original0", "parametrizations.weight.original1"},
    ),
    "spectral norm": (parametrizations.spectral_norm, {"parametrizations.weight.original"}),
    "old weight norm": (old_weight_norm, {"weight_g", "weight_v"}),
    "old spectral norm": (old_spectral_norm, {"weight_orig"}),
    "pruned": (lambda layer: prune.random_unstructured(layer, "weight", 0.3), {"weight_orig"}),
}


def _net(wrapper: str) -> nn.Sequential:
    torch.manual_seed(0)
    wrap = WRAPPERS[wrapper][0]
    return nn.Sequential(wrap(nn.Linear(40, 20)), nn.ReLU(), wrap(nn.Conv2d(4, 8, 3)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize(
    ("selector", "layers"),
    [
        ("@Linear", {"0"}),
        ("@Conv2d", {"2"}),
        ("@Linear.weight", {"0"}),
        ("0.weight", {"0"}),
        ("2", {"2"}),
        ("*.weight", {"0", "2"}),
        (nn.Conv2d, {"2"}),
    ],
)
def test_p15_selectors_reach_the_weight_behind(wrapper: str, selector: Any, layers: set[str]) -> None:
    net, held = _net(wrapper), WRAPPERS[wrapper][1]
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    initlab.init_(net, {selector: "he_normal"}, seed=1)
    changed = {name for name, p in net.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {f"{layer}.{leaf}" for layer in layers for leaf in held}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("wrapper", ["weight norm", "old weight norm"])
def test_the_length_follows_the_direction_unless_it_is_named(wrapper: str) -> None:
    net = _net(wrapper)
    initlab.init_(net, {"0.weight": initlab.get_scheme("normal", std=0.3)}, seed=1)
    net[0](torch.zeros(1, 40))
    assert float(net[0].weight.std()) == pytest.approx(0.3, rel=0.1)
    length = "parametrizations.weight.original0" if wrapper == "weight norm" else "weight_g"
    initlab.init_(net, {f"0.{length}": initlab.get_scheme("constant", value=2.0)})
    assert (net[0].get_parameter(length) == 2).all()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("wrapper", ["spectral norm", "old spectral norm"])
@pytest.mark.parametrize("policy", ["auto", "he_normal", {"@Linear": "normal"}, {"2": "xavier_uniform"}])
def test_p16_spectral_norm_is_one_at_the_first_evaluation(wrapper: str, policy: Any) -> None:
    net = _net(wrapper)
    net.train()
    for _ in range(30):  # so that what is not written has its vectors too
        net[0](torch.randn(2, 40))
        net[2](torch.randn(2, 4, 6, 6))
    initlab.init_(net, policy, seed=2)
    net.eval()
    net[0](torch.randn(2, 40))
    net[2](torch.randn(2, 4, 6, 6))
    for layer in (net[0], net[2]):
        matrix = layer.weight.detach().flatten(1)
        assert float(torch.linalg.matrix_norm(matrix, 2)) == pytest.approx(1.0, abs=0.02)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("wrapper", ["weight norm", "old weight norm"])
def test_a_grouped_identity_behind_a_weight_norm_is_the_identity(wrapper: str) -> None:
    net = nn.Sequential(WRAPPERS[wrapper][0](nn.Conv2d(8, 8, 3, padding=1, groups=4, bias=False)))
    initlab.init_(net, {"0": "identity"})
    x = torch.randn(2, 8, 5, 5)
    torch.testing.assert_close(net(x), x)


def test_large_spectral_norms_are_iterated() -> None:
    torch.manual_seed(0)
    layer = parametrizations.spectral_norm(nn.Linear(700, 600, bias=False))
    initlab.init_(layer, "normal", seed=1)
    layer.eval()
    assert float(torch.linalg.matrix_norm(layer.weight.detach(), 2)) == pytest.approx(1.0, abs=0.01)


def test_a_weight_of_zeros_keeps_its_vectors() -> None:
    layer = parametrizations.spectral_norm(nn.Linear(7, 6))
    before = layer.parametrizations.weight[0]._u.clone()
    initlab.init_(layer, {"weight": "zeros"})
    assert torch.equal(layer.parametrizations.weight[0]._u, before)
