"""`transfer_check`: whether the rate that is best for a narrow model is best for a wide one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from initlab.errors import InputError, argued, finite_number, shown, whole_number
from initlab.reporting import Shown
from initlab.scaling.coordinates import sizes_of
from initlab.scaling.rules import get_rule
from initlab.scaling.runs import setup
from initlab.scaling.trained import Way, losses_at
from initlab.training.engines import checked_executor, get_engine


@dataclass(frozen=True, repr=False)
class TransferCheck(Shown):
    """What `transfer_check` found. `print` it for the table, `.figure()`, `.save("transfer.html")`.

    Args:
        widths: the widths.
        lrs: the rates, ascending.
        losses: by width and rate, the mean over seeds of the loss after the steps; infinite where a run diverged.
        best: by width, the best rate, between grid points by the parabola through the three lowest in log rate.
        steps: how many.
        optimizer, rule: what was trained how.
        within: the factor within which the best rates count as one.
    """

    widths: tuple[int, ...]
    lrs: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]
    best: tuple[float, ...]
    steps: int
    optimizer: str
    rule: str
    within: float

    @property
    def factor(self) -> float:
        """The largest best rate over the smallest."""
        return max(self.best) / min(self.best)

    @property
    def transfers(self) -> bool:
        """Whether the best rate stays within the factor."""
        return self.factor <= self.within


@argued
def transfer_check(
    build: Callable[..., Any],
    widths: Sequence[int],
    lrs: Sequence[float],
    *,
    steps: int = 20,
    inputs: Any = None,
    targets: Any = None,
    loss: Any = None,
    optimizer: Any = "adamw",
    rule: str = "mup",
    policy: Any = None,
    seeds: int = 1,
    within: float = 2.0,
    batch_size: int | None = None,
    engine: str = "auto",
    executor: Executor | None = None,
) -> TransferCheck:
    """Trains every width at every rate for a few steps and says whether the best rate stays where it is.

    The runs of a width are trained by the engines of `compare`: stacked, in worker processes or one after another.

    Args:
        build: width -> a new model, or (model, inputs, targets).
        widths: at least two; the smallest is the base of the rule.
        lrs: at least three rates, of the base.
        steps: of training.
        inputs, targets, loss, optimizer, rule, policy, seeds: as for `coordinate_check`.
        within: the factor within which the best rates count as one.
        batch_size: samples of the inputs a step, in an order of the seed's; None takes all of them in every step. The
            loss is that of all of them after the last step.
        engine: "auto", or how to train: "stacked", "processes", "sequential".
        executor: any `concurrent.futures.Executor` whose workers train the runs, in parts.

    Returns:
        A `TransferCheck`: `.transfers`, `.best`, `.factor`, `.losses`, `.figure()`.

    Raises:
        InputError: a bad argument, or rates of which none trains at some width.

    Source: Yang et al. 2022, section 6 and figure 1.
    """
    swept = sizes_of("widths", widths)
    rates = _rates(lrs)
    steps, seeds = whole_number("steps", steps), whole_number("seeds", seeds)
    finite_number("within", within, low=1)
    batch_size = None if batch_size is None else whole_number("batch_size", batch_size)
    get_engine(engine)
    way = Way(steps, batch_size, engine, checked_executor(executor, engine))
    shared = setup(build, inputs, targets, loss, optimizer, get_rule(rule), policy, (swept[0],))
    losses = tuple(tuple(losses_at(shared, width, rates, seeds, way)) for width in swept)
    best = tuple(_best(width, rates, row) for width, row in zip(swept, losses, strict=True))
    return TransferCheck(swept, rates, losses, best, steps, shared.optimizer, rule, float(within))


def _rates(lrs: Sequence[float]) -> tuple[float, ...]:
    try:
        rates = tuple(sorted({finite_number("lrs", lr, low=0) for lr in lrs}))
    except TypeError:
        raise InputError(f"lrs must be a sequence of rates; got {shown(lrs)}") from None
    if len(rates) < 3 or rates[0] == 0:
        raise InputError(f"lrs must be at least three different rates above 0; got {shown(lrs)}")
    return rates


def _best(width: int, rates: Sequence[float], losses: Sequence[float]) -> float:
    """The minimum of the parabola in log rate through the lowest point and its neighbours; the point at an end."""
    place = min(range(len(losses)), key=losses.__getitem__)
    if not math.isfinite(losses[place]):
        raise InputError(f"at width {width} no rate of lrs trains: every run diverged; give lower rates")
    if place in (0, len(losses) - 1) or not math.isfinite(losses[place - 1] + losses[place + 1]):
        return rates[place]
    x = [math.log(rate) for rate in rates[place - 1 : place + 2]]
    y = losses[place - 1 : place + 2]
    left, right = (y[1] - y[0]) / (x[1] - x[0]), (y[2] - y[1]) / (x[2] - x[1])
    bend = (right - left) / (x[2] - x[0])
    if bend <= 0:
        return rates[place]
    lowest = (x[0] + x[1]) / 2 - left / (2 * bend)
    return math.exp(min(max(lowest, x[0]), x[2]))
