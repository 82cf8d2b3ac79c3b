"""What is said of each parameter: how an operation uses it, and what arrives there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from initlab.graph.recording import Operation
from initlab.schemes.geometry import Geometry


@dataclass(frozen=True)
class Feed:
    """What arrives at a weight's input.

    Args:
        activation: the function's name ("relu"), "linear" for another weight's output, "layer_norm", "sum", …;
            None for the model's own input.
        function: the scalar function of a unit signal, where there is one.
        second_moment: E[φ(z)²] for z of the second moment that the layers before are meant to give; None = not known.
        where: path of the module (or the operation) that made it.
        source: what kind of thing made it: "data", "weight", "norm", "activation", "sum", "concat", "product",
            "embedding", "recurrent", "attention", "pool", "unknown".
        note: what was assumed or why it is not known; "" otherwise.
        masked: what dropout multiplies its second moment by in training.
        common: the share of its second moment that two positions have in common: their mean, and what they agree in.
        seen: the share of a kernel's taps that meet the signal, on average over its places; the rest meet padding. Over
            the signal's own share where it was padded before.
    """

    activation: str | None
    function: Callable[..., Any] | None
    second_moment: float | None
    where: str
    source: str = "unknown"
    note: str = ""
    masked: float = 1.0
    common: float = 0.0
    seen: float = 1.0


@dataclass(frozen=True)
class Use:
    """One use of a parameter.

    Args:
        operation: the call that uses it.
        role: "weight", "bias", "norm_weight", "norm_bias", "embedding", "recurrent_bias" or "other".
        feeds: what arrives at it; None for what is not a weight.
        geometry: its fans and axes in this use, where they can be read off.
        output: the value it helps to make.
        exact: whether it is used as it is, at most rearranged.
        scaled: the second moment of the fixed numbers that its elements are multiplied by before this use.
        places: (axis, place) where one place of an axis is used, as of layers in a stack: each is a weight of its own.
        proportional: whether what is used grows as it does, but for a number that was added.
    """

    operation: Operation
    role: str
    feeds: Feed | None
    geometry: Geometry | None = None
    output: int | None = None
    exact: bool = True
    scaled: float = 1.0
    places: tuple[tuple[int, int], ...] = ()
    proportional: bool = True


@dataclass(frozen=True)
class LayerCall:
    """A weight at work: the parameter, the operation that uses it, and what feeds it, in forward order."""

    parameter: str
    operation: Operation
    feeds: Feed | None
