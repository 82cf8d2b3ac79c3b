"""Attention and other products of products: all that lies between them and the last weights, run on noise at once.

A sum of products of independent numbers has a second moment that a formula gives, but no Gaussian law: the scores of a
query share its size, keys that agree are weighed alike, rows of padding are zero together. What is computed of such
sums is therefore not run from noise in their place, as a region is from its root, but from noise in place of every
root of theirs: the outputs of the weights that made queries, keys and values, with what their positions have in common.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from initlab.graph.draws import Draws
from initlab.graph.flow import Flow, Origins
from initlab.graph.noise import Noise
from initlab.graph.operations.dropping import mask_of
from initlab.graph.recording import Operation, constant_moments
from initlab.graph.regions import ENOUGH, beyond_mean, region_key, settled
from initlab.graph.replay import held, made_again, prepared, stand_ins
from initlab.graph.signals import Signal
from initlab.guest.doubles import doubled

_LARGEST = 1 << 24  # numbers made on the way beyond which it is not run again
_REPEATS = 64
_PROJECTIONS = ("linear", "matmul", "mm", "addmm")
_SHARE = 16  # one product may take this part of what is left for all: a scan has one at every step
_ROUNDING = 1e-3
_LARGE = 1.5**2  # second moment of scores from which they are brought to one


@dataclass(frozen=True)
class _Seen:
    """What runs showed: E[y], E[y²], and E[yᵢyⱼ] over pairs of positions that one query reads; None where none does.

    `averages` says whether it was a mean of the values by weights that sum to one.
    """

    mean: float
    second: float
    shared: float | None
    averages: bool


def to_unit(flow: Flow, operation: Operation, queries: Signal, scores: float) -> float:
    """What brings the second moment of scores to one where they are larger: a pass makes queries so much smaller.

    Args:
        flow: the walk so far.
        operation: the product of queries and keys.
        queries: the first of them.
        scores: the second moment of their products, before any number multiplies them.
    """
    constant, root = flow.graph.scores.get(operation.index), flow.signals[queries.region]
    if constant is None or root.source != "weight" or root.second is None or scores * constant**2 < _LARGE:
        return 1.0
    factor = 1 / (scores * constant**2)
    flow.signals[queries.region] = replace(root, second=root.second * factor, mean=root.center * math.sqrt(factor))
    flow.scored[operation.index] = factor
    return factor


def simulated(flow: Flow, operation: Operation, values: int | None = None, sure: bool = True) -> Signal | None:
    """What an operation makes of products, from noise at all of their roots; None where it cannot be run so.

    Two positions of an average are taken as a query of the same operation reads them, the early ones of a causal one
    more often: with a the weights, and y what they make, Σᵢ(|Σⱼaᵢⱼyⱼ|² − Σⱼaᵢⱼ²|yⱼ|²) / Σᵢ(1 − Σⱼaᵢⱼ²) for each of
    its features.

    Args:
        flow: the walk so far.
        operation: the product.
        values: of an average, what is averaged.
        sure: whether it is one, by softmax; else that is seen by the weights, which sum to one, as a mixture of
            softmaxes' do.
    """
    if flow.graph.coarse or not flow.value(operation.outputs[0]).dtype.is_floating_point:
        return None
    found = flow.origin(operation)
    seen = _seen(flow, operation, found, values, sure)
    if seen is None:
        return None
    words = ("attention", "attention") if seen.averages else ("product", "product of signals")
    made = flow.fresh(operation, seen.second, seen.mean, *words)
    flow.origins[operation.outputs[0]] = found
    if seen.shared is None:
        return made
    made = made.but(alike=beyond_mean(seen.shared, seen.mean, seen.second))
    return made if values is None else made.but(fixed=settled(flow, flow.signals[values]).fixed_of(made))


def _seen(flow: Flow, operation: Operation, found: Origins, values: int | None, sure: bool) -> _Seen | None:
    operations = [flow.graph.operations[index] for index in sorted(found.trail)]
    if not operations or not all(map(_again, operations)):
        return None
    sizes = (math.prod(flow.value(value).shape) for op in operations for value in (*op.inputs, *op.outputs))
    applied = _applied(flow, found.roots)
    roots = {root: flow.signals.get(root) for root in sorted((found.roots - applied.keys()) | set(applied.values()))}
    operations = [*filter(None, map(flow.graph.producer, applied)), *operations]
    known = {root: settled(flow, signal) for root, signal in roots.items() if signal is not None}
    size = sum(sizes)
    if size > _LARGEST or len(known) < len(roots) or any(signal.second is None for signal in known.values()):
        return None
    numbers = {root: held(flow, root) for root, signal in known.items() if signal.source == "data"}
    fixed = {root: tensor for root, tensor in numbers.items() if tensor is not None}  # masks that inputs make
    noises = {
        root: Noise.of(flow, root, round(signal.center, 2), float(f"{signal.spread:.3g}"))
        for root, signal in known.items() if root not in fixed
    }  # fmt: skip
    noises |= {x: replace(noises[x], rows=flow.filled[root]) for root, x in applied.items() if root in flow.filled}
    weights = {w: law for root, x in applied.items() for w, law in _weight(flow, root, known[x]).items()}
    key = ("simulated", region_key(flow, operations, list(roots), operation.outputs[0]), tuple(weights.values()),
           *map(constant_moments, fixed.values()), *(noise.key for noise in noises.values()))  # fmt: skip
    if key not in flow.cache:
        flow.cache[key] = _run(flow, operation, operations, fixed, noises | weights, values, sure, size)
    seen = flow.cache[key]
    return seen if isinstance(seen, _Seen) else None


def _applied(flow: Flow, roots: frozenset[int]) -> dict[int, int]:
    """By root, what the weight that made it reads, where it makes several of a product's factors of that, or others do.

    Keys and values of one token are not independent: a query reads more of tokens that are alike, since their keys are.
    Of n keys the average of a softmax has second moment e/n of independent values; of those that the same d numbers
    make as make the keys, 1/d more: Σⱼₖ E[aⱼaₖ xⱼ·xₖ/d] with E[aⱼaₖ] = E[exp(xⱼ·xₖ/d)]/n² and E[(xⱼ·xₖ/d)²] = 1/d.
    """
    read: dict[int, list[int]] = {}
    for root in roots:
        maker = flow.graph.producer(root)
        if maker is not None and maker.kind in _PROJECTIONS and flow.signals[root].source == "weight":
            given = [value for value in maker.inputs if value in flow.signals]
            if len(given) == 1 and len(maker.outputs) == 1:
                read.setdefault(given[0], []).append(root)
    return {root: value for value, made in read.items() for root in made}


def _weight(flow: Flow, root: int, read: Signal) -> dict[int, Noise]:
    """What stands for the weight that made a root, and zero for its bias."""
    maker, made = flow.graph.producer(root), flow.signals[root]
    assert maker is not None
    found = {}
    for value in maker.inputs:
        if value in flow.views:
            shape = flow.value(value).shape
            summed = shape[-1] if maker.kind == "linear" else shape[0]
            std = math.sqrt((made.second or 0.0) / (summed * read.second)) if read.second and len(shape) > 1 else 0.0
            found[value] = Noise(shape, 0.0, float(f"{std:.3g}"), 0.0, frozenset(), None, torch.float32)
    return found


def _again(operation: Operation) -> bool:
    """Whether an operation can be run again: dropout, by masks that are drawn here."""
    return operation.function is not None and (operation.traits.drops or not operation.traits.random)


def _run(
    flow: Flow,
    operation: Operation,
    operations: list[Operation],
    fixed: dict[int, torch.Tensor],
    noises: dict[int, Noise],
    values: int | None,
    sure: bool,
    size: int,
) -> _Seen | None:
    draws = Draws(flow.drawn)
    constants, output = stand_ins(flow, operations) | fixed, operation.outputs[0]
    steps = [_dropped(op, draws) if op.traits.drops else prepared(op, constants) for op in operations]
    repeats = min(_REPEATS, max(1, ENOUGH // max(math.prod(flow.value(output).shape), 1)))
    left = min(flow.work // size, flow.budget // len(operations))
    repeats = min(repeats, left, max(1, left // _SHARE))
    runs: list[tuple[float, float, float | None]] = []
    try:
        for _ in range(repeats):
            numbers = {**constants, **{root: noise.drawn(draws) for root, noise in noises.items()}}
            with torch.no_grad():
                for step in steps:
                    step(numbers)
            made = numbers[output]
            weights = None if values is None else _weights(operation, numbers, values)
            if weights is not None and not (sure or runs or _sum_to_one(weights)):
                values = weights = None
            shared = None if weights is None else _shared(weights, made)
            runs.append((float(doubled(made).mean()), float(doubled(made).square().mean()), shared))
    except Exception:  # an operation that this torch build, or a shape, does not allow to be run alone
        return None
    finally:
        flow.budget -= max(1, len(runs)) * len(operations)
        flow.work -= max(1, len(runs)) * size
    means, seconds, shares = zip(*runs, strict=True) if runs else ((), (), ())
    if not runs or not 0 < sum(seconds) < math.inf:
        return None
    both = [share for share in shares if share is not None]
    shared = sum(both) / len(both) if both else None
    return _Seen(sum(means) / len(runs), sum(seconds) / len(runs), shared, values is not None)


def _sum_to_one(weights: torch.Tensor) -> bool:
    """Whether an average's weights are shares, but for rounding."""
    return float(weights.min()) >= 0 and bool(((doubled(weights).sum(-1) - 1).abs() < _ROUNDING).all())


def _dropped(op: Operation, draws: Draws) -> Callable[[dict[int, torch.Tensor]], None]:
    """Dropout again, by masks that are drawn here."""
    mask = mask_of(op.kind, op.args, op.kwargs)

    def drop(numbers: dict[int, torch.Tensor]) -> None:
        signal = numbers[op.inputs[0]]
        if mask is not None:
            signal = mask.applied(signal, draws.uniform(mask.shape(tuple(signal.shape))) >= mask.rate)
        numbers[op.outputs[0]] = signal

    return drop


def _weights(operation: Operation, numbers: dict[int, torch.Tensor], values: int) -> torch.Tensor:
    """The weights (…, queries, keys) of an average: what it makes of an identity in place of its values."""
    given = numbers[values]
    one = torch.eye(given.shape[-2], device="cpu").expand(*given.shape[:-1], given.shape[-2])
    return made_again(operation, lambda value: one if value == values else numbers[value])[operation.outputs[0]]


def _shared(weights: torch.Tensor, made: torch.Tensor) -> float | None:
    """E[yᵢyⱼ] of two positions i ≠ j; those of other queries than the keys are all read alike."""
    if weights.shape[:-1] != made.shape[:-1]:
        return None
    a, y = doubled(weights), doubled(made)
    if a.shape[-1] != a.shape[-2]:
        one = torch.full((1, y.shape[-2]), 1 / y.shape[-2], dtype=torch.float64, device="cpu")
        a = one.expand(*y.shape[:-2], 1, y.shape[-2])
    squares = y.square().sum(-1, keepdim=True)
    together = (a @ y).square().sum(-1) - (a.square() @ squares).squeeze(-1)
    apart = (1 - a.square().sum(-1)).sum()
    return float(together.sum() / apart / y.shape[-1]) if apart > 0 else None
