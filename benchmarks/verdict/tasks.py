"""What the recorded cells train on: small data sets, each with its loss and the loss of the best constant answer."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional as F

import initlab

Tensor = torch.Tensor
VOCABULARY = 32


@dataclass(frozen=True)
class Task:
    """Inputs, targets, what is made small, and the loss of an answer that does not look at its input."""

    x: Tensor
    y: Tensor
    loss: Callable[[Tensor, Tensor], Tensor]
    constant: float


def tokens_loss(output: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy over every position."""
    return F.cross_entropy(output.reshape(-1, output.shape[-1]), targets.reshape(-1))


def _classes(x: Tensor, y: Tensor) -> Task:
    share = torch.bincount(y).double() / len(y)
    return Task(x, y, F.cross_entropy, float(torch.special.entr(share).sum()))


def _values(x: Tensor, y: Tensor) -> Task:
    return Task(x, y, F.mse_loss, float(y.var(0, correction=0).mean()))


def _standard(x: Tensor) -> Tensor:
    return (x - x.mean(0)) / x.std(0).clamp(min=1e-6)


def digits() -> Task:
    x, y = initlab.data.digits().train
    x = x.reshape(len(x), -1).float()
    return _classes((x - x.mean()) / x.std(), y)


def digit_images() -> Task:
    task = digits()
    return Task(task.x.reshape(-1, 1, 8, 8), task.y, task.loss, task.constant)


def digit_rows() -> Task:
    """Digits as eight steps of eight features."""
    task = digits()
    return Task(task.x.reshape(-1, 8, 8), task.y, task.loss, task.constant)


def pixels() -> Task:
    """Digits in [0, 1] as their own targets."""
    x = digits().x
    x = (x - x.min()) / (x.max() - x.min())
    return _values(x, x)


def pixels_alike() -> Task:
    """The same for a network without a bias for each pixel: its best constant answer is one grey."""
    task = pixels()
    return Task(task.x, task.y, task.loss, float(task.y.var(correction=0)))


def mnist() -> Task:
    """4,096 of MNIST's images, averaged to 14 x 14."""
    x, y = initlab.data.mnist().train
    x = F.avg_pool2d(x[:4096].float().reshape(-1, 1, 28, 28), 2)
    return _classes((x - x.mean()) / x.std(), y[:4096])


def mnist_flat() -> Task:
    task = mnist()
    return Task(task.x.flatten(1), task.y, task.loss, task.constant)


def chain() -> Task:
    """Sequences in which each token has four likely followers; the target is the next token everywhere."""
    generator = torch.Generator().manual_seed(1)
    followers = torch.randint(0, VOCABULARY, (VOCABULARY, 4), generator=generator)
    likely = torch.tensor([0.7, 0.15, 0.1, 0.05])
    s = torch.zeros(2048, 17, dtype=torch.long)
    s[:, 0] = torch.randint(0, VOCABULARY, (2048,), generator=generator)
    for i in range(16):
        s[:, i + 1] = followers[s[:, i], torch.multinomial(likely, 2048, replacement=True, generator=generator)]
    share = torch.bincount(s[:, 1:].flatten(), minlength=VOCABULARY).double() / s[:, 1:].numel()
    return Task(s[:, :-1], s[:, 1:], tokens_loss, float(torch.special.entr(share).sum()))


def adding() -> Task:
    """Twelve steps of (value, mark): the target is the sum of the two marked values."""
    generator = torch.Generator().manual_seed(2)
    values = torch.rand(4096, 12, generator=generator)
    at = torch.stack([torch.randperm(12, generator=generator)[:2] for _ in range(4096)])
    marks = torch.zeros(4096, 12).scatter_(1, at, 1.0)
    return _values(torch.stack([values, marks], dim=2), _standard((values * marks).sum(1, keepdim=True)))


def curve() -> Task:
    """A smooth regression: 10 inputs, 3 outputs, unit variance."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(4096, 10, generator=generator)
    y = torch.sin(x @ torch.randn(10, 3, generator=generator) / 2) + 0.5 * x[:, :3]
    return _values(x, _standard(y))


def cancer() -> Task:
    """scikit-learn's breast-cancer table: 30 columns, two classes."""
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    return _classes(_standard(torch.tensor(x, dtype=torch.float32)), torch.tensor(y))


def diabetes() -> Task:
    """scikit-learn's diabetes table: 10 columns, one number."""
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    return _values(
        _standard(torch.tensor(x, dtype=torch.float32)), _standard(torch.tensor(y, dtype=torch.float32)[:, None])
    )


def wine() -> Task:
    """scikit-learn's wine table: 13 columns, three classes."""
    from sklearn.datasets import load_wine

    x, y = load_wine(return_X_y=True)
    return _classes(_standard(torch.tensor(x, dtype=torch.float32)), torch.tensor(y))


def blobs() -> Task:
    """Twenty clouds of 32 features, which overlap."""
    generator = torch.Generator().manual_seed(4)
    centres = torch.randn(20, 32, generator=generator)
    y = torch.randint(0, 20, (4096,), generator=generator)
    return _classes(_standard(centres[y] + 1.2 * torch.randn(4096, 32, generator=generator)), y)


def labels() -> Task:
    """Six yes-or-no answers about the inputs of `curve`, each about as often yes as no."""
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(4096, 10, generator=generator)
    y = ((x @ torch.randn(10, 6, generator=generator)).tanh() + 0.5 * x[:, :6] * x[:, 1:7] > 0).float()
    share = y.double().mean(0)
    entropy = torch.special.entr(share) + torch.special.entr(1 - share)
    return Task(x, y, F.binary_cross_entropy_with_logits, float(entropy.mean()))


def friedman() -> Task:
    """Friedman 1991: 10 sin(pi x0 x1) + 20 (x2 - 0.5)^2 + 10 x3 + 5 x4, five columns more that say nothing."""
    generator = torch.Generator().manual_seed(6)
    x = torch.rand(4096, 10, generator=generator)
    y = 10 * torch.sin(torch.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5).square() + 10 * x[:, 3] + 5 * x[:, 4]
    return _values(_standard(x), _standard(y[:, None]))


def recall() -> Task:
    """Sequences of 16 tokens; the class tells which of four groups of tokens occurs most."""
    generator = torch.Generator().manual_seed(7)
    x = torch.randint(0, VOCABULARY, (4096, 16), generator=generator)
    count = F.one_hot(x % 4, 4).sum(1).float() + 0.1 * torch.rand(4096, 4, generator=generator)
    return _classes(x, count.argmax(1))


def sizes_of(make: Callable[[], Task]) -> tuple[int, int]:
    """(features of one row of the inputs, outputs that the loss takes)."""
    task = task_of(make)
    return task.x.shape[-1], task.y.shape[-1] if task.y.is_floating_point() else int(task.y.max()) + 1


@functools.cache
def task_of(make: Callable[[], Task]) -> Task:
    """The task, made once."""
    return make()
