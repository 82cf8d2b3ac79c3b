"""Dropout and its kin: a random part of a signal is zero in training, and the rest is larger for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from initlab.graph.flow import Flow
from initlab.graph.operations.arrange import moved
from initlab.graph.operations.op import Op
from initlab.graph.recording import Operation
from initlab.graph.regions import settled
from initlab.graph.signals import Signal

ALPHA = 1.7580993408473766  # −λα of SELU: what alpha dropout puts in place of what it drops, with a minus
Over = Literal["elements", "features", "samples"]
FEATURES = frozenset({"dropout1d", "dropout2d", "dropout3d", "feature_dropout"})


@dataclass(frozen=True)
class Mask:
    """What a signal is multiplied by: m/(1 − p), m being 0 with probability p and else 1.

    Args:
        rate: p.
        over: whether "elements", whole "features" or whole "samples" are dropped together.
        scaled: whether what is left is divided by 1 − p.
        alpha: whether −1.758 takes the place of zero, and mean and variance of a standard signal are kept.
    """

    rate: float
    over: Over = "elements"
    scaled: bool = True
    alpha: bool = False

    @property
    def mean(self) -> float:
        return 1.0 if self.scaled else 1 - self.rate

    @property
    def second(self) -> float:
        """E[m²]: 1/(1 − p), or 1 − p where nothing is divided."""
        return 1 / (1 - self.rate) if self.scaled else 1 - self.rate

    def shape(self, signal: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the mask for a signal's."""
        own = {"elements": len(signal), "features": 2, "samples": 1}[self.over]
        return (*signal[:own], *(1 for _ in signal[own:]))

    def applied(self, signal: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """What is left of a signal, by which of the mask's numbers are kept."""
        if not self.alpha:
            return signal * (kept.to(signal.dtype) * (self.mean / (1 - self.rate)))
        scale = 1 / math.sqrt((1 - self.rate) * (1 + self.rate * ALPHA**2))
        return scale * (torch.where(kept, signal, -ALPHA) + ALPHA * self.rate)

    def of(self, mean: float, second: float) -> tuple[float, float]:
        """Mean and second moment of what is left of a signal.

        E[(m·x)²] = E[m²]·E[x²]. Alpha dropout gives a·(m·x − α(1 − m)) + a·α·p with a² = 1/((1 − p)(1 + pα²)), so that
        E[y] = a(1 − p)·E[x] and E[y²] = (E[x²] + pα² + 2pα·E[x]) / (1 + pα²) (Klambauer et al., 2017).
        """
        if not self.alpha:
            return self.mean * mean, self.second * second
        spread = self.rate * ALPHA**2
        left = mean * math.sqrt((1 - self.rate) / (1 + spread))
        return left, (second + spread + 2 * self.rate * ALPHA * mean) / (1 + spread)


def mask_of(kind: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mask | None:
    """The mask of a call of a kind that drops; None where it drops nothing, or all.

    Args:
        kind: the operation's.
        args: what it was called with by position.
        kwargs: and by name; whether it was called in training does not matter.
    """
    if kind == "module_dropout":
        found = kwargs.get("mask", args[1] if len(args) > 1 else None)
        return found if isinstance(found, Mask) else None
    rate = kwargs.get("p", args[1] if len(args) > 1 else 0.5)
    if not isinstance(rate, int | float) or not 0 < rate < 1:
        return None
    features = kind in FEATURES or kind == "feature_alpha_dropout"
    return Mask(float(rate), "features" if features else "elements", alpha="alpha" in kind)


def drops_in_place(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call of dropout writes into its input."""
    return bool(kwargs.get("inplace", len(args) > 3 and args[3]))


def dropped(flow: Flow, operation: Operation) -> list[Signal]:
    """The second moment of the mask times the signal's; what places have in common stays where they share a mask.

    Of independent masks E[mᵢxᵢmⱼxⱼ] = E[m]²·E[xᵢxⱼ]; places of one feature or sample share theirs.
    """
    signal = settled(flow, flow.carried(operation)[0][1])
    mask = mask_of(operation.kind, operation.args, operation.kwargs)
    if mask is None or signal.second is None:
        return moved(flow, operation)
    mean, second = mask.of(signal.center, signal.second)
    together = mask.second if mask.over != "elements" else mask.mean**2
    both = 0.0 if not second else min(signal.common * signal.second * together / second, 1.0)
    own = 0.0 if not second else min(mean**2 / second, 1.0)
    note = "; ".join(filter(None, [signal.note, f"{operation.kind} {mask.rate:g} in training"]))
    made = flow.fresh(operation, second, mean, signal.source, signal.label, note)
    alike = signal.alike if mask.alpha or own >= 1 else max(0.0, (both - own) / (1 - own))
    growth = second / signal.second if signal.second else 1.0
    flow.origins[operation.outputs[0]] = flow.origin(operation)
    apart = 0.0 if not second else min(signal.everywhere * signal.second * mask.mean**2 / second, 1.0)
    fixed = signal.fixed if mask.alpha or own >= 1 else max(0.0, (apart - own) / (1 - own))
    return [
        replace(
            made, where=signal.where, alike=alike, fixed=fixed, whole=signal.whole or signal,
            masked=signal.masked * growth,
        )
    ]  # fmt: skip


OPS = (
    Op(
        ("dropout", "alpha_dropout", "feature_alpha_dropout", "feature_dropout", "dropout1d", "dropout2d", "dropout3d",
         "module_dropout"), dropped, keeps="order", drops=True, random=True,
    ),
)  # fmt: skip
