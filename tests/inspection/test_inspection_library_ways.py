"""What library models do on purpose is no fault, one tiny network a kind; and what their users do wrong is answered."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from healthy import IMAGES, LABELS, REAL, SERIES, TABLE, Encoder, N, drawn, mlp
from torch import nn
from torch.nn import functional as F

import initlab

Tensor = torch.Tensor


def seeded(kind: Any, *args: Any) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made: nn.Module = kind(*args)
        return made


class WrittenOut(nn.Module):
    """GELU by its tanh form, and a head that is far too large."""

    def __init__(self) -> None:
        super().__init__()
        self.layers, self.head = nn.ModuleList(nn.Linear(20, 20) for _ in range(4)), nn.Linear(20, 4)
        nn.init.normal_(self.head.weight, std=10)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            y = layer(x)
            x = 0.5 * y * (1 + torch.tanh(0.79788456 * (y + 0.044715 * y**3)))
        return self.head(x)


class Standardised(nn.Module):
    """Convolutions with standardised weights and one gain a unit, in a branch that begins closed, as in NFNets."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(i, 16, 3, padding=1) for i in (3, 16))
        self.convs.append(nn.Conv2d(16, 3, 3, padding=1))
        self.gains = nn.ParameterList(torch.ones(len(c.weight), 1, 1, 1) for c in self.convs)
        for conv in self.convs:
            nn.init.zeros_(conv.bias)
        self.last, self.head = nn.Parameter(torch.zeros(())), nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        stream = x
        for conv, gain in zip(self.convs, self.gains, strict=True):
            weight = conv.weight - conv.weight.mean((1, 2, 3), keepdim=True)
            weight = gain * weight / weight.std((1, 2, 3), keepdim=True) / weight[0].numel() ** 0.5
            x = F.conv2d(x, weight, conv.bias, padding=1).relu() * 1.7
        return self.head((stream + self.last * x).mean((2, 3)))


class Squeezed(nn.Module):
    """A squeeze-and-excitation of two units, both off, beside a stream."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body, self.head = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3, padding=1), nn.Linear(16, 4)
        self.down, self.up = nn.Linear(16, 2), nn.Linear(2, 16)
        nn.init.constant_(self.down.bias, -3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).tanh()
        h = self.body(x)
        gate = self.up(self.down(h.mean((2, 3))).relu()).sigmoid()
        return self.head((x + h * gate[:, :, None, None]).tanh().mean((2, 3)))


class Transformed(nn.Module):
    """Reads bands of its inputs, some of which are faint."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 3), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((self.low(x) + self.high(x * 0.005)).relu().mean((2, 3)))


class Gated(nn.Module):
    """A class token that sees its places only through gates of 1e-5, as in CaiT."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.into = nn.Parameter(drawn(1, 32)), nn.Linear(8, 32)
        self.gates = nn.ParameterList(torch.full((32,), 1e-5) for _ in range(2))
        self.mix, self.norm = nn.ModuleList(nn.Linear(32, 32) for _ in range(2)), nn.LayerNorm(32)
        self.head = nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        places = self.into(x).mean(1)
        token = self.token.expand(len(x), -1)
        for gate, mix in zip(self.gates, self.mix, strict=True):
            token = token + gate * mix(places).relu()
        return self.head(self.norm(token))


class Detector(nn.Module):
    """Its own focal loss, of probabilities that begin rare."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(nn.ReLU)
        nn.init.constant_(self.net[-1].bias, -4.6)
        nn.init.normal_(self.net[-1].weight, std=0.01)

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.net(x)
        share = logits.sigmoid()
        hot = F.one_hot(labels, 4).float()
        wrong = share + hot - 2 * share * hot
        return {"loss": (wrong**2 * F.binary_cross_entropy_with_logits(logits, hot, reduction="none")).mean()}


WAYS: dict[str, tuple[nn.Module, Any, Any, str]] = {
    "a gelu written out": (seeded(WrittenOut), TABLE, LABELS, "factor"),
    "a transform of the inputs": (seeded(Transformed), IMAGES, LABELS, "inputs"),
    "one gain a unit": (seeded(Standardised), IMAGES, LABELS, "symmetric"),
    "two units of a squeeze": (seeded(Squeezed), IMAGES, LABELS, "dead"),
    "a loss of the model's own, of rare classes": (
        seeded(Detector), {"x": TABLE, "labels": LABELS}, None, "saturated"),
}  # fmt: skip


def test_what_gates_of_layer_scale_hide_is_no_harm() -> None:
    found = initlab.inspect(seeded(Gated), SERIES, LABELS).findings
    assert [(f.kind, f.severity) for f in found if f.kind == "collapsed"] == [("collapsed", "info")]


@pytest.mark.parametrize("name", WAYS)
def test_what_is_meant_is_not_named(name: str) -> None:
    model, inputs, targets, kind = WAYS[name]
    report = initlab.inspect(model, inputs, targets)
    assert kind not in [f.kind for f in report.findings], report


class Regressor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.out = Encoder(), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.body(x))


def test_tiny_targets_are_named_before_the_first_loss_that_they_make() -> None:
    report = initlab.inspect(seeded(Regressor), SERIES, 1e-4 * REAL, F.mse_loss)
    assert (report.findings[0].kind, report.findings[0].severity) == ("targets", "warning")
    assert "first loss" not in [f.kind for f in report.findings]


def flat(output: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(output.flatten(0, -2), targets.flatten())


def flat_binary(output: Tensor, targets: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(output.flatten(), targets.flatten())


class Each(nn.Module):
    """A word a place, through a function at the end."""

    def __init__(self, last: nn.Module, out: int = 4) -> None:
        super().__init__()
        self.net, self.last = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, out)), last

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.net(x))


PLACES = SERIES.argmax(-1) % 4


@pytest.mark.parametrize(
    ("last", "out", "targets", "loss"),
    [
        (nn.Softmax(-1), 4, PLACES, flat),
        (nn.Sigmoid(), 1, (PLACES > 1).float(), flat_binary),
    ],
)
def test_a_loss_that_reshapes_what_it_takes_is_given_logits(
    last: nn.Module, out: int, targets: Any, loss: Any, recwarn: pytest.WarningsRecorder
) -> None:
    model = seeded(Each, last, out)
    fix = initlab.inspect(model, SERIES, targets, loss).fix()
    assert fix.cured, fix
    names = {"loss": loss}
    exec(fix.code, names)
    report = initlab.inspect(model, SERIES, targets, names["loss"])
    assert not [f for f in report.findings if f.severity != "info"], report
    assert not [w for w in recwarn if "target size" in str(w.message)]  # of trials against the losses that are known


@pytest.mark.parametrize("last", [nn.Tanh(), nn.ReLU(), nn.Sigmoid()])
def test_weights_are_not_drawn_again_for_what_only_the_author_can_change(last: nn.Module) -> None:
    fix = initlab.inspect(nn.Sequential(seeded(mlp, nn.ReLU), last), TABLE, LABELS, F.cross_entropy).fix()
    assert [what.partition(":")[0] for what in fix.what] == [f"Take the {type(last).__name__.lower()} away"]
    assert (fix.plan, fix.after, fix.cured) == (None, None, False)


def test_one_sample_many_times_is_said_and_no_weight_is_blamed() -> None:
    fix = initlab.inspect(seeded(mlp, nn.ReLU), drawn(1, 20).repeat(N, 1), LABELS).fix()
    assert any("samples differ" in what for what in fix.what)
    assert not fix.cured
