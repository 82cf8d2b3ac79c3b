"""Regions without weights: what they make of Gaussian noise, found by running them again on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from initlab.graph.draws import Draws
from initlab.graph.flow import Flow
from initlab.graph.noise import Noise
from initlab.graph.recording import Operation, Ref
from initlab.graph.replay import filled, prepared, stand_ins
from initlab.graph.signals import LONGEST, Signal, trail_of
from initlab.graph.turns import AtOnce, Seen, squared

_LARGEST = 1 << 22  # elements of a region's root beyond which it is not run again
ENOUGH = 1 << 17  # numbers behind a measured moment: its error is then below 1%
_REPEATS = 1024
_CALLS, _FEWEST = 2048, 16  # calls that one region may spend, and runs that it has of them at least
_BLOCKS = 16  # parts of what was measured, of which none has a fifth of all squares where there is a second moment
_MANY = 4096  # numbers from which that is asked: 1/x of noise has none, however many one draws
_STEP = 1.05  # ratio of the input sizes at which regions are measured; those between follow from the nearest


@dataclass(frozen=True)
class Moments:
    """Mean and second moment of what a region makes; whether they stay when its input grows.

    Args:
        mean: E[y].
        second: E[y²].
        scale_free: whether an input four times as large makes the same.
        degree: d, where E[y²] grows as the input's size to the power of 2d.
        alike: the correlation of two positions beyond their common mean, where it makes what is of its input's shape.
    """

    mean: float
    second: float
    scale_free: bool = False
    degree: float = 0.0
    alike: float | None = None

    def of(self, growth: float) -> Moments:
        """Those for an input this many times as large, a little more or less than one."""
        return replace(self, mean=self.mean * growth**self.degree, second=self.second * growth ** (2 * self.degree))


def settled(flow: Flow, signal: Signal) -> Signal:
    """The signal with its moments measured, where they were left for later."""
    if signal.second is not None or signal.region == signal.root or not signal.trail:
        return signal
    found = measure(flow, signal.region, signal.trail, signal.head)
    if found is None:
        return signal.but(note=signal.note or "it could not be run again to be measured")
    alike = signal.alike if found.alike is None else found.alike
    return signal.but(second=found.second, mean=found.mean, alike=alike)


def moments_of(flow: Flow, item: Any) -> tuple[float, float] | None:
    """(mean, second moment) of an operand, measured where that was left for later; None where it is not known.

    Args:
        flow: the walk so far.
        item: a number, or a `Ref` to a signal or a fixed tensor.
    """
    if isinstance(item, int | float):
        return float(item), float(item) ** 2
    if not isinstance(item, Ref):
        return None
    if item.value not in flow.signals:
        return flow.value(item.value).moments
    signal = settled(flow, flow.signals[item.value])
    return None if signal.second is None else (signal.center, signal.second)


def measured(flow: Flow, operation: Operation, signal: Signal, source: str, label: str) -> Signal | None:
    """The signal of an operation on one region, found by running it on Gaussian noise; None if it cannot be."""
    trail = trail_of((s for _, s in flow.carried(operation)), operation.index)
    found = measure(flow, signal.region, trail, operation.outputs[0])
    if found is None:
        return None
    made = flow.fresh(operation, found.second, found.mean, "norm" if found.scale_free else source, label)
    label = (operation.module_type or operation.kind) if found.scale_free else label
    alike = made.alike if found.alike is None else found.alike
    return made.but(label=label, region=signal.region, trail=trail, alike=alike)


def measure(flow: Flow, region: int, trail: frozenset[int], output: int) -> Moments | None:
    """The moments of `output` when the region's root is Gaussian noise of its recorded shape and of its moments.

    None when the region cannot be run again (random, too large, made on shapes alone) or gives no finite numbers.
    """
    root = flow.value(region)
    size = math.prod(root.shape)
    if len(trail) > LONGEST:
        return None
    operations = [flow.graph.operations[i] for i in sorted(trail)]
    if not 0 < size <= _LARGEST or any(op.function is None or op.traits.random for op in operations):
        return None
    signal = flow.signals[region]
    spread = _STEP ** round(math.log(signal.spread, _STEP)) if signal.spread > 0 else 0.0
    growth = signal.spread / spread if spread else 1.0
    center = round(signal.center / growth, 3) if growth != 1.0 else signal.center
    noise = Noise.of(flow, region, center, spread)
    key = ("region", region_key(flow, operations, [region], output), noise.key, flow.graph.coarse)
    if key not in flow.cache:
        flow.cache[key] = _measured(flow, operations, region, output, noise)
    found = flow.cache[key]
    return found.of(growth) if isinstance(found, Moments) else None


def filled_rows(flow: Flow, operation: Operation, signal: Signal) -> torch.Tensor | None:
    """1 at the rows of a weight's output that hold something and 0 at those of padding; None where all hold something.

    A weight that is applied to the last axis leaves rows of zeros, and adds what its bias begins with, zero.
    """
    operations = [flow.graph.operations[index] for index in sorted(signal.trail)]
    read, made = (flow.value(value[0]).shape for value in (operation.inputs, operation.outputs))
    alone = flow.graph.coarse or not (signal.region in flow.filled or any(op.kind == "pad" for op in operations))
    if alone or len(read) < 3 or read[:-1] != made[:-1] or flow.value(signal.region).dtype.is_complex:
        return None
    ones = torch.ones(flow.value(signal.region).shape, device="cpu")
    rows = flow.filled.get(signal.region)
    try:
        values = _again(flow, operations, signal.region)(ones if rows is None else ones * rows)
        found = (values[operation.inputs[0]] != 0).any(-1, keepdim=True).float()
    except Exception:  # an operation that this torch build, or a shape, does not allow to be run alone
        return None
    return found if 0 < float(found.mean()) < 1 else None


def region_key(flow: Flow, operations: list[Operation], roots: list[int], output: int) -> tuple[str, ...]:
    """Names a region by its operations; of places that are taken of noise it counts which are the same, not where."""
    places, alike, taken = {root: f"#root {i}" for i, root in enumerate(roots)}, set(roots), dict[Any, str]()
    words = []

    def word(value: int) -> Any:
        return places[value] if value in places else str(flow.value(value).moments)

    for place, op in enumerate(operations):
        given: Any = (op.args, op.kwargs)
        softmax = op.traits.mixes and op.traits.logits  # its places are as alike as those that it reads
        if (op.traits.pointwise or op.traits.regroups or softmax) and alike.issuperset(op.inputs):
            alike.update(op.outputs)
        elif op.kind in ("getitem", "select") and alike.issuperset(op.inputs):
            given = (op.args[:1], _renamed((op.args[1:], op.kwargs), taken), flow.value(op.outputs[0]).shape)
        words.append(f"{op.kind}/{op.name}{filled(given, word)!r}")
        places.update({value: f"#{place}.{i}" for i, value in enumerate(op.outputs)})
    return (*words, places.get(output, ""))


def _renamed(item: Any, taken: dict[Any, str]) -> Any:
    """Arguments with their integers as the first, the second, … that was met; from the end, as they are."""
    if isinstance(item, tuple | list):
        return tuple(_renamed(part, taken) for part in item)
    if isinstance(item, dict):
        return {key: _renamed(part, taken) for key, part in item.items()}
    plain = isinstance(item, int) and not isinstance(item, bool) and item >= 0
    return taken.setdefault(item, f"place {len(taken)}") if plain else item


def _measured(flow: Flow, operations: list[Operation], region: int, output: int, noise: Noise) -> Moments | None:
    draws, again = Draws(flow.drawn), _again(flow, operations, region)
    repeats = min(_REPEATS, max(1, ENOUGH // max(math.prod(flow.value(output).shape), 1)))
    repeats = min(repeats, max(_FEWEST, _CALLS // len(operations)))
    repeats = min(1 if flow.graph.coarse else repeats, flow.budget // len(operations))
    if repeats == 0:
        return None
    largest = max(
        math.prod(flow.value(value).shape) for value in (region, *(x for op in operations for x in op.outputs))
    )
    seen, run = Seen(1 if repeats >= _BLOCKS else _BLOCKS), AtOnce(lambda numbers: again(numbers)[output])
    begun, enough = 0, False
    try:
        while not enough and seen.finite and len(seen.means) < repeats:
            begun = len(seen.means)
            given = noise.turns(draws, seen.following(repeats, largest))
            for made in run(given):
                seen.add(made, noise)
            enough = seen.enough(begun, repeats)
        if not seen.finite:
            return None
        loud = float(squared(again(4 * given[len(seen.means) - begun - 1])[output]).mean())
    except Exception:  # an operation that this torch build, or a shape, does not allow to be run alone
        return None
    finally:
        flow.budget -= len(seen.means) * len(operations)
    return _moments(seen, loud)


def _moments(seen: Seen, loud: float) -> Moments | None:
    """What turns say of a region; None where there is no second moment.

    Args:
        seen: the turns.
        loud: E[y²] of the last one with four times its noise.
    """
    many = len(seen.seconds) * seen.numbers >= _MANY and len(seen.blocks) >= _BLOCKS
    if many and max(seen.blocks) > 0.2 * sum(seen.blocks):
        return None
    mean, second, last = float(np.mean(seen.means)), float(np.mean(seen.seconds)), seen.seconds[-1]
    degree = math.log(loud / last, 16) if loud > 0 and last > 0 and math.isfinite(loud) else 0.0
    scale_free = second > 0 and abs(loud - last) < 0.02 * second
    alike = beyond_mean(float(np.mean(seen.shared)), mean, second) if seen.shared else None
    return Moments(mean, second, scale_free, min(max(degree, 0.0), 2.0), alike)


def beyond_mean(both: float, mean: float, second: float) -> float:
    """The correlation of two positions beyond their common mean, (E[yᵢyⱼ] − m²)/(E[y²] − m²)."""
    spread = second - mean**2
    return min(max((both - mean**2) / spread, 0.0), 1.0) if spread > 1e-9 * second else 0.0


def _again(flow: Flow, operations: list[Operation], region: int) -> Callable[[torch.Tensor], dict[int, torch.Tensor]]:
    """What runs operations on numbers in place of a region's root, and gives all that they make."""
    constants = stand_ins(flow, operations)
    steps = [prepared(op, constants) for op in operations]

    def run(numbers: torch.Tensor) -> dict[int, torch.Tensor]:
        values = {region: numbers, **constants}
        with torch.no_grad():
            for step in steps:
                step(values)
        return values

    return run
