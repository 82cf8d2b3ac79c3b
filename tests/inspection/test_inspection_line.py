"""The loss along the first step: what it equals, what it tells, and that it leaves no trace."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initlab
from initlab.inspection.evidence import Evidence
from initlab.inspection.gathering import gathered
from initlab.inspection.optimizers import Step, step_of

GENERATOR = torch.Generator().manual_seed(3)
X = torch.randn(64, 16, generator=GENERATOR)
Y = torch.arange(64) % 4


def network(dropout: float = 0.0, norm: bool = False) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        between = [nn.BatchNorm1d(32)] if norm else []
        return nn.Sequential(nn.Linear(16, 32), *between, nn.Tanh(), nn.Dropout(dropout), nn.Linear(32, 4))


def look(model: nn.Module, optimizer: object = "adamw", lr: float | None = None) -> Evidence:
    return gathered(model, X, Y, F.cross_entropy, step_of(optimizer, lr, model))


OPTIMIZERS: dict[str, Callable[[list[nn.Parameter], float], torch.optim.Optimizer]] = {
    "sgd": lambda p, lr: torch.optim.SGD(p, lr=lr),
    "adamw": lambda p, lr: torch.optim.AdamW(p, lr=lr, weight_decay=0.0),
    "adamw, decay": lambda p, lr: torch.optim.AdamW(p, lr=lr, weight_decay=0.3),
    "sgd, decay": lambda p, lr: torch.optim.SGD(p, lr=lr, weight_decay=0.3),
    "rmsprop": lambda p, lr: torch.optim.RMSprop(p, lr=lr, alpha=0.0),
    "two groups": lambda p, lr: torch.optim.SGD([{"params": p[:2]}, {"params": p[2:], "lr": 7 * lr}], lr=lr),
    "head only": lambda p, lr: torch.optim.Adam(p[2:], lr=lr),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("lr", [1e-3, 1e-2])
def test_a_point_is_the_loss_after_one_real_step(name: str, lr: float) -> None:
    model = network(norm=True)
    trained = copy.deepcopy(model)
    optimizer = OPTIMIZERS[name](list(trained.parameters()), lr)
    held = OPTIMIZERS[name](list(model.parameters()), lr)
    F.cross_entropy(trained(X), Y).backward()
    optimizer.step()
    line = look(model, held).line
    assert line is not None
    assert line.at(lr).lr == pytest.approx(lr)
    assert line.at(lr).loss == pytest.approx(float(F.cross_entropy(trained(X), Y).detach()), rel=1e-5)


def test_momentum_counts_as_the_steps_that_it_adds_up_to() -> None:
    model = network()
    momentum = look(model, torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)).line
    plain = look(model, "sgd").line
    assert momentum is not None
    assert plain is not None
    assert momentum.at(1e-3).loss == pytest.approx(plain.at(1e-2).loss, rel=1e-6)


def test_dropout_draws_the_same_mask_at_every_rate() -> None:
    """With masks of their own, losses would jump by a tenth at a rate of 1e-5; with the same they stay put."""
    line = look(network(dropout=0.5)).line
    assert line is not None
    assert line.points[0].loss == pytest.approx(line.start, rel=1e-3)


def test_small_steps_lower_the_loss_and_huge_ones_raise_it() -> None:
    line = look(network(), "sgd").line
    assert line is not None
    assert line.largest is not None
    assert 0.1 <= line.largest.lr <= 10
    assert line.decrease(line.lowest) > 0.05
    wild = look(network(), "sgd", 1e4).line
    assert wild is not None
    assert wild.decrease(wild.points[-1]) < 0


def test_on_a_line_of_a_linear_model_the_outputs_move_as_the_loss_asks() -> None:
    """One full-rank linear layer on white inputs: its gradient step moves the outputs along x xᵀ pull, nearly pull."""
    x = torch.linalg.qr(torch.randn(64, 64, generator=GENERATOR)).Q * 8
    model = nn.Linear(64, 4)
    line = gathered(model, x, Y, F.cross_entropy, step_of("sgd", None, model)).line
    assert line is not None
    assert line.points[0].aligned == pytest.approx(1.0, abs=0.02)


def test_what_does_not_move_has_no_line() -> None:
    model = network()
    assert look(model, torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)).line is None
    with torch.no_grad():
        model[0].weight[0, 0] = math.nan
    assert look(model).line is None


def test_steps_that_shift_all_samples_alike_are_aligned_with_nothing() -> None:
    model = network()
    for p in model.parameters():
        nn.init.zeros_(p)
    line = look(model, "sgd").line
    assert line is not None
    assert line.points[0].aligned == 0.0


@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_put_back(fails: bool) -> None:
    model = network(dropout=0.5, norm=True)
    calls = []

    def hook(*_: object) -> None:
        calls.append(1)
        if fails and len(calls) > 2:
            raise KeyboardInterrupt

    model.register_forward_hook(hook)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    storage = {name: p.data_ptr() for name, p in model.named_parameters()}
    versions = {name: p._version for name, p in model.named_parameters()}
    state = torch.get_rng_state()
    if fails:
        with pytest.raises(KeyboardInterrupt):
            look(model)
    else:
        look(model)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert storage == {name: p.data_ptr() for name, p in model.named_parameters()}
    assert versions == {name: p._version for name, p in model.named_parameters()}
    assert all(p.grad is None for p in model.parameters())


def test_an_optimizer_object_says_which_parameters_move_and_how_fast() -> None:
    model = network()
    head = list(model[3].parameters())
    groups = [{"params": head, "lr": 1e-2}, {"params": [model[0].weight], "lr": 1e-3, "weight_decay": 0.1}]
    step = step_of(torch.optim.AdamW(groups, weight_decay=0.0, eps=1e-6), None, model)
    assert (step.name, step.lr, step.given, step.eps) == ("adamw", 1e-2, True, 1e-6)
    assert [step.share(name) for name, _ in model.named_parameters()] == [pytest.approx(0.1), 0.0, 1.0, 1.0]
    assert step.groups is not None
    assert step.groups["0.weight"].decay == 0.1


def test_a_warm_up_from_zero_is_judged_at_the_rate_it_leads_to() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step / 10)
    assert step_of(optimizer, None, model).lr == 0.3


def test_a_rate_of_the_users_own_is_tried_beside_the_decades() -> None:
    line = look(network(), "adamw", 3e-3).line
    assert line is not None
    assert [p.lr for p in line.points] == [1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 1e-1]
    assert Step("sgd", 0.1, momentum=0.9).rate == pytest.approx(1.0)


def test_what_a_step_tells_of_the_samples_is_the_loss_over_that_of_their_mean() -> None:
    model = network()
    line = look(model, lr=1e-2).line
    assert line is not None
    logits = model(X).detach()
    alike = float(F.cross_entropy(logits.mean(0).expand_as(logits), Y))
    assert line.parted == pytest.approx((alike - line.start) / line.start, abs=1e-6)
    assert line.lowest.parted is not None
    assert line.lowest.parted > line.parted  # the step tells the samples apart


def test_a_loss_of_one_shape_alone_leaves_that_unknown() -> None:
    def picky(output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if output.std(0).max() == 0:
            raise ValueError("all alike")
        return F.cross_entropy(output, targets)

    model = network()
    line = gathered(model, X, Y, picky, step_of("adamw", None, model)).line
    assert line is not None
    assert {point.parted for point in line.points} == {None}
    assert line.largest is not None


def bounded(output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    if output.abs().max() > 3:
        raise ValueError("outputs are too large")
    return F.cross_entropy(output, targets)


@pytest.mark.parametrize("steps", [0, 2])
def test_a_loss_that_refuses_large_outputs_is_infinite_there(steps: int) -> None:
    report = initlab.inspect(network(), X, Y, bounded, optimizer="sgd", probe=steps)
    tried = dict(report.learning_rate.tried)
    assert math.isfinite(tried[1e-4])
    assert tried[10.0] == math.inf


class Detector(nn.Module):
    """Returns as many rows as it finds."""

    def __init__(self) -> None:
        super().__init__()
        self.score, self.about = nn.Linear(16, 1), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.score(x).squeeze(-1)
        return self.about(x)[found > found.median().clamp(max=0.5)] * found.sigmoid().mean()


def test_a_model_that_returns_what_it_finds_has_a_line() -> None:
    torch.manual_seed(0)
    report = initlab.inspect(Detector(), X, loss=lambda found: (found - 1).square().mean())
    assert all(math.isfinite(loss) for rate, loss in report.learning_rate.tried if rate <= 1e-2)


class Force(nn.Module):
    """Minus the gradient of an energy that the network gives: its forward pass differentiates."""

    def __init__(self) -> None:
        super().__init__()
        self.energy = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            return -torch.autograd.grad(self.energy(x).sum(), x, create_graph=True)[0]


class Unguarded(Force):
    """The same without seeing to it that gradients are on."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.detach().requires_grad_()
        return -torch.autograd.grad(self.energy(x).sum(), x, create_graph=True)[0]


@pytest.mark.parametrize("kind", [Force, Unguarded])
def test_a_forward_pass_that_differentiates_has_a_line_like_any_other(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    x = torch.randn(32, 6)
    report = initlab.inspect(kind(), x, -x)
    assert report.learning_rate.best is not None
    assert all(math.isfinite(loss) for _, loss in report.learning_rate.tried)


class Two(nn.Module):
    """Returns what its loss reads of it by place or by name."""

    def __init__(self, named: bool) -> None:
        super().__init__()
        self.hidden, self.out, self.named = nn.Linear(16, 8), nn.Linear(8, 16), named

    def forward(self, x: torch.Tensor) -> object:
        hidden = self.hidden(x).tanh()
        return {"out": self.out(hidden), "hidden": hidden} if self.named else (self.out(hidden), hidden)


@pytest.mark.parametrize("named", [True, False])
def test_a_loss_that_reads_several_tensors_is_never_tried_on_one(named: bool, recwarn: pytest.WarningsRecorder) -> None:
    """Of one tensor alone `output[0]` is a sample, whose loss broadcasts, and `output["out"]` an index."""
    first, second = ("out", "hidden") if named else (0, 1)

    def loss(output: dict[object, torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
        return F.mse_loss(output[first], targets) + 0.1 * output[second].square().mean()

    line = gathered(Two(named), X, X, loss, step_of("adamw", None, nn.Linear(1, 1))).line
    assert line is not None
    assert line.parted is None
    report = initlab.inspect(Two(named), X, X[:, 0], lambda output, t: F.mse_loss(output[first].mean(1), t))
    assert not [f for f in report.findings if f.kind == "broadcast"]
    assert [str(warning.message) for warning in recwarn] == []
