"""What first reads an operation's output: the model's caller, a gate, attention scores, a sum of votes."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import from_inputs, from_weights, grew_from, hangs_on, made_of
from initlab.graph.axes import axes_of_features
from initlab.graph.fixed import is_fixed_map
from initlab.graph.once import once
from initlab.graph.recording import Ref
from initlab.planning.signals.answers import caps
from initlab.planning.signals.data_way import way_of
from initlab.planning.signals.picked import is_picked
from initlab.planning.signals.recurrences import makers
from initlab.planning.signals.ways import readings

LONGEST = 4096  # readers of what came of a read-out, all steps of a state that it drives among them


def ahead(graph: SignalGraph, operation: Operation) -> Iterable[tuple[str, Operation | None]]:
    """What reads an operation's output first, past rearrangements, fixed linear maps and functions of one number.

    What a curved function made is past no map: a frozen layer is read by those after it.
    """
    queue, seen, curved = deque(operation.outputs), set(operation.outputs), set[int]()
    while queue:
        value = queue.popleft()
        if value in graph.outputs:
            yield "output", None
        for reader in graph.consumers(value):
            if not any(graph.values[made].is_real for made in reader.outputs) or _is_level(graph, reader, value):
                continue  # a check of its values, as distributions make; or subtracted from it again
            if reader.traits.gate and not caps(graph, reader):
                yield "gate", reader
            elif _goes_on(graph, operation, reader, value, value in curved):
                if value in curved or reader.traits.curved:
                    curved.update(reader.outputs)
                queue.extend(made for made in reader.outputs if made not in seen)
                seen.update(reader.outputs)
            else:
                yield reader.kind, reader


def _goes_on(graph: SignalGraph, operation: Operation, reader: Operation, value: int, curved: bool) -> bool:
    """Whether what a reader makes of a value is still what an operation made: moved, mapped or scaled as a whole.

    Args:
        graph: the recording.
        operation: what made the value, past what was gone through already.
        reader: what reads it.
        value: the value.
        curved: whether a curved function was gone through.
    """
    traits = reader.traits
    if traits.passes or traits.keeps == "pieces":
        return True
    if len(_signals(graph, reader, value) - _levels(graph, reader, value)) == 1:
        if _parameters(graph, reader):
            if traits.combines in ("sum", "product"):
                return True
        elif _is_function(graph, reader, value) or _over_places(graph, operation, reader, value):
            return True
    if _of_steps(graph, operation, reader, value) or _accumulates(graph, reader, operation):
        return True
    return not curved and is_fixed_map(graph, reader, value)


def _is_function(graph: SignalGraph, reader: Operation, value: int) -> bool:
    """Whether what reads a value alone makes as many numbers of it, and no shares."""
    return reader.kind != "softmax" and len({graph.values[v].shape for v in (*reader.outputs, value)}) == 1


def _signals(graph: SignalGraph, reader: Operation, value: int) -> set[int]:
    """The signals that an operation reads: no parameters, no numbers of places, and of the factors of `value` none
    that the inputs alone make, as a mask or the weights of a graph's edges."""
    found = {
        v for v in reader.inputs
        if graph.values[v].source in ("operation", "input") and graph.values[v].is_real
    } - _parameters(graph, reader)  # fmt: skip
    if reader.traits.multiplies:
        found = {v for v in found if v == value or hangs_on(graph, v, "parameter")}
    return found


def _of_steps(graph: SignalGraph, operation: Operation, reader: Operation, value: int) -> bool:
    """Whether what the same weights make at each of many steps, or levels, is put side by side, features apart.

    Or parts of what a layer made once stand side by side again, as a mean and a scale that a function bounds.
    """
    if reader.traits.combines != "join" or not operation.parameters or len(set(reader.inputs)) < 2:
        return False
    whole = _apart(graph, operation, reader, value) or _applications(graph)[operation.parameters] == 1
    return whole and all(makers(graph, item) == {operation.parameters} for item in reader.inputs)


@once
def _applications(graph: SignalGraph) -> Counter[tuple[str, ...]]:
    return Counter(operation.parameters for operation in graph.operations)


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


def _over_places(graph: SignalGraph, operation: Operation, reader: Operation, value: int) -> bool:
    """Whether places are pooled, summed or sent to others, as along a graph's edges, while the features that an
    operation made stay apart: their axis is as long after it as before."""
    traits, places = reader.traits, len(graph.values[value].shape) > 1
    if _is_one_number(graph, operation, value):  # whose axis is gone: all that are left are places
        left = bool(graph.values[reader.outputs[0]].shape)
        return left and (traits.pools or traits.linear or traits.combines == "write")
    by_rows = traits.combines == "contraction" and reader.inputs[-1] == value
    sends = traits.pools or traits.linear or traits.combines == "write" or by_rows
    return places and sends and _apart(graph, operation, reader, value)


def _apart(graph: SignalGraph, operation: Operation, reader: Operation, value: int) -> bool:
    """Whether the axis of the features that an operation made is as long in what a reader makes as it is before."""
    before, after = graph.values[value].shape, graph.values[reader.outputs[0]].shape
    moved = axes_of_features(graph, operation, value)
    axes = {axis - length for axis in moved for length in (0, len(before))} if moved else {operation.traits.features}
    inside = min(len(before), len(after))
    return any(before[axis] == after[axis] for axis in axes if -inside <= axis < inside)


def _is_one_number(graph: SignalGraph, operation: Operation, value: int) -> bool:
    """Whether an operation makes one number of each place, and a value has lost the axis of that number: squeezed, or
    places stand where it was."""
    made, shape = graph.values[operation.outputs[0]].shape, graph.values[value].shape
    axis = operation.traits.features
    if not -len(made) <= axis < len(made) or made[axis] != 1:
        return False
    return len(shape) < len(made) or (shape[axis] != 1 and not axes_of_features(graph, operation, value))


def _parameters(graph: SignalGraph, operation: Operation) -> frozenset[int]:
    """The values that an operation reads of parameters: a bias brought to (1, …, n), a scale's exponential."""
    return graph.mapped_parameters.intersection(operation.inputs)


def adds_to_scores(graph: SignalGraph, use: Operation) -> bool:
    """Whether what an operation makes is added to what a softmax or a fused attention reads as scores, as a table's
    rows are; functions of one number may come between."""
    for kind, reader in ahead(graph, use):
        if reader is None:
            continue
        if reader.traits.attends and _is_mask(graph, reader, use):
            return True
        if reader.kind == "add" and any(after == "softmax" for after, _ in ahead(graph, reader)):
            return True
        if kind == "gate" and adds_to_scores(graph, reader):
            return True
    return False


def _is_mask(graph: SignalGraph, attention: Operation, use: Operation) -> bool:
    """Whether what an operation makes is what a fused attention adds to its scores."""
    mask = attention.argument(3, "attn_mask")
    return isinstance(mask, Ref) and (mask.value in use.outputs or grew_from(graph, mask.value, use.outputs))


def shifts_scores_by_place(graph: SignalGraph, use: Operation) -> bool:
    """Whether a weight ends a function of places that is added to scores: no input has a part in it.

    Source: Liu et al., Swin Transformer V2, 2022, section 3.3.
    """
    return from_inputs(graph).isdisjoint(use.outputs) and adds_to_scores(graph, use)


def says_where(graph: SignalGraph, use: Operation) -> bool:
    """Whether a signal is read at the places that an operation's output tells, summed with others and scaled."""

    def goes_on(value: int, reader: Operation) -> bool:
        alone = reader.traits.combines == "product" and len(set(graph.signals(reader))) == 1
        return alone or reader.traits.proportional or reader.traits.combines in ("sum", "join")

    return any(
        isinstance(place := reader.argument(*at), Ref) and place.value == value
        for value, reader in readings(graph, use.outputs, goes_on)
        for at in reader.traits.places
    )


def is_head(graph: SignalGraph, use: Operation) -> bool:
    """Whether a weight's output is the model's, or what its own loss takes for logits, and read by nothing else.

    Or scores by which answers are picked, and the answers, as a detector's. What is made of it without another
    weight is not read: its probabilities, their entropy, a penalty on its size. So are shares that no weight meets
    again, bins of a density (Müller et al., Neural importance sampling, 2019), whatever else that is made of, and what
    the answer compares with what other weights make, as a divergence does a prior's mean and scale with a posterior's.
    """
    found = list(ahead(graph, use))
    read = any(kind == "output" or (by is not None and by.traits.logits and not by.traits.mixes) for kind, by in found)
    if read and all(kind in ("output", "gate") or (by is not None and by.traits.logits) for kind, by in found):
        return True
    returned = any(kind == "output" for kind, _ in found)
    if (returned or any(gives_shares(graph, by) for _, by in found)) and is_last(graph, use, returned):
        return True
    if is_picked(graph, use) or (any(kind == "softmax" for kind, _ in found) and _meets_nothing(graph, use)):
        return True
    return _is_compared(graph, use)


def gives_shares(graph: SignalGraph, reader: Operation | None) -> bool:
    """Whether probabilities are what the model gives to its caller."""
    return reader is not None and reader.kind == "softmax" and any(k == "output" for k, _ in ahead(graph, reader))


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
        others = {v for v in reader.inputs if v not in made and graph.values[v].is_real} - _parameters(graph, reader)
        applied = reader.parameters and reader.traits.combines not in ("sum", "product")
        others = set() if reader.traits.combines == "join" else others  # what stands beside it changes nothing
        if reader.traits.combines == "sum":
            others = set() if sums else {v for v in others if makers(graph, v) != {use.parameters}}
        if applied or met > LONGEST or any(hangs_on(graph, v, "parameter") for v in others):
            return False
        made.update(reader.outputs)
    return True


def _is_compared(graph: SignalGraph, use: Operation) -> bool:
    """Whether all that comes of a weight's output meets what other weights make in a difference or a ratio first, no
    weight is applied after that, and the caller gets what is made of it.

    A divisor is a function of it, as a scale is: the smaller what is divided by itself, the larger the answer.
    """
    made, compared, proportional = set(use.outputs), set[int](), set(use.outputs)
    for reader in graph.operations[use.index + 1 :]:
        if made.isdisjoint(reader.inputs):
            continue
        others = [v for v in reader.inputs if v not in made and hangs_on(graph, v, "parameter")]
        others = [v for v in others if hangs_on(graph, v, "input")]  # no scale that is learned alone
        past = not compared.isdisjoint(reader.inputs)
        applied = reader.parameters and reader.traits.combines not in ("sum", "product")
        if applied or reader.traits.combines == "contraction" or reader.traits.attends:
            return False
        if reader.kind == "div" and reader.inputs[-1] in proportional:
            return False
        if reader.traits.proportional and proportional.issuperset(reader.inputs):
            proportional.update(reader.outputs)
        if others and not past:
            if reader.kind not in ("sub", "div") or any(makers(graph, v) <= {use.parameters} for v in others):
                return False
            past = True
        made.update(reader.outputs)
        compared.update(reader.outputs if past else ())
    return not compared.isdisjoint(graph.outputs)


@once
def _made_without_shares(graph: SignalGraph) -> frozenset[int]:
    """What weights made, but for shares and what came of them."""
    shares = (value for operation in graph.operations if operation.kind == "softmax" for value in operation.outputs)
    return from_weights(graph) - made_of(graph, shares)


def _meets_nothing(graph: SignalGraph, use: Operation) -> bool:
    """Whether no weight is applied to what comes of an operation's output, nor anything picked or moved by it.

    Experts' outputs are picked; other shares, as of the other side of a bin, are not.
    """
    made, data, weighed = set(use.outputs), way_of(graph).data, _made_without_shares(graph)
    for reader in graph.operations[use.index + 1 :]:
        if made.isdisjoint(reader.inputs):
            continue
        sums = reader.traits.combines in ("sum", "product")
        if reader.traits.combines == "contraction" or (reader.parameters and not sums):
            return False
        others = set(reader.inputs) - made
        if not weighed.isdisjoint(others) or (sums and not data.isdisjoint(others)):
            return False
        made.update(reader.outputs)
    return True


def opens_gate(graph: SignalGraph, use: Operation) -> bool:
    """Whether gates alone read a weight's output, and each multiplies a signal that is not that output itself."""
    found = list(ahead(graph, use))
    return bool(found) and all(
        kind == "gate" and reader is not None and _weighs(graph, reader.outputs[0], use.outputs[0])
        for kind, reader in found
    )


def _weighs(graph: SignalGraph, gate: int, output: int) -> bool:
    """Whether a gate, held within bounds or rearranged, is returned or multiplies a signal that is not `output`."""
    for after in graph.consumers(gate):
        others = [v for v in after.inputs if v != gate and graph.values[v].source == "operation"]
        shapes = {graph.values[v].shape for v in (gate, *after.outputs)}
        function = not others and len(shapes) == 1 and after.traits.combines == "none" and after.kind != "softmax"
        if after.traits.passes or function:
            if not _weighs(graph, after.outputs[0], output):
                return False
        elif after.kind != "mul" or not others or output in others:
            return False
    return True
