"""Causes of bad training beyond the weights: each is named where it is planted, and not named on healthy models."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from healthy import (
    FAMILIES,
    GREY,
    IMAGES,
    LABELS,
    MODELS,
    REAL,
    SERIES,
    TABLE,
    TOKENS,
    N,
    drawn,
    mlp,
    resnet,
    transformer,
)
from torch import nn
from torch.nn import functional as F

import initlab

CAUSES = {"inputs", "targets", "broadcast", "output activation", "label count", "cut off", "mode", "residuals",
        "copies",
          "bias", "norm weight", "norm bias", "scale", "factor", "first loss", "outlier", "rate", "optimizer",
          "activation constant", "loss sign", "frozen", "mask", "tiny weights"}  # fmt: skip
SHARES = drawn(N, 4).softmax(-1)
BINARY = (REAL > 0).float()


def ended(*last: nn.Module, out: int = 4) -> nn.Module:
    return nn.Sequential(mlp(nn.ReLU, out=out), *last)


class Written(nn.Module):
    """Runs `after` on what an MLP returns."""

    def __init__(self, after: Callable[[torch.Tensor], torch.Tensor], out: int = 4) -> None:
        super().__init__()
        self.net, self.after = mlp(nn.ReLU, out=out), after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.after(self.net(x))


class Cut(nn.Module):
    """A head on a trunk whose signal goes through `cut`."""

    def __init__(self, cut: Callable[[nn.Module, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.trunk, self.head, self.cut = mlp(nn.ReLU, out=16), nn.Linear(16, 4), cut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.cut(self.trunk, x))


def without_grad(trunk: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return trunk(x)


class Dropping(nn.Module):
    def __init__(self, share: float, told: bool = False) -> None:
        super().__init__()
        self.a, self.b, self.share, self.told = nn.Linear(20, 32), nn.Linear(32, 4), share, told

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.a(x).relu()
        return self.b(F.dropout(hidden, self.share, self.training) if self.told else F.dropout(hidden, self.share))


class Residual(nn.Module):
    """x + f(x), many times, without a norm."""

    def __init__(self, depth: int, scale: float) -> None:
        super().__init__()
        self.stem, self.head, self.scale = nn.Linear(20, 48), nn.Linear(48, 4), scale
        self.blocks = nn.ModuleList(nn.Linear(48, 48) for _ in range(depth))
        for block in self.blocks:
            nn.init.kaiming_normal_(block.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = x + self.scale * block(x.relu())
        return self.head(x)


class Ensemble(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        first = mlp(nn.ReLU)
        self.members = nn.ModuleList([first, copy.deepcopy(first)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.members[0](x) + self.members[1](x)


class Scaled(nn.Module):
    """Multiplies its inputs by a number first."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.net, self.factor = mlp(nn.ReLU), factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(self.factor * x)


def evaluating(model: nn.Module, kind: type[nn.Module]) -> nn.Module:
    for module in model.modules():
        if isinstance(module, kind):
            module.eval()
    return model


def ends_in(weights: Callable[[torch.Tensor], torch.Tensor], act: nn.Module) -> nn.Module:
    model = ended(act, out=1)
    with torch.no_grad():
        model[0][-1].weight.copy_(weights(model[0][-1].weight))
        model[0][-1].bias.zero_()
    return model


def bias_at_the_end(value: float, act: nn.Module) -> nn.Module:
    model = ended(act, out=1)
    nn.init.constant_(model[0][-1].bias, value)
    return model


COUNTS = (100 * TABLE.abs()).round()
ONE_LARGE = torch.cat([TABLE[:, :-1], 1e5 * TABLE[:, -1:]], 1)
CONSTANT, TWICE = TABLE.clone(), TABLE.clone()
CONSTANT[:, 3] = 1.0
TWICE[:, 7] = TWICE[:, 2]

# name: (model, inputs, targets, loss, kind, where, words of the evidence)
PLANTED: dict[str, tuple[Callable[[], nn.Module], Any, Any, Any, str, str, str]] = {
    "inputs 0..255": (lambda: mlp(nn.ReLU), 255 * TABLE.sigmoid(), LABELS, None, "inputs", "inputs", "too large"),
    "inputs 0..255, convolution, batch norm": (
        lambda: resnet(3), 255 * IMAGES.sigmoid(), LABELS, None, "inputs", "inputs", "too large"),
    "inputs x 1e-4": (lambda: mlp(nn.ReLU), 1e-4 * TABLE, LABELS, None, "inputs", "inputs", "too small"),
    "inputs x 1e-4, a series": (MODELS["LSTM"][0], 1e-4 * SERIES, LABELS, None, "inputs", "inputs", "too small"),
    "inputs x 1e-4 in a dict": (lambda: mlp(nn.ReLU), {"input": 1e-4 * TABLE}, LABELS, None, "inputs", "inputs",
        "too small"),
    "inputs x 1e-4, read by a norm": (
        lambda: nn.Sequential(nn.LayerNorm(20), mlp(nn.ReLU)), 1e-4 * TABLE, LABELS, None, "inputs", "inputs",
        "eps drowns"),
    "counts": (lambda: mlp(nn.ReLU), COUNTS, LABELS, None, "inputs", "inputs", "too large"),
    "inputs far from zero": (lambda: mlp(nn.ReLU), 5 + 0.1 * TABLE, LABELS, None, "inputs", "inputs", "means drown"),
    "one column on another scale": (lambda: mlp(nn.ReLU), 1e-4 * ONE_LARGE, LABELS, None, "inputs", "inputs",
        "column 19"),
    "a constant column": (lambda: mlp(nn.ReLU), CONSTANT, LABELS, None, "inputs", "inputs", "column 3 is the same"),
    "one sample many times": (
        lambda: mlp(nn.ReLU), TABLE[:1].repeat(N, 1), LABELS, None, "inputs", "inputs", "samples are the same"),
    "one series many times": (
        MODELS["LSTM"][0], SERIES[:1].repeat(N, 1, 1), LABELS, None, "inputs", "inputs", "samples are the same"),
    "a column twice": (lambda: mlp(nn.ReLU), TWICE, LABELS, None, "inputs", "inputs", "(2, 7) are equal"),
    "targets (N,), outputs (N, 1)": (
        lambda: mlp(nn.ReLU, out=1), TABLE, REAL[:, 0], F.mse_loss, "broadcast", "loss", "(32, 32)"),
    "targets (N, 1), outputs (N,)": (
        lambda: Written(lambda y: y[:, 0]), TABLE, REAL, nn.MSELoss(), "broadcast", "loss", "(32, 32)"),
    "the same in a loss of one's own": (
        lambda: mlp(nn.ReLU, out=1), TABLE, REAL[:, 0], lambda o, t: (o - t).abs().pow(1.5).mean(), "broadcast", "loss",
        "(32, 32)"),
    "whole targets (N,), outputs (N, 1)": (
        lambda: mlp(nn.ReLU, out=1), TABLE, LABELS, lambda o, t: (o - t).square().mean(), "broadcast", "loss",
        "(32, 32)"),  # torch 2.10's own goes back through no whole numbers
    "ages in whole years": (
        lambda: mlp(nn.ReLU, out=1), TABLE, (40 + 12 * REAL).long(), F.l1_loss, "targets", "targets", "rms is 4"),
    "the same by name": (lambda: mlp(nn.ReLU, out=1), TABLE, REAL[:, 0], "mse", "broadcast", "loss", "one to one"),
    "one output for three targets": (
        lambda: mlp(nn.ReLU, out=1), TABLE, drawn(N, 3), F.l1_loss, "broadcast", "loss", "(32, 3)"),
    "softmax before cross-entropy": (
        lambda: ended(nn.Softmax(-1)), TABLE, LABELS, F.cross_entropy, "output activation", "1", "takes logits"),
    "softmax written out": (
        lambda: Written(lambda y: y.exp() / y.exp().sum(-1, keepdim=True)), TABLE, LABELS, F.cross_entropy,
        "output activation", "output", "takes logits"),
    "softmax before cross-entropy, guessed": (
        lambda: ended(nn.Softmax(-1)), TABLE, LABELS, None, "output activation", "1", "takes logits"),
    "sigmoid before bce with logits": (
        lambda: ended(nn.Sigmoid(), out=1), TABLE, BINARY, nn.BCEWithLogitsLoss(), "output activation", "1", "sigmoid"),
    "sigmoid, then squeezed": (
        lambda: Written(lambda y: y.sigmoid().squeeze(-1), out=1), TABLE, BINARY[:, 0],
        F.binary_cross_entropy_with_logits, "output activation", "sigmoid", "sigmoid"),
    "sigmoid written out": (
        lambda: Written(lambda y: 1 / (1 + torch.exp(-y)), out=1), TABLE, BINARY, F.binary_cross_entropy_with_logits,
        "output activation", "output", "sigmoid"),
    "relu before cross-entropy": (
        lambda: ended(nn.ReLU()), TABLE, LABELS, F.cross_entropy, "output activation", "1", "relu"),
    "tanh before cross-entropy": (
        lambda: ended(nn.Tanh()), TABLE, LABELS, F.cross_entropy, "output activation", "1", "tanh"),
    "softmax over one unit": (
        lambda: ended(nn.Softmax(-1), out=1), TABLE, BINARY, F.binary_cross_entropy, "output activation", "1",
        "one unit"),
    "cross-entropy over one unit": (
        lambda: mlp(nn.ReLU, out=1), TABLE, LABELS * 0, F.cross_entropy, "output activation", "output", "one unit"),
    "probabilities into nll": (
        lambda: ended(nn.Softmax(-1)), TABLE, LABELS, F.nll_loss, "output activation", "1", "logarithm"),
    "logits into nll": (lambda: mlp(nn.ReLU), TABLE, LABELS, F.nll_loss, "output activation", "output", "no log-prob"),
    "probabilities into a divergence": (
        lambda: ended(nn.Softmax(-1)), TABLE, SHARES, nn.KLDivLoss(reduction="batchmean"), "output activation", "1",
        "logarithm"),
    "logits into a divergence": (
        lambda: mlp(nn.ReLU), TABLE, SHARES, nn.KLDivLoss(reduction="sum"), "output activation", "output", "no log-p"),
    "minus the cross-entropy": (
        lambda: mlp(nn.ReLU), TABLE, LABELS, lambda o, t: -F.cross_entropy(o, t), "loss sign", "loss", "minus the"),
    "log-likelihood without its minus": (
        lambda: ended(nn.LogSoftmax(-1)), TABLE, LABELS, lambda o, t: o.gather(1, t[:, None]).mean(), "loss sign",
        "loss", "minus the negative"),
    "a loss of plain numbers": (
        lambda: mlp(nn.ReLU), TABLE, LABELS, lambda o, t: torch.tensor(F.cross_entropy(o, t).item()), "cut off", "loss",
        "carries none"),
    "relu at the end, off": (
        lambda: ends_in(lambda w: -w.abs(), nn.ReLU()), TABLE, REAL.abs(), F.mse_loss, "output activation", "1",
        "is off"),
    "sigmoid at the end, flat": (
        lambda: ends_in(lambda w: 1000 * w.abs(), nn.Sigmoid()), TABLE, BINARY, F.mse_loss, "output activation", "1",
        "is flat"),
    "head of 9 for 4 classes": (lambda: mlp(nn.ReLU, out=9), TABLE, LABELS, None, "label count", "6", "9 outputs"),
    "classes counted from 1": (lambda: mlp(nn.ReLU, out=5), TABLE, LABELS + 1, None, "label count", "6", "1 to 4"),
    "targets beyond a sigmoid": (
        lambda: ended(nn.Sigmoid(), out=1), TABLE, 3 * REAL, F.mse_loss, "targets", "targets", "sigmoid"),
    "negative targets, relu": (
        lambda: ended(nn.ReLU()), TABLE, drawn(N, 4), F.mse_loss, "targets", "targets", "relu"),
    "images 0..1 for a tanh are in reach, 0..255 are not": (
        lambda: nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Tanh()), GREY, 255 * GREY, F.mse_loss, "targets",
        "targets", "tanh"),
    "-1 and 1 for bce": (
        lambda: mlp(nn.ReLU, out=1), TABLE, 2 * BINARY - 1, F.binary_cross_entropy_with_logits, "targets", "targets",
        "[0, 1]"),
    "house prices": (lambda: mlp(nn.ReLU, out=1), TABLE, 2e5 + 1e5 * REAL, F.mse_loss, "targets", "targets", "rms"),
    "ages": (lambda: mlp(nn.ReLU, out=1), TABLE, 40 + 12 * REAL, F.l1_loss, "targets", "targets", "rms is 4"),
    "tiny targets": (lambda: mlp(nn.ReLU, out=1), TABLE, 1e-4 * REAL, F.mse_loss, "targets", "targets", "rms is"),
    "targets on two scales": (
        lambda: mlp(nn.ReLU, out=2), TABLE, torch.cat([REAL * 0.01, REAL * 5], 1), F.mse_loss, "targets", "targets",
        "0.0"),
    "one value for all": (lambda: mlp(nn.ReLU, out=1), TABLE, REAL * 0 + 0.5, F.mse_loss, "targets", "targets",
        "same (0.5)"),
    "one class for all": (lambda: mlp(nn.ReLU), TABLE, LABELS * 0 + 2, None, "targets", "targets", "same (2)"),
    "trunk under no_grad": (lambda: Cut(without_grad), TABLE, LABELS, None, "cut off", "trunk.0", "no_grad"),
    "trunk detached": (lambda: Cut(lambda f, x: f(x).detach()), TABLE, LABELS, None, "cut off", "trunk.0", "detach"),
    "trunk's .data": (lambda: Cut(lambda f, x: f(x).data * 1), TABLE, LABELS, None, "cut off", "trunk.0", ".data"),
    "everything under no_grad": (
        lambda: Written(lambda y: y.detach()), TABLE, LABELS, None, "cut off", "net.0", "detach"),
    "batch norm in evaluation": (
        lambda: evaluating(resnet(2), nn.BatchNorm2d), IMAGES, LABELS, None, "mode", "1", "normalizes nothing"),
    "dropout in evaluation": (
        lambda: evaluating(nn.Sequential(mlp(nn.ReLU), nn.Dropout(0.5)), nn.Dropout), TABLE, LABELS, None, "mode", "1",
        "drops nothing"),
    "dropout that is not told": (lambda: Dropping(0.3), TABLE, LABELS, None, "mode", "the model", "in evaluation too"),
    "dropout of nearly everything": (
        lambda: Dropping(0.95, told=True), TABLE, LABELS, None, "mode", "the model", "95%"),
    "40 unscaled residual branches": (
        lambda: Residual(40, 1.0), TABLE, LABELS, None, "residuals", "blocks.0", "times a sum"),
    "residual branches that multiply the stream until its numbers end": (
        lambda: Residual(60, 4.5), TABLE, LABELS, None, "residuals", "blocks.0", "times a sum"),
    "layers that were copied": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 32, batch_first=True), 3), SERIES, SERIES,
        F.mse_loss,
        "copies", "layers.1.self_attn.in_proj_weight", "3 weights hold the same values"),
    "two equal members": (Ensemble, TABLE, LABELS, None, "copies", "members.1.0.weight", "stay equal"),
    "a layer 40 times too large before a norm": (
        lambda: grown(stack(4, nn.LayerNorm, out=4), 3, 40), drawn(N, 64), LABELS, None, "outlier", "3.weight",
        "times the plan's std"),
}  # fmt: skip


def built(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build()


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_cause_is_named_and_no_other(name: str) -> None:
    build, inputs, targets, loss, kind, where, words = PLANTED[name]
    report = initlab.inspect(built(build), inputs, targets, loss)
    causes = [f for f in report.findings if f.kind in CAUSES]
    assert [f.kind for f in causes] == [kind], report
    assert causes[0].where == where
    assert words in causes[0].evidence


@pytest.mark.parametrize("name", MODELS)
def test_no_cause_is_named_on_a_healthy_model(name: str) -> None:
    build, inputs, targets, loss = MODELS[name]
    report = initlab.inspect(built(build), inputs, targets, loss)
    assert report.verdict != "untrainable", report
    assert report.findings == ()


@pytest.mark.parametrize("family", FAMILIES)
def test_no_cause_is_named_on_a_healthy_transformer(family: str) -> None:
    pytest.importorskip("transformers")
    report = initlab.inspect(*transformer(family))
    assert report.verdict != "untrainable", report
    assert report.findings == ()


def test_logits_for_a_loss_that_takes_probabilities_are_one_error() -> None:
    with pytest.raises(initlab.InputError, match="use binary_cross_entropy_with_logits"):
        initlab.inspect(bias_at_the_end(3, nn.Identity()), TABLE, BINARY, F.binary_cross_entropy)


@pytest.mark.parametrize(
    ("targets", "loss", "words"),
    [(LABELS * 0 - 100, nn.CrossEntropyLoss(), "mean over nothing"),
     (torch.full((N, 4), torch.nan), nn.MSELoss(), "128 of 128")],
)  # fmt: skip
def test_targets_that_make_the_loss_no_number_are_named(targets: torch.Tensor, loss: nn.Module, words: str) -> None:
    first = initlab.inspect(mlp(nn.ReLU), TABLE, targets, loss).findings[0]
    assert (first.kind, first.where) == ("non-finite", "targets")
    assert words in first.evidence


@pytest.mark.parametrize("like", [torch.ones_like, torch.randn_like, lambda t: t.new_full(t.shape, 2.0)])
def test_a_tensor_of_an_output_s_shape_cuts_no_way_back(like: Callable[[torch.Tensor], torch.Tensor]) -> None:
    class TwoHeads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.read, self.spare = mlp(nn.ReLU), nn.Linear(TABLE.shape[1], 4)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            spare = self.spare(x)
            return self.read(x), spare * like(spare)

    report = initlab.inspect(TwoHeads(), TABLE, LABELS, lambda o, t: F.cross_entropy(o[0], t))
    assert "cut off" not in {f.kind for f in report.findings}


def test_an_optimizer_that_maximizes_a_loss_is_named() -> None:
    model = mlp(nn.ReLU)
    up = torch.optim.SGD(model.parameters(), lr=0.1, maximize=True)
    assert initlab.inspect(model, TABLE, LABELS, optimizer=up).findings[0].kind == "loss sign"
    found = initlab.inspect(model, TABLE, LABELS, lambda o, t: -F.cross_entropy(o, t), optimizer=up).findings
    assert not [f for f in found if f.kind == "loss sign"]


CENTRES = drawn(10, 64)
DIGITS = torch.arange(256) % 10
CLASSES = CENTRES[DIGITS] + 0.7 * drawn(256, 64)


def stack(
    depth: int, norm: Callable[[int], nn.Module] | None = None, act: Callable[[], nn.Module] = nn.ReLU, out: int = 10
) -> nn.Module:
    """An MLP of `depth` hidden layers at He's scale."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(64, 64), *([norm(64)] if norm else []), act()]
    model = nn.Sequential(*layers, nn.Linear(64, out))
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
    return model


def norms_at(model: nn.Module, gamma: float = 1.0, beta: float = 0.0) -> nn.Module:
    for module in model.modules():
        if isinstance(module, nn.LayerNorm | nn.BatchNorm1d):
            nn.init.constant_(module.weight, gamma)
            nn.init.constant_(module.bias, beta)
    return model


class Whitening(nn.Module):
    """A layer norm in a class and with words of its own."""

    def __init__(self, width: int, gamma: float = 1.0, beta: float = 0.0) -> None:
        super().__init__()
        self.gamma, self.beta = (nn.Parameter(torch.full((width,), value)) for value in (gamma, beta))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, self.gamma.shape, self.gamma, self.beta)


class Spelled(Whitening):
    """The same, written out."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x - x.mean(-1, keepdim=True)
        return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * self.gamma + self.beta


def norm_stack() -> list[nn.Module]:
    layers: list[nn.Module] = []
    for i in range(4):
        layers += [nn.Conv2d(16 if i else 1, 16, 3, padding=1), nn.GroupNorm(4, 16), nn.ReLU()]
    return [*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)]


def faint(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, nn.GroupNorm):
            nn.init.constant_(module.weight, 0.01)
    return model


def bias_at(model: nn.Module, index: int, value: float) -> nn.Module:
    nn.init.constant_(model[index].bias, value)
    return model


def grown(model: nn.Module, index: int, factor: float) -> nn.Module:
    with torch.no_grad():
        model[index].weight.mul_(factor)
    return model


class Times(nn.Module):
    """Its output times a number in the code, or over a learned temperature."""

    def __init__(
        self, factor: float, temperature: float | None = None, times: Callable[..., torch.Tensor] = torch.mul
    ) -> None:
        super().__init__()
        self.net, self.factor, self.times = stack(3), factor, times
        self.temperature = None if temperature is None else nn.Parameter(torch.tensor(temperature))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.times(self.net(x), other=self.factor)
        return y if self.temperature is None else y / self.temperature


# name: (model, kind, where, what the advice says)
OFF: dict[str, tuple[Callable[[], nn.Module], str, str, str]] = {
    "layer norm, weight 50": (lambda: norms_at(stack(3, nn.LayerNorm), gamma=50), "norm weight", "1.weight", "at 1"),
    "layer norm, weight 50, deep": (
        lambda: norms_at(stack(12, nn.LayerNorm), gamma=50), "norm weight", "1.weight", "at 1"),
    "a norm by other words, weight 50": (
        lambda: stack(3, lambda width: Whitening(width, gamma=50.0)), "norm weight", "1.gamma", "at 1"),
    "a norm by other words, bias -5": (
        lambda: stack(3, lambda width: Whitening(width, beta=-5.0)), "norm bias", "1.beta", "at 0"),
    "a norm that is written out, weight 50": (
        lambda: stack(3, lambda width: Spelled(width, gamma=50.0)), "norm weight", "1.gamma", "at 1"),
    "a norm that is written out, bias -5": (
        lambda: stack(3, lambda width: Spelled(width, beta=-5.0)), "norm bias", "1.beta", "at 0"),
    "batch norm, weight 50": (lambda: norms_at(stack(3, nn.BatchNorm1d), gamma=50), "norm weight", "1.weight", "at 1"),
    "batch norm, weight 0.01": (
        lambda: norms_at(stack(3, nn.BatchNorm1d), gamma=0.01), "norm weight", "1.weight", "at 1"),
    "batch norm, weight 0.01, deep": (
        lambda: norms_at(stack(12, nn.BatchNorm1d), gamma=0.01), "norm weight", "1.weight", "at 1"),
    "batch norm, bias -5": (lambda: norms_at(stack(3, nn.BatchNorm1d), beta=-5), "norm bias", "1.bias", "at 0"),
    "batch norm, bias -5, deep": (lambda: norms_at(stack(12, nn.BatchNorm1d), beta=-5), "norm bias", "1.bias", "at 0"),
    "layer norm, weight 0 before a relu": (
        lambda: norms_at(stack(3, nn.LayerNorm), gamma=0), "norm weight", "1.weight", "at 1"),
    "bias -30": (lambda: bias_at(stack(3), 2, -30), "bias", "2.bias", "at 0"),
    "bias -30, deep": (lambda: bias_at(stack(12), 8, -30), "bias", "8.bias", "at 0"),
    "bias 30, tanh": (lambda: bias_at(stack(3, act=nn.Tanh), 2, 30), "bias", "2.bias", "at 0"),
    "bias 30, sigmoid": (lambda: bias_at(stack(3, act=nn.Sigmoid), 2, 30), "bias", "2.bias", "at 0"),
    "output times 100": (lambda: Times(100.0), "factor", "net.6", "factor 100 out"),
    "output times 1e-4": (lambda: Times(1e-4), "factor", "net.6", "factor 0.0001 out"),
    "output multiplied by 100": (lambda: Times(100.0, times=torch.multiply), "factor", "net.6", "factor 100 out"),
    "output over 0.01": (lambda: Times(0.01, times=torch.true_divide), "factor", "net.6", "factor 100 out"),
    "leaky relu of slope 100": (
        lambda: stack(3, act=lambda: nn.LeakyReLU(100.0)), "activation constant", "1", "another negative_slope"),
    "threshold 5": (
        lambda: stack(3, act=lambda: nn.Threshold(5.0, 0.0)), "activation constant", "1", "another threshold"),
    "softplus of beta 0.001": (
        lambda: stack(3, act=lambda: nn.Softplus(1e-3)), "activation constant", "1", "another beta"),
    "group norm, weight 0.01, convolutions": (
        lambda: faint(nn.Sequential(nn.Unflatten(1, (1, 8, 8)), *norm_stack())), "norm weight", "2.weight", "at 1"),
    "temperature 0.01": (lambda: Times(1.0, 0.01), "scale", "temperature", "at 1"),
    "a head 30 times too large": (lambda: grown(stack(3), 6, 30), "first loss", "6.weight", "Draw 6.weight with std"),
    "a hidden layer 40 times too large": (
        lambda: grown(stack(3), 2, 40), "first loss", "2.weight", "Draw 2.weight with std"),
}  # fmt: skip


@pytest.mark.parametrize("name", OFF)
def test_the_parameter_at_fault_is_named_first_and_leads_the_advice(name: str) -> None:
    build, kind, where, advice = OFF[name]
    report = initlab.inspect(built(build), CLASSES, DIGITS)
    assert [(f.kind, f.where) for f in report.findings if f.kind in CAUSES] == [(kind, where)], report
    assert report.findings[0].kind == kind
    assert advice in report.findings[0].advice
    for symptom in report.findings[1:]:
        assert symptom.advice.startswith(f"Its cause is the {kind} at {where}")


class Capped(nn.Module):
    """Logits capped at ±30, as Gemma 2 has them, of pixels divided by 255."""

    def __init__(self, pixels: float) -> None:
        super().__init__()
        self.net, self.pixels = grown(stack(3), 6, 60), pixels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.net(x / self.pixels)
        return logits if self.pixels > 1 else 30 * torch.tanh(logits / 30)


@pytest.mark.parametrize("pixels", [1.0, 255.0])
def test_a_weight_far_larger_than_all_others_is_named_before_what_its_author_wrote(pixels: float) -> None:
    """A cap, or inputs of large numbers that the code divides, scaled down would hide the weight and cure nothing."""
    report = initlab.inspect(built(lambda: Capped(pixels)), pixels * CLASSES, DIGITS)
    assert [(f.kind, f.where) for f in report.findings if f.kind in CAUSES] == [("first loss", "net.6.weight")]


class OwnLoss(nn.Module):
    """Takes its targets among its inputs, and returns its loss."""

    def __init__(self, out: int) -> None:
        super().__init__()
        self.net = mlp(nn.ReLU, out=out)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.net(x)
        return {"loss": F.binary_cross_entropy_with_logits(logits, labels), "logits": logits}


def test_targets_that_the_model_takes_are_judged_as_targets_and_not_as_inputs() -> None:
    """A label that no sample has is no constant feature; labels that are all the same are targets that are."""
    labels = torch.cat([BINARY, torch.zeros(N, 1)], 1)
    assert initlab.inspect(built(lambda: OwnLoss(2)), {"x": TABLE, "labels": labels}).findings == ()
    found = initlab.inspect(built(lambda: OwnLoss(1)), {"x": TABLE, "labels": torch.ones(N, 1)}).findings
    assert [f.kind for f in found if f.kind in CAUSES] == ["targets"]


class Regression(OwnLoss):
    """Takes its targets among its inputs, and returns a squared error or a cross-entropy."""

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.net(x)
        loss = F.mse_loss(logits, labels) if labels.is_floating_point() else F.cross_entropy(logits, labels)
        return {"loss": loss, "logits": logits}


@pytest.mark.parametrize(
    ("labels", "kind"), [(1e3 * drawn(N, 4), "targets"), (drawn(N, 4), ""), (LABELS % 3, "label count"), (LABELS, "")]
)
def test_what_a_model_compares_itself_is_judged_by_the_loss_that_it_takes(labels: torch.Tensor, kind: str) -> None:
    report = initlab.inspect(built(lambda: Regression(4)), {"x": TABLE, "labels": labels})
    assert [f.kind for f in report.findings if f.kind in CAUSES] == [kind] * bool(kind)
    assert kind != "targets" or report.fix().code.startswith("# Standardize the targets")


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize(("scale", "kinds"), [(1.0, []), (1e3, ["targets"])])
def test_targets_within_a_sum_of_losses_are_judged(scale: float, kinds: list[str]) -> None:
    """A squared distance beside a penalty, as an autoencoder's, on one of several outputs."""

    def both(outputs: tuple[torch.Tensor, ...], targets: torch.Tensor) -> torch.Tensor:
        return F.mse_loss(outputs[0], targets) + 0.1 * outputs[1].square().mean()

    report = initlab.inspect(built(Ranks), TABLE, scale * REAL, both)
    assert [f.kind for f in report.findings if f.kind in CAUSES] == kinds
    turned = initlab.inspect(built(Ranks), TABLE, scale * REAL, lambda o, t: -both(o, t))
    assert turned.findings[0].kind == "loss sign"


def test_a_first_loss_three_times_that_of_a_constant_answer_is_told_with_its_weight() -> None:
    found = initlab.inspect(built(lambda: grown(stack(3), 6, 2.5)), CLASSES, DIGITS).findings
    assert [(f.kind, f.severity, f.where) for f in found] == [("first loss", "info", "6.weight")]


def test_a_first_loss_is_held_against_the_plan_where_no_constant_answer_is_known() -> None:
    model = built(Ranks)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(10)
    first = initlab.inspect(model, TABLE, torch.ones(N, 1), ranked).findings[0]
    assert (first.kind, first.severity) == ("first loss", "warning")
    assert "every weight at its plan's std" in first.evidence


def test_a_rate_is_named_with_one_that_lowers_the_loss() -> None:
    for lr in (1e3, 1e-7):
        report = initlab.inspect(built(lambda: stack(3)), CLASSES, DIGITS, optimizer="sgd", lr=lr)
        assert report.findings[0].kind == "rate"
        assert all("he_normal" not in f.advice and "normalization" not in f.advice for f in report.findings)


class Cosines(nn.Module):
    """Of a sample and the classes' vectors: a loss of them is bounded, and does not rise at any rate."""

    def __init__(self) -> None:
        super().__init__()
        self.net = stack(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * F.normalize(self.net(x), dim=1)


def test_a_rate_far_past_the_best_is_named_where_the_loss_cannot_rise_far() -> None:
    report = initlab.inspect(built(Cosines), CLASSES, DIGITS, optimizer="sgd", lr=1e5)
    assert report.findings[0].kind == "rate"
    assert not [f for f in initlab.inspect(built(Cosines), CLASSES, DIGITS, lr=1e-3).findings if f.kind == "rate"]


def test_an_activation_constant_is_named_where_it_takes_the_loss_beyond_any_number() -> None:
    model = built(lambda: stack(12, act=lambda: nn.LeakyReLU(1e4)))
    report = initlab.inspect(model, CLASSES, DIGITS)
    assert [f.kind for f in report.findings] == ["activation constant", "non-finite"]


def test_no_rate_beyond_the_largest_stable_one_is_advised() -> None:
    model = built(lambda: grown(grown(stack(3), 2, 0.1), 6, 0.1))
    report = initlab.inspect(model, CLASSES, DIGITS, optimizer="sgd", lr=1e3)
    assert min(report.learning_rate.tried, key=lambda point: point[1])[0] == 10.0
    assert report.findings[0].advice == "Use a learning rate of 0.1 to 1"


def test_what_the_optimizer_does_not_hold_is_named() -> None:
    model = stack(3)
    last = initlab.inspect(model, CLASSES, DIGITS, optimizer=torch.optim.Adam(model[-1].parameters()))
    assert [(f.kind, f.severity, f.where) for f in last.findings] == [("optimizer", "warning", "0.weight")]
    assert "6 of 8" in last.findings[0].evidence
    none = initlab.inspect(model, CLASSES, DIGITS, optimizer=torch.optim.Adam(copy.deepcopy(model).parameters()))
    assert (none.findings[0].kind, none.verdict) == ("optimizer", "untrainable")
    every = initlab.inspect(model, CLASSES, DIGITS, optimizer=torch.optim.Adam(model.parameters()))
    assert every.findings == ()


class Closed(nn.Module):
    """A gate of zero before the read-out: a norm's weight, or a learned scale."""

    def __init__(self, norm: bool) -> None:
        super().__init__()
        self.net, self.head = stack(3, out=32), nn.Linear(32, 10)
        self.gate = nn.LayerNorm(32) if norm else nn.Parameter(torch.zeros(32))
        if norm:
            nn.init.zeros_(self.gate.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.net(x)
        return self.head(self.gate(h) if isinstance(self.gate, nn.Module) else self.gate * h)


@pytest.mark.parametrize(("size", "severity"), [(1e-4, "warning"), (1e-2, "info")])
def test_small_inputs_beside_positions_are_not_saved_by_the_norm_that_follows(size: float, severity: str) -> None:
    model = built(lambda: Placed())
    found = initlab.inspect(model, size * SERIES, LABELS).findings
    assert [(f.kind, f.severity) for f in found if f.kind == "inputs"] == [("inputs", severity)]


class Placed(nn.Module):
    """A fixed position added to what a layer makes of the inputs, and a norm behind both."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.at = nn.Linear(8, 32), drawn(12, 32)
        self.rest = nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 32), nn.GELU())
        self.head = nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.rest(self.embed(x) + self.at).mean(1))


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_gate_of_zero_before_the_read_out_is_fine_and_said(norm: bool, optimizer: str) -> None:
    report = initlab.inspect(built(lambda: Closed(norm)), CLASSES, DIGITS, optimizer=optimizer)
    assert report.verdict != "untrainable", report
    assert report.findings == ()
    assert any("open with the first step" in note and "gate" in note for note in report.notes)


def test_a_steep_activation_is_fine_and_said() -> None:
    build, inputs, targets, loss = MODELS["SIREN"]
    report = initlab.inspect(built(build), inputs, targets, loss)
    assert any("sin(30·x)" in note for note in report.notes)


MEANT: dict[str, tuple[Callable[[], nn.Module], Any, Any, Any]] = {
    "the last bias at the targets' mean": (
        lambda: bias_at(stack(3, out=1), 6, 100), CLASSES, 100 + 3 * CLASSES[:, :1], F.mse_loss),
    "the last bias at the classes' shares": (
        lambda: bias_at(stack(3, out=1), 6, -4.6), CLASSES, (DIGITS[:, None] == 11).float().index_fill(0, DIGITS[:2],
        1.0),
        F.binary_cross_entropy_with_logits),
    "norm weights that were drawn about a mean of 0.15, or trained": (
        lambda: varied(norms_at(stack(3, nn.BatchNorm1d), gamma=0.15)), CLASSES, DIGITS, None),
    "an LSTM whose forget gates are open": (lambda: forgetting(MODELS["LSTM"][0]()), SERIES, LABELS, None),
    "queries over the root of their width": (MODELS["pre-norm decoder"][0], TOKENS, TOKENS, None),
    "a prior of rare pairs": (
        lambda: Pairs(), TABLE, 2 * torch.eye(N) - 1, lambda y, t: -F.logsigmoid(y * t).sum() / N),
    "branches that begin at a hundredth": (lambda: BeginsSmall(), TABLE, LABELS, None),
}  # fmt: skip


class Pairs(nn.Module):
    """Which of two views belong together; most do not, as the bias says (Zhai et al., SigLIP, 2023)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = mlp(nn.GELU, out=16), mlp(nn.GELU, out=16)
        self.scale, self.bias = nn.Parameter(torch.tensor(10.0).log()), nn.Parameter(torch.tensor(-6.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = F.normalize(self.first(x), dim=-1), F.normalize(self.second(x.roll(1, 1)), dim=-1)
        return first @ second.T * self.scale.exp() + self.bias


class BeginsSmall(nn.Module):
    """Branches times one learned number each, which begins at a hundredth (Touvron et al., 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(20, 48), nn.Linear(48, 4)
        self.branches = nn.ModuleList(nn.Sequential(nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 48)) for _ in range(4))
        self.scales = nn.ParameterList(nn.Parameter(torch.tensor(0.01)) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for branch, scale in zip(self.branches, self.scales, strict=True):
            x = x + scale * branch(x)
        return self.last(x)


def varied(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.weight.mul_(1 + 0.5 * drawn(64))
    return model


def forgetting(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "bias_hh" in name:
                p[32:64] = 3.0
    return model


@pytest.mark.parametrize("name", MEANT)
def test_values_that_are_meant_are_not_named(name: str) -> None:
    build, inputs, targets, loss = MEANT[name]
    report = initlab.inspect(built(build), inputs, targets, loss)
    assert [f for f in report.findings if f.kind in CAUSES] == [], report


class Ranks(nn.Module):
    """A score of one sample and of another."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(nn.ReLU, out=1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.net(x), self.net(x.roll(1, 0))


def ranked(scores: tuple[torch.Tensor, torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    return F.margin_ranking_loss(*scores, targets, margin=1.0)


HARMLESS: dict[str, tuple[Callable[[], nn.Module], Any, Any, Any]] = {
    "a norm reads small inputs": (
        lambda: nn.Sequential(nn.LayerNorm(20), mlp(nn.ReLU)), 0.01 * TABLE, LABELS, None),
    "the model divides by 255 itself": (
        lambda: Scaled(1 / 255), 255 * TABLE.sigmoid(), LABELS, None),
    "a norm reads the inputs": (
        lambda: nn.Sequential(nn.BatchNorm1d(20), mlp(nn.ReLU)), 255 * TABLE.sigmoid(), LABELS, None),
    "a table of zeros and ones": (lambda: mlp(nn.ReLU), (TABLE > 1.5).float(), LABELS, None),
    "frozen trunk under no_grad": (lambda: frozen(Cut(without_grad)), TABLE, LABELS, None),
    "two equal tables of positions that do not train": (
        lambda: Positions(), TOKENS, TOKENS, None),
    "straight-through": (lambda: Written(lambda y: y + (y.round() - y).detach()), TABLE, LABELS, None),
    "batch norm frozen for fine-tuning": (
        lambda: evaluating(resnet(2).apply(seen_data), nn.BatchNorm2d), IMAGES, LABELS, None),
    "dropout that is told": (lambda: Dropping(0.3, told=True), TABLE, LABELS, None),
    "40 residual branches, scaled": (lambda: Residual(40, 40**-0.5), TABLE, LABELS, None),
    "relu for targets above zero": (lambda: ended(nn.ReLU()), TABLE, drawn(N, 4).abs(), F.mse_loss),
    "sigmoid for images": (
        lambda: nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Sigmoid()), GREY, GREY, F.mse_loss),
    "log-probabilities for a divergence": (
        lambda: ended(nn.LogSoftmax(-1)), TABLE, SHARES, nn.KLDivLoss(reduction="sum")),
    "shares of classes for a cross-entropy": (lambda: mlp(nn.ReLU), TABLE, SHARES, F.cross_entropy),
    "pairs to rank, whose targets are all one": (Ranks, TABLE, torch.ones(N, 1), ranked),
    "few of many classes, gaps": (lambda: mlp(nn.ReLU, out=50), TABLE, LABELS * 10, None),
    "prices, and the last bias at their mean and scale": (
        lambda: Written(lambda y: 2e5 + 1e5 * y, out=1), TABLE, 2e5 + 1e5 * REAL, F.mse_loss),
}  # fmt: skip


class Positions(nn.Module):
    """Sines of the position beside tokens, twice, as an encoder and a decoder have them."""

    def __init__(self) -> None:
        super().__init__()
        at = torch.arange(TOKENS.shape[1])[:, None] / 10 ** torch.linspace(0, 3, 16)
        self.tables = nn.ParameterList(nn.Parameter(at.sin(), requires_grad=False) for _ in range(2))
        self.tokens, self.head = nn.Embedding(int(TOKENS.max()) + 1, 16), nn.Linear(16, int(TOKENS.max()) + 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.tokens(x) + self.tables[0]) + self.tables[1])


def frozen(model: Cut) -> nn.Module:
    """With something learned in one direction of each weight, as of a trunk that was trained before."""
    for parameter in model.trunk.requires_grad_(False).parameters():
        if parameter.ndim > 1:
            parameter += 0.04 * torch.outer(drawn(parameter.shape[0]), drawn(parameter.shape[1]))
    return model


def seen_data(module: nn.Module) -> None:
    if isinstance(module, nn.BatchNorm2d):
        module.running_mean.add_(0.1)


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_looks_like_a_cause_is_not_named(name: str) -> None:
    build, inputs, targets, loss = HARMLESS[name]
    report = initlab.inspect(built(build), inputs, targets, loss)
    assert [f for f in report.findings if f.kind in CAUSES] == [], report


@pytest.mark.parametrize(("bias", "target", "named"), [(-1000.0, 0.0, "bias"), (0.0, 1000.0, "targets")])
def test_outputs_far_from_standardized_targets_are_not_blamed_on_the_targets(
    bias: float, target: float, named: str
) -> None:
    model = mlp(nn.ReLU, out=1)
    with torch.no_grad():
        [p for name, p in model.named_parameters() if name.endswith("bias")][-1].fill_(bias)
    found = initlab.inspect(model, TABLE, target + REAL, F.mse_loss).findings
    assert [f.kind for f in found if f.kind in ("bias", "targets")][:1] == [named]


def test_a_softmax_over_an_axis_before_the_last_is_over_several_units() -> None:
    """Capsules route by a softmax over an axis that an axis of one follows."""
    model = Written(lambda y: (y.unsqueeze(-1).softmax(1) * y.unsqueeze(-1)).squeeze(-1))
    found = initlab.inspect(model, TABLE, drawn(N, 4), F.mse_loss).findings
    assert not [f for f in found if f.kind == "output activation"]


class LastState(nn.Module):
    """A recurrent classifier that reads the last state in place of the last output."""

    def __init__(self, layer: type[nn.Module], state: int) -> None:
        super().__init__()
        self.layer, self.head, self.state = layer(SERIES.shape[-1], 24, batch_first=True), nn.Linear(24, 4), state

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states = self.layer(x)[1]
        return self.head((states[self.state] if isinstance(states, tuple) else states)[-1])


@pytest.mark.parametrize(("layer", "state"), [(nn.RNN, 0), (nn.GRU, 0), (nn.LSTM, 0), (nn.LSTM, 1)])
def test_a_small_last_state_is_not_taken_for_small_inputs(layer: type[nn.Module], state: int) -> None:
    model = LastState(layer, state)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1e-4)
    assert not [f for f in initlab.inspect(model, SERIES, LABELS).findings if f.kind == "inputs"]


def held(model: nn.Module, spike: float = 0.0, teacher: bool = False) -> nn.Module:
    """All but the last layer frozen: as drawn, with what a layer learns in one direction, or a copy of what trains."""
    for layer in [m for m in model if isinstance(m, nn.Linear)][:-1]:
        layer.requires_grad_(False)
        layer.weight += spike * torch.outer(drawn(64), drawn(64))
    if teacher:
        student = copy.deepcopy(model).requires_grad_(True)
        return nn.Sequential(Parallel(model[:-1], student[:-1]), model[-1])
    return model


class Parallel(nn.Module):
    def __init__(self, teacher: nn.Module, student: nn.Module) -> None:
        super().__init__()
        self.teacher, self.student = teacher, student

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.student(x) - 0.5 * self.teacher(x)


@pytest.mark.parametrize(
    ("build", "kinds"),
    [
        (lambda: held(stack(3)), ["frozen"]),
        (lambda: held(stack(3, nn.LayerNorm)), ["frozen"]),
        (lambda: held(stack(3), spike=0.1), []),
        (lambda: held(stack(3), teacher=True), []),
    ],
)
def test_a_frozen_trunk_is_named_where_it_never_learned(build: Callable[[], nn.Module], kinds: list[str]) -> None:
    report = initlab.inspect(built(build), CLASSES, DIGITS)
    assert [f.kind for f in report.findings if f.kind == "frozen"] == kinds
    assert all(f.severity == "warning" for f in report.findings if f.kind == "frozen")


class Pooled(nn.Module):
    """The mean of what a mask leaves of a set, or attention to it."""

    def __init__(self, attends: bool = False) -> None:
        super().__init__()
        self.points, self.query, self.out = nn.Linear(8, 16), nn.Linear(16, 1), nn.Linear(16, 4)
        self.attends = attends

    def forward(self, points: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        h = self.points(points).relu()
        if self.attends:
            w = self.query(h)[..., 0].masked_fill(mask == 0, -torch.inf).softmax(1)
        else:
            w = mask / mask.sum(1, keepdim=True).clamp(min=1)
        return self.out((h * w[..., None]).sum(1))


@pytest.mark.parametrize("attends", [False, True])
@pytest.mark.parametrize(("left", "named"), [(0, True), (N - 1, False), (N, False)])
def test_a_mask_that_hides_everything_is_named(attends: bool, left: int, named: bool) -> None:
    """Of `left` samples it leaves something; one that is hidden whole makes attention no number, and else little."""
    mask = torch.ones(N, 6).long()
    mask[left:] = 0
    report = initlab.inspect(built(lambda: Pooled(attends)), {"points": drawn(N, 6, 8), "mask": mask}, LABELS)
    named = named or (attends and left < N)
    assert [(f.kind, f.where) for f in report.findings if f.kind in CAUSES] == [("mask", "inputs['mask']")] * named
    assert not named or report.findings[0].kind == "mask"


class Instance(nn.Module):
    """Normalizes each series by itself, and may put its size back on what it foretells."""

    def __init__(self, back: bool) -> None:
        super().__init__()
        self.net, self.back = mlp(nn.ReLU, out=4), back

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean, std = x.mean(1, keepdim=True), x.std(1, keepdim=True) + 1e-5
        y = self.net((x - mean) / std)
        return y * std + mean if self.back else y


class Relative(nn.Module):
    """A table of relative positions, to which a mask from the inputs is added, before a softmax: T5."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.near, self.head = nn.Embedding(200, 32), nn.Embedding(12, 1), nn.Linear(32, 4)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x, place = self.embed(ids), torch.arange(6)
        bias = self.near(place[None] - place[:, None] + 6).squeeze(-1)
        hidden = (1 - mask[:, None, :].float()) * -1e9
        return self.head(((x @ x.transpose(1, 2) / 32**0.5 + (bias + hidden)).softmax(-1) @ x).mean(1))


def test_a_mask_that_is_added_to_a_table_is_no_size_of_the_inputs() -> None:
    ids = torch.randint(1, 200, (N, 6), generator=torch.Generator().manual_seed(0))
    mask = torch.ones(N, 6).long()
    mask[: N // 2, 4:] = 0
    report = initlab.inspect(built(Relative), {"ids": ids, "mask": mask}, LABELS)
    assert [f.kind for f in report.findings if f.kind in CAUSES] == []


def test_inputs_that_are_too_large_are_named_where_a_table_is_added_to_them() -> None:
    model = built(lambda: Added())
    report = initlab.inspect(model, 255 * SERIES, LABELS)
    assert [(f.kind, "far too large" in f.evidence) for f in report.findings if f.kind in CAUSES] == [("inputs", True)]


class Added(nn.Module):
    """Positions added to the inputs themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.at = nn.Parameter(drawn(12, 8))
        self.rest = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rest(x + self.at).mean(1)


@pytest.mark.parametrize(("back", "size", "named"), [(True, 255, True), (True, 1, False), (False, 255, False)])
def test_the_size_of_inputs_is_named_where_it_reaches_the_answer(back: bool, size: float, named: bool) -> None:
    """Reversible instance normalization, Kim et al. 2022; TABLE is of size one, and so are the targets."""
    report = initlab.inspect(built(lambda: Instance(back)), size * TABLE, drawn(N, 4), F.mse_loss)
    assert [f.kind for f in report.findings if f.kind in CAUSES] == ["inputs"] * named


def test_inputs_that_take_gradients_are_looked_at_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    """As those of force fields, which differentiate by them."""
    report = initlab.inspect(built(lambda: Instance(True)), (255 * TABLE).requires_grad_(), drawn(N, 4), F.mse_loss)
    assert [f.kind for f in report.findings if f.kind in CAUSES] == ["inputs"]
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize(("norm", "kinds"), [(nn.BatchNorm1d, ["mode"]), (nn.LayerNorm, [])])
def test_a_model_left_in_evaluation_mode_is_named_where_its_norms_would_not_normalize(
    norm: type[nn.Module], kinds: list[str]
) -> None:
    model = built(lambda: nn.Sequential(stack(2, norm), nn.Dropout(0.1))).eval()
    report = initlab.inspect(model, CLASSES, DIGITS)
    assert [(f.kind, f.severity) for f in report.findings if f.kind in CAUSES] == [(k, "info") for k in kinds]
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean += 0.1
    assert not [f for f in initlab.inspect(model, CLASSES, DIGITS).findings if f.kind == "mode"]


def test_weights_far_under_their_plan_behind_norms_are_named() -> None:
    model = built(lambda: stack(4, nn.LayerNorm))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1e-3 if parameter.ndim > 1 else 1.0)
    report = initlab.inspect(model, CLASSES, DIGITS)
    assert "tiny weights" in [f.kind for f in report.findings]


class Views(nn.Module):
    """Contrasts two views by cosines over a learned temperature, as CLIP does: no loss is higher than it began."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.scale = stack(1, out=16), stack(1, out=16), nn.Parameter(torch.tensor(2.7))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = F.normalize(self.left(x), dim=1), F.normalize(self.right(x.flip(1)), dim=1)
        return F.cross_entropy(self.scale.exp() * a @ b.T, torch.arange(len(x)))


def test_a_rate_far_past_all_that_train_is_named_where_it_ends_at_a_constant_answer() -> None:
    report = initlab.inspect(built(Views), drawn(N, 64), optimizer="adamw", lr=100.0)
    assert report.findings[0].kind == "rate"
    assert report.fix().code
