"""The law of a sum's or a norm's numbers where it is no Gaussian's: of what a function gave, as a stream behind ReLUs.

A sum of a rectified signal and a fresh one is skewed: of max(z, 0) + z' fewer numbers are below zero than of a Gaussian
of its mean and variance, and the next ReLU cuts less off. A few thousand numbers of each sum stand for its law.
"""

from __future__ import annotations

from functools import cache, lru_cache

import torch

from initlab.graph import expressions
from initlab.graph.flow import Flow
from initlab.graph.signals import Signal

POINTS = 4096
MOST = 1024  # sums of a model whose numbers are kept; a scan of thousands of steps goes on as Gaussian
ALIKE = 0.5  # correlation of positions from which a feature's own law is not that of all features


@cache
def _normal() -> torch.Tensor:
    """Standard normal numbers in order, each for an equal share of all."""
    places = (torch.arange(POINTS, dtype=torch.float64, device="cpu") + 0.5) / POINTS
    numbers: torch.Tensor = torch.special.ndtri(places)
    return numbers


@lru_cache(maxsize=8)
def _orders(count: int) -> tuple[torch.Tensor, ...]:
    """The orders in which the numbers of so many signals meet."""
    generator = torch.Generator(device="cpu").manual_seed(0)
    return tuple(torch.randperm(POINTS, generator=generator, device="cpu") for _ in range(count))


def note_sum(flow: Flow, value: int, parts: list[tuple[Signal, Signal, float]]) -> None:
    """Keeps numbers of a sum of independent signals, if a function made one of them.

    Args:
        flow: the walk so far; `flow.points` has, by sum, its numbers in order, with mean zero and variance one.
        value: the sum.
        parts: each signal, the same as it is added, and the number that multiplied it.
    """
    if flow.graph.coarse or not any(_curved(flow, signal) for signal, _, _ in parts) or len(flow.points) >= MOST:
        return
    total = torch.zeros(POINTS, dtype=torch.float64, device="cpu")
    for (signal, added, factor), order in zip(parts, _orders(len(parts)), strict=True):
        numbers = _standard(flow, signal)
        if numbers is None:
            return
        total += added.center + added.spread * (numbers if factor >= 0 else -numbers)[order]
    flow.points[value] = _standardised(total.sort().values)


def note_norm(flow: Flow, value: int, signal: Signal) -> None:
    """Keeps numbers of a normalised signal, if a function made it: (x − m)/s has the law of x but for m and s.

    So it is where m and s are those of many numbers of one law: of a batch's, or of many features. Where positions
    agree, each feature's own numbers have another law than all features' together, and a Gaussian stands for it.

    Args:
        flow: the walk so far.
        value: what the norm gives.
        signal: what it reads.
    """
    if flow.graph.coarse or not _curved(flow, signal) or len(flow.points) >= MOST or signal.alike > ALIKE:
        return
    numbers = _standard(flow, signal)
    if numbers is not None:
        flow.points[value] = numbers.sort().values


def _curved(flow: Flow, signal: Signal) -> bool:
    """Whether a function made a signal, or numbers stand for what it was made of."""
    return bool(signal.ops and signal.source == "activation") or signal.root in flow.points


def _standard(flow: Flow, signal: Signal) -> torch.Tensor | None:
    """Numbers of a signal, with mean zero and variance one."""
    root = flow.signals.get(signal.root)
    if root is None:
        return None
    numbers = flow.points.get(signal.root, _normal())
    if signal.ops and not expressions.affine([flow.graph.operations[index] for index in signal.ops]):
        made = expressions.ScalarFunction(flow, signal)(root.center + root.spread * numbers)
        if not bool(made.isfinite().all()):
            return None
        numbers = made.to(torch.float64)  # a comparison's are bool
    return _standardised(numbers)


def _standardised(numbers: torch.Tensor) -> torch.Tensor:
    spread = numbers.std(unbiased=False)
    return (numbers - numbers.mean()) / spread if spread > 0 else torch.zeros_like(numbers)
