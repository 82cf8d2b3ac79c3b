"""Norms: one operation, or written out in arithmetic."""

from __future__ import annotations

import heapq

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import hangs_on, passed
from initlab.graph.once import once

EPSILON = 1e-3  # the largest number that a norm adds to what it divides by
FARTHEST = 16  # operations that a norm is written out in
_MOMENTS = {"var": 2.0, "std": 1.0}  # the power with which a spread grows as the signal does


def is_norm(graph: SignalGraph, operation: Operation) -> bool:
    """Whether what an operation gives has the size that a norm gives it, whatever the size of what it reads."""
    if operation.traits.norm:
        return True
    last = operation.kind in ("mul", "div") and len(operation.inputs) == 2
    return last and any(operation.index in undoing(graph, value) for value in _before(graph, operation))


def is_normed(graph: SignalGraph, value: int) -> bool:
    """Whether a value is what a norm gives, past its own scale and shift."""
    while (maker := graph.producer(passed(graph, value)[-1])) is not None:
        if is_norm(graph, maker):
            return True
        signals = [item for item in maker.inputs if hangs_on(graph, item, "input")]
        if maker.traits.combines not in ("product", "sum") or len(signals) != 1:
            return False
        value = signals[0]
    return False


def _before(graph: SignalGraph, operation: Operation) -> list[int]:
    """What an operation reads, and what that was made of in so few steps that they may be one norm's."""
    found = list(operation.inputs)
    for value in found:
        maker = graph.producer(value)
        if maker is not None and len(found) < FARTHEST and not maker.parameters:
            found.extend(item for item in maker.inputs if item not in found)
    return found


@once
def undoing(graph: SignalGraph, value: int) -> frozenset[int]:
    """The readers of a value x, and what comes of them, where norms in arithmetic undo its size, of degree zero in x.

    As x · (mean(x²) + ε)^−½ does, and (x − mean(x)) · (var(x) + ε)^−½. A reader of which anything else comes is none.
    """
    powers, walked = dict.fromkeys(passed(graph, value), 1.0), dict[int, float]()
    places = sorted(reader.index for reader in graph.consumers(value))
    while places and len(walked) < FARTHEST:
        reader = graph.operations[heapq.heappop(places)]
        power = None if reader.index in walked else _power(graph, reader, powers)
        if power is None:
            continue
        walked[reader.index] = power
        powers.update(dict.fromkeys(reader.outputs, power))
        for later in (later for made in reader.outputs for later in graph.consumers(made) if power):
            heapq.heappush(places, later.index)
    undone = set[int]()
    for index in sorted(walked, reverse=True):
        outputs = graph.operations[index].outputs
        after = {reader.index for made in outputs for reader in graph.consumers(made)}
        left = any(graph.leaves(made) for made in outputs)
        if not walked[index] or (after and after <= undone and not left):
            undone.add(index)
    return frozenset(undone)


def _power(graph: SignalGraph, reader: Operation, powers: dict[int, float]) -> float | None:
    """The power with which what an operation makes grows as x does, of values of known powers; None where unknown."""
    read = [next((powers[root] for root in passed(graph, item) if root in powers), None) for item in reader.inputs]
    known = [power for power in read if power is not None]
    if not known or len(known) < len(read):
        return None
    if len(set(reader.inputs)) == 1:
        own = degree(reader)
        return known[0] * own if own else None
    if reader.kind in ("add", "sub"):
        return known[0] if len(set(known)) == 1 else None
    if len(known) == 2 and reader.kind in ("mul", "div"):
        return known[0] + known[1] if reader.kind == "mul" else known[0] - known[1]
    return None


def degree(operation: Operation) -> float:
    """The power with which an operation's output grows as its one signal does; 0 where it is not known."""
    if len(set(operation.inputs)) != 1:
        return 0.0
    numbers = [number for number in operation.attributes.values() if isinstance(number, int | float)]
    if operation.kind == "pow":
        return float(numbers[0]) if numbers else 0.0
    if operation.kind in ("add", "clamp_min") or operation.traits.guard:  # ε
        return 1.0 if all(abs(number) <= EPSILON for number in numbers) else 0.0
    if operation.kind == "mul":
        return 2.0 if len(operation.inputs) == 2 else 0.0
    return _MOMENTS.get(operation.kind) or (1.0 if operation.traits.proportional else operation.traits.degree)
