"""The starts and planted faults of the recorded cells: what is written into a built model, or put around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

import initlab
from benchmarks.verdict.tasks import Task

Tensor = torch.Tensor
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm)


@dataclass(frozen=True)
class Cell:
    """One training: which network, how it starts, what is planted, with which optimizer, from which seed."""

    architecture: str
    start: str
    fault: str
    optimizer: str
    seed: int

    @property
    def key(self) -> str:
        return "|".join((self.architecture, self.start, self.fault, self.optimizer, str(self.seed)))


# Optimizer -> the learning rates that are tried.
RATES: dict[str, tuple[float, ...]] = {
    "adamw": (1e-4, 1e-3, 1e-2, 1e-1),
    "sgd": (1e-3, 1e-2, 1e-1, 1.0),
    "momentum": (1e-4, 1e-3, 1e-2, 1e-1),
}


def optimizer_for(cell: Cell, model: nn.Module, lr: float) -> torch.optim.Optimizer:
    if cell.optimizer == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=lr, fused=True)
    momentum = 0.9 if cell.optimizer == "momentum" else 0.0
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum, fused=True)


def _each(write: Callable[[Tensor], object]) -> Callable[[nn.Module], None]:
    def apply(model: nn.Module) -> None:
        for p in model.parameters():
            if p.ndim > 1:
                write(p)

    return apply


def _with_zero_biases(write: Callable[[Tensor], object]) -> Callable[[nn.Module], None]:
    def apply(model: nn.Module) -> None:
        _each(write)(model)
        for name, p in model.named_parameters():
            if p.ndim == 1 and "bias" in name:
                p.zero_()

    return apply


def _named(names: Callable[[str, nn.Module], bool], value: float, which: str) -> Callable[[nn.Module], None]:
    def apply(model: nn.Module) -> None:
        for name, module in model.named_modules():
            parameter = getattr(module, which, None)
            if isinstance(parameter, Tensor) and names(name, module):
                parameter.fill_(value)

    return apply


def _zero_head(model: nn.Module) -> None:
    last = [m for m in model.modules() if isinstance(m, nn.Linear)]
    for module in last[-1:]:
        nn.init.zeros_(module.weight)
        nn.init.zeros_(module.bias)


def _hidden(name: str, module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | nn.Conv2d) and not name.endswith("head")


def _norm(name: str, module: nn.Module) -> bool:
    return isinstance(module, NORMS)


# Start -> (weight in the draw of cells, what it writes). "auto" wants the inputs: see `started`.
STARTS: dict[str, tuple[float, Callable[[nn.Module], None]]] = {
    "default": (4, lambda model: None),
    "auto": (3, lambda model: None),
    "he_normal": (2, _each(lambda p: nn.init.kaiming_normal_(p))),
    "xavier_uniform": (1, _each(nn.init.xavier_uniform_)),
    "orthogonal": (1, _each(nn.init.orthogonal_)),
    "std 1e-4": (1.5, _each(lambda p: nn.init.normal_(p, 0, 1e-4))),
    "std 1e-3": (1.5, _each(lambda p: nn.init.normal_(p, 0, 1e-3))),
    "std 0.02": (1.5, _each(lambda p: nn.init.normal_(p, 0, 0.02))),
    "std 0.3": (1.5, _each(lambda p: nn.init.normal_(p, 0, 0.3))),
    "std 1": (1.5, _each(lambda p: nn.init.normal_(p, 0, 1))),
    "times 10": (1.5, _each(lambda p: p.mul_(10.0))),
    "times 3": (1.5, _each(lambda p: p.mul_(3.0))),
    "times 0.1": (1.5, _each(lambda p: p.mul_(0.1))),
    "times 0.3": (1, _each(lambda p: p.mul_(0.3))),
    "zeros": (1, _each(nn.init.zeros_)),
    "constant 0.02": (1, _each(lambda p: nn.init.constant_(p, 0.02))),
    "constant 0.5": (0.5, _each(lambda p: nn.init.constant_(p, 0.5))),
    "zero head": (1, _zero_head),
    "std 1e-3, biases 0": (0.7, _with_zero_biases(lambda p: nn.init.normal_(p, 0, 1e-3))),
    "std 0.02, biases 0": (0.7, _with_zero_biases(lambda p: nn.init.normal_(p, 0, 0.02))),
    "bias -30": (0.7, _named(_hidden, -30.0, "bias")),
    "bias -3": (0.7, _named(_hidden, -3.0, "bias")),
    "norm weight 50": (0.7, _named(_norm, 50.0, "weight")),
    "norm weight 0.01": (0.7, _named(_norm, 0.01, "weight")),
    "norm bias -5": (0.7, _named(_norm, -5.0, "bias")),
}


class _Output(nn.Module):
    """A model with something done to what it returns."""

    def __init__(self, model: nn.Module, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.change = model, change

    def forward(self, x: Tensor) -> Tensor:
        return self.change(self.model(x))


class _Cut(nn.Module):
    """A model whose first half of parameters gets no gradient."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        own = list(model.parameters())
        for parameter in own[: len(own) // 2]:
            parameter.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


# Fault -> (weight in the draw, what is done to the inputs). Tokens have no scale: those faults leave them out.
INPUT_FAULTS: dict[str, tuple[float, Callable[[Tensor], Tensor]]] = {
    "": (14, lambda x: x),
    "inputs x1e-4": (0.7, lambda x: 1e-4 * x),
    "inputs x0.01": (0.5, lambda x: 0.01 * x),
    "inputs x10": (0.5, lambda x: 10.0 * x),
    "inputs 0..255": (0.7, lambda x: 255 * (x - x.min()) / (x.max() - x.min())),
    "inputs + 10": (0.7, lambda x: x + 10.0),
    "inputs x1000": (0.5, lambda x: 1e3 * x),
}
# Fault -> (weight in the draw, what is put around the model).
MODEL_FAULTS: dict[str, tuple[float, Callable[[nn.Module], nn.Module]]] = {
    "softmax output": (0.4, lambda model: _Output(model, lambda y: y.softmax(-1))),
    "sigmoid output": (0.3, lambda model: _Output(model, torch.sigmoid)),
    "output x30": (0.4, lambda model: _Output(model, lambda y: 30 * y)),
    "output x0.001": (0.3, lambda model: _Output(model, lambda y: 1e-3 * y)),
    "half frozen": (0.5, _Cut),
}


def weight_of(fault: str) -> float:
    return (INPUT_FAULTS[fault] if fault in INPUT_FAULTS else MODEL_FAULTS[fault])[0]


def fits(cell: Cell, tokens: bool, classes: bool, normed: bool) -> bool:
    """Whether the start and the fault say anything of that network."""
    if tokens and cell.fault and cell.fault in INPUT_FAULTS:
        return False
    if cell.fault in ("softmax output", "sigmoid output") and not classes:
        return False
    return normed or not cell.start.startswith("norm")


def inputs_of(cell: Cell, x: Tensor) -> Tensor:
    return INPUT_FAULTS[cell.fault][1](x) if cell.fault in INPUT_FAULTS else x


def started(cell: Cell, build: Callable[[], nn.Module], task: Task) -> nn.Module:
    """The model of the cell, before its first step; from the cell's seed alone."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(cell.seed)
        model = build()
        if cell.start == "auto":
            initlab.init_(model, "auto", example_inputs=inputs_of(cell, task.x[:64]), seed=cell.seed)
        STARTS[cell.start][1](model)
    return MODEL_FAULTS[cell.fault][1](model) if cell.fault in MODEL_FAULTS else model
