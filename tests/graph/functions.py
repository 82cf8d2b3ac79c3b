"""A function of the input as a model."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


class Of(nn.Module):
    """One function of the input."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)
