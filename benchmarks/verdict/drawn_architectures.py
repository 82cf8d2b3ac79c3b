"""The third wave of architectures: drawn at random, each from its own number: layout, depth, width, function, task."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from benchmarks.verdict import tasks
from benchmarks.verdict.layouts import (
    Act,
    Architecture,
    Gated,
    Recurrent,
    Residual,
    ResidualCNN,
    Transformer,
    cnn,
    mlp,
)
from benchmarks.verdict.more_architectures import Dense, PostNorm, RMSNorm, Strip, Times
from benchmarks.verdict.tasks import Task, sizes_of

ACTS: dict[str, Act] = {
    "relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "sigmoid": nn.Sigmoid, "elu": nn.ELU, "selu": nn.SELU,
    "silu": nn.SiLU, "leaky": nn.LeakyReLU, "softplus": nn.Softplus, "hardswish": nn.Hardswish, "mish": nn.Mish,
    "softsign": nn.Softsign, "sine": lambda: Times(2.0), "relu6": nn.ReLU6,
}  # fmt: skip
NORMS: dict[str, Callable[[int], nn.Module] | None] = {
    "": None, "batch-norm": nn.BatchNorm1d, "layer-norm": nn.LayerNorm, "rms-norm": RMSNorm,
}  # fmt: skip
ROWS = (tasks.digits, tasks.blobs, tasks.wine, tasks.labels, tasks.friedman, tasks.curve, tasks.cancer)


@dataclass(frozen=True)
class Spec:
    """What was drawn, for a layout to build from."""

    depth: int
    width: int
    act: Act
    norm: str
    data: Callable[[], Task]
    chance: random.Random


def drawn(number: int) -> Architecture:
    """The architecture of that number, always the same."""
    chance = random.Random(f"architecture {number}")
    layout, act = chance.choices(list(LAYOUTS), [one.weight for one in LAYOUTS.values()])[0], chance.choice(list(ACTS))
    made = LAYOUTS[layout]
    depth, width = min(_log(chance, 1, 14), made.deepest), min(_log(chance, 8, 128), made.widest)
    width = width // made.multiple * made.multiple
    norm, data = chance.choice([name for name in NORMS if name]), chance.choice(ROWS)
    words, build, task = made.make(Spec(depth, width, ACTS[act], norm, data, chance))
    named = [layout, f"{depth}x{width}", *([act] if made.acts else []), *words]
    return Architecture(" ".join([str(number), *named]), "drawn", build, task)


def _log(chance: random.Random, low: int, high: int) -> int:
    return round(math.exp(chance.uniform(math.log(low), math.log(high))))


Made = tuple[list[str], Callable[[], nn.Module], Callable[[], Task]]


def _plain(s: Spec) -> Made:
    return [s.data.__name__], lambda: mlp(s.depth, s.width, s.act, None, *sizes_of(s.data)), s.data


def _normed(s: Spec) -> Made:
    return [s.norm, s.data.__name__], lambda: mlp(s.depth, s.width, s.act, NORMS[s.norm], *sizes_of(s.data)), s.data


def _gated(s: Spec) -> Made:
    skip = s.chance.random() < 0.5
    return ["skip"] * skip + [s.data.__name__], lambda: Gated(s.depth, s.width, s.act, *sizes_of(s.data), skip), s.data


def _residual(s: Spec) -> Made:
    normed, scale = s.chance.random() < 0.5, s.chance.choice([None, None, 0.1])
    words = ["layer-norm"] * normed + ["scaled"] * bool(scale)
    return words, lambda: Residual(s.depth, s.width, s.act, normed, scale), tasks.digits


def _post(s: Spec) -> Made:
    return [s.data.__name__], lambda: PostNorm(s.depth, s.width, s.act, *sizes_of(s.data)), s.data


def _dense(s: Spec) -> Made:
    return [], lambda: Dense(s.depth, s.width, s.act), tasks.digits


def _cnn(s: Spec) -> Made:
    normed = s.chance.random() < 0.4
    return ["batch-norm"] * normed, lambda: cnn(s.depth, s.width, s.act, normed), tasks.digit_images


def _resnet(s: Spec) -> Made:
    groups = s.chance.choice([0, 1, 4])
    norm: Callable[[int], nn.Module] = (lambda w: nn.GroupNorm(groups, w)) if groups else nn.BatchNorm2d
    words = [f"{groups} groups" if groups else "batch-norm"]
    return words, lambda: ResidualCNN(s.depth, s.width, norm), tasks.digit_images


def _strip(s: Spec) -> Made:
    return [], lambda: Strip(s.depth, s.width, s.act), tasks.digit_rows


def _recurrent(s: Spec) -> Made:
    cell = s.chance.choice([nn.RNN, nn.LSTM, nn.GRU])

    def built(features: int, out: int) -> nn.Module:
        return Recurrent(cell, features, s.width, s.depth, out)

    return [cell.__name__.lower()], lambda: built(*sizes_of(tasks.digit_rows)), tasks.digit_rows


def _transformer(s: Spec) -> Made:
    first = s.chance.random() < 0.6
    words = ["pre-norm" if first else "post-norm"]
    return words, lambda: Transformer(s.depth, s.width, first, 0.0, rows=True), tasks.digit_rows


@dataclass(frozen=True)
class Layout:
    """How often it is drawn, how it is made, its bounds, and whether the activation function is its own choice."""

    weight: int
    make: Callable[[Spec], Made]
    deepest: int = 14
    widest: int = 128
    multiple: int = 1
    acts: bool = True


LAYOUTS: dict[str, Layout] = {
    "plain": Layout(8, _plain),
    "normed": Layout(6, _normed),
    "gated": Layout(4, _gated, 8, 96),
    "residual": Layout(4, _residual, 12, 96),
    "post-norm": Layout(3, _post, 6, 64),
    "dense": Layout(3, _dense, 8, 32),
    "cnn": Layout(2, _cnn, 5, 12),
    "resnet": Layout(1, _resnet, 3, 12, 4, acts=False),
    "strip": Layout(2, _strip, 5, 24),
    "recurrent": Layout(1, _recurrent, 2, 48, acts=False),
    "transformer": Layout(1, _transformer, 2, 32, 4, acts=False),
}
DRAWN = tuple(drawn(number) for number in range(300))
