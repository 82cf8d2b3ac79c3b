"""The one tensor on which a loss is computed, of models that return a dict, a dataclass or several tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from initlab.inspection.outputs import main_output


@dataclass(frozen=True)
class Answering:
    """Makes models that return their main output alone, as `inspect` takes it: named logits or so, else the first.

    Args:
        build: makes them; nothing else about them changes, their parameters' names least of all.

    >>> import torch
    >>> class Two(nn.Linear):
    ...     def forward(self, x):
    ...         return {"hidden": x, "logits": super().forward(x)}
    >>> Answering(lambda: Two(4, 2))()(torch.zeros(3, 4)).shape
    torch.Size([3, 2])
    """

    build: Callable[[], nn.Module]

    def __call__(self) -> nn.Module:
        return answering(self.build())


def answering(model: nn.Module) -> nn.Module:
    """The model, which returns its main output alone from now on."""
    model.register_forward_hook(_main)
    return model


def _main(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Tensor:
    return main_output(output)[1]
