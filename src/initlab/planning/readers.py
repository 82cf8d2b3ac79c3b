"""What first reads an operation's output: the model's caller, a gate, attention scores, a sum of votes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import grew_from, passed
from initlab.graph.axes import axis_of_features
from initlab.graph.fixed import is_fixed_map
from initlab.graph.once import once
from initlab.planning.answers import caps
from initlab.planning.recurrences import makers

LONGEST = 4096  # readers of what came of a read-out, all steps of a state that it drives among them


def _ahead(graph: SignalGraph, operation: Operation) -> Iterable[tuple[str, Operation | None]]:
    """What reads an operation's output first, past rearrangements, fixed linear maps and functions of one number.

    What a curved function made is past no map: a frozen layer is read by those after it.
    """
    queue, seen, curved = deque(operation.outputs), set(operation.outputs), set[int]()
    while queue:
        value = queue.popleft()
        if value in graph.outputs:
            yield "output", None
        for reader in graph.consumers(value):
            if all(_is_whole(graph, made) for made in reader.outputs):
                continue  # a check of its values, as distributions make
            signals = _signals(graph, reader, value) - _levels(graph, reader, value)
            shapes = {graph.values[v].shape for v in (*reader.outputs, value)}
            of_parameters = bool(_parameters(graph, reader))
            alone = len(signals) == 1 and not of_parameters
            function = alone and len(shapes) == 1 and reader.kind != "softmax"
            affine = reader.traits.combines in ("sum", "product") and of_parameters and len(signals) == 1
            if _is_level(graph, reader, value):
                continue
            if reader.traits.gate and not caps(graph, reader):
                yield "gate", reader
            elif (
                reader.traits.passes
                or reader.traits.keeps == "pieces"
                or function
                or affine
                or (alone and _over_places(graph, operation, reader, value))
                or _of_steps(graph, reader, value)
                or _accumulates(graph, reader, operation)
                or (value not in curved and is_fixed_map(graph, reader, value))
            ):
                if value in curved or reader.traits.curved:
                    curved.update(reader.outputs)
                queue.extend(made for made in reader.outputs if made not in seen)
                seen.update(reader.outputs)
            else:
                yield reader.kind, reader


def _signals(graph: SignalGraph, reader: Operation, value: int) -> set[int]:
    """The signals that an operation reads: no parameters, no numbers of places, and of the factors of `value` none
    that the inputs alone make, as a mask or the weights of a graph's edges."""
    found = {
        v for v in reader.inputs
        if graph.values[v].source in ("operation", "input") and not _is_whole(graph, v)
    } - _parameters(graph, reader)  # fmt: skip
    if reader.traits.multiplies:
        found = {v for v in found if v == value or hangs_on(graph, v, "parameter")}
    return found


def _of_steps(graph: SignalGraph, reader: Operation, value: int) -> bool:
    """Whether what the same weights make at each of many steps is put side by side, features apart."""
    if reader.traits.combines != "join" or graph.values[reader.outputs[0]].shape[-1:] != graph.values[value].shape[-1:]:
        return False
    steps = (graph.producer(passed(graph, item)[-1]) for item in reader.inputs)
    makers = {step.parameters for step in steps if step is not None}
    return len(set(reader.inputs)) > 1 and len(makers) == 1 and bool(*makers)


def _accumulates(graph: SignalGraph, reader: Operation, operation: Operation) -> bool:
    """Whether what the same weights make at each of many steps is added up, and read by no weight at any of them."""
    if reader.traits.combines != "sum" or not operation.parameters or len(set(reader.inputs)) < 2:
        return False
    if any(makers(graph, v) != {operation.parameters} for v in reader.inputs):
        return False
    first = next(other for other in graph.operations if other.parameters == operation.parameters)
    return _is_last_at(graph, first.index)


@once
def _is_last_at(graph: SignalGraph, place: int) -> bool:
    return is_last(graph, graph.operations[place])


def _levels(graph: SignalGraph, reader: Operation, value: int) -> set[int]:
    """What a signal itself gives to be brought to a level by: its log-sum-exp, mean or largest number, subtracted."""
    others = set(reader.inputs) - {value} if reader.traits.combines == "sum" else set()
    makers = {other: graph.producer(other) for other in others}
    summands = {value, *_summands(graph, value)} if others else {value}
    return {
        other
        for other, maker in makers.items()
        if maker is not None and any(_is_level(graph, maker, each) for each in summands)
    }


def _summands(graph: SignalGraph, value: int) -> tuple[int, ...]:
    """What a value is the sum of, where it is one."""
    maker = graph.producer(value)
    return maker.inputs if maker is not None and maker.traits.combines == "sum" else ()


def _is_level(graph: SignalGraph, operation: Operation, value: int) -> bool:
    """Whether an operation reduces a signal along some axis to numbers that are only subtracted from it again."""
    after = [reader for made in operation.outputs for reader in graph.consumers(made)]
    shape, before = graph.values[operation.outputs[0]].shape if operation.outputs else (), graph.values[value].shape
    reduced = (
        len(shape) == len(before) and shape != before and all(a in (1, b) for a, b in zip(shape, before, strict=True))
    )
    alone = set(operation.inputs) == {value} and not operation.parameters
    return alone and reduced and bool(after) and all(r.kind == "sub" and _adds(graph, r, value) for r in after)


def _adds(graph: SignalGraph, difference: Operation, value: int) -> bool:
    """Whether a signal, or a sum that it is one of, is what something is subtracted from."""
    return any(value == item or value in _summands(graph, item) for item in difference.inputs[:1])


def _is_whole(graph: SignalGraph, value: int) -> bool:
    kind = graph.values[value].dtype
    return not (kind.is_floating_point or kind.is_complex)


def _over_places(graph: SignalGraph, operation: Operation, reader: Operation, value: int) -> bool:
    """Whether places are pooled, summed or sent to others, as along a graph's edges, while the features that an
    operation made stay apart: their axis is as long after it as before."""
    traits, before, after = reader.traits, graph.values[value].shape, graph.values[reader.outputs[0]].shape
    moved = axis_of_features(graph, operation, value)
    axes = {operation.traits.features} if moved is None else {moved, moved - len(before)}
    by_rows = traits.combines == "contraction" and reader.inputs[-1] == value
    if not (traits.pools or traits.linear or traits.combines == "write" or by_rows) or not after or len(before) < 2:
        return False
    return any(before[axis] == after[axis] for axis in axes if -len(after) <= axis < len(after))


def _parameters(graph: SignalGraph, operation: Operation) -> frozenset[int]:
    """The values that an operation reads of parameters: a bias brought to (1, …, n), a scale's exponential."""
    return graph.mapped_parameters.intersection(operation.inputs)


def adds_to_scores(graph: SignalGraph, use: Operation) -> bool:
    """Whether a table's rows are added to what a softmax or a fused attention reads as scores."""
    for _, reader in _ahead(graph, use):
        if reader is None:
            continue
        if reader.traits.attends:
            return True
        if reader.kind == "add" and any(kind == "softmax" for kind, _ in _ahead(graph, reader)):
            return True
    return False


def is_head(graph: SignalGraph, use: Operation) -> bool:
    """Whether a weight's output is the model's, or what its own loss takes for logits, and read by nothing else.

    What is made of it without another weight is not read: its probabilities, their entropy, a penalty on its size.
    """
    ahead = list(_ahead(graph, use))
    read = any(kind == "output" or (by is not None and by.traits.logits and not by.traits.mixes) for kind, by in ahead)
    if read and all(kind in ("output", "gate") or (by is not None and by.traits.logits) for kind, by in ahead):
        return True
    returned = any(kind == "output" for kind, _ in ahead)
    return (returned or any(_gives_shares(graph, by) for _, by in ahead)) and is_last(graph, use, returned)


def _gives_shares(graph: SignalGraph, reader: Operation | None) -> bool:
    """Whether probabilities are what the model gives to its caller."""
    return reader is not None and reader.kind == "softmax" and any(k == "output" for k, _ in _ahead(graph, reader))


def is_last(graph: SignalGraph, use: Operation, sums: bool = False) -> bool:
    """Whether nothing that comes of a weight's output meets a parameter again, but a bias, or what others make.

    Args:
        graph: the recording.
        use: the operation that applies the weight.
        sums: whether what others make may be added: a mean that is returned, to which noise of some scale is added.
    """
    made, met = set(use.outputs), 0
    for reader in graph.operations[use.index + 1 :]:
        if made.isdisjoint(reader.inputs):
            continue
        met += 1
        others = {v for v in reader.inputs if v not in made and not _is_whole(graph, v)} - _parameters(graph, reader)
        applied = reader.parameters and reader.traits.combines not in ("sum", "product")
        others = set() if reader.traits.combines == "join" else others  # what stands beside it changes nothing
        if reader.traits.combines == "sum":
            others = set() if sums else {v for v in others if makers(graph, v) != {use.parameters}}
        if applied or met > LONGEST or any(hangs_on(graph, v, "parameter") for v in others):
            return False
        made.update(reader.outputs)
    return True


def voting(graph: SignalGraph, applied: Mapping[str, list[Operation]]) -> frozenset[str]:
    """Read-outs whose outputs are added or averaged: each is read by sums of such alone, the last by nothing.

    Scores that are made otherwise may be among them (wide and deep, factorisation machines beside a network), but
    nothing that a read-out itself grew from: such a sum is a stream and its branch.
    """
    added: dict[int, set[str]] = {}
    for name, uses in applied.items():
        addition = _only_sum(graph, uses[0])
        if len(uses) == 1 and addition is not None:
            added.setdefault(addition.index, set()).add(name)
    sums: dict[int, set[int]] = {}  # the last of sums that follow one another -> all of them
    lasts: dict[int, int] = {}
    for index in added:
        way = [index]
        while way[-1] not in lasts and (after := _only_sum(graph, graph.operations[way[-1]])) is not None:
            way.append(after.index)
        last = lasts.get(way[-1], way[-1])
        lasts.update(dict.fromkeys(way, last))
        sums.setdefault(last, set()).update(way)
    found: set[str] = set()
    for last, all_of_them in sums.items():
        names = set().union(*(added.get(index, ()) for index in all_of_them))
        operands = [
            value for index in all_of_them for value in set(graph.operations[index].inputs)
            if graph.values[value].source == "operation"
        ]  # fmt: skip
        votes = len(operands) - (len(all_of_them) - 1)
        if (
            _ends(graph, graph.operations[last])
            and votes > 1
            and (len(names) == votes or not _streams(graph, names, applied, operands))
        ):
            found |= names
    return frozenset(found)


def _ends(graph: SignalGraph, addition: Operation) -> bool:
    """Whether a sum, or what a sigmoid or softmax makes of it, goes to the caller, and nothing else reads it."""
    ahead = list(_ahead(graph, addition))
    if len(ahead) != 1:
        return False
    kind, by = ahead[0]
    given = by is not None and (by.outputs[0] in graph.outputs if kind == "gate" else _gives_shares(graph, by))
    return kind == "output" or given or (by is not None and by.traits.logits and not by.traits.mixes)


def _streams(
    graph: SignalGraph, names: Iterable[str], applied: Mapping[str, list[Operation]], operands: Iterable[int]
) -> bool:
    """Whether what one of some weights reads grew from what is added to its output."""
    made = {value for name in names for value in applied[name][0].outputs}
    others = {value for value in operands if not made & set(passed(graph, value))}
    read = [v for name in names for v in applied[name][0].inputs if graph.values[v].source == "operation"]
    return bool(others) and any(value in others or grew_from(graph, value, others) for value in read)


def _only_sum(graph: SignalGraph, operation: Operation) -> Operation | None:
    """The sum that alone reads what an operation makes; None where anything else does."""
    ahead = list(_ahead(graph, operation))
    return ahead[0][1] if len(ahead) == 1 and ahead[0][0] == "add" else None


def opens_gate(graph: SignalGraph, use: Operation) -> bool:
    """Whether gates alone read a weight's output, and each multiplies a signal that is not that output itself."""
    for kind, reader in _ahead(graph, use):
        if kind != "gate" or reader is None:
            return False
        value = reader.outputs[0]
        for after in graph.consumers(value):
            while after.traits.passes and graph.consumers(after.outputs[0]):
                value, after = after.outputs[0], graph.consumers(after.outputs[0])[0]
            others = [v for v in after.inputs if v != value and graph.values[v].source == "operation"]
            if after.kind != "mul" or not others or use.outputs[0] in others:
                return False
    return True


def of_the_data(graph: SignalGraph, value: int) -> bool:
    """Whether a value hangs on the model's inputs: keys do, which a matrix product also has on its right."""
    return hangs_on(graph, value, "input")


def hangs_on(graph: SignalGraph, value: int, source: str) -> bool:
    """Whether a value is made of what comes from there: "input" or "parameter"."""
    stack, seen = [value], {value}
    while stack:
        at = stack.pop()
        if graph.values[at].source == source:
            return True
        operation = graph.producer(at)
        made = [one for one in operation.inputs if one not in seen] if operation is not None else []
        stack.extend(made)
        seen.update(made)
    return False
