"""Elementwise functions with their derivatives, written into buffers that are given: the ATen kernels autograd uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

Arguments = tuple[Any, ...]


@dataclass(frozen=True)
class Function:
    """φ and its derivative.

    Args:
        forward: (x, arguments, out) writes φ(x); out may be x where `from_output`.
        backward: (gradient, kept, arguments, out) writes gradient · φ'(x); out may be the gradient.
        from_output: what backward wants kept is φ(x); else it is x.
    """

    forward: Callable[[torch.Tensor, Arguments, torch.Tensor], Any]
    backward: Callable[[torch.Tensor, torch.Tensor, Arguments, torch.Tensor], Any]
    from_output: bool


def _at(arguments: Arguments, place: int, default: Any) -> Any:
    return arguments[place] if len(arguments) > place else default


_aten = torch.ops.aten

# ATen name -> function. Its arguments are those that follow the input in ATen's signature, keywords last.
ELEMENTWISE: dict[str, Function] = {
    "relu": Function(
        lambda x, a, out: torch.clamp_min(x, 0, out=out) if out is not x else x.relu_(),
        lambda g, y, a, out: _aten.threshold_backward.grad_input(g, y, 0, grad_input=out),
        from_output=True,
    ),
    "tanh": Function(
        lambda x, a, out: torch.tanh(x, out=out),
        lambda g, y, a, out: _aten.tanh_backward.grad_input(g, y, grad_input=out),
        from_output=True,
    ),
    "sigmoid": Function(
        lambda x, a, out: torch.sigmoid(x, out=out),
        lambda g, y, a, out: _aten.sigmoid_backward.grad_input(g, y, grad_input=out),
        from_output=True,
    ),
    "leaky_relu": Function(
        lambda x, a, out: _aten.leaky_relu.out(x, *a, out=out),
        lambda g, x, a, out: _aten.leaky_relu_backward.grad_input(g, x, _at(a, 0, 0.01), False, grad_input=out),
        from_output=False,
    ),
    "elu": Function(
        lambda x, a, out: _aten.elu.out(x, *a, out=out),
        lambda g, x, a, out: _aten.elu_backward.grad_input(
            g, _at(a, 0, 1.0), _at(a, 1, 1.0), _at(a, 2, 1.0), False, x, grad_input=out
        ),
        from_output=False,
    ),
    "celu": Function(
        lambda x, a, out: _aten.elu.out(x, _at(a, 0, 1.0), 1.0, 1 / _at(a, 0, 1.0), out=out),
        lambda g, x, a, out: _aten.elu_backward.grad_input(
            g, _at(a, 0, 1.0), 1.0, 1 / _at(a, 0, 1.0), False, x, grad_input=out
        ),
        from_output=False,
    ),
    "silu": Function(
        lambda x, a, out: _aten.silu.out(x, out=out),
        lambda g, x, a, out: _aten.silu_backward.grad_input(g, x, grad_input=out),
        from_output=False,
    ),
    "softplus": Function(
        lambda x, a, out: _aten.softplus.out(x, *a, out=out),
        lambda g, x, a, out: _aten.softplus_backward.grad_input(g, x, _at(a, 0, 1.0), _at(a, 1, 20.0), grad_input=out),
        from_output=False,
    ),
    "hardtanh": Function(
        lambda x, a, out: _aten.hardtanh.out(x, *a, out=out),
        lambda g, x, a, out: _aten.hardtanh_backward.grad_input(g, x, _at(a, 0, -1.0), _at(a, 1, 1.0), grad_input=out),
        from_output=False,
    ),
    "gelu": Function(
        lambda x, a, out: _aten.gelu.out(x, approximate=_at(a, 0, "none"), out=out),
        lambda g, x, a, out: _aten.gelu_backward.grad_input(g, x, approximate=_at(a, 0, "none"), grad_input=out),
        from_output=False,
    ),
}
