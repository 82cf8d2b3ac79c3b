"""The loss of K runs on stacked outputs (K, C, B), features before samples, and its gradient."""

from __future__ import annotations

from collections.abc import Callable

import torch

from initlab.training.engines.runs import loss_of, scalar
from initlab.training.sources import InMemory, Source
from initlab.training.task import Task

# (outputs (K, C, B), targets (K, B, ...), out) -> losses (K,); the gradient of each run's loss, (K, C, B), goes to out.
Head = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def head_of(task: Task, source: Source, classes: int) -> Head:
    """The head that computes `task.loss`: by hand where it is the usual one, else through autograd run by run."""
    if callable(task.loss) or not isinstance(source, InMemory):
        return _by_autograd(task)
    y = source.y
    if y.is_floating_point():
        return _squares if y.numel() == len(y) * classes else _by_autograd(task)
    usual = y.ndim == 1 and int(y.min()) >= 0 and int(y.max()) < classes
    return _cross_entropy if usual else _by_autograd(task)


def _cross_entropy(outputs: torch.Tensor, targets: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    index = targets.unsqueeze(1)
    torch.log_softmax(outputs, 1, out=out)
    losses = out.gather(1, index).mean((1, 2)).neg_()
    out.exp_().scatter_add_(1, index, out.new_full((), -1.0).expand(index.shape)).div_(targets.shape[1])
    return losses


def _squares(outputs: torch.Tensor, targets: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    runs, features, samples = outputs.shape
    torch.sub(outputs, targets.reshape(runs, samples, features).transpose(1, 2), out=out)
    losses = out.square().mean((1, 2))
    out.mul_(2 / (features * samples))
    return losses


def _by_autograd(task: Task) -> Head:
    def head(outputs: torch.Tensor, targets: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        leaf = outputs.transpose(1, 2).contiguous().detach().requires_grad_()
        with torch.enable_grad():
            loss = loss_of(task, targets)
            losses = torch.stack([scalar(loss(one, target)) for one, target in zip(leaf, targets, strict=True)])
            (gradient,) = torch.autograd.grad(losses.sum(), leaf)
        out.copy_(gradient.transpose(1, 2))
        return losses.detach()

    return head
