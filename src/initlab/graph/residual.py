"""Residual branches: sums of a value and of what was computed from it, and the weights with which such branches end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import permutations
from itertools import product as every_pair

from initlab.graph.ancestry import before_factors, floor_of, from_inputs, grew_from, passed, stream
from initlab.graph.branches import Branches
from initlab.graph.once import once
from initlab.graph.recording import Operation, Recording

BESIDE = 4  # branches that may be added to one stream before a further one that grew from where they did
_ADDS = ("add", "sub")  # a branch may be taken from the stream: N-BEATS, unrolled gradient steps


def residual_ends(branches: Branches) -> tuple[str, ...]:
    """Names of the weights and norm weights that come last in a branch which is added back to what it grew from.

    But for those that bring the inputs to a stream which none reached before, as cross-attention does to latents that
    are parameters: such a stream has no size of which data may be a share.
    """
    given, found = from_inputs(branches.graph), tuple(_of_sums(branches, _growing(branches)))
    first = [branch for branch in found if branch[0] in given and given.isdisjoint(branch[1])]
    opening = _last_of(branches, first) if first else ()
    return tuple(name for name in _last_of(branches, found) if name not in opening)


def _growing(branches: Branches) -> Grown:
    """What finds the branches of a sum, those beside a stream that is weighed among them."""
    unscaled = partial(before_factors, from_inputs(branches.graph))

    def grown(graph: Recording, addition: Operation) -> Iterator[tuple[int, set[int]]]:
        yield from _grown(graph, addition)
        for value, others in (*_blended(graph, addition), *_grown(graph, addition, unscaled)):
            weighed = _may_hold_weights(branches, value, others)
            if weighed and branches.used_once.issuperset(branches.within(value, others)):  # no state of a recurrence
                yield value, others

    return grown


def projected_ends(branches: Branches) -> tuple[str, ...]:
    """As `residual_ends`, of branches beside a projection of what they grew from (W x + f(x), where widths change)."""
    return _ends(branches, partial(_beside_projection, branches))


def _ends(branches: Branches, grown: Grown) -> tuple[str, ...]:
    """For each operand of a sum that was computed from others, the last weights or norm of the way."""
    return _last_of(branches, _of_sums(branches, grown))


def _last_of(branches: Branches, found: Iterable[tuple[int, set[int]]]) -> tuple[str, ...]:
    return branches.ends((value, floor_of(branches.graph, others)) for value, others in found)


def _of_sums(branches: Branches, *ways: Grown) -> Iterator[tuple[int, set[int]]]:
    """The branches that are found at each sum, but for those that hold no weights."""
    for operation in branches.graph.operations:
        if operation.kind in _ADDS:
            for grown in ways:
                found = grown(branches.graph, operation)
                yield from (branch for branch in found if _may_hold_weights(branches, *branch))


def _may_hold_weights(branches: Branches, value: int, others: set[int]) -> bool:
    """Whether a parameter may lie between the earliest of some values and what grew from them."""
    return branches.weighed[value] > floor_of(branches.graph, others)


def residual_branches(branches: Branches) -> tuple[tuple[str, ...], ...]:
    """The parameters of each branch that is added back to what it grew from, or to a projection of that.

    In the order of their first use.
    """
    return tuple(
        found
        for value, others in _of_sums(branches, _growing(branches), partial(_beside_projection, branches))
        if (found := branches.within(value, others))
    )


Grown = Callable[[Recording, Operation], Iterator[tuple[int, set[int]]]]
Before = Callable[[Recording, int], list[int]]


def _grown(
    graph: Recording, addition: Operation, before: Before = stream, beside: int = BESIDE
) -> Iterator[tuple[int, set[int]]]:
    """The operands that were computed from another operand, each with the values that it may have grown from.

    So is a branch beside another: of (x + f(x)) + g(x) both grew from x; up to `beside` sums are looked back. One that
    grew from the operand itself begins there, not before parameters that shift and scale it.
    """
    operands = list(dict.fromkeys(graph.signals(addition)))
    for value in operands:
        rest = [other for other in operands if other != value]
        before_it = [before(graph, other) for other in rest]
        streams = {item for origin in before_it if not _injected(graph, tuple(origin)) for item in origin}
        if streams and grew_from(graph, value, streams):
            itself = streams.intersection(item for other in rest for item in passed(graph, other))
            yield value, itself if grew_from(graph, value, itself) else streams
        elif beside:
            sums = {item for origin in before_it for item in origin}
            taken_up = _taken_up(graph, sums, before, beside - 1)
            if taken_up and grew_from(graph, value, taken_up):
                yield value, taken_up


@once
def _injected(graph: Recording, origin: tuple[int, ...]) -> bool:
    """Whether a value was first added to what did not grow from it: conditions and positions, which every layer gets.

    Args:
        graph: the recording.
        origin: the value and what it was before.
    """
    family, stack = set(origin), list(origin)
    sums: list[Operation] = []
    while stack:
        for reader in graph.consumers(stack.pop()):
            if reader.traits.rearranges:
                stack.extend(set(reader.outputs) - family)
                family.update(reader.outputs)
            elif reader.kind in _ADDS and len(graph.signals(reader)) > 1:
                sums.append(reader)
    if not sums:
        return False
    beside = set(graph.signals(min(sums, key=lambda operation: operation.index))) - family
    return not any(grew_from(graph, other, family) for other in beside)


def _taken_up(graph: Recording, sums: set[int], before: Before, beside: int) -> set[int]:
    """What the branches grew from that were added to make these sums, and what a number was added to."""
    found = set[int]()
    for operation in filter(None, map(graph.producer, sums)):
        if operation.kind in _ADDS:
            signals = graph.signals(operation)
            if len(signals) == 1:
                found.update(signals)
            for _, origins in _grown(graph, operation, before, beside):
                found |= origins
    return found


def _blended(graph: Recording, addition: Operation) -> Iterator[tuple[int, set[int]]]:
    """Of t·h + (1 − t)·x, what stands in the place of h, where it was computed from x (Srivastava et al., 2015)."""
    products = [found for value in addition.inputs if (found := _factors(graph, value))]
    if addition.kind != "add" or len(products) != 2:
        return
    for branch, beside in permutations(products):
        for (h, t), (x, rest) in every_pair(permutations(branch), permutations(beside)):
            if _complementary(graph, t, rest) or _complementary(graph, rest, t):
                others = set(passed(graph, x))
                if grew_from(graph, h, others):
                    yield h, others


def _factors(graph: Recording, value: int) -> tuple[int, int] | None:
    """The two signals that a value is the product of."""
    operation = graph.producer(passed(graph, value)[-1])
    if operation is None or operation.kind != "mul" or operation.parameters or len(set(operation.inputs)) != 2:
        return None
    return operation.inputs[0], operation.inputs[1]


def _complementary(graph: Recording, value: int, of: int) -> bool:
    """Whether a value is a number less another: 1 − t."""
    operation = graph.producer(passed(graph, value)[-1])
    if operation is None or operation.kind not in ("sub", "rsub") or len(operation.inputs) != 1:
        return False
    return not set(passed(graph, operation.inputs[0])).isdisjoint(passed(graph, of))


def _beside_projection(branches: Branches, graph: Recording, addition: Operation) -> Iterator[tuple[int, set[int]]]:
    """The operand with a function on its way from what the other operand is a projection of."""
    operands = [value for value in dict.fromkeys(addition.inputs) if graph.values[value].source == "operation"]
    if len(operands) < 2:
        return
    for value, other in permutations(operands, 2):
        for origin in _projected(branches, other):
            if grew_from(graph, value, {origin}) and branches.curves(value, origin):
                yield value, {origin}
                break


def _projected(branches: Branches, value: int) -> Iterator[int]:
    """What a value is a projection of, the nearest first: one weight, beside norms, pools and rearrangements."""
    weights, signals = 0, from_inputs(branches.graph)
    while (operation := branches.graph.producer(value)) is not None:
        roles = branches.used.get(operation.index, {}).values()
        traits = operation.traits
        weights += "weight" in roles
        if weights > 1 or not ("weight" in roles or traits.norm or traits.pools or traits.passes):
            return
        read = [item for item in operation.inputs if item in signals]
        if len(read) != 1:
            return
        value = read[0]
        if weights:
            yield value
