"""Dropout whose masks are made outside: so that each of K stacked runs drops what it would drop alone."""

from __future__ import annotations

import functools
import math
import types as python_types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode


@dataclass(frozen=True)
class Dropout:
    """One call of dropout in a forward pass.

    Args:
        noise: empty, as the noise of one run lies in memory: torch draws it in that order.
        p: the probability of a zero.
    """

    noise: torch.Tensor
    p: float


Noise = Callable[[torch.Tensor], torch.Tensor]


def _each_channel(axes: int) -> Noise:
    """The noise of channels with `axes` axes each; a sample without a batch has one axis less before them."""

    def noise(value: torch.Tensor) -> torch.Tensor:
        kept = 1 if value.ndim == axes + 1 else 2
        return value.new_empty(*value.shape[:kept], *[1] * (value.ndim - kept))

    return noise


# The functions that drop, and the noise they draw for an input.
_DROPPING: dict[Any, Noise] = {
    F.dropout: torch.empty_like,
    torch.dropout: torch.empty_like,
    F.dropout1d: _each_channel(1),
    F.dropout2d: _each_channel(0),  # three axes are samples of channels to torch, with a warning
    F.dropout3d: _each_channel(3),
}


Drop = Callable[[torch.Tensor], torch.Tensor]


def _attention(
    drop: Drop,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """softmax(q kᵀ · scale + mask) v with `drop` on the softmax: what torch computes on CPU where attention drops."""
    if enable_gqa:
        key, value = (t.repeat_interleave(query.shape[-3] // t.shape[-3], -3) for t in (key, value))
    root = math.sqrt(1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    scores = (query * root) @ (key * root).transpose(-2, -1)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None:
        masks = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, -math.inf) if masks else scores + attn_mask
    return drop(scores.softmax(-1)) @ value


def _drops_attention(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    """The probability with which a call of attention drops; 0 if it is none."""
    if func is not F.scaled_dot_product_attention:
        return 0.0
    return float(args[4] if len(args) > 4 else kwargs.get("dropout_p", 0.0))


class _Dropping(TorchFunctionMode):
    """Sees the dropout calls made inside, also by torch's functions that are written in python."""

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if func is F.multi_head_attention_forward:
            with self:
                return _open(func)(*args, **(kwargs or {}))
        return self.call(func, args, kwargs or {})

    def call(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One call of torch."""
        raise NotImplementedError


@functools.cache
def _open(func: python_types.FunctionType) -> Callable[..., Any]:
    """A function of `torch.nn.functional` that does not hand itself over to a mode: its own calls are seen then."""
    closed = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")
    names = {**func.__globals__, **dict.fromkeys(closed, lambda *_: False)}
    opened = python_types.FunctionType(func.__code__, names, func.__name__, func.__defaults__, func.__closure__)
    opened.__kwdefaults__ = func.__kwdefaults__
    return opened


class Recording(_Dropping):
    """Lists the dropout calls made inside, and lets every value through."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Dropout] = []

    def call(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if p := _drops_attention(func, args, kwargs):
            return _attention(lambda weights: self._recorded(weights, p), *args, **kwargs)
        if func not in _DROPPING:
            return func(*args, **kwargs)
        value, p, training = _arguments(*args, **kwargs)
        if training and p:
            self.calls.append(Dropout(_DROPPING[func](value), float(p)))
        return value.clone()

    def _recorded(self, weights: torch.Tensor, p: float) -> torch.Tensor:
        self.calls.append(Dropout(torch.empty_like(weights), p))
        return weights


class Replaying(_Dropping):
    """Multiplies by the masks given, one for each dropout call made inside."""

    def __init__(self, masks: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.masks = iter(masks)

    def call(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if _drops_attention(func, args, kwargs):
            return _attention(lambda weights: weights * next(self.masks), *args, **kwargs)
        if func not in _DROPPING:
            return func(*args, **kwargs)
        value, p, training = _arguments(*args, **kwargs)
        return value * next(self.masks) if training and p else value


def _arguments(
    value: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, train: bool | None = None
) -> tuple[torch.Tensor, float, bool]:
    """The arguments of `F.dropout` and of `torch.dropout`, which calls its flag `train`."""
    return value, p, training if train is None else train


def masks(calls: Sequence[Dropout], generators: Sequence[torch.Generator]) -> list[torch.Tensor]:
    """For each call a mask (K, ...) of zeros and 1 / (1 - p), each run's drawn from its generator as torch draws it."""
    runs = len(generators)
    made = [
        call.noise.new_empty_strided((runs, *call.noise.shape), (call.noise.numel(), *call.noise.stride()))
        for call in calls
    ]
    for run, generator in enumerate(generators):
        for call, mask in zip(calls, made, strict=True):
            mask[run].bernoulli_(1 - call.p, generator=generator)
    for call, mask in zip(calls, made, strict=True):
        if call.p < 1:
            mask.div_(1 - call.p)
    return made
