"""Calls of torch functions in a calibrating pass, and what parameters beside a weight add to what it makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from initlab.graph.operations import Op
from initlab.guest.inputs import tensors_in


@dataclass(frozen=True)
class Call:
    """One call of a torch function, and what it gave."""

    func: Callable[..., Any]
    op: Op
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any


def shift_of(call: Call, others: list[torch.Tensor]) -> torch.Tensor | float | None:
    """What parameters other than a weight add to what it makes, 0 of none; None of what is no bias of a plain layer."""
    if not others or "einsum" in call.op.kinds:  # all of its operands are factors
        return 0.0
    made, bias = next(tensors_in(call.result)), others[0]
    axis = call.op.features % made.dim()
    if len(others) > 1 or bias.dim() != 1 or made.shape[axis] != len(bias) or call.op.combines != "contraction":
        return None
    return bias.reshape([-1 if place == axis else 1 for place in range(made.dim())])
