"""Runs a program in torch, each step inside the twin's layer that its scope names."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from initlab.errors import InputError
from initlab.integrations.jax import products  # noqa: F401  # registers products, convolutions and look-ups
from initlab.integrations.jax.foreign import by_jax
from initlab.integrations.jax.primitives import HANDLERS, tensor_of
from initlab.integrations.jax.program import Program, Step
from initlab.integrations.twin import Twin, TwinLayer


def run(
    program: Program, stored: Sequence[torch.Tensor], inputs: Sequence[torch.Tensor], layers: Layers
) -> list[torch.Tensor]:
    """What the program returns; the stored parameters are the first of its inputs, read when they are needed."""
    known = _Known(program.inputs, stored)
    known.update(zip(program.inputs[len(stored) :], inputs, strict=True))
    last_read = {value: place for place, step in enumerate(program.steps) for value in step.values()}
    last_read.update({atom: len(program.steps) for atom in program.outputs if isinstance(atom, int)})
    for place, step in enumerate(program.steps):
        operands = [known[atom] if isinstance(atom, int) else atom for atom in step.inputs]
        made = layers.at(step.scope)(partial(_applied, step, operands))
        known.update(zip(step.outputs, made, strict=True))
        for value in set(step.values()):
            if last_read[value] == place:
                known.pop(value, None)
    return [tensor_of(known[atom] if isinstance(atom, int) else atom) for atom in program.outputs]


class _Known(dict[int, torch.Tensor]):
    """The values so far; a parameter is turned to the framework's layout when it is first read."""

    def __init__(self, numbers: Sequence[int], stored: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.stored, self.places = stored, {number: place for place, number in enumerate(numbers[: len(stored)])}

    def __missing__(self, number: int) -> torch.Tensor:
        made = self[number] = self.stored[self.places[number]]
        return made


def _applied(step: Step, operands: list[Any]) -> list[torch.Tensor]:
    handler = HANDLERS.get(step.kind)
    made = NotImplemented if handler is None else handler(step, *operands)
    if made is NotImplemented:
        if step.primitive is None:
            raise InputError(f"the primitive {step.kind} cannot be run in torch")
        return by_jax(step, operands)
    return made if isinstance(made, list) else [made]


class Layers:
    """The layers of a twin by the scopes that their framework names."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self.by_path: dict[tuple[str, ...], TwinLayer] = {}
        for leaf in twin.leaves:
            owner = twin.get_submodule(leaf.name.rpartition(".")[0])
            if owner is not twin and isinstance(owner, TwinLayer):
                self.by_path.setdefault(leaf.path[:-1], owner)
        self._found: dict[tuple[str, ...], Any] = {}

    def at(self, scope: tuple[str, ...]) -> Any:
        """What runs a part of the pass inside the layer of a scope."""
        if scope not in self._found:
            self._found[scope] = self._layer(scope)
        return self._found[scope]

    def _layer(self, scope: tuple[str, ...]) -> Any:
        for end in range(len(scope), 0, -1):
            for start in range(end):
                layer = self.by_path.get(scope[start:end])
                if layer is not None:
                    return layer
        return _outside


def _outside(within: Any) -> Any:
    return within()
