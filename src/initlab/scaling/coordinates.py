"""`coordinate_check`: whether what a few steps change in every layer's output stays the same at any width or depth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from initlab.errors import InputError, argued, finite_number, shown, whole_number
from initlab.guest.doubles import doubled
from initlab.reporting import Shown
from initlab.scaling.growth import numberless
from initlab.scaling.rules import get_rule
from initlab.scaling.runs import RATES, Setup, begin, setup
from initlab.training.optimizers import optimizer_of

FLAT = 0.1  # slope in log size up to which a layer's change counts as flat


@dataclass(frozen=True)
class LayerChange:
    """How one layer's output changes over the steps, by size.

    Args:
        name: the layer; "output" for the model's own.
        sizes: the widths, or the depths.
        changes: root mean square change of an element of its output, the geometric mean over seeds.
        slope: of log change in log size; 0 is flat, 1 doubles when the size does.
        spread: the standard error of the slope over seeds; 0 for one seed.
        flat: whether |slope| is at most the tolerance.
    """

    name: str
    sizes: tuple[int, ...]
    changes: tuple[float, ...]
    slope: float
    spread: float
    flat: bool

    @property
    def last(self) -> float:
        """The slope between the two largest sizes."""
        rise = math.log(self.changes[-1] / self.changes[-2])
        return rise / math.log(self.sizes[-1] / self.sizes[-2])


@dataclass(frozen=True, repr=False)
class CoordinateCheck(Shown):
    """What `coordinate_check` found. `print` it for the table, `.figure()`, `.save("check.html")`.

    Args:
        widths: each layer's change in width, in forward order.
        depths: each layer's change in depth; empty where depth was not swept.
        steps: after how many steps.
        optimizer, rule, policy: what was trained how.
        tolerance: the slope that counts as flat.
        advice: what to change; "" where all is flat.
    """

    widths: tuple[LayerChange, ...]
    depths: tuple[LayerChange, ...]
    steps: int
    optimizer: str
    rule: str
    policy: str
    tolerance: float
    advice: str = ""

    @property
    def flat(self) -> bool:
        """Whether every layer's change is flat."""
        return not self.failing

    @property
    def failing(self) -> tuple[LayerChange, ...]:
        """The layers whose change is not flat, in forward order."""
        return tuple(layer for layer in (*self.widths, *self.depths) if not layer.flat)


@argued
def coordinate_check(
    build: Callable[..., Any],
    widths: Sequence[int] = (64, 128, 256),
    depths: Sequence[int] | None = None,
    steps: int = 5,
    *,
    inputs: Any = None,
    targets: Any = None,
    loss: Any = None,
    optimizer: Any = "adamw",
    lr: float | None = None,
    rule: str = "mup",
    policy: Any = None,
    seeds: int = 3,
    tolerance: float = FLAT,
) -> CoordinateCheck:
    """Trains a few steps at each width (and depth) and says whether every layer's change is the same at all of them.

    The change of a layer is the root mean square of f_t(x) − f_0(x) over the elements of its output on one fixed batch.
    Where it grows with width the layer blows up in wide models, where it shrinks the layer stops learning: then the
    best rate moves with width.

    Slopes are those of wide models where the batch holds far fewer different samples (tokens, for a table) than the
    narrowest model has units: the steps of n samples interfere in a layer of width w by about n/w, which shrinks with
    width under every rule. `advice` says where the slope fades so.

    Args:
        build: width -> a new model, or (model, inputs, targets); (width, depth) -> … where `depths` is given.
        widths: at least two; the smallest is the base of the rule.
        depths: at least two, swept at the smallest width, or None; widths are swept at the first depth. What is judged
            is what all blocks do together, in the layers outside the numbered blocks.
        steps: how many.
        inputs: one batch: a tensor, a tuple of positional arguments or a dict of keyword arguments.
        targets: class numbers (classes on the output's last axis) or values of the output's shape.
        loss: a name, or (output, targets) -> scalar; None for cross-entropy, or the squared error of values.
        optimizer: a name of torch's, as `param_groups` takes it.
        lr: the rate at the base; None takes a usual one of its family.
        rule: the scaling rule, see `param_groups`; "standard" trains every layer at one rate.
        policy: the start; None takes the rule's own.
        seeds: how many starts are averaged.
        tolerance: the slope in log size that counts as flat.

    Returns:
        A `CoordinateCheck`: `.flat`, `.failing`, `.widths`, `.advice`, `.figure()`.

    Raises:
        InputError: a bad argument, a model that the rule or its policy does not fit, or a run that gives non-finite
            outputs (the message names the size).

    Source: Yang et al. 2022, section 8 and appendix D.1 (coordinate checking).

    >>> import torch
    >>> from torch import nn
    >>> def build(width):
    ...     return nn.Sequential(nn.Linear(4, width), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 2))
    >>> check = coordinate_check(build, (32, 64), inputs=torch.eye(4), targets=torch.tensor([0, 1, 0, 1]), seeds=1)
    >>> [layer.name for layer in check.widths]
    ['0', '1', '3', 'output']
    """
    chosen, swept = get_rule(rule), sizes_of("widths", widths)
    deep = None if depths is None else sizes_of("depths", depths)
    base = (min(swept), *(deep[:1] if deep else ()))
    shared = setup(build, inputs, targets, loss, optimizer, chosen, policy, base)
    rate = finite_number("lr", RATES[optimizer_of(optimizer).family] if lr is None else lr, low=0)
    if rate == 0:
        raise InputError("lr must be greater than 0: without a step nothing changes; got 0")
    steps, seeds = whole_number("steps", steps), whole_number("seeds", seeds)
    tolerance = finite_number("tolerance", tolerance, low=0)
    wide = [(width, *(deep[:1] if deep else ())) for width in swept]
    by_width = _sweep(shared, wide, 0, rate, steps, seeds, tolerance)
    by_depth = _sweep(shared, [(base[0], depth) for depth in deep], 1, rate, steps, seeds, tolerance) if deep else ()
    start = str(getattr(shared.policy, "name", shared.policy))
    made = CoordinateCheck(by_width, by_depth, steps, shared.optimizer, chosen.name, start, tolerance)
    return made if made.flat else replace(made, advice=advice_of(made))


def sizes_of(name: str, sizes: Sequence[int]) -> tuple[int, ...]:
    try:
        found = tuple(sorted(int(size.__index__()) for size in sizes))
    except (TypeError, AttributeError):
        raise InputError(f"{name} must be a sequence of whole numbers; got {shown(sizes)}") from None
    if len(set(found)) < 2 or found[0] < 1 or len(set(found)) != len(found):
        raise InputError(f"{name} must be at least two different positive numbers; got {shown(sizes)}")
    return found


def _sweep(
    shared: Setup, sizes: list[tuple[int, ...]], axis: int, lr: float, steps: int, seeds: int, tolerance: float
) -> tuple[LayerChange, ...]:
    found = [[_changes(shared, size, lr, steps, seed) for size in sizes] for seed in range(seeds)]
    names = [name for name in found[0][0] if all(name in changes for row in found for changes in row)]
    if axis == 1:  # a block has no like in a model of another depth; what all blocks do together is seen after them
        names = [name for name in names if numberless(f"{name}.") == f"{name}."]
    plain = tuple(size[axis] for size in sizes)
    layers = []
    for name in names:
        with np.errstate(divide="ignore"):
            logs = np.log([[changes[name] for changes in row] for row in found])
        if np.isfinite(logs).all():  # a layer that never moves has no slope
            layers.append(_layer(name, plain, logs, tolerance))
    if not layers:
        raise InputError(f"nothing moves in {steps} steps: every gradient is zero, so that no change can be judged")
    return tuple(layers)


def _layer(name: str, sizes: tuple[int, ...], logs: np.ndarray[Any, Any], tolerance: float) -> LayerChange:
    slopes = [float(np.polyfit(np.log(sizes), row, 1)[0]) for row in logs]
    slope, count = float(np.mean(slopes)), len(slopes)
    spread = float(np.std(slopes, ddof=1) / math.sqrt(count)) if count > 1 else 0.0
    changes = tuple(float(value) for value in np.exp(logs.mean(0)))
    return LayerChange(name, sizes, changes, slope, spread, abs(slope) <= tolerance)


def _changes(shared: Setup, size: tuple[int, ...], lr: float, steps: int, seed: int) -> dict[str, float]:
    """Each layer's root mean square change over the steps."""
    run = begin(shared, size, lr, seed)
    run.passed()
    before = dict(run.outputs)
    for _ in range(steps):
        run.step()
    run.passed()
    changes: dict[str, float] = {}
    for name, start in before.items():
        moved = (doubled(run.outputs[name]) - doubled(start)).square().mean()
        if not bool(moved.isfinite()):
            raise InputError(
                f"at size {size} the output of {name!r} is not finite after {steps} steps; lower lr={lr:g}"
            )
        changes[name] = math.sqrt(float(moved))
    return changes


def advice_of(check: CoordinateCheck) -> str:
    """What to change, from the first layer that is not flat, beyond what starts differ by where there is one."""
    clear = [layer for layer in check.failing if abs(layer.slope) - 2 * layer.spread > check.tolerance]
    first = (clear or check.failing)[0]
    depth = first not in check.widths
    what = "depth" if depth else "width"
    grows = f"{first.name!r} {'grows' if first.slope > 0 else 'shrinks'} with {what} (slope {first.slope:+.2f}): "
    if not depth and len(first.sizes) > 2 and all(abs(layer.last) <= check.tolerance for layer in check.failing):
        pair = " and ".join(str(size) for size in first.sizes[-2:])
        return grows + (
            f"between {pair} every slope is within ±{check.tolerance:g}, so this is narrow models' (samples interfere "
            "by about their number over the width): check wider models, or a batch of fewer different samples"
        )
    if not clear:
        return grows + f"starts differ by as much (± {first.spread:.2f}): average more of them, by seeds="
    if check.rule == "standard":
        return grows + "start with policy 'mup' and train with param_groups (rule 'completep' where depth grows too)"
    if depth and check.rule != "completep":
        return grows + "rule 'completep' gives every residual branch its share of the depth"
    if first.slope > 0:
        return grows + (
            "something in its forward pass scales with the size: a tied head needs logits × base width / width, scores "
            "of heads whose size grows need 1/head size in place of its root, sums over units need means"
        )
    return grows + "its rate or a factor before it falls faster than its fans grow: check constants in the forward pass"
