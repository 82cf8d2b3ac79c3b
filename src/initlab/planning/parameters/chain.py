"""What feeds a layer where nothing was recorded: the layers before it in the Sequentials that hold it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from initlab.guest.modules import modules_of
from initlab.guest.untouched import untouched
from initlab.planning.parameters.fed import Fed, function_moment
from initlab.planning.parameters.names import NEUTRAL
from initlab.planning.reason import Reason
from initlab.sampling.streams import WRAPPERS


def chains_of(model: nn.Module, modules: Iterable[nn.Module]) -> dict[int, list[nn.Module]]:
    """For each layer inside plain Sequentials, by its id, the layers in order of the outermost one."""
    chains: dict[int, list[nn.Module]] = {}
    for module in modules:
        if not _plain_sequential(module) or id(module) in chains:
            continue
        chain = list(_flat(module))
        if module is _unwrapped(model):
            chain = [_Data(), *chain]
        for layer in chain:
            chains.setdefault(id(layer), chain)
        for _, inner in modules_of(module).values():
            if _plain_sequential(inner):
                chains.setdefault(id(inner), chain)
    return chains


class _Data(nn.Module):
    """Marks the head of a chain that begins with the model's own input."""


def _unwrapped(module: nn.Module) -> nn.Module:
    """What a compiled, checkpointed or data-parallel wrapper wraps; any other module itself."""
    while len(module._modules) == 1 and not module._parameters:
        name, child = next(iter(module._modules.items()))
        parallel = name == "module" and type(module).__module__.startswith("torch.")
        if child is None or not (parallel or name in WRAPPERS):
            break
        module = child
    return module


def _plain_sequential(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def _flat(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of nested Sequentials in order, without recursion, so that depth has no limit."""
    stack = [module]
    while stack:
        layer = stack.pop()
        if _plain_sequential(layer):
            stack.extend(reversed([_unwrapped(child) for child in layer.children()]))
        else:
            yield layer


def fed_in_chain(layer: nn.Module, chain: list[nn.Module] | None) -> Fed:
    """What arrives at a layer, as the layers before it in its chain say; unknown where it is in none."""
    unknown = Fed(1.0, Reason("fed_by_unknown", "gain 1: what feeds it is not known without example_inputs"))
    if chain is None:
        return unknown
    position = next(i for i, item in enumerate(chain) if item is layer)
    passed, masked = "", 1.0
    for before in reversed(chain[:position]):
        kind = type(before).__name__
        if isinstance(before, _Data):
            return _fed(1.0, masked, f"the data{passed}")
        if (growth := _growth(before)) != 1.0:
            masked *= growth
            passed += f", through {kind} in training"
            continue
        if any(word in kind for word in NEUTRAL):
            passed = f", through {kind}" if "Pool" in kind else passed
            continue
        if "Norm" in kind:
            return _fed(1.0, masked, f"{kind}{passed}")
        if next(before.parameters(), None) is not None:
            return _fed(1.0, masked, f"{kind}{passed}, with no activation between")
        place = next(i for i, item in enumerate(chain) if item is before)
        moment = _scalar_moment(before, math.sqrt(math.prod(map(_growth, chain[max(0, place - 1) : place]))))
        if moment is None:
            return unknown
        return _fed(moment, masked, f"{kind}{passed} (order of the Sequential)")
    return unknown


def _growth(module: nn.Module) -> float:
    """What dropout multiplies a standard signal's second moment by, where it is in training mode; 1 for the rest."""
    alpha = isinstance(module, nn.AlphaDropout | nn.FeatureAlphaDropout)
    drops = isinstance(module, _DropoutNd) and module.training and not alpha
    rate = float(module.p) if drops and isinstance(module.p, int | float) else 0.0
    return 1 / (1 - rate) if 0 < rate < 1 else 1.0


def _fed(moment: float, masked: float, words: str) -> Fed:
    gain = 1 / math.sqrt(moment * masked)
    return Fed(gain, Reason("fed", f"gain {gain:.4g}: fed by {words}"))


def _scalar_moment(module: nn.Module, spread: float = 1.0) -> float | None:
    """E[φ(spread·z)²] if the module acts on each number alone, as its behaviour on a few numbers shows; else None."""
    probe = torch.tensor([[-2.0, -0.7, 0.0], [0.4, 1.1, 2.5]], dtype=torch.float32, device="cpu")
    try:
        with torch.no_grad(), untouched(module, seed=0):
            whole, turned, part = module(probe.clone()), module(probe.flip(0, 1)), module(probe[:, 1:2].clone())
            scalar = torch.equal(whole.flip(0, 1), turned) and torch.equal(whole[:, 1:2], part)
    except Exception:  # a module of the user's: whatever it raises, it is not known to be a scalar function
        return None
    if not scalar or whole.shape != probe.shape:
        return None
    with untouched(module, seed=0):
        return function_moment(module if spread == 1.0 else lambda z: module(spread * z))
