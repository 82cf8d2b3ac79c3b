"""A twin: a torch module with another framework's parameters, in torch's layout, that runs its forward pass in torch.

So there is one graph, one set of rules and one inspection: what `initlab.plan` and `initlab.inspect` say of the twin
they say of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from initlab.errors import InputError
from initlab.graph.layers import LAYERS, Part, Shape
from initlab.integrations.scales import ScalesLast
from initlab.integrations.weights import Weight


@dataclass(frozen=True)
class Leaf:
    """One parameter of another framework.

    Args:
        path: where the framework holds it.
        name: the parameter name in the twin, which is the name of its stream.
        weight: its role, geometry and layout.
        values: a numpy array, or None where it has none yet.
        dtype: its dtype in torch.
        layer: the type of the layer that holds it.
        trainable: whether training changes it; one that it does not is taken for loaded, and kept.
    """

    path: tuple[str, ...]
    name: str
    weight: Weight
    values: np.ndarray[Any, Any] | None
    dtype: torch.dtype
    layer: str = "Layer"
    trainable: bool = True


class Stored(Sequence[torch.Tensor]):
    """A twin's parameters as the framework stores them, each turned when it is first read, as torch's layers do."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self.turned: dict[int, torch.Tensor] = {}

    def __len__(self) -> int:
        return len(self.twin.leaves)

    def __getitem__(self, place: Any) -> Any:
        if place not in self.turned:
            leaf = self.twin.leaves[place]
            self.turned[place] = leaf.weight.layout.from_torch(self.twin.get_parameter(leaf.name))
        return self.turned[place]


Run = Callable[[Stored, tuple[Any, ...], dict[str, Any]], Any]


class TwinLayer(nn.Module):
    """A layer of a twin: its parameters, and what is known of each."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: dict[str, Part] = {}

    def forward(self, within: Callable[[], Any]) -> Any:
        """Runs a part of the model's pass as this layer's."""
        return within()


class Twin(TwinLayer):
    """The whole model."""

    def __init__(self, leaves: Sequence[Leaf], run: Run | None) -> None:
        super().__init__()
        self.leaves = tuple(leaves)
        self.run = run
        for leaf in leaves:
            self._add(leaf)

    def _add(self, leaf: Leaf) -> None:
        *owners, name = leaf.name.split(".")
        layer: TwinLayer = self
        for place, part in enumerate(owners):
            inner = layer._modules.get(part)
            if inner is None:
                inner = _typed(leaf.layer if place == len(owners) - 1 else "Layer")
                layer.add_module(part, inner)
            assert isinstance(inner, TwinLayer)
            layer = inner
        if name in layer._parameters or name in layer._modules:
            raise InputError(f"two parameters are both called {leaf.name!r}; tell them apart with map_names")
        layer.parts[name] = leaf.weight.part
        layer.register_parameter(name, nn.Parameter(_start(leaf), requires_grad=leaf.trainable))

    def stored(self) -> Stored:
        """The parameters as the framework stores them."""
        return Stored(self)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self.run is None:
            raise InputError("there is no forward pass: give apply")
        with ScalesLast(self.parameters()) as scales:
            made = self.run(self.stored(), args, kwargs)
        return scales.shown(made)


def _typed(kind: str) -> TwinLayer:
    """A layer whose class is called as the framework calls it, so that "@Dense" selects it."""
    return type(kind, (TwinLayer,), {})() if kind.isidentifier() else TwinLayer()


def _start(leaf: Leaf) -> torch.Tensor:
    """The values in torch's layout; where there are none yet, what any layer begins with, so that none looks chosen."""
    layout, role = leaf.weight.layout, leaf.weight.part.role
    if leaf.values is not None:
        values = np.array(layout.to_torch(leaf.values), order="C")
        return torch.from_numpy(values).to(leaf.dtype)
    if role in ("bias", "norm_bias", "recurrent_bias"):
        return torch.zeros(layout.shape, dtype=leaf.dtype)
    if role == "norm_weight":
        return torch.ones(layout.shape, dtype=leaf.dtype)
    generator = torch.Generator().manual_seed(0)
    return (0.02 * torch.randn(layout.shape, generator=generator, device="cpu")).to(leaf.dtype)


def _of_twin(module: TwinLayer, leaf: str, shape: Shape) -> Part | None:
    part = module.parts.get(leaf)
    return None if part is None or (part.role == "other" and part.geometry is None) else part


LAYERS[TwinLayer] = _of_twin


def named(model: Twin, kind: str) -> Twin:
    """The twin under the model's own type name, which plans and reports show."""
    model.__class__ = type(kind if kind.isidentifier() else "Model", (type(model),), {})
    return model
