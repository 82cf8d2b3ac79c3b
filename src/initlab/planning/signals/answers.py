"""Weights that the answer is made of in proportion, though other weights gate, weigh or add to what they make."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import passed
from initlab.planning.signals.constants import factor_beside
from initlab.planning.signals.recurrences import makers

FARTHEST = 64  # operations that a walk to the answer looks at


def answering(graph: SignalGraph, applied: Mapping[str, list[Operation]]) -> frozenset[str]:
    """Weights whose output reaches the answer in sums and products alone, where all that it is made of does, or gates.

    Messages that a gate lets through, beside a layer of their own (gated and relational graph layers). Where anything
    else is added, as a stream to its branch, a weight is no read-out.

    Args:
        graph: the recording.
        applied: by weight, the operations that apply it.
    """
    ways = {name: [_way(graph, use) for use in uses] for name, uses in applied.items()}
    last = {name for name, found in ways.items() if all(found)}
    of = {use.parameters: name for name, uses in applied.items() for use in uses}
    found: set[str] = set()
    for value in graph.outputs:
        behind = [of.get(parameters, "") for parameters in makers(graph, value)]
        if len(behind) > 1 and all(name in last for name in behind):
            votes = {name for name in behind if all(way == "linear" for way in ways[name])}
            found |= votes if len(votes) > 1 else set()
    return frozenset(found)


def _way(graph: SignalGraph, use: Operation) -> str:
    """How what an operation makes reaches the answer: "linear", "curved", or "" where a weight is applied to it, or
    what another one makes that is no gate is multiplied with it, as keys are with queries.
    """
    queue, seen, curved = deque(use.outputs), set(use.outputs), False
    while queue:
        value = queue.popleft()
        for reader in graph.consumers(value):
            traits = reader.traits
            if not curved and traits.combines in ("product", "contraction") and _by_signal(graph, reader, value):
                return ""
            applied = reader.parameters and traits.combines not in ("sum", "product")
            if applied or traits.norm or traits.logits or len(seen) > FARTHEST:
                return ""
            curved |= not (traits.proportional or traits.gathers or traits.multiplies)
            queue.extend(made for made in reader.outputs if made not in seen)
            seen.update(reader.outputs)
    return "curved" if curved else "linear"


def _by_signal(graph: SignalGraph, product: Operation, value: int) -> bool:
    """Whether a product's other factor is made by weights and is no gate."""
    others = [item for item in product.inputs if item != value and makers(graph, item)]
    ends = [graph.producer(passed(graph, item)[-1]) for item in others]
    return any(end is not None and not end.traits.gate for end in ends)


def caps(graph: SignalGraph, gate: Operation) -> bool:
    """Whether a gate holds scores within bounds: what it makes is the answer, times a number, as c·σ(z/b)."""
    value, scaled = gate.outputs[0], False
    while value not in graph.outputs:
        readers = graph.consumers(value)
        if gate.kind == "softmax" or len(readers) != 1 or len(readers[0].outputs) != 1:
            return False
        reader = readers[0]
        times, moved = factor_beside(graph, reader), reader.traits.combines == "sum" and len(reader.inputs) == 1
        if not (times or moved or reader.traits.passes):
            return False
        scaled, value = scaled or bool(times), reader.outputs[0]
    return scaled
