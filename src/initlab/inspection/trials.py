"""What a change would do: the pass and the loss along the first step, taken again with other values in place."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from initlab.errors import InitlabError
from initlab.graph.once import once
from initlab.graph.operations import TABLE
from initlab.guest.swapped import swapped
from initlab.inspection.events import factor_of
from initlab.inspection.evidence import Evidence
from initlab.inspection.gathering import gathered
from initlab.inspection.optimizers import Step

Tensor = torch.Tensor
FAINT = 1e-6  # share of the read-out's signal under which samples are all but one
PARTED = 100.0  # growth of that share from which they come apart
FLAT = 0.9  # share of a layer's outputs that are off or saturated, from which it says next to nothing
FELT = 0.01  # relative change of the lowest loss along the step from which a change helps, or harms


@dataclass(frozen=True)
class Change:
    """Something that could be otherwise.

    Attributes:
        words: what is changed to what.
        values: {parameter name: its other values}.
        inputs: makes other inputs of the batch's; None leaves them.
        factor: the number in the code by which signals are multiplied, to be taken as 1 wherever it stands.
        step: another optimizer or rate; None keeps it.
    """

    words: str
    values: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    inputs: Callable[[Any], Any] | None = None
    factor: float | None = None
    step: Step | None = None


@dataclass(frozen=True)
class Trial:
    """A change and what came of it.

    Attributes:
        change: what was changed.
        loss: the first loss with it.
        lowest: the lowest loss along the first step with it; infinite where none is finite.
        before: the lowest loss along the first step without it.
        first: the first loss without it.
        opens: whether a gradient reaches weight matrices with it that it did not reach without, or samples that were
            one at the read-out come apart.
        relieves: whether at least half of the layers that were off or saturated are not with it.
        evidence: all that was measured with it.
    """

    change: Change
    loss: float
    lowest: float
    before: float
    first: float
    opens: bool
    relieves: bool
    evidence: Evidence = field(repr=False)

    @property
    def gain(self) -> float:
        """How far the lowest loss falls, relative to that without the change; negative where it rises."""
        if not math.isfinite(self.before):
            return 1.0 if math.isfinite(self.lowest) else 0.0
        return (self.before - self.lowest) / abs(self.before) if self.before else 0.0

    @property
    def helps(self) -> bool:
        return self.gain > FELT or (self.opens and math.isfinite(self.lowest))

    @property
    def harms(self) -> bool:
        return self.gain < -FELT and not self.loss < self.first and not self.helps


def tried(e: Evidence, change: Change) -> Trial | None:
    """`change` made, measured and undone; None where the model does not run with it."""
    made = measured(e, change)
    if made is None:
        return None
    opens = _reached(made) > _reached(e) or _apart(made) > PARTED * _apart(e) > 0
    relieves = _flat(e) > 0 and _flat(made) <= _flat(e) / 2
    return Trial(change, made.seen.loss, lowest(made), _before(e), e.seen.loss, opens, relieves, made)


def _apart(e: Evidence) -> float:
    """Share of the signal at the read-out that tells samples apart, where that is faint; 1 where it is not."""
    share = e.readout.input_row_share if e.readout is not None else None
    return 1.0 if share is None or share > FAINT else share


def _flat(e: Evidence) -> int:
    """Layers whose outputs are nearly all off or saturated."""
    return sum(1 for x in e.layers if x.kind != "softmax" and max(x.dead or 0.0, x.saturated or 0.0) > FLAT)


def _reached(e: Evidence) -> int:
    """Weight matrices that a gradient reaches."""
    return sum(1 for p in e.matrices if p.grad_rms)


def _before(e: Evidence) -> float:
    base = with_line(e)
    return math.inf if base is None else lowest(base)


def with_line(e: Evidence) -> Evidence | None:
    """The evidence with the loss along the first step, taken now where it was left out."""
    return e if e.line is not None else _unchanged(e)


@once
def _unchanged(e: Evidence) -> Evidence | None:
    return measured(e, Change("nothing"))


def measured(e: Evidence, change: Change) -> Evidence | None:
    """What `gathered` measures with the change in place; the model is as it was afterwards."""
    inputs = e.inputs if change.inputs is None else change.inputs(e.inputs)
    answer = e.seen.answer
    try:
        without = contextlib.nullcontext() if change.factor is None else _FactorOne(change.factor)
        with swapped(e.model, change.values), without:
            return gathered(e.model, inputs, answer.targets, answer.function, change.step or e.step)
    except InitlabError:
        return None


def lowest(e: Evidence) -> float:
    """The lowest loss along the first step, or the first loss where that is lower; infinite where none is finite."""
    points = [] if e.line is None else [point.loss for point in e.line.points]
    return min((x for x in (e.seen.loss, *points) if math.isfinite(x)), default=math.inf)


class _FactorOne(TorchFunctionMode):
    """Takes a product of a tensor with that number as the tensor itself."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if factor_of(TABLE.kind_of(func), args, kwargs) == self.factor:
            return next(item for item in (*args, *kwargs.values()) if isinstance(item, Tensor))
        return func(*args, **kwargs)
