"""Krähenbühl's start, MetaInit and GradInit: what each promises, measured from outside, and what each refuses."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import initlab
from initlab import data
from initlab.errors import InputError
from initlab.fitting import data_dependent_, gradient_quotient, gradinit_, metainit_
from initlab.fitting.learned import twice_differentiable


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def chain(depth: int = 4, width: int = 24, act: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    layers = [m for _ in range(depth) for m in (nn.Linear(width, width), act())]
    return nn.Sequential(*layers, nn.Linear(width, 5))


def convolutions() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 6, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(96, 5),
    )  # fmt: skip


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(12, 12), nn.Linear(12, 12), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x + self.b(torch.tanh(self.a(x))))


def classes(count: int = 256) -> tuple[Tensor, Tensor]:
    x, y = data.digits().train
    return x[:count], y[:count]


def outputs(model: nn.Module, batch: Tensor) -> dict[str, Tensor]:
    seen: dict[str, Tensor] = {}
    handles = [
        module.register_forward_hook(lambda m, a, out, name=name: seen.update({name: out.detach()}))
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ]
    model(batch)
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize(
    ("build", "batch"), [(chain, rows(128, 24)), (convolutions, rows(32, 3, 14, 14)), (Residual, rows(64, 12))]
)
def test_every_unit_is_whitened(build: Callable[[], nn.Module], batch: Tensor) -> None:
    model = build()
    result = data_dependent_(model, batch, balance=False)
    for name, output in outputs(model, batch).items():
        units = output.movedim(1, 0).flatten(1)
        dead = next(layer.dead_units for layer in result.layers if layer.name == f"{name}.weight")
        close = ((units.mean(1).abs() < 1e-3) & ((units.std(1, correction=0) - 1).abs() < 1e-3)).sum()
        assert int(close) == len(units) - dead, name


@pytest.mark.parametrize(("build", "batch"), [(chain, rows(128, 24)), (convolutions, rows(32, 3, 14, 14))])
def test_balancing_a_homogeneous_chain_equalises_rates_and_keeps_the_output(
    build: Callable[[], nn.Module], batch: Tensor
) -> None:
    plain, balanced = build(), build()
    data_dependent_(plain, batch, balance=False)
    result = data_dependent_(balanced, batch)
    assert result.balanced
    torch.testing.assert_close(balanced(batch), plain(batch), atol=1e-3, rtol=1e-3)
    before, after = _rates(plain, batch), _rates(balanced, batch)
    assert max(after) / min(after) < 1.02 < max(before) / min(before)


def _rates(model: nn.Module, batch: Tensor) -> list[float]:
    """rms gradient over rms weight, from the same random gradients for every model: ratios between layers are exact."""
    from initlab.fitting.krahenbuhl import _change_rates
    from initlab.sampling import derive_seed

    names = [name for name, p in model.named_parameters() if p.ndim > 1]
    return list(_change_rates(model, names, (batch,), {}, derive_seed(0, "krahenbuhl")).values())


def test_balancing_that_would_change_the_output_is_taken_back_and_said() -> None:
    model = Residual()
    result = data_dependent_(model, rows(64, 12))
    assert not result.balanced
    assert "no homogeneous chain" in result.note
    assert all(layer.scale == 1.0 for layer in result.layers)
    assert float((outputs(model, rows(64, 12))["b"].std(0, correction=0) - 1).abs().max()) < 1e-3


def test_what_is_left_alone_is_said() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.unused = nn.Embedding(9, 6), nn.Linear(6, 6)
            self.attend, self.head = nn.MultiheadAttention(6, 2, batch_first=True), nn.Linear(6, 9)

        def forward(self, tokens: Tensor) -> Tensor:
            h = self.embed(tokens)
            return self.head(h + self.attend(h, h + 1, h, need_weights=False)[0])

    tokens = torch.randint(0, 9, (8, 5), generator=torch.Generator().manual_seed(0))
    result = data_dependent_(Tied(), tokens)
    assert set(result.skipped) == {"embed.weight", "unused.weight", "attend.in_proj_weight"}
    assert "unused.weight" in repr(result)


def test_table_names_each_weight() -> None:
    assert "0.weight" in repr(data_dependent_(chain(), rows(128, 24)))


def test_gradient_quotient_of_a_quadratic() -> None:
    """For L = ½ xᵀAx the gradient is g = Ax and Hg = AAx: GQ = mean |Hg|/|g|."""
    matrix = torch.diag(torch.tensor([0.5, 2.0, 0.1]))
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    quotient = gradient_quotient(0.5 * x @ matrix @ x, [x], eps=0.0)
    assert float(quotient.detach()) == pytest.approx((0.5 + 2.0 + 0.1) / 3, rel=1e-6)


def test_metainit_lowers_the_gradient_quotient_of_a_bad_start() -> None:
    """A relu stack with twice He's std: the quotient falls and every norm moves towards He's."""
    model = nn.Sequential(*[m for _ in range(4) for m in (nn.Linear(64, 64), nn.ReLU())], nn.Linear(64, 10))
    initlab.init_(model, initlab.get_scheme("normal", std=0.35))
    result = metainit_(model, classes(1024), steps=100, batch_size=128)
    assert np.mean(result.history[-10:]) < 0.5 * np.mean(result.history[:10])
    assert set(result.scales) == {name for name, p in model.named_parameters() if p.ndim == 2}
    assert all(0.3 < scale < 0.9 for scale in result.scales.values())


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_gradinit_makes_the_first_step_better(optimizer: str) -> None:
    model = nn.Sequential(*[m for _ in range(4) for m in (nn.Linear(64, 64), nn.ReLU())], nn.Linear(64, 10))
    initlab.init_(model, initlab.get_scheme("normal", std=0.35))
    before = first_step_loss(model, optimizer)
    result = gradinit_(model, classes(), optimizer=optimizer, lr=1e-2, steps=60, scale_lr=3e-2, batch_size=32)
    assert first_step_loss(model, optimizer) < 0.5 * before
    assert all(scale >= 0.01 for scale in result.scales.values())
    assert "0.bias" not in result.scales
    assert "GradInit" in repr(result)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_gradinit_steps_zero_biases_as_the_optimizer_will(optimizer: str) -> None:
    """L(m∘θ − lr · A(g)) of algorithm 1 takes all parameters: a bias that begins at zero moves with the first step."""
    model, lr = nn.Linear(4, 3), 0.1
    nn.init.zeros_(model.bias)
    x, y = torch.tensor([[1.0, -2.0, 0.5, 3.0]]).repeat(4, 1), torch.tensor([1, 1, 1, 1])  # all batches are alike
    result = gradinit_(model, (x, y), optimizer=optimizer, lr=lr, steps=1, scale_lr=0.0, batch_size=2, bound=1e9)
    nn.functional.cross_entropy(model(x), y).backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= lr * (parameter.grad.sign() if optimizer == "adam" else parameter.grad)
        assert result.history[0] == pytest.approx(float(nn.functional.cross_entropy(model(x), y)), rel=1e-5)


def first_step_loss(model: nn.Module, optimizer: str) -> float:
    import copy

    x, y = classes()
    model = copy.deepcopy(model)
    made = (
        torch.optim.Adam(model.parameters(), lr=1e-2)
        if optimizer == "adam"
        else torch.optim.SGD(model.parameters(), lr=1e-2)
    )
    nn.functional.cross_entropy(model(x), y).backward()
    made.step()
    return float(nn.functional.cross_entropy(model(x), y).detach())


@pytest.mark.parametrize("method", [metainit_, gradinit_])
@pytest.mark.parametrize(
    ("name", "function", "targets"),
    [
        ("cross_entropy", None, "classes"),
        ("auto", nn.functional.cross_entropy, "classes"),
        ("mse", None, "numbers"),
        ("l1", nn.functional.l1_loss, "numbers"),
        ("bce_with_logits", nn.functional.binary_cross_entropy_with_logits, "numbers"),
    ],
)
def test_a_loss_by_its_name_is_the_loss(method: Callable[..., Any], name: str, function: Any, targets: str) -> None:
    x, y = classes()
    y = y if targets == "classes" else torch.nn.functional.one_hot(y, 10).float()
    histories = []
    for loss in (name, function):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 10))
        histories.append(method(model, (x, y), loss=loss, steps=3, batch_size=32).history)
    assert histories[0] == histories[1]


@pytest.mark.parametrize("method", [metainit_, gradinit_])
def test_scales_are_what_the_parameters_were_multiplied_by(method: Callable[..., Any]) -> None:
    model = nn.Sequential(nn.Linear(64, 20), nn.Tanh(), nn.Linear(20, 10))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    result = method(model, classes(), steps=5)
    for name, parameter in model.named_parameters():
        expected = before[name] * result.scales.get(name, 1.0)
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("method", [metainit_, gradinit_])
@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Sequential(
            nn.Unflatten(1, (8, 8)), nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
            nn.Flatten(), nn.Linear(64, 10),
        ),
        lambda: nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(),
            nn.Flatten(), nn.Linear(144, 10),
        ),
        lambda: nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 4, 3), nn.InstanceNorm2d(4), nn.LayerNorm([4, 6, 6]), nn.ReLU(),
            nn.Flatten(), nn.Linear(144, 10),
        ),
    ],
    ids=["attention", "convolution", "zeros of three axes"],
)  # fmt: skip
def test_learned_scales_work_on_other_architectures(method: Callable[..., Any], build: Callable[[], nn.Module]) -> None:
    model = build()
    buffers = [b.clone() for b in model.buffers()]
    result = method(model, classes(64), steps=2, batch_size=16)
    assert all(math.isfinite(scale) for scale in result.scales.values())
    assert all(torch.equal(a, b) for a, b in zip(buffers, model.buffers(), strict=True))


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(5), nn.BatchNorm1d(5).eval(), nn.InstanceNorm1d(5, affine=True)])
def test_batch_norms_are_written_out_for_third_derivatives(norm: nn.Module) -> None:
    """torch 2.14 gives none of its own, whose numbers these are."""
    x = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    norm.double()
    expected = norm(x.detach())
    with twice_differentiable():
        out = norm(x)
        torch.testing.assert_close(out, expected)
        slope = out.pow(3).sum()
        for _ in range(3):
            slope = torch.autograd.grad(slope, x, create_graph=True)[0].square().sum()
    assert bool(slope.isfinite())


def test_learned_scales_take_numbers_as_targets_and_a_loss_of_ones_own() -> None:
    x = rows(64, 3)
    for loss in (None, lambda output, target: (output - target).abs().mean()):
        model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
        assert metainit_(model, (x, x[:, :1].clone()), loss=loss, steps=2).history
        assert gradinit_(model, (x, x[:, :1].clone()), loss=loss, steps=2).history


class Interrupts:
    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return nn.functional.cross_entropy(output, target)


@pytest.mark.parametrize("method", [metainit_, gradinit_])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"data": (torch.full((8, 64), math.nan), torch.arange(8) % 2)}, InputError, "NaN"),
        ({"data": (torch.zeros(0, 64), torch.zeros(0, dtype=torch.int64))}, InputError, "rows"),
        ({"data": (torch.rand(8, 63), torch.arange(8) % 2)}, InputError, "data: the forward pass failed in module '0'"),
        ({"data": (torch.rand(8, 64), torch.arange(8) + 50)}, InputError, "loss raised"),
        ({"steps": 0}, InputError, "steps"),
        ({"lr": math.nan}, InputError, "lr"),
        ({"batch_size": 0}, InputError, "batch_size"),
        ({"seed": 1.5}, InputError, "seed"),
        ({"loss": 3}, InputError, "callable"),
        ({"loss": "hinge"}, InputError, "unknown loss 'hinge'"),
        ({"loss": lambda output, target: output}, InputError, "one number"),
        ({"loss": lambda output, target: output.sum() * math.nan}, InputError, "finite"),
        ({"loss": Interrupts(3)}, KeyboardInterrupt, None),
    ],
)
def test_a_refused_call_leaves_the_model_as_it_was(
    method: Callable[..., Any], change: dict[str, Any], error: type[BaseException], message: str | None
) -> None:
    model = nn.Sequential(nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 10))
    before = [p.detach().clone() for p in model.parameters()]
    arguments = {"data": classes(64), "steps": 4, "batch_size": 16, **change}
    if isinstance(arguments.get("loss"), Interrupts):
        arguments["loss"] = Interrupts(3)
    with pytest.raises(error, match=message):
        method(model, **arguments)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_zero_weights_have_no_norm_to_learn() -> None:
    model = nn.Linear(64, 10)
    nn.init.zeros_(model.weight)
    with pytest.raises(InputError, match="all zero"):
        metainit_(model, classes())
    nn.init.zeros_(model.bias)
    with pytest.raises(InputError, match="all zero"):
        gradinit_(model, classes())


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (torch.full((4, 24), math.nan), "NaN"),
        (torch.zeros(0, 24), "at least one sample"),
        (rows(1, 24), "two values"),
        (rows(4, 23), "the forward pass failed"),
    ],
)
def test_a_refused_data_dependent_start_leaves_the_model_as_it_was(batch: Tensor, message: str) -> None:
    model = chain()
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(InputError, match=message):
        data_dependent_(model, batch)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_no_global_random_state_moves() -> None:
    states = random.getstate(), np.random.get_state()[1].copy(), torch.random.get_rng_state()
    model = nn.Sequential(nn.Linear(64, 12), nn.Dropout(0.5), nn.Linear(12, 10))
    torch.random.set_rng_state(states[2])
    data_dependent_(model, rows(32, 64))
    metainit_(model, classes(64), steps=1)
    gradinit_(model, classes(64), steps=1)
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[1]).all()
    assert torch.equal(torch.random.get_rng_state(), states[2])


LABELLED = (rows(32, 24), torch.arange(32) % 5)
FITS: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module], Any]]] = {
    "metainit": (lambda: chain(1), lambda model: metainit_(model, LABELLED, steps=1)),
    "gradinit": (lambda: chain(1), lambda model: gradinit_(model, LABELLED, steps=1)),
    "finetune": (lambda: chain(1), lambda model: initlab.fit.finetune_(model, LABELLED, epochs=1)),
    "dbn": (
        lambda: chain(1, act=nn.Sigmoid),
        lambda model: initlab.fit.pretrain_dbn_(model, rows(32, 24).sigmoid(), epochs=1),
    ),
}


@pytest.mark.parametrize("method", FITS)
@pytest.mark.parametrize("mode", [torch.no_grad, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_a_fit_learns_whatever_the_mode_outside(method: str, mode: Callable[[], Any]) -> None:
    """Under autocast what the model computes may be rounded, as in training; without gradients nothing differs."""
    build, fit = FITS[method]
    torch.manual_seed(0)
    model = build()
    plain, before = copy.deepcopy(model), copy.deepcopy(model.state_dict())
    fit(plain)
    with mode():
        fit(model)
    learned = model.state_dict()
    assert any(not torch.equal(value, before[name]) for name, value in learned.items())
    if mode is torch.no_grad:
        assert all(torch.equal(value, learned[name]) for name, value in plain.state_dict().items())
