"""What the data-dependent starts leave alone, and models in other dtypes: frozen and reparametrized weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from initlab import fit
from initlab.errors import InputError

X = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
STARTS: dict[str, Callable[[nn.Module, Tensor], Any]] = {"lsuv": fit.lsuv_, "data-dependent": fit.data_dependent_}


def build() -> nn.Sequential:
    with torch.random.fork_rng():  # from some starts two steps in bfloat16 are rounded away
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))


@pytest.mark.parametrize("name", STARTS)
def test_frozen_weights_are_taken_for_loaded_ones_and_kept(name: str) -> None:
    model = build()
    model[2].requires_grad_(False)
    before = {n: p.clone() for n, p in model.named_parameters()}
    result = STARTS[name](model, X)
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert not changed & {"2.weight", "2.bias"}
    assert {"0.weight", "4.weight"} <= changed
    assert "frozen" in result.skipped["2.weight"]


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize("wrap", [nn.utils.parametrizations.spectral_norm, nn.utils.spectral_norm])
def test_what_a_weight_is_computed_from_is_no_layer(name: str, wrap: Callable[[nn.Module], nn.Module]) -> None:
    model = nn.Sequential(wrap(nn.Linear(8, 16)), nn.ReLU(), nn.Linear(16, 2))
    result = STARTS[name](model, X)
    assert [layer.name for layer in result.layers] == ["2.weight"]
    assert "parametrization" in next(reason for n, reason in result.skipped.items() if n.startswith("0."))


def test_pretraining_refuses_a_frozen_layer() -> None:
    model = nn.Sequential(nn.Linear(8, 16), nn.Sigmoid(), nn.Linear(16, 2))
    model[0].weight.requires_grad_(False)
    with pytest.raises(InputError, match=r"parameter '0\.weight' is frozen"):
        fit.pretrain_dbn_(model, X.sigmoid(), epochs=1)


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_batch_of_equal_rows_is_no_crash(name: str, value: float) -> None:
    model = build()
    result = STARTS[name](model, torch.full((16, 8), value))
    assert all(bool(p.isfinite().all()) for p in model.parameters())
    if name == "data-dependent" or value == 0:
        assert "constant on this batch" in result.skipped["0.weight"]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("targets", ["classes", "numbers"])
@pytest.mark.parametrize("method", [fit.metainit_, fit.gradinit_])
def test_learned_scales_in_the_models_own_dtype(method: Any, targets: str, dtype: torch.dtype) -> None:
    model = build().to(dtype)
    y = torch.arange(64) % 2 if targets == "classes" else X[:, :2].to(dtype)
    before = model[0].weight.detach().clone()
    method(model, (X.to(dtype), y), steps=2)
    assert model[0].weight.dtype == dtype
    assert not torch.equal(model[0].weight, before)


@pytest.mark.parametrize("name", STARTS)
def test_data_of_another_dtype_is_the_models(name: str) -> None:
    model = build().double()
    result = STARTS[name](model, X.numpy())
    assert len(result.layers) == 3


@pytest.mark.parametrize("name", STARTS)
def test_a_batch_that_does_not_fit_is_refused_by_the_name_that_the_caller_gave_it(name: str) -> None:
    model = build()
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(InputError, match=r"^batch: the forward pass failed in module '0'"):
        STARTS[name](model, X[:, :5])
    assert all(torch.equal(kept, p) for kept, p in zip(before, model.parameters(), strict=True))
