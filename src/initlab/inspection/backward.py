"""Gradients of a scalar loss for every trainable parameter of a model that is a guest, whose `.grad` is None."""

from __future__ import annotations

import torch
from torch import nn

from initlab.errors import told
from initlab.guest.tally import count_backward

Tensor = torch.Tensor


def gradients(loss: Tensor, model: nn.Module) -> dict[str, Tensor | None]:
    """{parameter name: gradient or None}, each shared parameter once.

    `torch.autograd.grad` does not see into reentrant checkpoints: with one in the graph, `backward` fills `.grad`,
    which is emptied again.

    Raises:
        InputError: the backward pass raised, as after a change in place of what it needs.
    """
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not loss.requires_grad or not named:
        return dict.fromkeys(named)
    count_backward()
    with told("the backward pass"):
        if _checkpointed(loss):
            return _by_backward(loss, named)
        return dict(zip(named, torch.autograd.grad(loss, list(named.values()), allow_unused=True), strict=True))


def _checkpointed(loss: Tensor) -> bool:
    """Whether a reentrant checkpoint stands anywhere in the graph of `loss`."""
    waiting, seen = [loss.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name() == "CheckpointFunctionBackward":
            return True
        waiting += [following for following, _ in node.next_functions]
    return False


def _by_backward(loss: Tensor, named: dict[str, nn.Parameter]) -> dict[str, Tensor | None]:
    try:
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        return {name: parameter.grad for name, parameter in named.items()}
    finally:
        for parameter in named.values():
            parameter.grad = None
