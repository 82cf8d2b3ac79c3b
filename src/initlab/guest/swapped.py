"""Other values in the place of parameters' own, which are never written to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from torch import Tensor, nn


@contextlib.contextmanager
def swapped(model: nn.Module, values: Mapping[str, Tensor]) -> Iterator[None]:
    """Inside, the parameters of these names point at these values; afterwards at their own storage again.

    >>> layer = nn.Linear(2, 2)
    >>> own = layer.weight.data_ptr()
    >>> with swapped(layer, {"weight": layer.weight.detach() * 0}):
    ...     print(layer.weight.any().item())
    False
    >>> layer.weight.data_ptr() == own
    True
    """
    parameters = dict(model.named_parameters())
    own = {name: parameters[name].data for name in values}
    try:
        for name, value in values.items():
            parameters[name].data = value.to(own[name])
        yield
    finally:
        for name, value in own.items():
            parameters[name].data = value


def copies(model: nn.Module) -> dict[str, Tensor]:
    """{name: a copy that may be written to} of every parameter."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
