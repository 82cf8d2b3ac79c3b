"""What is found is told of what stands on the signal's way: where samples are lost, what a symptom's layer reads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import initlab
from initlab.inspection.features.feature import FLOOR
from initlab.inspection.results import Finding
from initlab.inspection.verdict import FACTS

X, LABELS = torch.randn(64, 20, generator=torch.Generator().manual_seed(0)), torch.arange(64) % 5
NOT_TRIED = float("nan")


class Towers(nn.Module):
    """Two networks read half of the features each; a third reads what they say together."""

    def __init__(self, joined: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], width: int = 24) -> None:
        super().__init__()
        self.left, self.right = (
            nn.Sequential(nn.Linear(10, 48), nn.ReLU(), nn.Linear(48, 24), nn.ReLU()) for _ in range(2)
        )
        self.head = nn.Sequential(nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, 5))
        self.joined = joined

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        joined: torch.Tensor = self.head(self.joined(self.left(x[:, :10]), self.right(x[:, 10:])))
        return joined


JOINED: dict[str, tuple[Callable[[torch.Tensor, torch.Tensor], torch.Tensor], int]] = {
    "beside each other": (lambda a, b: torch.cat([a, b], -1), 48),
    "their distance": (lambda a, b: (a - b).abs(), 24),
    "their product": (lambda a, b: a * b, 24),
}


def made(build: Callable[[], nn.Module], filled: dict[str, float] | None = None) -> nn.Module:
    torch.manual_seed(0)
    model = build()
    with torch.no_grad():
        for name, value in (filled or {}).items():
            model.get_parameter(name).fill_(value)
    return model


def found(model: nn.Module, kind: str, **asked: str) -> list[Finding]:
    return [f for f in initlab.inspect(model, X, LABELS, **asked).findings if f.kind == kind]


@pytest.mark.parametrize("name", JOINED)
def test_towers_that_are_off_never_train(name: str) -> None:
    """Only the head's biases move, for all samples alike."""
    off = {"left.2.bias": -30.0, "right.2.bias": -30.0}
    report = initlab.inspect(made(lambda: Towers(*JOINED[name]), off), X, LABELS)
    assert report.verdict == "untrainable"
    assert report.because == (FACTS["one answer"].words,)
    assert (report.findings[0].kind, report.findings[0].where) == ("bias", "left.2.bias")
    assert initlab.inspect(made(lambda: Towers(*JOINED[name])), X, LABELS).verdict == "healthy"


FAR_DOWN = (FLOOR, FLOOR, FLOOR, -8.5, -7.5, NOT_TRIED)
# Numbers of the line, which lowers the loss, and of the weights -> whether "one answer" settles it.
MOVED = {
    "rounding alone": ({}, True),
    "the largest rate parts samples": ({"moved 5": -4.0}, False),
    "a small step parts samples": ({"apart": 1e-3}, False),
    "every weight gets a gradient": ({"unmoved": 0.0}, False),
    "a weight of zeros could open": ({"least gain": FLOOR}, False),
    "nothing was tried": ({f"moved {i}": NOT_TRIED for i in range(1, 7)}, False),
}


@pytest.mark.parametrize("name", MOVED)
def test_a_loss_that_falls_for_all_samples_alike_is_a_fact_where_nothing_could_part_them(name: str) -> None:
    """Tiny weights move the outputs as little and may train: each of them gets a gradient."""
    others, holds = MOVED[name]
    numbers = {f"moved {i}": value for i, value in enumerate(FAR_DOWN, 1)}
    numbers |= {"apart": 0.0, "unmoved": 0.8, "least gain": -0.3, "normalised": 0.0, "moved": -8.5, "decrease": 0.1}
    assert FACTS["one answer"].holds(numbers | {"sign": 1.0, "over eps": 3.0} | others) == holds


class Branch(nn.Module):
    """A residual branch whose last weight begins at zero, and a gate that reads what it gives: zero, too."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.out = nn.Linear(20, 32), nn.Linear(32, 5)
        self.body = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32))
        self.gate = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 32))
        for p in (*self.body[2].parameters(), self.gate[0].bias):
            nn.init.zeros_(p)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y = self.body(x)
        logits: torch.Tensor = self.out(x + y * self.gate(y).sigmoid())
        return logits


def test_units_that_read_zeros_are_not_called_dead() -> None:
    """As in squeeze-and-excite behind a branch that begins at zero (timm's test_nfnet)."""
    assert not found(made(Branch), "dead")
    assert found(made(Branch, {"body.0.bias": -30.0}), "dead")


def plain(last: type[nn.Module] = nn.ReLU) -> nn.Module:
    return nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 32), last(), nn.Linear(32, 5))


@pytest.mark.parametrize(("optimizer", "severity"), [("adamw", "info"), ("sgd", "warning")])
def test_where_a_weight_of_zeros_loses_the_samples_it_is_named(optimizer: str, severity: str) -> None:
    """Adam opens it at full size with its first step; plain gradient descent has to leave the saddle first."""
    (finding,) = found(made(plain, {"2.weight": 0.0}), "collapsed", optimizer=optimizer)
    assert (finding.where, finding.severity) == ("2.weight", severity)
    assert "2.weight is zero" in finding.evidence
    assert "draw 2.weight with std" in finding.advice


def scaled(model: nn.Module, factors: dict[str, float]) -> nn.Module:
    with torch.no_grad():
        for name, factor in factors.items():
            model.get_parameter(name).mul_(factor)
    return model


def advised(kind: str, model: nn.Module) -> str:
    return found(model, kind)[0].advice


def test_a_symptom_is_answered_by_a_weight_that_stands_before_it() -> None:
    """The read-out is farther from its plan than what saturates the layer before it."""
    model = scaled(made(lambda: plain(nn.Tanh)), {"2.weight": 60.0, "4.weight": 1e-4})
    assert advised("saturated", model).startswith("Draw 2.weight")


class Normed(nn.Module):
    """Two layers, a norm, and a tanh before the read-out."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(20, 32), nn.GELU(), nn.Linear(32, 32), nn.LayerNorm(32))
        self.pool, self.out = nn.Linear(32, 32), nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.out(self.pool(self.body(x)).tanh())
        return logits


def test_behind_a_norm_weights_before_it_are_not_blamed() -> None:
    model = scaled(made(Normed), {"body.2.weight": 1e-3, "pool.weight": 60.0})
    assert advised("saturated", model).startswith("Draw pool.weight")


def test_samples_that_equal_units_lose_at_a_norm_are_not_laid_on_what_stands_behind() -> None:
    """A norm of equal numbers is zero, as behind a patch embedding of constant weights."""
    model = scaled(made(Normed, {"body.2.weight": 0.02, "body.2.bias": 0.0}), {"pool.weight": 1e-4})
    finding = found(model, "collapsed")[0]
    assert (finding.where, finding.advice.split()[1]) == ("body.3", "body.2.weight")


class Pooled(nn.Module):
    """As BERT classifies: layers of attention with a norm behind each, and a tanh of the first place."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True, activation="gelu")
        self.token, self.norm = nn.Embedding(40, 32), nn.LayerNorm(32)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.pool, self.out = nn.Linear(32, 32), nn.Linear(32, 4)
        for p in self.parameters():
            if p.ndim > 1:
                nn.init.normal_(p, std=0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.out(self.pool(self.body(self.norm(self.token(x)))[:, 0]).tanh())
        return logits


def test_biases_that_saturate_a_layer_are_put_back_with_those_of_norms() -> None:
    """With the layers' biases at zero alone a norm's still hide the tokens; no weight has to be drawn again."""
    names = [name for name, _ in Pooled().named_parameters() if name.endswith("bias")]
    model = made(Pooled, dict.fromkeys(names, -5.0))
    tokens = torch.randint(0, 40, (64, 16), generator=torch.Generator().manual_seed(0))
    report = initlab.inspect(model, tokens, tokens.sum(1) % 4)
    assert (report.findings[0].kind, report.findings[0].severity) == ("bias", "warning")
    assert "layers that were off or saturated are not" in report.findings[0].evidence
    fix = report.fix()
    assert fix.cured
    assert not any("every weight" in what for what in fix.what)
