"""The loss along the first step: forward passes at w - lr · d, for learning rates by decades, on moved weights.

d is what one step of the optimizer does at a rate of 1. Nothing trains: five or six forward passes on the batch that
the gradient was taken on, with the same random numbers each time, tell which rates lower the loss, by how much, and
whether what they change tells samples apart.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from initlab.errors import InputError
from initlab.guest.doubles import doubled
from initlab.guest.swapped import swapped
from initlab.inspection.fetching import fetched
from initlab.inspection.moments import batch_axis
from initlab.inspection.optimizers import Step
from initlab.inspection.outputs import main_output
from initlab.inspection.passes import Pass, Problem, again, in_training, value_on
from initlab.rng import seed_random_states

Tensor = torch.Tensor

# Decades of the learning rate that are tried, by family; SGD's with its momentum counted.
DECADES: dict[str, tuple[float, ...]] = {
    "sign": (1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
    "sgd": (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0),
}
# The largest rate, momentum counted, that is called stable: beyond it no recorded cell trained.
STABLE = {"sign": 1e-1, "sgd": 1.0}
STILL = 1e-3  # relative change of the loss, under which a rate does not move it
FLAT = 1e-6  # relative decrease of the loss that single precision cannot tell from none


@dataclass(frozen=True)
class Point:
    """One learning rate on the line.

    Attributes:
        lr: the learning rate.
        loss: the loss after one step of that size; infinite where it is not finite.
        moved: root mean square of the change of the outputs, the batch's mean change taken off; None for one sample.
        shifted: the same with the mean change left in.
        aligned: cosine between that change and the one that the loss asks for (its negative gradient at the outputs,
            mean taken off; for class numbers the centred labels less the centred predictions).
        pulled: decrease of the loss that the change promises to first order, over the loss.
        parted: how much lower the loss is than with every sample's output at their mean, over the first loss: what
            the network tells of its samples, whatever it says of all of them alike; None where that cannot be asked.
    """

    lr: float
    loss: float
    moved: float | None = None
    shifted: float | None = None
    aligned: float | None = None
    pulled: float | None = None
    parted: float | None = None


@dataclass(frozen=True)
class Line:
    """The loss along the first step.

    Attributes:
        start: the loss at the weights as they are.
        spread: root mean square of the outputs, the batch's mean taken off.
        points: by rising learning rate.
        parted: as of a point, of the weights as they are.
    """

    start: float
    spread: float | None
    points: tuple[Point, ...]
    parted: float | None = None

    def decrease(self, point: Point) -> float:
        """Relative decrease of the loss at that point; minus infinity where it is not finite."""
        return (self.start - point.loss) / abs(self.start) if self.start else -point.loss

    @property
    def lowest(self) -> Point:
        """The point of the lowest loss."""
        return min(self.points, key=lambda point: point.loss)

    @property
    def largest(self) -> Point | None:
        """The point of the largest rate that lowers the loss; None where no rate does."""
        return max((p for p in self.points if self.decrease(p) > FLAT), key=lambda p: p.lr, default=None)

    def stable(self, most: float) -> float | None:
        """The largest rate, up to `most`, that is taken for stable: it or one above it lowers the loss."""
        return None if self.largest is None else min(self.largest.lr, most)

    def at(self, lr: float) -> Point:
        """The point nearest to a learning rate."""
        return min(self.points, key=lambda point: abs(math.log(point.lr / lr)))


def rates_of(step: Step) -> tuple[float, ...]:
    """The learning rates that are tried: the decades of the optimizer's family, and the rate that the user gave."""
    decades = [float(f"{rate / step.boost:.9g}") for rate in DECADES[step.family]]
    if step.given and not any(math.isclose(step.lr, rate, rel_tol=1e-6) for rate in decades):
        decades.append(step.lr)
    return tuple(sorted(decades))


def line_of(problem: Problem, seen: Pass, step: Step) -> Line | None:
    """The loss along the first step of `step`; None where the loss or a gradient is not finite, or nothing moves.

    `seen` is the pass that took the gradients. Parameters point at moved values meanwhile and at their own again
    afterwards, so their own values are never written to; buffers, modes and random states are put back. The loss is
    infinite where the model or the loss raises, as one that checks its numbers may.

    Raises:
        InputError: the model or the loss raises on the same batch at the weights as they are.
    """
    model = problem.model
    own = {name: parameter.detach() for name, parameter in model.named_parameters()}
    gradients = {name: g for name, g in seen.gradients.items() if g is not None and step.share(name) != 0.0}
    if not gradients or not math.isfinite(seen.loss) or not _finite(gradients.values()):
        return None
    pull, axis = _pull(seen)
    points: list[Point] = []

    def parted(output: Any, loss_there: float) -> float | None:
        return _parted(output, axis, seen, lambda mean: float(value_on(mean, problem, seen)), loss_there)

    def there() -> tuple[Any, float] | None:
        return _ran(lambda: again(problem, seen))

    def point(lr: float, output: Any, value: float) -> Point:
        at, start = None if output is None else main_output(output)[1].detach(), seen.output
        # None too where a model returns what it finds, which differs from rate to rate
        change = None if at is None or start is None or at.shape != start.shape else _clean(at - start)
        return replace(_point(lr, value, change, pull, axis, seen.loss), parted=parted(output, value))

    with in_training(model), torch.no_grad():
        for lr in rates_of(step):
            with swapped(model, _moved(own, gradients, step, lr)):
                ran = there()
            if ran is None and not points and there() is None:
                again(problem, seen)
            points.append(point(lr, *(ran or (None, math.inf))))
            del ran
    spread = None if seen.output is None or axis is None else _rms(_centred(_clean(seen.output), axis))
    return Line(seen.loss, spread, tuple(points), parted(seen.output if seen.bare else None, seen.loss))


def _ran(work: Callable[[], tuple[Any, Tensor]]) -> tuple[Any, float] | None:
    """(output, loss) from the same random numbers each time; None where it raises.

    A forward pass that differentiates, such as that of a force field, needs gradients on.
    """
    for gradients in (False, True):
        with torch.set_grad_enabled(gradients), contextlib.suppress(InputError):
            seed_random_states(0)
            output, value = work()
            return output, float(value.detach())
    return None


def _parted(
    output: Any, axis: int | None, seen: Pass, loss_of: Callable[[Tensor], float], value: float
) -> float | None:
    """How much lower the loss is than with every sample's output at their mean; only of a batch.

    None where the model returns more than one tensor: of one alone its loss may make a number that means nothing.
    """
    if axis is None or seen.own_loss or not isinstance(output, Tensor) or not math.isfinite(value) or not seen.loss:
        return None
    try:
        with torch.no_grad():
            alike = loss_of(output.mean(axis, keepdim=True).expand_as(output).contiguous())
    except Exception:  # the user's loss, of an output that its model never gives
        return None
    return (alike - value) / abs(seen.loss) if math.isfinite(alike) else None


def _moved(own: Mapping[str, Tensor], gradients: Mapping[str, Tensor], step: Step, lr: float) -> dict[str, Tensor]:
    """The value of each parameter after one step."""
    directions = ((name, step.direction(name, own[name], gradient)) for name, gradient in gradients.items())
    return {name: own[name].sub(d, alpha=lr) for name, d in directions if d is not None}


def _pull(seen: Pass) -> tuple[Tensor | None, int | None]:
    """What the loss asks of the outputs, mean over the batch taken off, and the axis of the batch."""
    output = seen.output
    if output is None:
        return None, None
    axis = batch_axis(tuple(output.shape), seen.batch)
    if axis is None or output.shape[axis] < 2:
        return None, None
    gradient = seen.output_gradient
    return (None if gradient is None else _centred(-gradient, axis)), axis


def _point(lr: float, loss: float, change: Tensor | None, pull: Tensor | None, axis: int | None, start: float) -> Point:
    if not math.isfinite(loss):
        return Point(lr, math.inf)
    if change is None or axis is None:
        return Point(lr, loss)
    centred = _centred(change, axis)
    moved, shifted = _rms(centred), _rms(change)
    if pull is None:
        return Point(lr, loss, moved, shifted)
    inner = float((doubled(centred) * doubled(pull)).sum())
    size = moved * _rms(pull) * centred.numel()
    return Point(lr, loss, moved, shifted, inner / size if size > 0 else 0.0, inner / abs(start) if start else None)


def _centred(tensor: Tensor, axis: int) -> Tensor:
    wide = tensor if tensor.dtype == torch.float64 else tensor.float()
    return wide - wide.mean(axis, keepdim=True)


def _clean(tensor: Tensor) -> Tensor:
    """Zeros in place of infinities that are meant, such as those of masked classes, and of their differences."""
    return torch.where(torch.isfinite(tensor), tensor, 0.0)


def _rms(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(doubled(tensor))) / math.sqrt(max(1, tensor.numel()))


def _finite(gradients: Iterable[Tensor]) -> bool:
    values = [g.coalesce().values() if g.is_sparse else g for g in gradients]
    return all(n["finite"] for n in fetched([{"finite": torch.isfinite(v).all()} for v in values]))
