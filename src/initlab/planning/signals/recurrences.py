"""Weights that read what they made before, as a recurrence's do: what they add to a state comes back at every step.

A gain above one makes such a state grow or wander from step to step, whatever its size at the first (Sompolinsky,
Crisanti and Sommers, 1988: a network of tanh units is chaotic above gain one), so that gain one is the most they get.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from initlab.graph import Operation, SignalGraph, Use
from initlab.graph.ancestry import grew_from
from initlab.graph.once import once
from initlab.planning.signals.ways import readings

Makers = frozenset[tuple[str, ...]]
MOST = 64  # weights of a value's makers of which anybody asks


def reads_itself(graph: SignalGraph, uses: Iterable[Use]) -> bool:
    """Whether a weight's second use reads what came of its first; layers in a stack are each a weight of its own.

    Args:
        graph: the recording.
        uses: where the weight is applied.
    """
    by_place: dict[tuple[tuple[int, int], ...], dict[int, Operation]] = {}
    for use in uses:
        by_place.setdefault(use.places, {})[use.operation.index] = use.operation
    return any(_reads_itself(graph, [found[index] for index in sorted(found)]) for found in by_place.values())


def _reads_itself(graph: SignalGraph, ordered: Sequence[Operation]) -> bool:
    if len(ordered) < 2 or not ordered[0].outputs:
        return False
    made = set(ordered[0].outputs)
    signals = [value for value in ordered[1].inputs if graph.values[value].source == "operation"]
    return any(value in made or grew_from(graph, value, made) for value in signals)


def adds_up(graph: SignalGraph, uses: Iterable[Operation]) -> int:
    """To how many branches of one stream a weight's uses add: those that meet nothing that an earlier use made are one.

    A shared layer adds to its stream again and again. The query of a decoder's step is added to the keys at each step
    anew (Bahdanau et al., 2015), and no step's sum holds the last one's.
    """
    ordered = sorted(uses, key=lambda use: use.index)
    return 1 + sum(_meets_itself(graph, use) for use in ordered[1:])


def _meets_itself(graph: SignalGraph, use: Operation) -> bool:
    """Whether the first sums that a use reaches have a summand that the same weight made before; or no sum is found."""

    def goes_on(_: int, reader: Operation) -> bool:
        traits = reader.traits
        return not (traits.combines in ("sum", "contraction") or traits.attends or traits.recurrent)

    met = [
        _made_by(graph, other, use)
        for value, reader in readings(graph, use.outputs, goes_on)
        if reader.traits.combines == "sum"
        for other in reader.inputs
        if other != value
    ]
    return any(met) or not met


def _made_by(graph: SignalGraph, value: int, use: Operation) -> bool:
    """Whether a use of the same weights is the last on some way to a value, past norms, sums and functions."""
    stack, seen = [value], set[int]()
    while stack and len(seen) < MOST:
        operation = graph.producer(stack.pop())
        if operation is None or operation.index in seen:
            continue
        seen.add(operation.index)
        if operation.parameters == use.parameters:
            return True
        traits = operation.traits
        applies = operation.parameters and not (traits.norm or traits.combines in ("sum", "product"))
        if not (applies or traits.combines == "contraction" or traits.attends):
            stack.extend(operation.inputs)
    return False


def makers(graph: SignalGraph, value: int) -> Makers:
    """The parameters of each operation that a value was last made by, of those that apply any (no bias, no scale)."""
    return _all_makers(graph).get(value, frozenset())


@once
def _all_makers(graph: SignalGraph) -> dict[int, Makers]:
    found: dict[int, Makers] = {}
    for operation in graph.operations:
        applied = operation.parameters and operation.traits.combines not in ("sum", "product")
        made = frozenset({operation.parameters}) if applied else _joined(operation, found)
        found.update(dict.fromkeys(operation.outputs, made))
    return found


def _joined(operation: Operation, found: Mapping[int, Makers]) -> Makers:
    made = frozenset[tuple[str, ...]]().union(*(found.get(value, frozenset()) for value in operation.inputs))
    return made if len(made) <= MOST else frozenset({("",)})
