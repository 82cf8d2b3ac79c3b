"""What is in a model: every module once, with its path. And its mode."""

from __future__ import annotations

import contextlib

from torch import nn


def in_mode(model: nn.Module, training: bool) -> nn.Module:
    """The model in training or in evaluation mode, as it goes there itself; an exported one has one mode, and stays."""
    with contextlib.suppress(NotImplementedError):
        model.train(training)
    return model


def modules_of(model: nn.Module) -> dict[int, tuple[str, nn.Module]]:
    """id -> (path, module), each module once, without recursion, so that depth has no limit."""
    found: dict[int, tuple[str, nn.Module]] = {}
    stack: list[tuple[str, nn.Module]] = [("", model)]
    while stack:
        path, module = stack.pop()
        if id(module) in found:
            continue
        found[id(module)] = (path, module)
        children = [(name, child) for name, child in module._modules.items() if child is not None]
        stack.extend((f"{path}.{name}" if path else name, child) for name, child in reversed(children))
    return found
