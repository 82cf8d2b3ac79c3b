"""Weights that the answer is made of in proportion, though other weights gate, weigh or add to what they make."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import behind, grew_from, hangs_on, passed
from initlab.graph.recording import Ref
from initlab.planning.signals.constants import factor_beside
from initlab.planning.signals.recurrences import makers

FARTHEST = 64  # operations that a walk to the answer looks at


class _Answer(NamedTuple):
    """What an answer is made of: the values that reach it, and those that reach it in shares alone."""

    reaching: frozenset[int]
    in_shares: frozenset[int]


def answering(graph: SignalGraph, applied: Mapping[str, list[Operation]]) -> frozenset[str]:
    """Weights whose output reaches the answer in sums and products alone, where all that it is made of does, or gates.

    Messages that a gate lets through, beside a layer of their own (gated and relational graph layers). What shares
    average (Veličković et al., Graph attention networks, 2018), though the shares are made of it, too. Where anything
    else is added, as a stream to its branch, a weight is no read-out.

    Args:
        graph: the recording.
        applied: by weight, the operations that apply it.
    """
    of = {use.parameters: name for name, uses in applied.items() for use in uses}
    found: set[str] = set()
    for value in graph.outputs:
        made = makers(graph, value)
        if made.isdisjoint(of):
            continue
        answer = _answer(graph, value)
        last = {of.get(names, "") for names in made if names in of or not _in_shares(graph, names, answer)}
        if "" in last:
            continue
        ways = {name: [_way(graph, use, answer) for use in applied[name]] for name in last}
        if all(way for every in ways.values() for way in every):
            votes = {name for name, every in ways.items() if "curved" not in every}
            found |= votes if len(votes) > 1 or any("weighed" in ways[name] for name in votes) else set()
    return frozenset(found)


def _answer(graph: SignalGraph, value: int) -> _Answer:
    """What reaches an output, before what a softmax makes of it last, up to the shares that weigh it; what these hold.

    Args:
        graph: the recording.
        value: the output.
    """
    last = _made_by(graph, value)
    stack = list(last.inputs if last is not None and last.traits.logits else (value,))
    reaching, shares = set(stack), set[int]()
    while stack:
        operation = graph.producer(stack.pop())
        if operation is None:
            continue
        in_shares = operation.inputs if _gives_shares(graph, operation) else ()
        if operation.traits.attends:
            in_shares = tuple(item for item in operation.inputs if item != _averaged(operation))
        shares.update(in_shares)
        read = [item for item in operation.inputs if item not in in_shares and item not in reaching]
        stack.extend(read)
        reaching.update(read)
    held = frozenset(known.index for known in behind(graph, *shares))
    return _Answer(frozenset(reaching), held - reaching)


def _gives_shares(graph: SignalGraph, operation: Operation) -> bool:
    """Whether an operation makes shares: a softmax, or exponentials over a sum of them, as of each node's edges."""
    if operation.kind == "softmax":
        return True
    if operation.kind != "div" or len(operation.inputs) < 2:
        return False
    whole = passed(graph, operation.inputs[0])
    maker = graph.producer(whole[-1])
    return maker is not None and maker.kind == "exp" and grew_from(graph, operation.inputs[1], whole)


def _in_shares(graph: SignalGraph, parameters: Iterable[str], answer: _Answer) -> bool:
    return answer.in_shares.issuperset(value for name in parameters if (value := graph.value_of(name)) is not None)


def _averaged(attention: Operation) -> int | None:
    """What attention in one call averages."""
    values = attention.argument(2, "value")
    return values.value if isinstance(values, Ref) else None


def _way(graph: SignalGraph, use: Operation, answer: _Answer) -> str:
    """How what an operation makes reaches the answer: "linear", "weighed" by shares, "curved", or "" where a weight is
    applied to it, what another one makes that is no gate is multiplied with it, as keys are with queries outside of
    shares, or the data is added to what shares weighed.
    """
    if answer.in_shares.issuperset(use.outputs):
        return "curved"
    queue, seen = deque(use.outputs), set(use.outputs)
    curved = weighed = moved = False
    while queue:
        value = queue.popleft()
        for reader in graph.consumers(value):
            traits = reader.traits
            if answer.in_shares.issuperset(reader.outputs) or (traits.logits and value in answer.reaching):
                continue
            if not curved and traits.combines in ("product", "contraction"):
                if _by_signal(graph, reader, value):
                    return ""
                weighed |= any(_is_shares(graph, item) for item in reader.inputs if item != value)
            applied = reader.parameters and traits.combines not in ("sum", "product")
            if applied or traits.norm or traits.logits or len(seen) > FARTHEST:
                return ""
            averaged = traits.attends and value == _averaged(reader)
            weighed |= averaged
            moved |= traits.combines == "sum" and any(_is_data(graph, item) for item in reader.inputs)
            curved |= not (traits.proportional or traits.gathers or traits.multiplies or averaged)
            queue.extend(made for made in reader.outputs if made not in seen)
            seen.update(reader.outputs)
    if curved:
        return "curved"
    return ("" if moved else "weighed") if weighed else "linear"


def _made_by(graph: SignalGraph, value: int) -> Operation | None:
    """The operation that a value comes of, past those that only pass it on."""
    return graph.producer(passed(graph, value)[-1])


def _is_shares(graph: SignalGraph, value: int) -> bool:
    maker = _made_by(graph, value)
    return maker is not None and _gives_shares(graph, maker)


def _is_data(graph: SignalGraph, value: int) -> bool:
    """Whether the inputs alone make a value."""
    return hangs_on(graph, value, "input") and not hangs_on(graph, value, "parameter")


def _by_signal(graph: SignalGraph, product: Operation, value: int) -> bool:
    """Whether a product's other factor is made by weights and is no gate, and no shares."""
    others = [item for item in product.inputs if item != value and makers(graph, item)]
    ends = [_made_by(graph, item) for item in others]
    return any(end is not None and not (end.traits.gate or _gives_shares(graph, end)) for end in ends)


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
