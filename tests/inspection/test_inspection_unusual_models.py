"""Sparse inputs, tensor bounds, empty weights and masks: inspected as anything else, and no fault in themselves."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import initlab

GENERATOR = torch.Generator().manual_seed(4)
Y = torch.arange(64) % 10
TABLE = (torch.rand(64, 50, generator=GENERATOR) < 0.1).float()
TOKENS = torch.randn(64, 8, 16, generator=GENERATOR)
SQUARE = torch.eye(64)
LEFT_OUT = torch.triu(torch.ones(8, 8, dtype=torch.bool), 1)


class Through(nn.Module):
    """Two linear layers with `between` at the middle."""

    def __init__(self, between: Callable[[torch.Tensor], torch.Tensor], width: int = 32) -> None:
        super().__init__()
        self.first, self.last, self.between = nn.Linear(50, 32), nn.Linear(width, 10), between

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.between(self.first(x)))


class SparseProduct(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight, self.last = nn.Parameter(torch.randn(50, 32, generator=GENERATOR) / 7), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last((x @ self.weight).relu())


class Graph(Through):
    """A graph convolution: neighbours are summed by a matrix that may be sparse."""

    def __init__(self) -> None:
        super().__init__(torch.relu)

    def forward(self, x: torch.Tensor, neighbours: torch.Tensor) -> torch.Tensor:
        return self.last((neighbours @ self.first(x)).relu())


class Masked(nn.Module):
    """Attention whose scores are -inf before the mask's softmax, with a learned bias added after that."""

    def __init__(self, hidden: float = -torch.inf) -> None:
        super().__init__()
        self.qkv, self.out, self.bias = nn.Linear(16, 48), nn.Linear(16, 10), nn.Parameter(torch.zeros(8, 8))
        self.mask = nn.Parameter(torch.zeros(8, 8).masked_fill(LEFT_OUT, hidden), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        scores = q @ k.transpose(1, 2) / 4 + self.mask + self.bias
        return self.out(scores.softmax(-1) @ v).mean(1)


class MaskedClasses(Through):
    """The last class may not be chosen."""

    def __init__(self) -> None:
        super().__init__(torch.relu)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).masked_fill(torch.arange(10) == 9, -torch.inf)


def empty(rows: bool) -> nn.Module:
    """A layer with no rows, or with no columns, beside an ordinary one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of an empty tensor that has nothing to initialise
        none = nn.Linear(32, 0) if rows else nn.Linear(0, 32)
    model = Through(lambda h: torch.cat([h, none(h)], 1).relu() if rows else (h + none(h[:, :0])).relu())
    model.none = none
    return model


MODELS: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "sparse COO into a product": (SparseProduct, TABLE.to_sparse()),
    "sparse COO, made dense inside": (lambda: nn.Sequential(Dense(), Through(torch.relu)), TABLE.to_sparse()),
    "a sparse neighbour matrix": (Graph, (TABLE, SQUARE.to_sparse())),
    "the same in a dict": (Graph, {"x": TABLE, "neighbours": SQUARE.to_sparse()}),
    "clamp at a tensor": (lambda: Through(lambda h: h.clamp(min=torch.zeros(32))), TABLE),
    "clamp between tensors": (lambda: Through(lambda h: torch.clamp(h, -torch.ones(32), torch.ones(32))), TABLE),
    "clamp in place": (lambda: Through(lambda h: (h * 1).clamp_(torch.zeros(()))), TABLE),
    "a weight of 0 rows": (lambda: empty(rows=True), TABLE),
    "a weight of 0 columns": (lambda: empty(rows=False), TABLE),
    "-inf before a softmax": (Masked, TOKENS),
    "-inf for a class that is left out": (MaskedClasses, TABLE),
}  # fmt: skip


class Dense(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.to_dense()


@pytest.mark.parametrize("name", MODELS)
def test_it_is_inspected_and_no_fault_is_seen(name: str) -> None:
    build, inputs = MODELS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build()
    report = initlab.inspect(model, inputs, Y % 9)
    assert report.verdict == "healthy", report
    assert report.findings == ()


@pytest.mark.parametrize("hidden", [torch.inf, torch.nan])
def test_other_values_that_are_not_finite_are_faults_all_the_same(hidden: float) -> None:
    report = initlab.inspect(Masked(hidden), TOKENS, Y)
    assert report.findings[0].kind == "non-finite"


def test_a_sample_whose_every_score_is_left_out_is_a_fault() -> None:
    model = Masked()
    with torch.no_grad():
        model.mask[0] = -torch.inf  # softmax of nothing: NaN
    assert initlab.inspect(model, TOKENS, Y).findings[0].kind == "non-finite"


def test_sparse_inputs_must_hold_finite_values_too() -> None:
    with pytest.raises(initlab.InputError, match="NaN"):
        initlab.inspect(SparseProduct(), (TABLE * torch.inf).to_sparse(), Y)


def test_a_clamp_at_a_tensor_of_zeros_is_a_relu() -> None:
    report = initlab.inspect(Through(lambda h: h.clamp(min=torch.zeros(32))), TABLE, Y)
    assert [layer.kind for layer in report.layers] == ["linear", "relu", "linear"]


class Held(torch.autograd.Function):
    """The first of two inputs; nothing of the gradient goes back to the second."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + 0 * y

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return gradient, None


class Straight(nn.Module):
    """A layer of which an autograd function of its own sends no gradient back."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(50, 32), nn.Linear(50, 32), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(Held.apply(self.first(x), self.second(x)).relu())


def test_an_autograd_function_may_give_no_gradient_back() -> None:
    report = initlab.inspect(Straight(), TABLE, Y)
    reached = {p.name: p.grad_rms for p in report.parameters}
    assert reached["first.weight"] > 0
    assert not reached["second.weight"]


class Complex(nn.Module):
    """Complex weights; relu of both parts between; what it returns is complex."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = (nn.Linear(*size, dtype=torch.cfloat) for size in ((16, 32), (32, 4)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.first(x)
        return self.last(torch.complex(hidden.real.relu(), hidden.imag.relu())).conj()


@pytest.mark.parametrize(
    ("targets", "loss"),
    [
        (torch.randn(64, 4, dtype=torch.cfloat, generator=GENERATOR), None),
        (torch.randn(64, 4, dtype=torch.cfloat, generator=GENERATOR), lambda out, wanted: (out - wanted).abs().mean()),
        (None, lambda out: out.abs().square().mean()),
        (None, None),
    ],
)
def test_a_complex_output_is_read_by_its_parts(targets: Any, loss: Any) -> None:
    inputs = torch.randn(64, 16, dtype=torch.cfloat, generator=GENERATOR)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Complex()
    assert initlab.inspect(model, inputs, targets, loss).verdict == "healthy"
    for parameter in model.parameters():
        parameter.data.zero_()
    assert initlab.inspect(model, inputs, targets, loss).verdict != "healthy"


def test_equal_complex_weights_are_copies() -> None:
    inputs = torch.randn(64, 16, dtype=torch.cfloat, generator=GENERATOR)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(*(nn.Linear(16, 16, dtype=torch.cfloat) for _ in range(2)))
    model[1].load_state_dict(model[0].state_dict())
    report = initlab.inspect(model, inputs, None, lambda out: out.abs().square().mean())
    assert "copies" in [finding.kind for finding in report.findings]


class Experts(nn.Module):
    """Four experts by `torch.vmap`, whose tensors have no values to read until it ends."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.last = nn.Parameter(torch.randn(4, 50, 32, generator=GENERATOR) / 7), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.vmap(lambda up: (x @ up).relu())(self.up).mean(0))


def test_what_runs_within_a_vmap_is_no_failure() -> None:
    assert initlab.inspect(Experts(), TABLE, Y).verdict == "healthy"


class Flow(Through):
    """As a continuous flow: reads the diagonal of its own Jacobian, of which all rows are taken at once."""

    def __init__(self) -> None:
        super().__init__(torch.tanh, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            x = x.clone().requires_grad_()
            out = super().forward(x)
            ones = torch.eye(10).unsqueeze(1).expand(10, len(x), 10)
            (jacobian,) = torch.autograd.grad(out, x, ones, create_graph=True, is_grads_batched=True)
        return out + jacobian.diagonal(dim1=0, dim2=2)


def test_derivatives_that_a_forward_pass_takes_many_at_once_are_no_failure() -> None:
    report = initlab.inspect(Flow(), TABLE, Y)
    assert report.verdict == "healthy"
    assert all(layer.grad_rms > 0 for layer in report.layers)


def test_an_autocast_that_is_entered_outside_keeps_no_old_weights() -> None:
    model = Through(torch.relu)
    with torch.autocast("cpu", torch.bfloat16):
        report = initlab.inspect(model, TABLE, Y)
        assert torch.is_autocast_cache_enabled()
    assert report.verdict == "healthy"
    assert report.learning_rate is not None


def test_a_loss_of_torchs_own_on_classes_of_the_last_axis_is_told_the_name_that_finds_them() -> None:
    with pytest.raises(initlab.InputError, match="loss='cross_entropy'"):
        initlab.inspect(nn.Linear(16, 10), TOKENS, Y[:8].expand(64, 8), nn.functional.cross_entropy)
