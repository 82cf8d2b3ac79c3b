"""What is in a model: every module once, with its path. And its mode."""

from __future__ import annotations

from torch import nn

# What torch's older wrappers add to the name of a parameter from which a layer's own is computed.
REMADE = ("_orig", "_g", "_v")

# (end of the length's name, end of the direction's name) as torch's two forms of weight norm call them.
WEIGHT_NORM = ((".original0", ".original1"), ("_g", "_v"))


def made_of(module: nn.Module, leaf: str) -> str:
    """The layer's own tensor that an older wrapper of torch's computes from a parameter; "" where none does.

    >>> made_of(nn.utils.spectral_norm(nn.Linear(2, 2)), "weight_orig")
    'weight'
    """
    stem = next((leaf.removesuffix(end) for end in REMADE if leaf.endswith(end)), leaf)
    return stem if stem != leaf and stem not in module._parameters and hasattr(module, stem) else ""


def dotted(path: str, leaf: str) -> str:
    """The name of what the module at a path holds.

    >>> dotted("fc", "weight"), dotted("", "weight")
    ('fc.weight', 'weight')
    """
    return f"{path}.{leaf}" if path else leaf


def in_mode(model: nn.Module, training: bool) -> nn.Module:
    """The model in training or in evaluation mode, as it goes there itself; an exported one has one mode, and stays.

    What is nested deeper than Python calls itself, or holds itself, is brought there module by module.
    """
    try:
        model.train(training)
    except NotImplementedError:
        pass
    except RecursionError:
        for _, module in modules_of(model).values():
            module.training = training
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
        stack.extend((dotted(path, name), child) for name, child in reversed(children))
    return found
