"""A user's function as one of the known losses: by identity, by type, or by what it computes.

The rooms below training read it, as they do `losses`; a contract of lint-imports holds it low.
"""

from __future__ import annotations

import functools
import math
import warnings
from typing import Any

import torch
from torch import Tensor

from initlab.rng import random_states_kept
from initlab.training.losses import KINDS, Function, Loss

PROBES = 3  # random outputs on which a function is compared with the kinds


def given_loss(function: Function, output: Any = None, targets: Any = None) -> Loss:
    """A user's function as a `Loss`: torch's own by identity or type, another by what it computes.

    Args:
        function: (output, targets) -> scalar.
        output: an example of what it takes, whose shape the random outputs have on which it is compared.
        targets: the targets that belong to it; without both only torch's own are known.
    """
    words = str(getattr(function, "__name__", type(function).__name__))
    own = _torchs_own(function)
    if own is not None:
        return Loss(own, function, words)
    if not isinstance(output, Tensor) or not isinstance(targets, Tensor):
        return Loss("other", function, words)
    kind, scale = _computed(function, output, targets)
    return Loss("other", function, words, minus=kind) if scale < 0 else Loss(kind, function, words, scale)


def _torchs_own(function: Function) -> str | None:
    """The kind of torch's own function or module that averages over the batch, also with arguments filled in."""
    if isinstance(function, functools.partial):
        known = not function.args and function.keywords.get("reduction", "mean") == "mean"
        return _torchs_own(function.func) if known else None
    for kind, row in KINDS.items():
        if any(function is own for own in (row.call, *row.functions)):
            return kind
        unchanged = any(isinstance(function, m) and type(function).forward is m.forward for m in row.modules)
        if unchanged and getattr(function, "reduction", "mean") == "mean":
            return kind
    return None


def _computed(function: Function, output: Tensor, targets: Tensor) -> tuple[str, float]:
    """(kind, scale) of what `function` gives on random outputs with these targets; ("other", 1) for no known kind.

    A kind is recognised where the function is a multiple of it, the same on every random output; one below zero has the
    other sign. What such a trial draws from the global generators is put back, and its warnings (of shapes) go unheard.
    """
    with random_states_kept(), torch.no_grad(), warnings.catch_warnings(action="ignore"):
        plain = [_random(output, i) for i in range(PROBES)]
        for chosen, among in ((plain, False), ([p.sigmoid() for p in plain], True)):
            values = _values(function, chosen, targets)
            if values is None:
                continue
            for kind, row in KINDS.items():
                for form in (row.call, *row.also) if row.probabilities == among else ():
                    scale = _multiple(values, _values(form, chosen, targets), output.dtype)
                    if scale is not None:
                        return kind, scale
    return "other", 1.0


def _random(output: Tensor, number: int) -> Tensor:
    generator = torch.Generator().manual_seed(number)
    drawn = torch.randn(output.shape, generator=generator, device="cpu", dtype=torch.float32)
    return ((1.0 + number) * drawn).to(output)


def _values(function: Function, outputs: list[Tensor], targets: Tensor) -> list[float] | None:
    """What a function gives on each output; None where it raises or gives no finite number."""
    try:
        values = [float(function(output, targets)) for output in outputs]
    except Exception:  # the user's function: whatever it raises, it computes no kind that is known here
        return None
    return values if all(math.isfinite(value) for value in values) else None


def _multiple(values: list[float], known: list[float] | None, dtype: torch.dtype) -> float | None:
    """The factor between two lists of numbers; None where it is not the same throughout."""
    if known is None or any(value == 0 for value in known):
        return None
    ratios = [value / other for value, other in zip(values, known, strict=True)]
    tolerance = 64 * torch.finfo(dtype).eps  # sums in another order differ by some roundings
    alike = max(ratios) - min(ratios) <= tolerance * abs(ratios[0])
    return ratios[0] if alike and ratios[0] else None
