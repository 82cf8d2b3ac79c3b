"""The verdict: what training did of starts that are not among the recorded cells, and what the report says of rates."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initlab
from initlab.inspection.features import FEATURES, Feature, features_of
from initlab.inspection.gathering import gathered
from initlab.inspection.optimizers import step_of
from initlab.inspection.probe import gets_going
from initlab.inspection.trees import calibration, ensemble_of
from initlab.inspection.verdict import FACTS, _sentence

GENERATOR = torch.Generator().manual_seed(7)
Y = torch.arange(64) % 10
IMAGES = torch.randn(10, 3, 16, 16, generator=GENERATOR)[Y] + 0.7 * torch.randn(64, 3, 16, 16, generator=GENERATOR)
X = IMAGES.flatten(1)[:, :64].contiguous()


class Bottleneck(nn.Module):
    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        inner = width // 4
        self.body = nn.Sequential(
            nn.Conv2d(width, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU(),
            nn.Conv2d(inner, inner, 3, stride, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU(),
            nn.Conv2d(inner, width, 1, bias=False), nn.BatchNorm2d(width))  # fmt: skip
        self.skip = nn.Conv2d(width, width, 1, stride, bias=False) if stride > 1 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.body(x) + self.skip(x))


def resnet() -> nn.Module:
    blocks = [Bottleneck(64, stride) for stride in (1, 2, 1, 2, 1)]
    return nn.Sequential(nn.Conv2d(3, 64, 3, 1, 1), nn.BatchNorm2d(64), nn.ReLU(), *blocks, nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(64, 10))  # fmt: skip


class ViT(nn.Module):
    def __init__(self, width: int = 96, depth: int = 4) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, width, 4, 4)
        self.position = nn.Parameter(0.02 * torch.randn(16, width))
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, 0.0, F.gelu, batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, depth, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(self.patch(x).flatten(2).transpose(1, 2) + self.position).mean(1))


class ConvNeXt(nn.Module):
    def __init__(self, width: int = 48, depth: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 4, 4)
        self.blocks = nn.ModuleList(nn.ModuleList(self.parts(width)) for _ in range(depth))
        self.scale = nn.Parameter(torch.full((depth, width), 1e-6))
        self.head = nn.Linear(width, 10)

    @staticmethod
    def parts(width: int) -> list[nn.Module]:
        mixes, norm = nn.Conv2d(width, width, 7, padding=3, groups=width), nn.LayerNorm(width)
        return [mixes, norm, nn.Linear(width, 4 * width), nn.Linear(4 * width, width)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for i, (conv, norm, up, down) in enumerate(self.blocks):  # type: ignore[misc]
            y = down(F.gelu(up(norm(conv(x).permute(0, 2, 3, 1)))))
            x = x + (self.scale[i] * y).permute(0, 3, 1, 2)
        return self.head(x.mean((2, 3)))


def seeded(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build()


def stack(depth: int, width: int, act: type[nn.Module], norm: bool = False) -> nn.Module:
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise([64] + [width] * depth):
        layers += [nn.Linear(a, b), *([nn.LayerNorm(b)] if norm else []), act()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def drawn(model: nn.Module, std: float) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim > 1:
                p.normal_(0, std, generator=generator)
    return model


def trained(model: nn.Module, x: torch.Tensor, optimizer: torch.optim.Optimizer, steps: int) -> float:
    """The loss on the batch after that many steps on it."""
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(x), Y).backward()
        optimizer.step()
    return float(F.cross_entropy(model(x), Y).detach())


@pytest.mark.parametrize("build", [resnet, ViT, ConvNeXt])
@pytest.mark.parametrize("lr", [None, 1e-3])
def test_library_like_models_as_built_are_not_called_untrainable(build: type[nn.Module], lr: float | None) -> None:
    """ResNet, ViT and ConvNeXt train to zero loss within a few dozen steps of AdamW at 1e-3."""
    model = seeded(build)
    report = initlab.inspect(model, IMAGES, Y, optimizer="adamw", lr=lr)
    assert report.verdict in ("healthy", "slow")
    assert report.probability["untrainable"] < 0.2
    report.assert_healthy()


def test_library_like_models_do_train() -> None:
    model = seeded(ViT)
    assert trained(model, IMAGES, torch.optim.AdamW(model.parameters(), lr=1e-3), 25) < 0.5


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_deep_relu_net_of_tiny_weights_is_not_healed_by_layer_norm(optimizer: str) -> None:
    """Its biases drown the signal at every layer; 200 steps at 1e-4, 1e-3 and 1e-2 leave the loss at log 10."""
    model = drawn(seeded(lambda: stack(16, 64, nn.ReLU, norm=True)), 1e-3)
    report = initlab.inspect(model, X, Y, optimizer=optimizer)
    assert report.verdict in ("untrainable", "uncertain")
    assert report.probability["untrainable"] > 0.5


class Gru(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(8, 48, 2, batch_first=True), nn.Linear(48, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(x.reshape(-1, 8, 8))[0][:, -1])


class Highway(nn.Module):
    def __init__(self, depth: int = 10, width: int = 48) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(64, width), nn.Linear(width, 10)
        self.pairs = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(depth))
        for pair in self.pairs:
            nn.init.constant_(pair.bias[width:], -2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for pair in self.pairs:
            h, gate = pair(x).chunk(2, -1)
            x = gate.sigmoid() * h.tanh() + (1 - gate.sigmoid()) * x
        return self.head(x)


@pytest.mark.parametrize("build", [Gru, Highway])
def test_momentum_counts(build: type[nn.Module]) -> None:
    """With momentum 0.9 at 0.1 they train, as plain steps of 1 would; nothing vanishes."""
    model = seeded(build)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    report = initlab.inspect(model, X, Y, optimizer=optimizer)
    assert report.verdict != "untrainable"
    assert not [f for f in report.findings if f.kind == "vanishing"]
    plain = initlab.inspect(model, X, Y, optimizer="sgd", lr=0.1)
    assert report.steps < plain.steps
    assert trained(model, X, optimizer, 150) < 0.5 * math.log(10)


def test_a_deep_sigmoid_net_is_helped_by_its_plan() -> None:
    model = seeded(lambda: stack(8, 100, nn.Sigmoid))
    initlab.init_(model, "xavier_normal", seed=0)
    before = initlab.inspect(model, X, Y, optimizer="sgd")
    assert before.verdict in ("untrainable", "uncertain")
    assert before.probability["untrainable"] > 0.5
    initlab.init_(model, "auto", example_inputs=X, seed=0)
    after = initlab.inspect(model, X, Y, optimizer="sgd")
    assert after.verdict in ("healthy", "slow")


def test_a_verdict_is_about_the_given_rate_or_about_the_best() -> None:
    model = seeded(lambda: stack(3, 64, nn.ReLU))
    best = initlab.inspect(model, X, Y, optimizer="sgd")
    wild = initlab.inspect(model, X, Y, optimizer="sgd", lr=100.0)
    assert (best.verdict, best.lr_given, best.lr) == ("healthy", False, best.learning_rate.best)
    assert (wild.lr_given, wild.lr) == (True, 100.0)
    assert wild.verdict in ("untrainable", "uncertain")
    assert wild.probability["untrainable"] > 0.5
    with pytest.raises(initlab.UntrainableError, match="lr 100"):
        wild.assert_healthy(allow=("healthy", "slow"))


def test_the_learning_rate_window_holds_in_training() -> None:
    """Of a quadratic loss a step that raises it is beyond 2 / lambda_max, and more such steps diverge.

    The window is told to a decade.
    """
    targets = torch.randn(64, 10, generator=torch.Generator().manual_seed(3))

    def ends(lr: float) -> float:
        model = seeded(lambda: nn.Linear(64, 10))
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        for _ in range(200):
            optimizer.zero_grad()
            F.mse_loss(model(X), targets).backward()
            optimizer.step()
        return float(F.mse_loss(model(X), targets).detach())

    window = initlab.inspect(seeded(lambda: nn.Linear(64, 10)), X, targets, F.mse_loss, optimizer="sgd").learning_rate
    rates = [lr for lr, _ in window.tried]
    beyond = rates[rates.index(window.largest_stable) + 1]
    assert window.best <= window.largest_stable
    assert ends(window.largest_stable / 10) < 1.0
    assert not ends(beyond) < 1e3


def test_a_probe_takes_real_steps_and_leaves_no_trace() -> None:
    model = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 10))
    before = {name: t.clone() for name, t in model.state_dict().items()}
    state = torch.get_rng_state()
    window = initlab.inspect(model, X, Y, probe=4).learning_rate
    assert len(window.probed) == 3
    assert all(len(curve) == 4 for curve in window.probed.values())
    assert window.smallest_useful in window.probed
    assert min(curve[-1] for curve in window.probed.values()) == window.probed[window.best][-1]
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("bad", [-1, 1.5, "three", True])
def test_a_probe_that_is_no_number_of_steps_is_refused(bad: object) -> None:
    with pytest.raises(initlab.InputError, match="probe must be a whole number of at least 0"):
        initlab.inspect(nn.Linear(64, 10), X, Y, probe=bad)  # type: ignore[arg-type]


def test_without_the_line_probe_no_forward_pass_is_added() -> None:
    model, calls = seeded(lambda: stack(3, 64, nn.ReLU)), []
    model.register_forward_hook(lambda *_: calls.append(1))
    report = initlab.inspect(model, X, Y, line_probe=False)
    assert (len(calls), report.learning_rate, report.verdict) == (1, None, "healthy")
    calls.clear()
    initlab.inspect(model, X, Y)
    assert len(calls) == 1 + 5


def test_facts_settle_the_verdict() -> None:
    model = seeded(lambda: stack(3, 32, nn.Tanh))
    for p in model.parameters():
        nn.init.zeros_(p)
    report = initlab.inspect(model, X, Y)
    assert report.verdict == "untrainable"
    assert report.because == ("no weight matrix gets a gradient",)
    none = initlab.inspect(model, X, Y, optimizer=torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1))
    assert none.because == ("no parameter is trained",)


def test_every_probability_comes_with_the_numbers_that_moved_it() -> None:
    report = initlab.inspect(seeded(lambda: stack(3, 64, nn.ReLU)), X, Y)
    assert 1 <= len(report.because) <= 3
    assert all("{" not in sentence for sentence in report.because)
    assert set(report.probability) == {"healthy", "slow", "untrainable"}
    shown = repr(report)
    assert "Probability healthy 0." in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_the_report_shows_the_loss_along_the_step(tmp_path: Path) -> None:
    report = initlab.inspect(seeded(lambda: stack(2, 16, nn.ReLU)), X, Y, probe=2)
    page = report.save(tmp_path / "x.html").read_text()
    assert "Loss along the first step" in page
    assert "best guess" in page
    data = json.loads(report.save(tmp_path / "x.json").read_text())
    assert set(data["probability"]) == {"healthy", "slow", "untrainable"}
    assert data["learning_rate"]["best"] == report.learning_rate.best


def test_features_are_numbers_for_models_of_every_kind() -> None:
    model = seeded(ViT)
    numbers = features_of(gathered(model, IMAGES, Y, None, step_of("adamw", None, model)))
    assert list(numbers) == [feature.name for feature in FEATURES]
    assert len(set(numbers)) == len(FEATURES)
    assert not [name for name, value in numbers.items() if math.isinf(value)]


def test_the_shipped_trees_give_probabilities_of_any_numbers() -> None:
    known = calibration()
    assert set(known.ensembles) == {"best", "best, line", "given", "given, line"}
    for ensemble in known.ensembles.values():
        assert 0 < ensemble.trains < ensemble.untrainable < 1
        for value in (math.nan, 0.0, -12.0, 6.0):
            found = ensemble.probability(dict.fromkeys(ensemble.features, value))
            assert sum(found.values()) == pytest.approx(1)
            assert all(0 <= share <= 1 for share in found.values())


def test_an_ensemble_takes_the_mean_of_the_leaves_that_its_numbers_lead_to() -> None:
    """One tree asks whether x is at most 0.5 (shares of a: 0.2, else 0.8; 0.6 of all); the other is a leaf of 0.4."""
    data = {"features": ["x"], "usual": [1.0], "classes": ["a", "b"], "temperature": 1.0, "untrainable": 0.9,
            "trains": 0.1, "roots": [0, 3], "feature": [0, -1, -1, -1], "threshold": [0.5], "right": [2],
            "shares": [600, 200, 800, 400]}  # fmt: skip
    ensemble = ensemble_of(data)
    assert ensemble.probability({"x": 0.5}) == pytest.approx({"a": (0.2 + 0.4) / 2, "b": (0.8 + 0.6) / 2})
    assert ensemble.probability({"x": math.nan})["a"] == pytest.approx((0.8 + 0.4) / 2)
    assert ensemble.moved({"x": 3.0}, "a") == pytest.approx({"x": (0.8 - 0.6) / 2})
    sharper = ensemble_of({**data, "temperature": 0.5})
    assert sharper.probability({"x": 0.5})["a"] == pytest.approx(0.3**2 / (0.3**2 + 0.7**2))


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_every_number_comes_out_in_words(feature: Feature) -> None:
    """A number in its place, and of what holds or not the words for either."""
    held, not_held = (_sentence(feature, value) for value in (1.0, 0.0))
    assert held != not_held
    assert "{" not in held + not_held


# Numbers of the line -> whether "no rate" settles it.
RATES_THAT_DO_NOT_LOWER = {
    "it stays": ({"window": 0.0, "overshoot": 0.0, "decrease 1": 0.0, "decrease 2": 2e-4}, True),
    "it grows out of all bounds": ({"window": 0.0, "overshoot": 12.0, "decrease 1": -0.1, "decrease 2": -1.0}, True),
    "it grows as the rate does": ({"window": 0.0, "overshoot": 4.7, "decrease 1": -0.2, "decrease 2": -1.0}, False),
    "it grows as the rate does, of units that are all equal": (
        {"window": 0.0, "overshoot": 4.7, "decrease 1": -0.2, "decrease 2": -1.0, "merged": 1.0},
        True,
    ),
    "a rate lowers it": ({"window": 1.0, "overshoot": 12.0, "decrease 1": 0.1, "decrease 2": -1.0}, False),
}


@pytest.mark.parametrize("name", RATES_THAT_DO_NOT_LOWER)
def test_that_no_rate_lowers_the_loss_is_a_fact_where_it_stays_or_bursts(name: str) -> None:
    """A loss that grows in proportion to the rate came down again in 4 of 8 recorded cells."""
    numbers, holds = RATES_THAT_DO_NOT_LOWER[name]
    known = dict.fromkeys((f"decrease {i}" for i in range(1, 7)), math.nan) | {"merged": 0.0} | numbers
    assert FACTS["no rate"].holds(known) == holds


def stacked(depth: int, norm: bool) -> nn.Module:
    torch.manual_seed(0)
    parts = [[nn.Linear(64, 64), *([nn.LayerNorm(64)] if norm else []), nn.ReLU()] for _ in range(depth)]
    return nn.Sequential(*(part for one in parts for part in one), nn.Linear(64, 10))


def by_momentum(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)


def test_real_steps_settle_a_start_that_the_trees_leave_open() -> None:
    model = stacked(8, norm=True)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    report = initlab.inspect(model, X, Y, optimizer=by_momentum(model, 0.05))
    assert report.verdict in ("healthy", "slow")
    assert "real steps" in report.because[0]
    assert report.probability["untrainable"] < 0.1
    assert sum(report.probability.values()) == pytest.approx(1.0)
    assert report.passes["backward"] > 1
    assert all(torch.equal(p, before[name]) and p.grad is None for name, p in model.named_parameters())


def test_what_real_steps_do_not_get_going_stays_open() -> None:
    model = stacked(8, norm=False)
    report = initlab.inspect(model, X, Y, optimizer=by_momentum(model, 0.01))
    assert report.verdict == "uncertain"
    assert not any("real steps" in words for words in report.because)


def test_no_real_steps_are_taken_without_the_line_probe() -> None:
    model = stacked(8, norm=True)
    report = initlab.inspect(model, X, Y, optimizer=by_momentum(model, 0.05), line_probe=False)
    assert not any("real steps" in words for words in report.because)


def test_a_given_rate_whose_real_steps_leave_no_number_is_untrainable() -> None:
    report = initlab.inspect(stacked(4, norm=False), X, Y, optimizer="sgd", lr=3.0)
    assert report.verdict == "untrainable"
    assert "no number" in report.because[0]


def test_a_loss_under_that_of_a_constant_answer_from_the_start_is_no_measure_of_real_steps() -> None:
    model = stacked(2, norm=True)
    e = gathered(model, X, Y, None, step_of("adamw", 1e-2, model))
    assert gets_going(e.problem, e.seen, e.step, e.seen.loss) is not None
    assert gets_going(e.problem, e.seen, e.step, 10 * e.seen.loss) is None


class Sparse(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(50, 16, sparse=True), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.table(x).mean(1))


def test_an_optimizer_that_refuses_its_real_step_is_told_in_one_line() -> None:
    """As Adam does of sparse gradients: a verdict does without."""
    model, tokens = Sparse(), torch.arange(320).reshape(64, 5) % 50
    e = gathered(model, tokens, Y % 4, None, step_of("adamw", 1e-2, model))
    with pytest.raises(initlab.InputError, match="a real step of the optimizer failed"):
        gets_going(e.problem, e.seen, e.step, e.seen.constant_loss)
    assert initlab.inspect(model, tokens, Y % 4, optimizer="adamw", lr=1e-2).verdict
