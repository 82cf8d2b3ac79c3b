"""What a model drops in training, told while it runs in evaluation mode: what modules of its own drop, as one call."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode, handle_torch_function, has_torch_function_unary

from initlab.graph.operations import TABLE
from initlab.graph.operations.dropping import Mask
from initlab.guest.untouched import untouched

PROBE = (256, 16)  # samples and features of ones by which a module's mask is seen
TURNS = 32  # calls after which a module that gave only zeros is taken to give nothing else


def module_dropout(signal: torch.Tensor, mask: Mask) -> torch.Tensor:
    """Stands for what a module of the model's own drops in training: the signal as it is, one call to a mode."""
    if has_torch_function_unary(signal):
        return handle_torch_function(module_dropout, (signal,), signal, mask)
    return signal


@contextlib.contextmanager
def told(modules: Mapping[int, tuple[str, nn.Module]], still: frozenset[str]) -> Iterator[None]:
    """Inside, modules that drop in code of their own make it known in evaluation mode, by `module_dropout`.

    Args:
        modules: the model's, id -> (path, module).
        still: paths of those that are not to train, and so drop nothing.
    """
    known: dict[object, Mask | None] = {}
    hooks = [
        module.register_forward_hook(_teller(mask))
        for path, module in modules.values()
        if path not in still and _alone(module) and (mask := _known_mask(module, known)) is not None
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def mask_of_module(module: nn.Module) -> Mask | None:
    """What a module that gives back its input in evaluation multiplies it by in training, as it shows on ones.

    None where it does anything else: another function, a call that modes see as dropout anyway, a mask of other values.
    """
    ones = torch.ones(PROBE, device="cpu")
    with torch.no_grad(), untouched(module, seed=0), _Seen() as seen, contextlib.suppress(Exception):
        module.training = False  # a module of the user's: whatever it raises, it is not known to drop
        kept = module(ones)
        if seen.drops or not isinstance(kept, torch.Tensor) or not torch.equal(kept, ones):
            return None
        module.training = True
        return _mask(module, ones)
    return None


def _mask(module: nn.Module, ones: torch.Tensor) -> Mask | None:
    """From one call, or from the first of several that does not drop all of one mask for the whole batch."""
    for _ in range(TURNS):
        made = module(ones.clone())
        if not isinstance(made, torch.Tensor) or made.shape != ones.shape:
            return None
        left = float(made.max())
        if left > 0:
            break
    values = (made == 0) | (made == left)
    if left <= 0 or not bool(values.all()):
        return None
    share = float((made == 0).float().mean())
    rate = 1 - 1 / left if left > 1 else share
    return (
        Mask(rate, "samples" if bool((made == made[:, :1]).all()) else "elements", left > 1) if 0 < rate < 1 else None
    )


def _alone(module: nn.Module) -> bool:
    """Whether a module is a function that another library wrote: torch's own drop by functions that modes see."""
    return not (
        module._modules or module._parameters or module._buffers or type(module).__module__.startswith("torch.")
    )


def _known_mask(module: nn.Module, known: dict[object, Mask | None]) -> Mask | None:
    """Modules of one type and one set of numbers have one mask."""
    numbers = (item for item in vars(module).items() if isinstance(item[1], int | float | str | None))
    key = (type(module), *sorted((name, repr(value)) for name, value in numbers if name != "training"))
    if key not in known:
        known[key] = mask_of_module(module)
    return known[key]


def _teller(mask: Mask) -> Callable[[nn.Module, Any, Any], Any]:
    def hook(module: nn.Module, given: Any, output: Any) -> Any:
        return module_dropout(output, mask) if isinstance(output, torch.Tensor) else output

    return hook


class _Seen(TorchFunctionMode):
    """Whether anything that is known to drop is called while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.drops = False

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        self.drops |= TABLE[TABLE.kind_of(func)].drops
        return func(*args, **(kwargs or {}))


class Still(TorchFunctionMode):
    """Takes dropout out of modules that are not to train; to be entered last, since modes see the calls that it leaves.

    Args:
        still: the paths of those modules.
        stack: (path, type name) of the modules that are running, outermost first.
    """

    def __init__(self, still: frozenset[str], stack: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self.still, self.stack = still, stack

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.stack and self.stack[-1][0] in self.still and TABLE[TABLE.kind_of(func)].drops:
            args, kwargs = args[:1], {**kwargs, "p": 0.0, "training": False}
        return func(*args, **kwargs)
