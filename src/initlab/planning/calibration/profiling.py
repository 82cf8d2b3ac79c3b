"""The profiling pass: one forward on the example inputs with every parameter drawn by its plan, watched at its sums.

As in the calibrating pass, nothing is written into the model: drawn tensors stand in for its parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from initlab.errors import InputError
from initlab.graph import run_under
from initlab.graph.operations import TABLE
from initlab.guest.doubles import doubled
from initlab.guest.inputs import mapped
from initlab.planning.memory.drawing import job_of, write_one
from initlab.planning.plan import PlanEntry, owners
from initlab.sampling import canonical_name


@dataclass(frozen=True)
class ScaledSum:
    """A sum ω · x + f(x) of the pass.

    Args:
        scale: the parameter ω.
        stream: the variance of x over all elements.
        branch: the variance of f(x).
    """

    scale: str
    stream: float
    branch: float


def scaled_sums(
    model: nn.Module, entries: Sequence[PlanEntry], example_inputs: Any, scales: frozenset[str]
) -> list[ScaledSum]:
    """The sums in which these parameters scale one operand, in order of the pass.

    Args:
        model: the model; it is left as it was.
        entries: the plan, whose laws the pass draws from (seed 0).
        example_inputs: as for `plan`.
        scales: names of entries.

    Raises:
        InputError: a model on the meta device, or one whose forward pass fails.
    """
    if any(parameter.is_meta for parameter in model.parameters()):
        raise InputError("a profiling pass needs values, and the model is on the meta device: build it on a device")
    profiler = _Profiler({entry.name: entry for entry in entries}, scales)
    run_under(model, example_inputs, profiler, partial(profiler.know, owners(entries)))
    return profiler.found


class _Profiler(TorchFunctionMode):
    """Stands drawn tensors in for parameters while it is entered, and keeps the variances at the sums."""

    def __init__(self, entries: Mapping[str, PlanEntry], scales: frozenset[str]) -> None:
        super().__init__()
        self.entries, self.scales = entries, scales
        self.parameters: dict[int, str] = {}
        self.found: list[ScaledSum] = []
        self._drawn: dict[str, torch.Tensor] = {}
        self._scaled: dict[int, tuple[torch.Tensor, str, float]] = {}

    def know(self, owner: Mapping[str, str], names: Mapping[int, str]) -> None:
        self.parameters = {key: owner[canonical_name(name)] for key, name in names.items()}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kind = TABLE.kind_of(func)
        scale = next((name for name in map(self._name, args) if name in self.scales), None) if kind == "mul" else None
        given, named = mapped((args, kwargs or {}), self._stand_in)
        result = func(*given, **named)
        if scale is not None and isinstance(result, torch.Tensor):
            stream = next(item for item, own in zip(given, args, strict=True) if self._name(own) != scale)
            self._scaled[id(result)] = (result, scale, _variance(stream))
        elif kind == "add" and len(given) > 1:
            self._sum(given[0], given[1])
            self._sum(given[1], given[0])
        return result

    def _name(self, item: Any) -> str | None:
        return self.parameters.get(id(item)) if isinstance(item, torch.Tensor) else None

    def _stand_in(self, tensor: torch.Tensor) -> torch.Tensor:
        name = self.parameters.get(id(tensor))
        if name is None:
            return tensor
        if name not in self._drawn:
            entry, made = self.entries[name], tensor.detach()
            if entry.law is not None:
                made = torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)
                write_one(job_of(name, made, entry.law), 0)
            self._drawn[name] = made
        return self._drawn[name]

    def _sum(self, part: Any, other: Any) -> None:
        held = self._scaled.pop(id(part), None)
        if held is not None and held[0] is part and isinstance(other, torch.Tensor):
            self.found.append(ScaledSum(held[1], held[2], _variance(other)))


def _variance(tensor: torch.Tensor) -> float:
    return float(doubled(tensor.detach()).var(unbiased=False))
