"""Residual branches: sums of a value and of what was computed from it, and the weights with which such branches end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import permutations
from itertools import product as every_pair

from initlab.graph.ancestry import before_factors, floor_of, from_inputs, grew_from, made_at, passed, stream
from initlab.graph.fixed import is_fixed_map
from initlab.graph.once import once
from initlab.graph.recording import Operation, Recording
from initlab.graph.traits import Traits
from initlab.graph.uses import Use

_ENDS = ("weight", "norm_weight")
BESIDE = 4  # branches that may be added to one stream before a further one that grew from where they did
_ADDS = ("add", "sub")  # a branch may be taken from the stream: N-BEATS, unrolled gradient steps


def residual_ends(graph: Recording, uses: Mapping[str, tuple[Use, ...]]) -> tuple[str, ...]:
    """Names of the weights and norm weights that come last in a branch which is added back to what it grew from.

    Args:
        graph: the recording.
        uses: every parameter's uses, which say the roles.
    """
    return _ends(graph, uses, _growing(graph, uses))


def _growing(graph: Recording, uses: Mapping[str, tuple[Use, ...]]) -> Grown:
    """What finds the branches of a sum, those beside a stream that is weighed among them."""
    used, weighed = _used(uses), _weighed(graph, uses)
    once = {name for name, found in uses.items() if len({use.operation.index for use in found}) == 1}
    unscaled = partial(before_factors, from_inputs(graph))

    def grown(graph: Recording, addition: Operation) -> Iterator[tuple[int, set[int]]]:
        yield from _grown(graph, addition)
        for value, others in (*_blended(graph, addition), *_grown(graph, addition, unscaled)):
            past = weighed[value] > floor_of(graph, others)
            if past and once.issuperset(_within(graph, value, others, used)):  # no state that a recurrence blends
                yield value, others

    return grown


def projected_ends(graph: Recording, uses: Mapping[str, tuple[Use, ...]]) -> tuple[str, ...]:
    """As `residual_ends`, of branches beside a projection of what they grew from (W x + f(x), where widths change)."""
    used, signals = _used(uses), from_inputs(graph)

    def grown(graph: Recording, addition: Operation) -> Iterator[tuple[int, set[int]]]:
        return _beside_projection(graph, addition, used, signals)

    return _ends(graph, uses, grown)


def _ends(graph: Recording, uses: Mapping[str, tuple[Use, ...]], grown: Grown) -> tuple[str, ...]:
    """For each operand of a sum that was computed from others, the last weights or norm of the way."""
    used, weighed, names = _used(uses), _weighed(graph, uses), dict[str, None]()
    for operation in graph.operations:
        if operation.kind in _ADDS:
            for value, others in grown(graph, operation):
                floor = floor_of(graph, others)
                if weighed[value] > floor:
                    names.update(dict.fromkeys(_last(graph, value, floor, used)))
    return tuple(names)


def residual_branches(graph: Recording, uses: Mapping[str, tuple[Use, ...]]) -> tuple[tuple[str, ...], ...]:
    """The parameters of each branch that is added back to what it grew from, or to a projection of that.

    In the order of their first use.
    """
    used, signals, weighed, grown = _used(uses), from_inputs(graph), _weighed(graph, uses), _growing(graph, uses)
    return tuple(
        found
        for operation in graph.operations
        if operation.kind in _ADDS
        for value, others in (*grown(graph, operation), *_beside_projection(graph, operation, used, signals))
        if weighed[value] > floor_of(graph, others) and (found := _within(graph, value, others, used))
    )


# Operation -> parameter -> its role there, as it is or made into another weight (normed, pruned, scaled).
Used = Mapping[int, Mapping[str, str]]
Grown = Callable[[Recording, Operation], Iterator[tuple[int, set[int]]]]
Before = Callable[[Recording, int], list[int]]


def _used(uses: Mapping[str, tuple[Use, ...]]) -> Used:
    found: dict[int, dict[str, str]] = {}
    for name, of_name in uses.items():
        for use in of_name:
            found.setdefault(use.operation.index, {})[name] = use.role
    return found


def _weighed(graph: Recording, uses: Mapping[str, tuple[Use, ...]]) -> dict[int, int]:
    """By value, the place of the last operation with a parameter that it was computed by; −1 where there is none.

    A branch without any is not walked along: a scan of n steps has n sums, each of them n steps long.
    """
    used, found = _used(uses), dict.fromkeys(graph.values, -1)
    for operation in graph.operations:
        own = operation.parameters or operation.index in used
        last = operation.index if own else max((found[value] for value in operation.inputs), default=-1)
        found.update(dict.fromkeys(operation.outputs, last))
    return found


def _within(graph: Recording, value: int, others: set[int], used: Used) -> tuple[str, ...]:
    """The parameters of the operations on the ways from those that the value grew from to it."""
    floor = floor_of(graph, others)
    before: dict[int, Operation] = {}
    stack = [value]
    while stack:
        operation = graph.producer(stack.pop())
        if operation is None or operation.index <= floor or operation.index in before:
            continue
        before[operation.index] = operation
        stack.extend(item for item in operation.inputs if item not in others)
    grown, names = set(others), dict[str, None]()
    for index in sorted(before):
        if grown & set(before[index].inputs):
            grown.update(before[index].outputs)
            names.update(dict.fromkeys((*before[index].parameters, *used.get(index, ()))))
    return tuple(names)


def _grown(
    graph: Recording, addition: Operation, before: Before = stream, beside: int = BESIDE
) -> Iterator[tuple[int, set[int]]]:
    """The operands that were computed from another operand, each with the values that it may have grown from.

    So is a branch beside another: of (x + f(x)) + g(x) both grew from x; up to `beside` sums are looked back.
    """
    operands = list(dict.fromkeys(graph.signals(addition)))
    for value in operands:
        before_it = [before(graph, other) for other in operands if other != value]
        streams = {item for origin in before_it if not _injected(graph, tuple(origin)) for item in origin}
        if streams and grew_from(graph, value, streams):
            yield value, streams
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


def _beside_projection(
    graph: Recording, addition: Operation, used: Used, signals: set[int]
) -> Iterator[tuple[int, set[int]]]:
    """The operand with a function on its way from what the other operand is a projection of."""
    operands = [value for value in dict.fromkeys(addition.inputs) if graph.values[value].source == "operation"]
    if len(operands) < 2:
        return
    for value, other in permutations(operands, 2):
        for origin in _projected(graph, other, used, signals):
            if grew_from(graph, value, {origin}) and _curves(graph, value, origin):
                yield value, {origin}
                break


def _projected(graph: Recording, value: int, used: Used, signals: set[int]) -> Iterator[int]:
    """What a value is a projection of, the nearest first: one weight, beside norms, pools and rearrangements."""
    weights = 0
    while (operation := graph.producer(value)) is not None:
        roles = used.get(operation.index, {}).values()
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


def _curves(graph: Recording, value: int, origin: int) -> bool:
    """Whether a function that is no straight line stands between."""
    floor, seen, stack = made_at(graph, origin), set[int](), [value]
    while stack:
        operation = graph.producer(stack.pop())
        if operation is None or operation.index <= floor or operation.index in seen:
            continue
        if operation.traits.curved and grew_from(graph, operation.inputs[0], {origin}):
            return True
        seen.add(operation.index)
        stack.extend(operation.inputs)
    return False


def _last(graph: Recording, value: int, floor: int, used: Used) -> list[str]:
    """Back to the first weights or norm after `floor`; past a product only along linear operations (a gate is no end).

    None where the branch holds no weight, as in x + x³ of GELU's tanh form. A weight that is frozen is the last only
    where no other comes before it: a fixed basis, as N-BEATS has, sets no size.
    """
    found: list[str] = []
    frozen: list[str] = []
    seen: set[int] = set()
    stack = [(value, False)]
    while stack:
        item, product = stack.pop()
        operation = graph.producer(item)
        if operation is None or operation.index <= floor or operation.index in seen:
            continue
        seen.add(operation.index)
        ends = [name for name, role in used.get(operation.index, {}).items() if role in _ENDS]
        if any(is_fixed_map(graph, operation, source) for source in operation.inputs):
            frozen.extend(ends)
        elif ends:
            found.extend(ends)
            continue
        sources = [source for source in operation.inputs if graph.values[source].source == "operation"]
        if not _linear(operation.traits) and (product or len(sources) > 1):
            continue
        stack.extend((source, product or len(sources) > 1) for source in sources)
    return found or frozen


def _linear(traits: Traits) -> bool:
    return traits.keeps != "none" or traits.linear or traits.gathers or traits.combines == "product"
