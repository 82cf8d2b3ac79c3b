"""Faults that are planted in networks that train, each with the kind of finding that should be named first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from benchmarks.verdict.architectures import BY_NAME
from benchmarks.verdict.starts import INPUT_FAULTS, NORMS, STARTS
from benchmarks.verdict.tasks import task_of

Tensor = torch.Tensor
# Symptoms of the weights' scale, whose advice names a weight; a first loss too, where it names the weight behind it.
SCALE = ("vanishing", "exploding", "collapsed", "saturated", "dead", "unbalanced", "symmetric", "first loss at weight")


@dataclass
class Problem:
    """A model with its data, its loss and its optimizer, as a user would hand them in."""

    model: nn.Module
    x: Tensor
    y: Tensor
    loss: Callable[[Tensor, Tensor], Tensor]
    optimizer: Any = "adamw"
    lr: float | None = None


@dataclass(frozen=True)
class Plant:
    """One fault.

    Attributes:
        kinds: the findings any of which names it.
        make: plants it.
        fits: whether it is a fault of that network.
    """

    kinds: tuple[str, ...]
    make: Callable[[Problem], Problem]
    fits: Callable[[Problem], bool] = lambda problem: True


class Then(nn.Module):
    """A model with something done to what it returns."""

    def __init__(self, model: nn.Module, after: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.after = model, after

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.model(x))


class Detached(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).detach()


def _inputs(fault: str) -> Callable[[Problem], Problem]:
    return lambda p: replace(p, x=INPUT_FAULTS[fault][1](p.x))


def _start(name: str) -> Callable[[Problem], Problem]:
    def make(p: Problem) -> Problem:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            STARTS[name][1](p.model)
        return p

    return make


def _cut(p: Problem) -> Problem:
    """The middle one of its linear and convolution layers gives its values without their gradient."""
    found = [name for name, m in p.model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d | nn.Conv1d)]
    owner, _, leaf = found[(len(found) - 1) // 2].rpartition(".")
    parent = p.model.get_submodule(owner)
    setattr(parent, leaf, Detached(getattr(parent, leaf)))
    return p


def _head_alone(p: Problem) -> Problem:
    last = [m for m in p.model.modules() if isinstance(m, nn.Linear)][-1]
    return replace(p, optimizer=torch.optim.AdamW(last.parameters(), lr=1e-3))


def _evaluating(p: Problem) -> Problem:
    for module in p.model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.eval()
            module.running_mean.fill_(5.0)  # type: ignore[union-attr]
            module.running_var.fill_(100.0)  # type: ignore[union-attr]
    return p


def _has(*kinds: type[nn.Module]) -> Callable[[Problem], bool]:
    return lambda p: any(isinstance(m, kinds) for m in p.model.modules())


def _plain(p: Problem) -> bool:
    names = {type(m).__name__ for m in p.model.modules()}
    return not any("Norm" in name or name in ("LSTM", "GRU", "RNN") for name in names) and _numbers(p)


def _numbers(p: Problem) -> bool:
    return p.x.is_floating_point()


def _unnormed_numbers(p: Problem) -> bool:
    """A normalization of the first layer's output takes the inputs' scale away."""
    return _numbers(p) and not _has(*NORMS)(p)


def _classes(p: Problem) -> bool:
    return not p.y.is_floating_point()


def _values(p: Problem) -> bool:
    return p.y.is_floating_point() and not _answers(p)


def _answers(p: Problem) -> bool:
    return p.y.is_floating_point() and bool(((p.y == 0) | (p.y == 1)).all())


def _relu_normed(p: Problem) -> bool:
    return _has(*NORMS)(p) and _has(nn.ReLU)(p)


PLANTS: dict[str, Plant] = {
    "inputs 0..255": Plant(("inputs",), _inputs("inputs 0..255"), _unnormed_numbers),
    "inputs x1e-4": Plant(("inputs",), _inputs("inputs x1e-4"), _unnormed_numbers),
    "inputs x1000": Plant(("inputs",), _inputs("inputs x1000"), _unnormed_numbers),
    "inputs + 10": Plant(("inputs",), _inputs("inputs + 10"), _unnormed_numbers),
    "softmax output": Plant(
        ("output activation",), lambda p: replace(p, model=Then(p.model, lambda y: y.softmax(-1))), _classes
    ),
    "relu output": Plant(("output activation",), lambda p: replace(p, model=Then(p.model, torch.relu)), _classes),
    "sigmoid output": Plant(("output activation",), lambda p: replace(p, model=Then(p.model, torch.sigmoid)), _answers),
    "targets x1e4 + 2e5": Plant(("targets",), lambda p: replace(p, y=1e4 * p.y + 2e5), _values),
    "targets x1e-4": Plant(("targets",), lambda p: replace(p, y=1e-4 * p.y), _values),
    "targets (N,)": Plant(
        ("broadcast",), lambda p: replace(p, y=p.y[:, 0]), lambda p: _values(p) and p.y.shape[1:] == (1,)
    ),
    "detached": Plant(("cut off",), _cut, lambda p: not _has(nn.RNNBase, nn.TransformerEncoder)(p)),
    "optimizer of the head": Plant(("optimizer",), _head_alone, _has(nn.Linear)),
    "batch norm in evaluation": Plant(("mode",), _evaluating, _has(nn.BatchNorm1d, nn.BatchNorm2d)),
    "bias -30": Plant(("bias",), _start("bias -30"), lambda p: _plain(p) and _has(nn.ReLU)(p)),
    "norm weight 50": Plant(("norm weight",), _start("norm weight 50"), _has(*NORMS)),
    "norm weight 0.01": Plant(("norm weight",), _start("norm weight 0.01"), _has(*NORMS)),
    "norm bias -5": Plant(("norm bias",), _start("norm bias -5"), _relu_normed),
    "output x100": Plant(
        ("factor", "first loss", "first loss at weight", "scale"),
        lambda p: replace(p, model=Then(p.model, lambda y: 100 * y)),
    ),
    "sgd at 1000": Plant(("rate",), lambda p: replace(p, optimizer="sgd", lr=1e3)),
    "adamw at 10": Plant(("rate",), lambda p: replace(p, optimizer="adamw", lr=10.0)),
    "sgd at 1e-7": Plant(("rate", "vanishing"), lambda p: replace(p, optimizer="sgd", lr=1e-7)),
    "zeros": Plant(SCALE, _start("zeros")),
    "constant 0.5": Plant(SCALE, _start("constant 0.5")),
    "std 1e-4": Plant(SCALE, _start("std 1e-4")),
    "std 1": Plant(SCALE, _start("std 1")),
    "times 10": Plant(SCALE, _start("times 10")),
}
BASES = (
    "mlp 2x32 tanh", "mlp 3x200 relu", "mlp 5x64 relu batch-norm", "mlp 16x64 relu layer-norm",
    "mlp 3x64 relu cancer", "mlp 2x16 tanh diabetes", "mlp 6x64 leaky curve", "mlp 3x64 silu labels",
    "mlp 3x300 relu friedman", "residual 8x48 relu", "residual 6x48 gelu layer-norm", "cnn 4x16 relu",
    "resnet 3x12 batch-norm", "resnet 3x12 group-norm", "lstm 48", "gru lm 40", "own cell 40 adding", "decoder 2x32",
    "transformer 3x32 rows", "mixer 3x24", "glu 3x48", "swiglu 4x48 skip", "autoencoder gelu wide", "bag 32 relu",
    "dense 6x24 relu", "post-norm 6x40 relu", "strip 4x24 relu",
)  # fmt: skip


def base(name: str) -> Problem:
    """The network as built, which trains."""
    task = task_of(BY_NAME[name].task)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Problem(BY_NAME[name].build(), task.x, task.y, task.loss)


def cells() -> Iterator[tuple[str, str]]:
    """(network, fault): every fault in every network that it is one of, one network after another."""
    for name in BASES:
        problem = base(name)
        yield from ((name, fault) for fault, plant in PLANTS.items() if plant.fits(problem))
