"""A few real steps on a copy of the weights: what the line along the first step cannot tell."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from initlab.errors import InputError, told
from initlab.guest.swapped import copies, swapped
from initlab.inspection.backward import gradients
from initlab.inspection.line import STABLE, Line, line_of
from initlab.inspection.optimizers import Step
from initlab.inspection.passes import Pass, Problem, again, in_training, watched
from initlab.inspection.results import LearningRate

USEFUL = 0.1  # share of the best rate's decrease from which a smaller rate is useful
APART = 10.0  # ratio of the three rates
GOING = 40  # real steps at most
WELL_UNDER = 0.7  # of a constant answer's loss, from which down training gets going
FAR = 5.0  # over a constant answer's loss, from which steps on one batch tell nothing


def learning_rate_of(line: Line, step: Step) -> LearningRate:
    """What the line alone tells."""
    stable = line.stable(STABLE[step.family] / step.boost)
    tried = tuple((point.lr, point.loss) for point in line.points)
    return LearningRate(stable, None if stable is None else min(line.lowest.lr, stable), tried)


def probed(found: LearningRate, problem: Problem, seen: Pass, step: Step, steps: int) -> LearningRate:
    """`found`, sharpened by `steps` real steps on the batch at the best rate, a tenth of it and ten times it."""
    if found.best is None:
        return found
    curves: dict[float, tuple[float, ...]] = {}
    warm_up = False
    for lr in (found.best / APART, found.best, found.best * APART):
        with in_training(problem.model), swapped(problem.model, copies(problem.model)):
            curves[lr] = _trained(problem, seen, step.at(lr), steps)
            if lr < found.best and math.isfinite(curves[lr][-1]):
                warm_up = _widened(found, line_of(problem, watched(problem), step))
    drops = {lr: seen.loss - curve[-1] if math.isfinite(curve[-1]) else -math.inf for lr, curve in curves.items()}
    best = max(drops, key=lambda lr: drops[lr])
    useful = [lr for lr, drop in drops.items() if drop > USEFUL * drops[best] and drop > 0]
    stable = [lr for lr in (found.largest_stable, *drops) if lr is not None and drops.get(lr, 1.0) > 0]
    return replace(found, best=best if useful else None, smallest_useful=min(useful, default=None),
                   largest_stable=max(stable, default=None), probed=curves, warm_up=warm_up)  # fmt: skip


def _widened(before: LearningRate, line: Line | None) -> bool:
    """Whether ten times the largest stable rate has become stable."""
    after = line.largest if line is not None else None
    return after is not None and before.largest_stable is not None and after.lr > 3 * before.largest_stable


def gets_going(problem: Problem, seen: Pass, step: Step, constant: float | None) -> tuple[int, float] | None:
    """(how many real steps on a copy of the weights it takes, the loss then) to settle it; None where `GOING` do not.

    They do with a loss well under that of a constant answer, if it was not far over that before: what shoots up first
    may come down on the one batch that it sees, and on no other. They do with a loss that is no number, too. A loss
    under that of a constant answer from the start is no measure.
    """
    known = math.inf if constant is None else constant
    low, far = seen.loss <= WELL_UNDER * known, seen.loss > FAR * known
    with in_training(problem.model), swapped(problem.model, copies(problem.model)):
        for number, loss in enumerate(_losses(problem, seen, step, GOING), 1):
            if not math.isfinite(loss):
                return number, math.inf
            far = far or loss > FAR * known
            if not low and loss <= WELL_UNDER * known:
                return None if far else (number, loss)
    return None


def real_losses(problem: Problem, seen: Pass, step: Step, steps: int) -> tuple[float, ...]:
    """The loss after each of `steps` real steps on a copy of the weights."""
    with in_training(problem.model), swapped(problem.model, copies(problem.model)):
        return _trained(problem, seen, step, steps)


def _trained(problem: Problem, seen: Pass, step: Step, steps: int) -> tuple[float, ...]:
    """The loss after each step."""
    losses = list(_losses(problem, seen, step, steps))
    return tuple(losses + [math.inf] * (steps - len(losses)))


def _losses(problem: Problem, seen: Pass, step: Step, steps: int) -> Iterator[float]:
    """The loss after each step, up to one that is no number."""
    optimizer = step.optimizer(problem.model)
    for number in range(steps + 1):
        try:
            _, value = again(problem, seen)
        except InputError:  # of weights that a step of this size made
            if not number:
                raise
            return
        loss = float(value.detach())  # waits for the device
        if number:
            yield loss
        if number == steps or not math.isfinite(loss):
            return
        found = gradients(value, problem.model)
        for name, parameter in problem.model.named_parameters():
            parameter.grad = found.get(name)
        with told("a real step of the optimizer"):
            optimizer.step()
