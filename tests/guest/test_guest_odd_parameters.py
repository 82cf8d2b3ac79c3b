"""Parameters that cannot be drawn or trained, are made as a model runs, and buffers that grow at the first batch."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

import initlab

X = torch.randn(32, 16, generator=torch.Generator().manual_seed(0))
Y = torch.arange(32) % 5


class Stored(nn.Module):
    """A weight held in few bits, and a head that is trained."""

    def __init__(self, dtype: torch.dtype, trains: bool = False) -> None:
        super().__init__()
        held = torch.randn(32, 16, generator=torch.Generator().manual_seed(1)).clamp(-3, 3)
        self.held = nn.Parameter(held.to(dtype), requires_grad=trains)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(torch.relu(x @ self.held.to(x.dtype).T))
        return out


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.int8])
def test_what_is_frozen_and_cannot_be_drawn_is_kept_and_the_rest_drawn(dtype: torch.dtype) -> None:
    model = Stored(dtype)
    before = model.held.float()
    for policy in ("auto", "he_normal", {"*": "auto"}):
        plan = initlab.init_(model, policy, example_inputs=X)
        assert (plan["held"].action, plan["head.weight"].action) == ("keep", "write")
        assert "cannot be drawn" in plan["held"].reason
    assert torch.equal(model.held.float(), before)
    assert initlab.inspect(model, X, Y).verdict == "healthy"
    assert initlab.audit(model)["held"].dtype in str(dtype)
    with pytest.raises(initlab.InputError, match=r"'held': .* cannot be drawn"):
        initlab.init_(model, {"held": "he_normal"})


def test_a_float8_weight_that_trains_is_refused_in_a_line() -> None:
    model = Stored(torch.float8_e4m3fn, trains=True)
    with pytest.raises(initlab.InputError, match=r"'held' is float8_e4m3fn and requires a gradient, .*freeze it"):
        initlab.inspect(model, X, Y)
    with pytest.raises(initlab.InputError, match="'held': float8_e4m3fn cannot be drawn"):
        initlab.init_(model, "auto", example_inputs=X)


class Growing(nn.Module):
    """Makes its head at the first batch."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(16, 32), None

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        if self.head is None:
            self.head = nn.Linear(x.shape[-1], 5)
        return self.head(x)


def test_a_model_that_makes_parameters_as_it_runs_is_to_run_first() -> None:
    model = Growing()
    for verb in (lambda: initlab.init_(model, example_inputs=X), lambda: initlab.inspect(model, X, Y)):
        with pytest.raises(initlab.InputError, match=r"makes 'head' as it runs.*run one batch through the model first"):
            verb()
        assert model.head is None
    model(X)
    assert initlab.init_(model, example_inputs=X)["head.weight"].action == "write"


def test_observers_of_a_quantisation_are_put_back_as_small_as_they_were() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.ao import quantization

        model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 5)).train()
        model.qconfig = quantization.get_default_qat_qconfig("fbgemm")  # type: ignore[assignment]
        quantization.prepare_qat(model, inplace=True)
    shapes = {name: buffer.shape for name, buffer in model.named_buffers()}
    initlab.init_(model, "auto", example_inputs=X)
    assert initlab.inspect(model, X, Y).verdict == "healthy"
    assert {name: buffer.shape for name, buffer in model.named_buffers()} == shapes
