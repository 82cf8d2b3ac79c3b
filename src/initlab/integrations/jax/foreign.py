"""A primitive that has no torch function here: jax computes it, and its vector-Jacobian product."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.overrides import handle_torch_function, has_torch_function

from initlab.integrations.extras import needed
from initlab.integrations.jax.primitives import Operand, tensor_of, torch_dtype
from initlab.integrations.jax.program import Const, Step

jax = needed("jax", "jax")
Tensor = torch.Tensor


def array_of(tensor: Tensor) -> np.ndarray[Any, Any]:
    """A tensor's numbers for jax."""
    plain = tensor.detach().resolve_conj().cpu()
    if plain.dtype == torch.bfloat16:
        return plain.float().numpy().astype(jax.numpy.bfloat16)
    if plain.dtype == torch.int64 and not jax.config.jax_enable_x64:
        plain = plain.to(torch.int32)
    return plain.numpy()


def by_jax(step: Step, operands: Sequence[Operand]) -> list[Tensor]:
    """The outputs of a step, computed by jax; torch sees one function called after the primitive."""
    places = [i for i, operand in enumerate(operands) if not isinstance(operand, Const)]
    fixed = [operand.value if isinstance(operand, Const) else None for operand in operands]

    def run(*arrays: Any) -> tuple[Any, ...]:
        given = list(fixed)
        for place, array in zip(places, arrays, strict=True):
            given[place] = array
        made = step.primitive.bind(*given, **step.params)
        return tuple(made) if step.primitive.multiple_results else (made,)

    function = _function(step.kind)
    return list(function(run, tuple(np.dtype(d) for d in step.dtypes), *(tensor_of(operands[i]) for i in places)))


def _function(kind: str) -> Callable[..., tuple[Tensor, ...]]:
    def call(run: Any, dtypes: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        if has_torch_function(tensors):
            made: tuple[Tensor, ...] = handle_torch_function(call, tensors, run, dtypes, *tensors)
            return made
        made = _ByJax.apply(run, dtypes, *tensors)  # type: ignore[no-untyped-call]  # torch leaves it so
        return made

    call.__name__ = f"jax_{kind}"
    return call


class _ByJax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, run: Any, dtypes: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        arrays = [array_of(tensor) for tensor in tensors]
        ctx.run, ctx.arrays = run, arrays
        made = run(*(jax.numpy.asarray(array) for array in arrays))
        return tuple(tensor_of(Const(value)).to(torch_dtype(kind)) for value, kind in zip(made, dtypes, strict=True))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        arrays = [jax.numpy.asarray(array) for array in ctx.arrays]
        made, pull = jax.vjp(ctx.run, *arrays)
        given = tuple(
            jax.numpy.asarray(array_of(grad.conj())).astype(value.dtype)  # torch's gradient is jax's conjugated
            if jax.numpy.issubdtype(value.dtype, jax.numpy.inexact)
            else np.zeros(value.shape, jax.dtypes.float0)
            for grad, value in zip(grads, made, strict=True)
        )
        back = pull(given)
        return (
            None,
            None,
            *(tensor_of(Const(b)).conj() if b.dtype != jax.dtypes.float0 else None for b in back),
        )
