"""Gradients of a scalar loss for every trainable parameter of a model that is a guest, whose `.grad` is None."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import nn

from initlab.errors import told
from initlab.guest.tally import count_backward
from initlab.guest.writes import unwatched

Tensor = torch.Tensor


def gradients(loss: Tensor, model: nn.Module, *, hooked: bool = True) -> dict[str, Tensor | None]:
    """{parameter name: gradient or None}, each shared parameter once.

    `torch.autograd.grad` does not see into reentrant checkpoints: with one in the graph, `backward` fills `.grad`,
    which is emptied again. Where none but torch's own functions run, which write to nothing of the model's, nobody
    watches what is written: under a dispatch mode torch adds gradients up in new memory, and calls Python for each.

    Args:
        loss: a scalar.
        model: whose parameters.
        hooked: whether hooks that are not known may run as well.

    Raises:
        InputError: the backward pass raised, as after a change in place of what it needs.
    """
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not loss.requires_grad or not named:
        return dict.fromkeys(named)
    count_backward()
    own = _own_functions(loss)
    hooked = hooked or bool(own) or any(p._backward_hooks for p in named.values())
    with told("the backward pass"), contextlib.nullcontext() if hooked else unwatched():
        if "CheckpointFunctionBackward" in own:
            return _by_backward(loss, named)
        return dict(zip(named, torch.autograd.grad(loss, list(named.values()), allow_unused=True), strict=True))


def _own_functions(loss: Tensor) -> set[str]:
    """Names of the functions in the graph of `loss` that are Python's: reentrant checkpoints, the user's own, hooks."""
    waiting: list[Any] = [loss.grad_fn]
    seen, found = set(), set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            found.add(type(node).__name__)
        waiting += [following for following, _ in node.next_functions]
    return found


def _by_backward(loss: Tensor, named: dict[str, nn.Parameter]) -> dict[str, Tensor | None]:
    try:
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        return {name: parameter.grad for name, parameter in named.items()}
    finally:
        for parameter in named.values():
            parameter.grad = None
