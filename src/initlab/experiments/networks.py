"""The networks that several experiments share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from torch import nn


def mlp(
    sizes: Sequence[int],
    activation: Callable[[], nn.Module] = nn.ReLU,
    *,
    norm: bool = False,
    dropout: float = 0.0,
) -> nn.Sequential:
    """Linear layers of the given sizes with the activation (and batch norm before, dropout after it) between them."""
    layers: list[nn.Module] = []
    for number, (a, b) in enumerate(itertools.pairwise(sizes), 1):
        layers.append(nn.Linear(a, b))
        if number == len(sizes) - 1:
            break
        layers += [nn.BatchNorm1d(b)] if norm else []
        layers.append(activation())
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers)
